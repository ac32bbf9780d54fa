"""The outside client's check fails where the gateway fails, and hides no step behind another."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.demo.check import SEARCHED, run_check
from gateway.demo.content import sample_content
from gateway.demo.outside_client import MismatchError
from gateway.demo.walk import Walk
from gateway.demo.walk_find import searches
from gateway.demo.walk_lists import LIST_PARAMETERS, list_searches
from gateway.demo.walk_publish import make_samples


@contextmanager
def _server(handler: web.RequestHandler) -> Iterator[str]:
    """A server in a thread of its own, since the check runs its own loop."""
    loop = asyncio.new_event_loop()
    started: list[int] = []
    ready = threading.Event()

    async def make_runner() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        return web.AppRunner(app)

    async def start(runner: web.AppRunner) -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        started.append(runner.addresses[0][1])

    def run() -> None:
        runner = loop.run_until_complete(make_runner())
        loop.run_until_complete(start(runner))
        # not before the loop runs for good: a stop that comes earlier would be lost
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{started[0]}/fhir"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _failing(_: web.Request) -> web.Response:
    return web.Response(status=500, text="no")


async def _empty(request: web.Request) -> web.Response:
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": 0, "link": []}
    if request.path == "/fhir" and request.method == "POST":
        bundle = {"resourceType": "Bundle", "type": "transaction-response", "entry": []}
    return web.json_response(bundle, content_type="application/fhir+json")


def test_a_server_that_always_fails_fails_every_step(tmp_path: Path) -> None:
    lines: list[str] = []
    with _server(_failing) as base_url:
        assert run_check(base_url, lines.append, images=tmp_path) == 1
    assert all(line.startswith("FAIL  ") for line in lines[:-1])
    assert len(lines) > 100
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} steps failed"


def test_a_server_that_stores_nothing_does_not_pass() -> None:
    lines: list[str] = []
    with _server(_empty) as base_url:
        assert run_check(base_url, lines.append) == 1
    published = [line for line in lines if "publish three documents with a folder" in line]
    assert published[0].startswith("FAIL  publish three documents with a folder: number of response entries")


def test_no_server_fails_with_a_line_per_step() -> None:
    lines: list[str] = []
    with _server(_failing) as base_url:
        pass
    assert run_check(base_url, lines.append) == 1
    assert lines[0].startswith("FAIL  the gateway is ready: no answer")


@pytest.mark.parametrize(
    "parameter", [p for p in SEARCHED if p not in {"patient", "patient.identifier", "_id"}]
)
def test_each_parameter_is_searched_with_a_value_that_matches_and_one_that_does_not(parameter: str) -> None:
    samples = make_samples(sample_content("test"), "test")
    found = [
        names.split()
        for _, parameters, names in searches(samples)
        if {name.replace(":identifier", "").replace(".identifier", "") for name, _ in parameters}
        == {parameter}
    ]
    assert any(found)
    assert [] in found


@pytest.mark.parametrize(
    "parameter", sorted({*LIST_PARAMETERS} - {"patient", "patient.identifier", "_id", "identifier"})
)
def test_each_parameter_of_lists_is_searched_with_a_value_that_matches(parameter: str) -> None:
    found = {names for _, parameters, names in list_searches("s|c") if parameter in dict(parameters)}
    assert found - {""}
    assert "" in found or parameter == "code"


def test_names_of_steps_are_distinct() -> None:
    rows = [*searches(make_samples(sample_content("test"), "test")), *list_searches("s|c")]
    names = [name for name, _, _ in rows]
    assert len(set(names)) == len(names)


async def test_a_failing_step_stops_those_that_need_it_and_no_others() -> None:
    lines: list[str] = []
    walk = Walk(lines.append)

    async def fails() -> None:
        raise MismatchError("status: expected 1 got 2")

    async def passes() -> None:
        pass

    await walk.step("first", fails)
    await walk.step("second", passes, needs=("first",))
    await walk.step("third", passes)
    assert lines == [
        "FAIL  first: status: expected 1 got 2",
        "FAIL  second: not tried, it needs: first",
        "ok    third",
    ]
    assert walk.failed == 2
    assert walk.summary() == "2 of 3 steps failed"
