"""The store keeps values sealed, and is merely forgetful when Redis is away."""

import asyncio
import signal

import pytest

from gateway.correlation.connection import RedisOptions, connect
from gateway.correlation.store import CorrelationStore
from gateway.security.sealing import KeyRing
from tests.ports import free_port

from .conftest import RING
from .servers import Server, eventually

GONE = ("warning", "correlation.unavailable")
BACK = ("warning", "correlation.available")


async def every_call_misses(store: CorrelationStore) -> None:
    assert await store.get("kind", "key") is None
    assert await store.set("kind", "key", b"value", 60) is False
    assert await store.set_nx("kind", "key", b"value", 60) is None
    assert await store.replace("kind", "key", b"old", b"new", 60) is None
    assert await store.delete("kind", "key", b"value") is None
    assert await store.set_parts("kind", "key", [b"a"], 60) is False
    assert await store.get_parts("kind", "key", [0]) is None


async def test_a_value_is_kept_for_its_lifetime(open_store):
    async with open_store() as store:
        assert await store.set("kind", "key", b"value", 60)
        assert await store.get("kind", "key") == b"value"
        assert await store.get("kind", "other") is None
        assert await store.get("other", "key") is None
        assert await store.set("kind", "key", b"", 0.05)

        async def gone():
            return await store.get("kind", "key") is None

        await eventually(gone)
        assert store.available


async def test_a_value_is_set_once(open_store):
    async with open_store() as store:
        assert await store.set_nx("kind", "key", b"first", 60) is True
        assert await store.set_nx("kind", "key", b"second", 60) is False
        assert await store.get("kind", "key") == b"first"


async def test_a_value_is_replaced_where_the_old_one_or_none_is_there(open_store):
    async with open_store() as store:
        assert await store.replace("kind", "key", b"old", b"new", 60) is True
        assert await store.replace("kind", "key", b"old", b"newer", 60) is False
        assert await store.get("kind", "key") == b"new"
        assert await store.replace("kind", "key", b"new", b"newer", 60) is True
        assert await store.get("kind", "key") == b"newer"


async def test_a_value_is_deleted_where_it_is_the_named_one(open_store):
    async with open_store() as store:
        await store.set("kind", "key", b"value", 60)
        assert await store.delete("kind", "key", b"other") is False
        assert await store.delete("kind", "key", b"value") is True
        assert await store.get("kind", "key") is None


async def test_parts_are_there_together_or_not_at_all(open_store):
    parts = [bytes([n]) * 50_000 for n in range(200)]
    async with open_store() as store:
        assert await store.set_parts("kind", "key", parts, 60)
        assert await store.get_parts("kind", "key", [0, 199, 7]) == [parts[0], parts[199], parts[7]]
        assert await store.get_parts("kind", "key", [199, 200]) is None


async def test_every_key_has_an_end(open_store, server):
    async with open_store() as store:
        await store.set("a", "key", b"value", 60)
        await store.set_nx("b", "key", b"value", 60)
        await store.replace("c", "key", b"value", b"value", 60)
        await store.set_parts("d", "key", [b"a", b"b"], 60)
    async with connect(RedisOptions(url=server.url)) as client:
        keys = await client.keys("*")
        assert len(keys) == 6
        assert all([await client.ttl(key) > 0 for key in keys])


async def test_nothing_is_readable_in_redis(open_store, server):
    async with open_store() as store:
        await store.set("kind", "urn:oid:2.999.1|PATIENT-4711", b"family=Musterfrau", 60)
        await store.set_parts("kind", "urn:oid:2.999.1|PATIENT-4711", [b"family=Musterfrau"] * 3, 60)
    async with connect(RedisOptions(url=server.url)) as client:
        keys = await client.keys("*")
        stored = b"".join([*keys, *[await client.get(key) for key in keys]])
    assert len(keys) == 5
    assert not any(text in stored for text in (b"2.999", b"4711", b"PATIENT", b"Muster", b"family"))


async def test_a_value_that_was_moved_or_altered_is_none(open_store, server):
    async with open_store() as store:
        await store.set("kind", "key", b"value", 60)
        await store.set("kind", "other", b"other", 60)
        async with connect(RedisOptions(url=server.url)) as client:
            one, two = await client.keys("gw:kind:*")
            values = [await client.get(one), await client.get(two)]
            await client.set(one, values[1])
            await client.set(two, values[0][:-1] + bytes([values[0][-1] ^ 1]))
        assert await store.get("kind", "key") is None
        assert await store.get("kind", "other") is None
        assert store.available


async def test_replicas_share_what_they_have_the_keys_for(open_store):
    async with open_store() as one, open_store() as two, open_store(KeyRing([bytes(32)])) as stranger:
        await one.set("kind", "key", b"value", 60)
        assert await two.get("kind", "key") == b"value"
        assert await stranger.get("kind", "key") is None


async def test_scripts_are_sent_again_when_the_server_forgot_them(open_store, server):
    async with open_store() as store:
        assert await store.replace("kind", "key", b"", b"value", 60) is True
        async with connect(RedisOptions(url=server.url)) as client:
            await client.script_flush()
        assert await store.delete("kind", "key", b"value") is True
        assert store.available


async def test_without_a_server_every_call_misses_and_one_line_says_so(logged):
    client = connect(RedisOptions(url=f"redis://127.0.0.1:{free_port()}"))
    async with CorrelationStore(client, RING) as store:
        for _ in range(20):
            await every_call_misses(store)
        status = store.status()
    assert status["available"] is False
    assert status["error"]
    assert any("page links" in line for line in status["lost"])
    assert logged() == [GONE]


async def test_a_killed_server_is_missed_once_and_welcomed_back_once(open_store, server, logged):
    async with open_store() as store:
        await store.set("kind", "key", b"value", 60)
        await asyncio.gather(*(store.get("kind", str(n)) for n in range(30)))
        server.kill()
        assert set(await asyncio.gather(*(store.get("kind", "key") for _ in range(50)))) == {None}
        await every_call_misses(store)
        assert logged() == [GONE]
        server.start()

        async def back():
            return store.available

        await eventually(back)
        assert await store.set("kind", "key", b"again", 60)
        # connections that broke with the old server heal without being noticed
        assert set(await asyncio.gather(*(store.get("kind", "key") for _ in range(50)))) == {b"again"}
        assert store.status() == {"available": True}
    assert logged() == [GONE, BACK]


async def test_requests_do_not_queue_up_behind_a_server_that_hangs(open_store, server, logged):
    async with open_store(operation_timeout=0.2, connect_timeout=0.2, deadline=0.5) as store:
        server.signal(signal.SIGSTOP)
        async with asyncio.timeout(10):  # each on its own time-out would take minutes
            for _ in range(300):
                assert await store.get("kind", "key") is None
        assert logged() == [GONE]
        server.signal(signal.SIGCONT)

        async def back():
            return store.available

        await eventually(back)


async def test_a_full_server_counts_as_away_until_it_takes_writes(open_store, server, logged):
    async with open_store() as store, connect(RedisOptions(url=server.url)) as client:
        await client.config_set("maxmemory", "1")
        assert await store.set("kind", "key", b"value", 60) is False
        assert store.status()["error"] == "OutOfMemoryError"
        await asyncio.sleep(0.3)
        assert logged() == [GONE]
        await client.config_set("maxmemory", "0")

        async def back():
            return store.available

        await eventually(back)
    assert logged() == [GONE, BACK]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"*1\r\n"])
async def test_something_that_is_not_redis_is_a_server_that_is_away(answer):
    async def serve(reader, writer):
        await reader.read(10)
        writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        client = connect(RedisOptions(url=f"redis://127.0.0.1:{port}"))
        async with CorrelationStore(client, RING, deadline=1.0) as store:
            await every_call_misses(store)


async def test_a_wrong_password_is_a_server_that_is_away(tmp_path):
    server = Server(tmp_path, "--requirepass", "right").start()
    try:
        client = connect(RedisOptions(url=server.url, password="wrong"))
        async with CorrelationStore(client, RING) as store:
            assert store.status()["error"] == "AuthenticationError"
            await every_call_misses(store)
        client = connect(RedisOptions(url=server.url, password="right"))
        async with CorrelationStore(client, RING) as store:
            assert await store.set("kind", "key", b"value", 60)
    finally:
        server.kill()
