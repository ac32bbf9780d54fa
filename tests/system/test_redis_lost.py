"""Redis may go away at run time: publish, find, retrieve and page links go on, and operators are told."""

import asyncio
import itertools
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from gateway.correlation import embedded, store
from gateway.correlation.store import LOST
from gateway.demo.bundles import provide_bundle
from tests.correlation.servers import Server, eventually
from tests.ports import free_port
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

TIMES = {"connect_timeout": 2.0, "operation_timeout": 2.0}


@pytest.fixture
def logged(monkeypatch):
    """Log lines about Redis, in order."""
    capture = LogCapture()
    for module in (store, embedded):
        monkeypatch.setattr(module, "log", structlog.wrap_logger(None, processors=[capture]))
    return lambda event: [entry for entry in capture.entries if entry["event"].startswith(event)]


class Outside:
    """A server that was started by someone else: killed, and started again without what it held."""

    def __init__(self, folder):
        self.server = Server(folder / "redis").start()
        self.settings = {"url": self.server.url, **TIMES}

    def lose(self, stack):
        self.server.kill()

    def bring_back(self, stack):
        self.server.start()

    def end(self):
        self.server.kill()


class Own:
    """The gateway's own server: stands still, until it is killed and started again by its gateway."""

    def __init__(self, folder):
        self.settings = TIMES

    def lose(self, stack):
        os.kill(server_of(stack), signal.SIGSTOP)

    def bring_back(self, stack):
        os.kill(server_of(stack), signal.SIGKILL)

    def end(self):
        pass


def server_of(stack):
    """Process id of the gateway's own server."""
    return int((stack.settings.state_dir / "redis" / "redis" / "server.lock").read_text())


@pytest.fixture(params=[Outside, Own], ids=["outside", "own"])
def redis(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.end()


_minutes = itertools.count()


async def published(stack, patient, **changes):
    """Document, Bundle and answer; what is published later was created later and comes first in a search."""
    created = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(minutes=next(_minutes))
    document = a_document(creation=created.isoformat(), **changes)
    bundle = provide_bundle([document], patient=patient)
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return document, bundle, answer


def ids_of(page):
    return [
        e["resource"]["masterIdentifier"]["value"] for e in page["entry"] if e["search"]["mode"] == "match"
    ]


def next_of(page):
    return next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


async def test_everything_goes_on_without_redis_and_it_is_used_again_when_it_is_back(tmp_path, redis, logged):
    async with running_stack(tmp_path, redis=redis.settings) as stack:
        patient = a_patient()
        made = [await published(stack, patient, title=f"Number {n}") for n in range(7)]
        expected = [f"urn:oid:{document.unique_id}" for document, _, _ in reversed(made)]
        _, page = await stack.get(
            "DocumentReference", **{"patient.identifier": patient.token, "status": "current", "_count": 2}
        )
        seen = ids_of(page)
        _, page = await stack.get(next_of(page))
        seen += ids_of(page)
        assert (await stack.health())["status"] == "ready"

        redis.lose(stack)
        report = await stack.health()
        assert report["status"] == "impaired"
        assert report["redis"]["available"] is False
        assert report["redis"]["lost"] == list(LOST)

        # what is published meanwhile comes first in the search that is made again, and is not in its pages
        document, bundle, answer = await published(stack, patient, title="Number 8")
        while (link := next_of(page)) is not None:
            status, page = await stack.get(link)
            assert status == 200
            seen += ids_of(page)
        assert seen == expected
        found = await stack.find(patient__identifier=patient.token, status="current")
        assert found[0]["content"][0]["attachment"]["title"] == "Number 8"
        assert (await stack.download(found[-1]))[0] == 200
        for _, old_bundle, old_answer in (made[0], (document, bundle, answer)):
            repeats = await asyncio.gather(*(stack.publish(old_bundle) for _ in range(3)))
            assert repeats == [(200, old_answer)] * 3
        assert len(await stack.find(patient__identifier=patient.token, status="current")) == 8
        (line,) = logged("correlation.")
        assert (line["event"], line["lost"]) == ("correlation.unavailable", list(LOST))

        redis.bring_back(stack)

        async def ready():
            return (await stack.health())["status"] == "ready"

        await eventually(ready)
        assert [line["event"] for line in logged("correlation.")] == [
            "correlation.unavailable",
            "correlation.available",
        ]
        # and it takes records again: a repeat does not reach the repository
        _, bundle, answer = await published(stack, patient)
        stack.soap_calls.clear()
        assert await stack.publish(bundle) == (200, answer)
        assert not stack.soap_calls


async def test_an_own_server_that_is_killed_comes_back_with_what_it_held(tmp_path, logged):
    async with running_stack(tmp_path) as stack:
        patient = a_patient()
        _, bundle, answer = await published(stack, patient)
        killed = server_of(stack)
        os.kill(killed, signal.SIGKILL)
        assert await stack.publish(bundle) == (200, answer)
        assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1

        async def back():
            return server_of(stack) != killed and (await stack.health())["status"] == "ready"

        await eventually(back)
        assert [line["event"] for line in logged("redis.embedded")] == [
            "redis.embedded.ended",
            "redis.embedded.restarted",
        ]
        assert len(logged("correlation.unavailable")) == len(logged("correlation.available")) <= 1
        assert await stack.publish(bundle) == (200, answer)


async def test_a_gateway_starts_without_its_redis(tmp_path, logged):
    settings = {"url": f"redis://127.0.0.1:{free_port()}", **TIMES}
    async with running_stack(tmp_path, redis=settings) as stack:
        assert (await stack.health())["status"] == "impaired"
        _, bundle, answer = await published(stack, a_patient())
        assert await stack.publish(bundle) == (200, answer)
        assert len(logged("correlation.")) == 1


async def test_a_search_whose_snapshot_is_gone_goes_on_where_it_was(tmp_path):
    async with running_stack(tmp_path, lifetimes={"snapshot": 0.05}) as stack:
        patient = a_patient()
        made = [await published(stack, patient) for _ in range(5)]
        parameters = {"patient.identifier": patient.token, "status": "current", "_count": 2}
        _, page = await stack.get("DocumentReference", **parameters)
        seen = ids_of(page)
        await asyncio.sleep(0.1)
        await published(stack, patient)
        while (link := next_of(page)) is not None:
            _, page = await stack.get(link)
            seen += ids_of(page)
        assert seen == [f"urn:oid:{document.unique_id}" for document, _, _ in reversed(made)]
