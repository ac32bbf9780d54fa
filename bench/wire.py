"""Requests per second over real sockets, the peer in another process."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable

import aiohttp

from bench import report
from bench.processes import REPOSITORY, child, gateway
from bench.stream import document_token
from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.samples import SampleDocument

MEGABYTE = 1 << 20
CLIENTS = 8

Request = Callable[[aiohttp.ClientSession, int], Awaitable[int]]


async def _rate(request: Request, seconds: float) -> tuple[float, float, float]:
    """Requests per second, median and 99th percentile in milliseconds, of CLIENTS clients at once."""
    times: list[float] = []
    counter = iter(range(10**9))

    async def client(session: aiohttp.ClientSession, until: float) -> None:
        while time.perf_counter() < until:
            started = time.perf_counter()
            status = await request(session, next(counter))
            assert status == 200, status
            times.append(time.perf_counter() - started)

    # compression would be measured with the rest, and clients differ in whether they ask for it
    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as session:
        await client(session, time.perf_counter() + 0.3)
        times.clear()
        started = time.perf_counter()
        await asyncio.gather(*(client(session, started + seconds) for _ in range(CLIENTS)))
        elapsed = time.perf_counter() - started
    times.sort()
    return len(times) / elapsed, times[len(times) // 2] * 1000, times[int(len(times) * 0.99)] * 1000


def _search(base: str) -> Request:
    async def request(session: aiohttp.ClientSession, number: int) -> int:
        parameters = {"patient.identifier": "urn:oid:2.999.1.1|BENCH-1", "status": "current"}
        async with session.get(f"{base}/DocumentReference", params=parameters) as answer:
            await answer.read()
            return answer.status

    return request


def _publish(base: str) -> Request:
    patient = sample_content("bench").patient

    async def request(session: aiohttp.ClientSession, number: int) -> int:
        content = number.to_bytes(8, "big") * (MEGABYTE // 8)
        document = SampleDocument(
            unique_id=f"2.999.7.{number + 1}", content=content, content_type="text/plain", title="bench"
        )
        body = json.dumps(provide_bundle([document], patient=patient)).encode()
        headers = {"Content-Type": "application/fhir+json"}
        async with session.post(base, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    return request


def _retrieve(base: str, token: str) -> Request:
    async def request(session: aiohttp.ClientSession, number: int) -> int:
        async with session.get(f"{base}/content/{token}") as answer:
            async for _ in answer.content.iter_any():
                pass
            return answer.status

    return request


def run(seconds: float) -> None:
    """Measure each request for `seconds`."""
    rows = []
    with child("-m", "bench.peer") as peer:
        for entries in (10, 100):
            with gateway(peer.url, entries=entries) as running:
                rows.append(_row(f"ITI-67, {entries} entries", running, _search(running.url), seconds))
        with gateway(peer.url, entries=1000) as running:
            rows.append(_row("ITI-67, 1000 entries", running, _search(running.url), seconds))
        body_hash = hashlib.sha1(_body(MEGABYTE)).hexdigest()
        token = document_token(REPOSITORY, MEGABYTE, body_hash)
        with gateway(peer.url, entries=0, size=MEGABYTE) as running:
            rows.append(_row("ITI-65, 1 MB", running, _publish(running.url), seconds))
            rows.append(_row("ITI-68, 1 MB", running, _retrieve(running.url, token), seconds))
    report.show(
        f"Over sockets, {CLIENTS} clients; client, gateway and peer share this machine's cores",
        ("request", "requests/s", "median ms", "99 % ms", "loop blocked ms (longest)"),
        rows,
    )


def _body(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def _row(name: str, running, request: Request, seconds: float) -> tuple[object, ...]:
    asyncio.run(_rate(request, 0.2))
    running.ask()
    rate, middle, slow = asyncio.run(_rate(request, seconds))
    return name, rate, middle, slow, running.ask()["blocked_ms"]
