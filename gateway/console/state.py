"""What is up: gathered of the health report, circuits, communities, Redis and the audit queue, as values that
a page shows. Nothing here is about a patient."""

import os
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.audit.trail import Trail
from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.fhir_server import FhirClient
from gateway.correlation.store import CorrelationStore
from gateway.crossborder.communities import Communities
from gateway.health import Health
from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.resilience import Lane
from gateway.telemetry.metrics import Metrics

_LIBRARIES: Final = ("aiohttp", "lxml", "redis", "pydicom")
_WORST: Final = {"closed": 0, "half-open": 1, "open": 2}


class Running(Protocol):
    """Parts of a gateway that are looked at."""

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
    @property
    def communities(self) -> Communities: ...
    @property
    def trail(self) -> Trail | None: ...


class Reason(Struct, frozen=True):
    """Why the gateway is not as it should be: what, since when or how much, and what it means."""

    what: str
    meaning: str


class PeerRow(Struct, frozen=True):
    """Calls of one transaction to one peer since the start. `circuit` is None where none was made yet; `mean`
    is the mean of the seconds of one."""

    peer: str
    transaction: str
    host: str
    circuit: str | None
    in_flight: int = 0
    places: int = 0
    waiting: int = 0
    calls: int = 0
    failed: int = 0
    mean: float | None = None


class CommunityRow(Struct, frozen=True):
    """Another community; `circuit` is the worst of its peers', None where none was called yet."""

    name: str
    homes: tuple[str, ...]
    speaks: str
    services: tuple[str, ...]
    circuit: str | None


class AuditRow(Struct, frozen=True):
    """What waits for an audit repository: records, and seconds since the oldest of them was made."""

    repository: str
    away: bool
    waiting: int
    age: float
    refused: int


class Overview(Struct, frozen=True):
    """All of it. `abilities` are `up`, `degraded` or `down`; `facts` are labels and values."""

    status: str
    reasons: tuple[Reason, ...]
    abilities: dict[str, str]
    domain: tuple[tuple[str, str], ...]
    communities: tuple[CommunityRow, ...]
    peers: tuple[PeerRow, ...]
    redis_available: bool
    redis: tuple[tuple[str, str], ...]
    audit: tuple[AuditRow, ...]
    audit_kept: str
    audit_lost: int
    facts: tuple[tuple[str, str], ...]
    libraries: tuple[tuple[str, str], ...]
    started: float
    uptime: float
    at: float


class State:
    """Looks at a running gateway."""

    def __init__(self, settings: Settings, parts: Running, health: Health, base_url: str) -> None:
        self._settings = settings
        self._parts = parts
        self._health = health
        self._base_url = base_url
        self._started = time.time()
        self._libraries = tuple((name, version(name)) for name in _LIBRARIES)

    async def now(self) -> Overview:
        """How it is."""
        report = await self._health.report()
        circuits = self._health.circuits()
        audit = tuple(self._audit())
        redis = self._parts.store.status()
        trail = self._parts.trail
        lost = trail.queue.lost if trail is not None else 0
        return Overview(
            status=str(report["status"]),
            reasons=tuple(self._reasons(circuits, redis, audit, lost)),
            abilities=dict(self._abilities(report)),
            domain=tuple(self._domain()),
            communities=tuple(self._communities(circuits)),
            peers=tuple(self._peers()),
            redis_available=bool(redis["available"]),
            redis=tuple(self._redis(redis)),
            audit=audit,
            audit_kept=self._audit_kept(),
            audit_lost=lost,
            facts=tuple(self._facts()),
            libraries=(("Python", platform.python_version()), *self._libraries),
            started=self._started,
            uptime=time.time() - self._started,
            at=time.time(),
        )

    def _abilities(self, report: dict[str, object]) -> Iterator[tuple[str, str]]:
        found = report["abilities"]
        assert isinstance(found, dict)
        yield from ((str(name).capitalize(), str(state)) for name, state in found.items())

    def _reasons(
        self,
        circuits: dict[str, str],
        redis: dict[str, object],
        audit: Sequence[AuditRow],
        lost: int,
    ) -> Iterator[Reason]:
        if self._health.draining:
            yield Reason("The gateway is stopping", "It finishes what is in flight and takes nothing new.")
        for name, state in circuits.items():
            if state == "open":
                yield Reason(
                    f"{name} failed repeatedly",
                    "It is left alone, and tried again by the next request after a pause.",
                )
            elif state == "half-open":
                yield Reason(
                    f"{name} is being tried again",
                    "One request is let through; the others are told to come back.",
                )
        if not redis["available"]:
            lost_things = redis.get("lost")
            means = "; ".join(map(str, lost_things)) if isinstance(lost_things, list) else ""
            yield Reason(f"Redis is away for {redis.get('seconds')} s ({redis.get('error')})", f"{means}.")
        for row in audit:
            if row.away:
                yield Reason(
                    f"The audit repository {row.repository} cannot be reached",
                    f"{row.waiting} records wait for it in the queue on disk.",
                )
        if lost:
            yield Reason(
                f"{lost} audit records were lost", "There was no room for them, or the disk took none."
            )

    def _domain(self) -> Iterator[tuple[str, str]]:
        settings = self._settings
        yield "FHIR base", self._base_url
        yield "homeCommunityId", settings.home_community_id or "none"
        if settings.mhd_domain is not None:
            yield "Speaks", "MHD"
            yield "MHD server", _place(settings.mhd_domain.base_url)
        else:
            yield "Speaks", "XDS.b"
            if settings.registry is not None:
                yield "Registry", _place(settings.registry.url)
            for repository in settings.repositories:
                yield f"Repository {repository.unique_id}", _place(repository.url)
        for location in settings.imaging.locations:
            yield f"Images {location.uid}", f"{_place(location.url)} ({location.protocol.upper()})"

    def _communities(self, circuits: dict[str, str]) -> Iterator[CommunityRow]:
        speaks = {each.home_community_id: "MHD" if each.mhd else "XCA" for each in self._settings.communities}
        for member in self._parts.communities.members:
            of_it = [state for name, state in circuits.items() if name.startswith(f"{member.name} ")]
            services = ["documents"]
            services += ["images"] if member.images is not None else []
            services += ["patient discovery"] if member.discovery is not None else []
            yield CommunityRow(
                member.name.removeprefix("community "),
                member.homes,
                speaks.get(member.home, "XCA"),
                tuple(services),
                max(of_it, key=lambda state: _WORST[state], default=None),
            )

    def _peers(self) -> Iterator[PeerRow]:
        counted = self._parts.metrics.peer_calls()
        called = set()
        for lane in sorted(self._lanes(), key=lambda lane: (lane.peer.name, lane.transaction)):
            name = (lane.peer.name, lane.transaction)
            called.add(" ".join(name))
            calls = counted.get(name)
            yield PeerRow(
                *name,
                _place(lane.peer.url),
                lane.state,
                lane.in_flight,
                lane.peer.max_in_flight,
                lane.waiting,
                calls.number if calls else 0,
                calls.failed if calls else 0,
                calls.seconds / calls.number if calls and calls.number else None,
            )
        for circuit in dict.fromkeys(self._health.needed_circuits()):
            if circuit not in called:
                peer, _, transaction = circuit.rpartition(" ")
                yield PeerRow(peer, transaction, "", None)

    def _lanes(self) -> Iterable[Lane]:
        parts = self._parts
        return (*parts.soap.lanes(), *parts.dicomweb.lanes(), *parts.fhir.lanes())

    def _redis(self, status: dict[str, object]) -> Iterator[tuple[str, str]]:
        redis = self._settings.redis
        if redis.embedded:
            yield "Server", f"own, in {redis.embedded_max_memory_mib} MiB"
        elif redis.url:
            yield "Server", _place(redis.url)
        else:
            yield (
                ("Sentinels", ", ".join(redis.sentinels))
                if redis.sentinels
                else (
                    "Cluster",
                    ", ".join(redis.cluster),
                )
            )
        yield "Key prefix", redis.key_prefix
        if not status["available"]:
            yield "Away for", f"{status.get('seconds')} s"

    def _audit(self) -> Iterator[AuditRow]:
        trail = self._parts.trail
        if trail is None:
            return
        for delivery in trail.deliveries:
            name = delivery.destination
            yield AuditRow(
                name,
                bool(delivery.away),
                int(trail.queue.length(name)),
                float(trail.queue.age(name)),
                int(delivery.refused),
            )

    def _audit_kept(self) -> str:
        if self._parts.trail is None:
            return "Nothing is recorded: audit.enabled is off."
        if not self._parts.trail.deliveries:
            return "Records are kept here alone: neither audit.fhir nor audit.syslog is set."
        return ""

    def _facts(self) -> Iterator[tuple[str, str]]:
        settings = self._settings
        yield "Access", "tokens" if settings.security.effective_access == "token" else "OPEN TO EVERYONE"
        yield "TLS of the listener", "on" if settings.server.tls is not None else "off"
        yield "Releases of FHIR", ", ".join(dict.fromkeys(("R4", *settings.server.releases)))
        yield "Traces", _place(settings.traces.endpoint) if settings.traces.endpoint else "off"
        yield "Process", str(os.getpid())


def _place(url: str) -> str:
    """Host and port of a URL, without what may be a password or a token."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{parts.port}" if parts.port else shown
