"""The same publish is carried out by one request at a time, and answered alike."""

import asyncio
import subprocess
import sys

import pytest

from gateway.correlation.connection import RedisOptions, connect
from gateway.correlation.idempotency import Done, Fresh, IdempotencyStore, InProgress
from gateway.correlation.store import CorrelationStore
from tests.ports import free_port

from .conftest import RING
from .servers import PATIENCE, eventually

DIGEST = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c4"


@pytest.fixture
async def pair(open_store):
    """Two gateways on one Redis."""
    async with open_store() as one, open_store() as two:
        yield IdempotencyStore(one), IdempotencyStore(two)


async def one_request(store: IdempotencyStore, answer: bytes, carried_out: list[bytes]) -> bytes:
    """What a publish does."""
    begun = await store.begin(DIGEST, 5)
    if isinstance(begun, InProgress):
        begun = await store.wait(DIGEST, PATIENCE) or await store.begin(DIGEST, 5)
    if isinstance(begun, Done):
        return begun.response
    assert isinstance(begun, Fresh)
    async with store.renewing(begun, 5):
        carried_out.append(answer)
        await asyncio.sleep(0.05)
    await store.finish(begun, answer, 60)
    return answer


async def test_of_many_requests_at_once_one_is_carried_out_and_all_are_answered_alike(pair):
    carried_out: list[bytes] = []
    answers = await asyncio.gather(
        *(one_request(pair[n % 2], b"answer %d" % n, carried_out) for n in range(40))
    )
    assert len(carried_out) == 1
    assert set(answers) == set(carried_out)


async def test_a_repeat_after_the_answer_gets_the_answer(pair):
    one, two = pair
    claim = await one.begin(DIGEST, 5)
    await one.finish(claim, b"answer", 60)
    assert await one.begin(DIGEST, 5) == Done(b"answer")
    assert await two.begin(DIGEST, 5) == Done(b"answer")
    assert await two.wait(DIGEST, 1) == Done(b"answer")


async def test_an_answer_is_kept_for_its_lifetime(pair):
    one, two = pair
    await one.finish(await one.begin(DIGEST, 5), b"answer", 0.1)

    async def forgotten():
        return isinstance(await two.begin(DIGEST, 5), Fresh)

    await eventually(forgotten)


async def test_different_publishes_do_not_wait_for_each_other(pair):
    one, two = pair
    begun = [await store.begin(f"{DIGEST}{n}", 5) for n in range(10) for store in (one, two)]
    assert [type(b) for b in begun] == [Fresh, InProgress] * 10


async def test_an_abandoned_publish_is_carried_out_by_the_next(pair):
    one, two = pair
    claim = await one.begin(DIGEST, 60)
    waiting = [asyncio.create_task(store.wait(DIGEST, PATIENCE)) for store in pair]
    await asyncio.sleep(0.05)
    await one.abandon(claim)
    assert await asyncio.gather(*waiting) == [None, None]
    assert isinstance(await two.begin(DIGEST, 5), Fresh)


async def test_waiting_ends_without_an_answer_when_there_is_none_in_time(pair):
    await pair[0].begin(DIGEST, 60)
    assert [await store.wait(DIGEST, 0.1) for store in pair] == [None, None]


async def test_a_lease_is_kept_while_it_is_renewed(pair):
    one, two = pair
    claim = await one.begin(DIGEST, 0.6)
    async with one.renewing(claim, 0.6):
        await asyncio.sleep(1.5)
        assert isinstance(await one.begin(DIGEST, 0.6), InProgress)
        assert isinstance(await two.begin(DIGEST, 0.6), InProgress)


async def test_a_lease_that_is_not_renewed_runs_out_in_every_process(pair):
    one, two = pair
    await one.begin(DIGEST, 0.1)
    assert await two.wait(DIGEST, PATIENCE) is None
    assert await one.wait(DIGEST, PATIENCE) is None
    assert isinstance(await one.begin(DIGEST, 5), Fresh)
    assert isinstance(await two.begin(DIGEST, 5), InProgress)


async def test_who_lost_a_lease_changes_nothing_of_its_new_holder(pair):
    one, two = pair
    lost = await one.begin(DIGEST, 0.1)
    assert await two.wait(DIGEST, PATIENCE) is None
    held = await two.begin(DIGEST, 60)
    assert isinstance(held, Fresh)
    await one.abandon(lost)
    await one.finish(lost, b"late", 60)
    async with one.renewing(lost, 60):
        await asyncio.sleep(0.05)
    assert isinstance(await one.begin(DIGEST, 5), InProgress)
    await two.finish(held, b"answer", 60)
    assert await one.begin(DIGEST, 5) == Done(b"answer")


async def test_a_request_cancelled_at_any_step_ends_and_holds_nothing_in_its_process(open_store):
    async with open_store() as shared:
        store = IdempotencyStore(shared)
        for steps in range(20):
            digest = f"{DIGEST}{steps}"
            task = asyncio.create_task(store.begin(digest, 0.2))
            for _ in range(steps):
                await asyncio.sleep(0)
            if not task.cancel():
                break
            with pytest.raises(asyncio.CancelledError):
                await task
            # Redis may have taken the lease already; it runs out there
            assert await store.wait(digest, PATIENCE) is None
            assert isinstance(await store.begin(digest, 5), Fresh)
        assert steps > 1


async def test_renewing_ends_whenever_it_is_left(open_store):
    async with open_store() as shared:
        store = IdempotencyStore(shared)
        claim = await store.begin(DIGEST, 60)
        for steps in range(20):
            async with asyncio.timeout(PATIENCE), store.renewing(claim, 60):
                for _ in range(steps):
                    await asyncio.sleep(0)


HOLDER = """
import asyncio, sys
from gateway.correlation.connection import RedisOptions, connect
from gateway.correlation.idempotency import IdempotencyStore
from gateway.correlation.store import CorrelationStore
from gateway.security.sealing import KeyRing

async def main():
    client = connect(RedisOptions(url=sys.argv[1]))
    async with CorrelationStore(client, KeyRing([bytes(range(32))])) as shared:
        store = IdempotencyStore(shared)
        claim = await store.begin(sys.argv[2], 1.0)
        async with store.renewing(claim, 1.0):
            print(type(claim).__name__, flush=True)
            await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_the_publish_of_a_killed_process_is_carried_out_by_the_next(open_store, server):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, server.url, DIGEST], stdout=subprocess.PIPE)
    try:
        assert await asyncio.to_thread(holder.stdout.readline) == b"Fresh\n"
        async with open_store() as shared:
            store = IdempotencyStore(shared)
            assert isinstance(await store.begin(DIGEST, 5), InProgress)
            assert await store.wait(DIGEST, 1.5) is None  # longer than one lease: it is being renewed
            assert isinstance(await store.begin(DIGEST, 5), InProgress)
            holder.kill()
            assert await store.wait(DIGEST, PATIENCE) is None
            assert isinstance(await store.begin(DIGEST, 5), Fresh)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


async def test_without_redis_the_requests_of_one_process_are_still_kept_apart():
    client = connect(RedisOptions(url=f"redis://127.0.0.1:{free_port()}"))
    async with CorrelationStore(client, RING) as shared:
        store = IdempotencyStore(shared)
        carried_out: list[bytes] = []
        answers = await asyncio.gather(
            *(one_request(store, b"answer %d" % n, carried_out) for n in range(20))
        )
        assert len(carried_out) == 1
        assert set(answers) == set(carried_out)
        assert not store._held


async def test_redis_killed_midway_costs_the_record_and_nothing_else(pair, server):
    one, two = pair
    claim = await one.begin(DIGEST, 5)
    waiting = asyncio.create_task(one.wait(DIGEST, PATIENCE))
    elsewhere = asyncio.create_task(two.wait(DIGEST, PATIENCE))
    async with one.renewing(claim, 0.1):
        await asyncio.sleep(0.05)
        server.kill()
        assert await elsewhere is None
        await asyncio.sleep(0.15)
        assert isinstance(await one.begin(DIGEST, 5), InProgress)
    await one.finish(claim, b"answer", 60)
    assert await waiting == Done(b"answer")
    assert isinstance(await one.begin("another", 5), Fresh)
    assert isinstance(await two.begin(DIGEST, 5), Fresh)
    await one.abandon(claim)


async def test_a_lease_that_redis_lost_is_taken_again_when_it_is_back(pair, server):
    one, two = pair
    claim = await one.begin(DIGEST, 5)
    async with one.renewing(claim, 0.3):
        server.kill()
        server.start()

        async def seen():
            begun = await two.begin(DIGEST, 0.01)
            return isinstance(begun, InProgress) and two._store.available

        await eventually(seen)
    await one.finish(claim, b"answer", 60)

    async def answered():
        return await two.begin(DIGEST, 0.01) == Done(b"answer")

    await eventually(answered)
