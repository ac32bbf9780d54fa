"""The latest requests: what they say and do not say, filters, and the stream of what is new."""

import asyncio
import json
from contextlib import AsyncExitStack, contextmanager

import pytest
import pytest_asyncio

from gateway.console.transactions import Filter, figures_of, row_of
from gateway.demo.bundles import provide_bundle
from gateway.legs import Leg, collected, leg
from gateway.telemetry.recent import RecentRequests, Request
from tests.system.documents import a_document, a_patient

from .signed_in import running_console, visitor
from .test_overview import table

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory):
    async with running_console(tmp_path_factory.mktemp("console"), console={"requests": 40}) as running:
        yield running


async def ask(console, path="DocumentReference", scope="system/*.cruds", **parameters):
    headers = {"Authorization": f"Bearer {console.token(scope)}"}
    async with console.stack.session.get(
        f"{console.stack.base_url}/{path}", params=parameters, headers=headers
    ) as answer:
        return answer.headers["X-Request-Id"], await answer.text()


async def find(console, patient="1"):
    token = f"urn:oid:2.999.1.1|{patient}"
    return await ask(console, **{"patient.identifier": token, "status": "current"})


async def test_a_request_is_listed_with_its_legs_and_without_its_patient(console):
    patient = a_patient()
    headers = {
        "Authorization": f"Bearer {console.token('system/*.cruds')}",
        "Content-Type": "application/fhir+json",
    }
    body = json.dumps(provide_bundle([a_document()], patient=patient))
    async with console.stack.session.post(console.stack.base_url, data=body, headers=headers) as answer:
        assert answer.status == 200
    request_id, found = await find(console, patient.id)
    assert patient.family in found
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        seen = await guest.get("/transactions")
        rows = table(seen, "Latest requests")
        assert [row["Transaction"] for row in rows[:2]] == ["ITI-67", "ITI-65"]
        assert rows[0]["Status"] == "200"
        assert "ITI-18 registry:" in rows[0]["Calls"]
        assert request_id in rows[0]["Calls"]
        assert "ITI-41 repository 2.999.10.1:" in rows[1]["Calls"]
        assert rows[1]["Peers"] == "repository 2.999.10.1"
        assert rows[1]["In"] == f"{len(body) / 1000:.1f} kB"
        legs = table(seen, "Where the time goes")
        assert {"ITI-18 registry", "ITI-41 repository 2.999.10.1", "redis"} <= {row["Leg"] for row in legs}
        for secret in (patient.id, patient.family, patient.token):
            assert secret not in seen.text
        assert not [row for row in rows if row["Transaction"].startswith("console")]


async def test_filters_show_one_transaction_or_errors_alone(console):
    await find(console)
    await ask(console, nonsense="1")
    await ask(console, "List", **{"patient.identifier": "urn:oid:2.999.1.1|1"})
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        for query, takes in (
            ({"transaction": "ITI-66"}, lambda row: row["Transaction"] == "ITI-66"),
            ({"outcome": "failed"}, lambda row: int(row["Status"]) >= 400),
            ({"outcome": "ok"}, lambda row: int(row["Status"]) < 400),
            ({"transaction": "ITI-67", "outcome": "failed"}, lambda row: row["Status"] == "400"),
        ):
            seen = await guest.get("/transactions", params=query)
            rows = table(seen, "Latest requests")
            assert rows
            assert all(map(takes, rows)), query
            number = seen.words("//dl[@class='tiles']/div[1]/dd")
            assert number == str(len(rows))
            for name, value in query.items():
                [chosen] = seen.page.xpath(f"//select[@name='{name}']/option[@selected]")
                assert value in {chosen.get("value"), chosen.text_content()}
        odd = await guest.get("/transactions", params={"transaction": "<img src=x>", "outcome": "'"})
        assert "Nothing was asked yet" in odd.words()
        assert not odd.page.xpath("//img")


async def test_no_more_are_kept_than_the_settings_say(console):
    for _ in range(45):
        await ask(console, nonsense="1")
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        assert len(table(await guest.get("/transactions"), "Latest requests")) == 40


class Stream:
    """Reads Server-Sent Events."""

    def __init__(self, answer):
        self.content = answer.content

    async def next(self):
        """The next event by its fields, comments and the like left out."""
        while True:
            fields = {}
            while line := (await asyncio.wait_for(self.content.readline(), 30)).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
            if "data" in fields:
                return fields


async def test_new_requests_are_pushed_as_they_end(console):
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        url = f"{guest.url}/transactions/events"
        async with guest.session.get(url, params={"transaction": "ITI-66"}) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            stream = Stream(answer)
            await find(console)
            request_id, _ = await ask(console, "List", **{"patient.identifier": "urn:oid:2.999.1.1|1"})
            event = await stream.next()
            assert event["event"] == "request"
            assert request_id in event["data"]
            assert "ITI-66" in event["data"]
        again = {"Last-Event-ID": str(int(event["id"]) - 1)}
        async with guest.session.get(url, headers=again) as answer:
            assert (await Stream(answer).next())["id"] == event["id"], "what was missed comes first"


async def test_a_stream_needs_a_session_and_ends_with_it(console, monkeypatch):
    monkeypatch.setattr("gateway.console.transactions._BEAT", 0.05)
    async with visitor(console) as guest:
        refused = await guest.get("/transactions/events", headers={"Sec-Fetch-Mode": "cors"})
        assert refused.status == 401
        await guest.sign_in(console.token())
        async with guest.session.get(f"{guest.url}/transactions/events") as answer:
            assert (await asyncio.wait_for(answer.content.readline(), 30)).startswith(b"retry")
            await guest.post("/sign-out", (await guest.get()).form("/sign-out"))
            assert await asyncio.wait_for(answer.content.read(), 30) is not None
            assert answer.content.at_eof()


async def test_a_stream_ends_with_its_session_however_much_there_is_to_tell(console, monkeypatch):
    monkeypatch.setattr("gateway.console.transactions._BEAT", 0.5)
    watching, queues = RecentRequests.watching, []

    @contextmanager
    def watched(recent):
        with watching(recent) as queue:
            queues.append(queue)
            yield queue

    async def busy():
        while True:
            if queues[0].empty():
                queues[0].put_nowait(a_request())
            await asyncio.sleep(0.01)

    monkeypatch.setattr(RecentRequests, "watching", watched)
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        async with guest.session.get(f"{guest.url}/transactions/events") as answer:
            assert (await asyncio.wait_for(answer.content.readline(), 30)).startswith(b"retry")
            news = asyncio.create_task(busy())
            try:
                await Stream(answer).next()
                await guest.post("/sign-out", (await guest.get()).form("/sign-out"))
                await asyncio.wait_for(answer.content.read(), 30)
            finally:
                news.cancel()
            assert answer.content.at_eof()


async def test_streams_end_when_the_gateway_stops(tmp_path):
    async with AsyncExitStack() as later:
        async with running_console(tmp_path) as console:
            guest = await later.enter_async_context(visitor(console))
            await guest.sign_in(console.token())
            answer = await guest.session.get(f"{guest.url}/transactions/events")
        # what was cut off would raise here
        assert (await asyncio.wait_for(answer.content.read(), 30)).startswith(b"retry")


async def test_too_many_streams_are_refused(console, monkeypatch):
    monkeypatch.setattr("gateway.console.transactions._MOST_STREAMS", 0)
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        assert (await guest.get("/transactions/events")).status == 503


# --- pictures and figures ---------------------------------------------------------------------------------
def a_request(seconds=1.0, legs=(), status=200, **more):
    return Request("id", "ITI-67", status, 0.0, seconds, 0, 100, legs=tuple(legs), **more)


async def test_legs_beside_each_other_have_lanes_of_their_own():
    row = row_of(
        a_request(
            legs=[
                Leg("redis", "", 0.0, 0.1),
                Leg("ITI-18", "registry", 0.1, 0.6),
                Leg("ITI-38", "community a", 0.2, 1.0, "PeerTimeout"),
                Leg("ITI-43", "repository", 0.7, None),
            ]
        )
    )
    assert [(bar.lane, bar.x, bar.width, bar.kind) for bar in row.bars] == [
        (0, 0.0, 10.0, "store"),
        (0, 10.0, 50.0, "call"),
        (1, 20.0, 80.0, "bad"),
        (0, 70.0, 30.0, "call"),
    ]
    assert row.lanes == 2


async def test_bars_stay_within_the_picture():
    legs = [Leg("ITI-18", "registry", 0.001 * n, 5.0) for n in range(20)] + [Leg("redis", "", 9.0, 9.0)]
    row = row_of(a_request(legs=legs))
    assert row.lanes <= 6
    assert all(bar.x >= 0 and bar.x + bar.width <= 100 and bar.width > 0 for bar in row.bars)
    assert row_of(a_request(seconds=0.0)).bars == ()


async def test_figures_are_those_of_the_requests_that_are_shown():
    requests = [a_request(n / 100, [Leg("ITI-18", "registry", 0.0, n / 200)]) for n in range(1, 101)]
    figures = figures_of([*requests, a_request(5.0, status=504)])
    assert (figures.requests, figures.failed, figures.sent) == (101, 1, 10_100)
    assert (figures.median, figures.high) == (0.51, 0.96)
    [leg_figures] = figures.legs
    assert (leg_figures.calls, leg_figures.median, leg_figures.high) == (100, 0.255, 0.48)
    assert figures_of([]).median is None


async def test_who_watches_and_does_not_read_holds_no_memory():
    recent = RecentRequests(10)
    with recent.watching() as queue:
        for _ in range(1000):
            recent.add(a_request())
        assert queue.qsize() <= 256
        numbers = [queue.get_nowait().number for _ in range(queue.qsize())]
        assert numbers[-1] == 1000
    recent.add(a_request())
    assert queue.empty()


async def test_legs_are_bounded_and_their_failures_kept():
    with collected() as legs:
        for _ in range(100):
            with leg("redis", ""):
                pass
        assert (len(legs.kept), legs.more) == (64, 36)
    with collected() as legs, pytest.raises(TimeoutError), leg("ITI-18", "registry"):
        raise TimeoutError
    assert legs.kept[0].failure == "TimeoutError"
    assert legs.kept[0].ended >= legs.kept[0].began
    with leg("ITI-18", "registry"):
        pass  # nobody collects


@pytest.mark.parametrize(
    ("wanted", "takes"), [(Filter(), True), (Filter("ITI-68"), False), (Filter(outcome="failed"), False)]
)
async def test_a_filter_takes_what_it_says(wanted, takes):
    assert wanted.takes(a_request()) is takes
