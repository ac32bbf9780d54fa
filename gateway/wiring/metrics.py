"""Where the metrics of parts come from, and where they are served."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web

from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.fhir_server import FhirClient
from gateway.correlation.store import CorrelationStore
from gateway.health import Health
from gateway.mhd.admission import Admission
from gateway.soap.client import SoapClient
from gateway.soap.resilience import Lane
from gateway.telemetry.metrics import CIRCUIT_STATES, Metrics, Rows

_OF_LANE = ("peer", "transaction")
Combine = Callable[[Iterable[float]], float]


class Measured(Protocol):
    """Parts of a gateway that are looked at when metrics are asked for."""

    @property
    def soap(self) -> SoapClient: ...
    @property
    def dicomweb(self) -> DicomWebClient: ...
    @property
    def fhir(self) -> FhirClient: ...
    @property
    def store(self) -> CorrelationStore: ...
    @property
    def metrics(self) -> Metrics: ...


def watch(parts: Measured, admission: Admission) -> None:
    """Show the state of circuits, places, traffic, Redis and publishes beside what is counted."""

    def of_lanes(read: Callable[[Lane], float], combine: Combine = sum) -> Callable[[], Rows]:
        def rows() -> Rows:
            # settings that are read again leave lanes of what a peer was before
            together: dict[tuple[str, str], list[float]] = {}
            for lane in (*parts.soap.lanes(), *parts.dicomweb.lanes(), *parts.fhir.lanes()):
                together.setdefault((lane.peer.name, lane.transaction), []).append(read(lane))
            return [(labels, combine(values)) for labels, values in together.items()]

        return rows

    watch_one, count_one = parts.metrics.watch, parts.metrics.watch_counter
    watch_one(
        "peer_circuit",
        "Circuit of a peer: 0 closed, 1 half-open, 2 open",
        _OF_LANE,
        of_lanes(lambda lane: CIRCUIT_STATES[lane.state], max),
    )
    watch_one(
        "peer_calls_in_flight",
        "Calls of a peer under way",
        _OF_LANE,
        of_lanes(lambda lane: lane.in_flight),
    )
    watch_one(
        "peer_calls_most",
        "Calls of a peer that may be under way at once (max_in_flight)",
        _OF_LANE,
        of_lanes(lambda lane: lane.peer.max_in_flight, max),
    )
    watch_one(
        "peer_calls_waiting",
        "Calls that wait for a place at a peer",
        _OF_LANE,
        of_lanes(lambda lane: lane.waiting),
    )
    count_one(
        "peer_sent_bytes",
        "Bytes of bodies that went to a peer",
        _OF_LANE,
        of_lanes(lambda lane: lane.traffic.sent),
    )
    count_one(
        "peer_received_bytes",
        "Bytes of bodies that came from a peer; counted when an answer ends",
        _OF_LANE,
        of_lanes(lambda lane: lane.traffic.received),
    )
    watch_one(
        "correlation_available",
        "1 while Redis is there",
        (),
        lambda: (((), float(parts.store.available)),),
    )
    watch_one(
        "publish_bytes_held",
        "Bytes of publishes that are held in memory",
        (),
        lambda: (((), admission.held),),
    )


def metrics_routes(metrics: Metrics) -> list[web.RouteDef]:
    """`/metrics` for an aiohttp application."""

    async def expose(request: web.Request) -> web.Response:
        content, content_type = metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=content, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return [web.get("/metrics", expose)]


@asynccontextmanager
async def serve_metrics(
    metrics: Metrics, health: Health, listener: socket.socket, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Serve them by a listener of their own, and the health beside them for who has no certificate."""
    app = web.Application()
    app.add_routes(metrics_routes(metrics))
    app.add_routes(health.table())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()
