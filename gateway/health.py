"""Liveness, readiness and state for whoever runs the gateway."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import orjson
from aiohttp import web

from gateway.correlation.store import CorrelationStore
from gateway.settings import Settings

_BY_MHD = {"find": "ITI-67", "publish": "ITI-65", "retrieve": "ITI-68"}
_OF_MANAGER = {"PIXm": "ITI-83", "PDQm": "ITI-78"}
_OK = frozenset({"ready", "impaired"})


def abilities(settings: Settings) -> dict[str, tuple[str, ...]]:
    """What a gateway with these settings can do, and the circuits (`peer transaction`) that each needs."""
    domain: dict[str, tuple[str, ...]]
    if settings.mhd_domain is not None:
        domain = {name: (f"mhd domain {transaction}",) for name, transaction in _BY_MHD.items()}
    else:
        domain = {
            "find": ("registry ITI-18",),
            "publish": (f"repository {settings.publish_repository.unique_id} ITI-41",),
            "retrieve": tuple(f"repository {each.unique_id} ITI-43" for each in settings.repositories),
        }
    manager = settings.patient_manager
    spoken = () if manager is None else manager.speaks
    found = {
        **domain,
        "patients": tuple(f"patient manager {_OF_MANAGER[each]}" for each in spoken),
        "images": tuple(
            f"imaging source {each.uid} {'RAD-69' if each.protocol == 'rad-69' else 'RAD-107'}"
            for each in settings.imaging.locations
        ),
    }
    return {name: circuits for name, circuits in found.items() if circuits}


class Circuits(Protocol):
    """A client of peers."""

    def circuit_states(self) -> Mapping[str, str]:
        """State per `peer transaction` that was called."""


class Health:
    """`/health/live` says that the process answers, `/health/ready` whether it takes requests, `/health` how
    well it can carry them out.

    The state is `ready`; `impaired` where Redis is lost or a peer fails and the rest goes on; `down` where
    the registry does, without which nothing is found; `stopping`. Only a gateway that is stopping is not
    ready (503 at `/health/ready`): another replica would fare no better with a failing peer, and a circuit
    closes by a request that goes well, so a gateway without requests would stay down. Monitors ask
    `/health`, which is 503 while down, too.
    """

    def __init__(
        self,
        store: CorrelationStore,
        clients: Sequence[Circuits],
        needed: Mapping[str, Sequence[str]],
    ) -> None:
        """`clients` are those of peers, `needed` the circuits of each ability, see `abilities`."""
        self._store = store
        self._clients = tuple(clients)
        self._needed = needed
        self.draining = False

    def table(self) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        return [
            web.get("/health", self.state),
            web.get("/health/live", self.live),
            web.get("/health/ready", self.ready),
        ]

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return _json(200, {"status": "live"})

    async def ready(self, _: web.Request) -> web.Response:
        """The report; 503 while stopping."""
        report = await self.report()
        return _json(503 if self.draining else 200, report)

    async def state(self, _: web.Request) -> web.Response:
        """The report; 503 while stopping or down."""
        report = await self.report()
        return _json(200 if report["status"] in _OK else 503, report)

    async def report(self) -> dict[str, object]:
        """`status`; `abilities`, each `up`, `degraded` or `down`; `redis` and `circuits` say why."""
        # without traffic nothing else would notice that Redis is gone
        await self._store.ask()
        circuits = self.circuits()
        able = {
            name: _state([circuits.get(each, "closed") for each in needed])
            for name, needed in self._needed.items()
        }
        # a peer that a manifest names belongs to no ability
        impaired = not self._store.available or any(state != "closed" for state in circuits.values())
        status = "impaired" if impaired else "ready"
        if able.get("find") == "down":
            status = "down"
        if self.draining:
            status = "stopping"
        return {"status": status, "abilities": able, "redis": self._store.status(), "circuits": circuits}

    def circuits(self) -> dict[str, str]:
        """State per `peer transaction` that was called."""
        return {name: state for each in self._clients for name, state in each.circuit_states().items()}

    def needed_circuits(self) -> Sequence[str]:
        """Those of all abilities, called or not."""
        return tuple(circuit for needed in self._needed.values() for circuit in needed)

    async def say_goodbye(self, _: web.Request, response: web.StreamResponse) -> None:
        """Signal `on_response_prepare`: while stopping, clients are told to come by another connection."""
        if self.draining:
            response.force_close()
            response.headers["Connection"] = "close"


def _state(circuits: Sequence[str]) -> str:
    if all(state == "closed" for state in circuits):
        return "up"
    return "down" if all(state == "open" for state in circuits) else "degraded"


def _json(status: int, content: Mapping[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
