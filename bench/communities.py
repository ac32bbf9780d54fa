"""One search over 27 communities: one that is dead, one slow, one that answers garbage, one with 500 entries.

`python -m bench.communities` is all of them. A search may take what the slowest of the living takes alone, and
150 ms.
"""

import asyncio
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlencode

from aiohttp import web

from bench import report, sample
from bench.processes import child, gateway

COUNT = 27
OWN = "urn:oid:2.999.9"
DEAD, SLOW, GARBAGE, LARGE = 1, 2, 3, 4
SLOW_SECONDS = 0.4
LARGE_ENTRIES, USUAL_ENTRIES = 500, 10
ALLOWED_MS = 150.0
_FIND = b"14d4debf-8f97-4251-9a74-a90016b0af0d"
_EMPTY = (
    b'<q:AdhocQueryResponse xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
    b'status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"/>'
)


def home(number: int) -> str:
    """homeCommunityId of a community."""
    return f"{OWN}.{number}"


class Communities:
    """The Responding Gateways of all communities (ITI-38)."""

    def __init__(self) -> None:
        bodies = {count: sample.answer_body(count) for count in (USUAL_ENTRIES, LARGE_ENTRIES)}
        self._answers = {
            number: bodies[LARGE_ENTRIES if number == LARGE else USUAL_ENTRIES].replace(
                b"urn:oid:2.999.9.1", home(number).encode()
            )
            for number in range(1, COUNT + 1)
        }

    def app(self) -> web.Application:
        """A path for each."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/community/{number}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        """ITI-38."""
        number = int(request.match_info["number"])
        asked = await request.read()
        if number == GARBAGE:
            return web.Response(text="<html><body>Maintenance</body></html>", content_type="text/html")
        if number == SLOW:
            await asyncio.sleep(SLOW_SECONDS)
        body = sample.envelope(
            self._answers[number] if _FIND in asked else _EMPTY, "urn:ihe:iti:2007:CrossGatewayQueryResponse"
        )
        return web.Response(body=body, headers={"Content-Type": "application/soap+xml"})


def run(rounds: int) -> None:
    """Print how long searches of each community alone and of all of them take."""
    with child("-m", "bench.communities") as peers, child("-m", "bench.peer") as own:
        entries = [
            {
                "home_community_id": home(number),
                "name": f"community {number}",
                # nothing listens on the discard port
                "query_url": f"{'http://127.0.0.1:9' if number == DEAD else peers.url}/community/{number}",
                "max_attempts": 1,
            }
            for number in range(1, COUNT + 1)
        ]
        settings = {"GATEWAY_HOME_COMMUNITY_ID": OWN, "GATEWAY_COMMUNITIES": json.dumps(entries)}
        with gateway(own.url, USUAL_ENTRIES, **settings) as running:
            for _ in range(2):
                _search(running.url)
            living = [n for n in range(1, COUNT + 1) if n not in (DEAD, GARBAGE)]
            alone = {n: statistics.median(_times(running.url, 3, home(n))) for n in living}
            together = sorted(_times(running.url, max(20, 4 * rounds)))
    _print(alone, together)


def _print(alone: dict[int, float], together: Sequence[float]) -> None:
    p95 = together[max(0, -(-95 * len(together) // 100) - 1)]
    slowest = max(alone, key=lambda number: alone[number])
    added = p95 - alone[slowest]
    report.show(
        f"Search of {COUNT} communities: one dead, one slow, one with garbage, one with {LARGE_ENTRIES} entries",
        ("", "ms"),
        [
            ("slow community alone", alone[SLOW]),
            (f"community with {LARGE_ENTRIES} entries alone", alone[LARGE]),
            (f"usual community alone ({USUAL_ENTRIES} entries), median", statistics.median(alone.values())),
            ("all, median", statistics.median(together)),
            ("all, p95", p95),
            (f"p95 over the slowest living, at most {ALLOWED_MS:.0f}", added),
        ],
    )


def _times(base_url: str, count: int, target: str | None = None) -> list[float]:
    times = []
    for _ in range(count):
        started = time.perf_counter()
        _search(base_url, target)
        times.append((time.perf_counter() - started) * 1000)
    return times


def _search(base_url: str, target: str | None = None) -> None:
    parameters = {"patient.identifier": f"urn:oid:{sample.PATIENT.authority}|{sample.PATIENT.id}"}
    parameters |= {"status": "current", "_count": "50"}
    if target is not None:
        parameters["targetCommunityIdList"] = target
    with urllib.request.urlopen(f"{base_url}/DocumentReference?{urlencode(parameters)}") as answer:
        json.loads(answer.read())


async def _serve() -> None:
    runner = web.AppRunner(Communities().app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
