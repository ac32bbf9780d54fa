"""Liveness and readiness for whoever runs the gateway."""

import orjson
from aiohttp import web

from gateway.clients.dicomweb import DicomWebClient
from gateway.correlation.store import CorrelationStore
from gateway.soap.client import SoapClient


class Health:
    """`/health/live` says that the process answers; `/health/ready` whether it takes requests, and what of
    it is impaired.

    A lost Redis or a peer that fails impairs the gateway; it stays ready, since the rest goes on and
    another replica would fare no better. Only a gateway that is stopping is not ready (503).
    """

    def __init__(self, store: CorrelationStore, soap: SoapClient, dicomweb: DicomWebClient) -> None:
        self._store = store
        self._soap = soap
        self._dicomweb = dicomweb
        self.draining = False

    def table(self) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        return [web.get("/health/live", self.live), web.get("/health/ready", self.ready)]

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return _json(200, {"status": "live"})

    async def ready(self, _: web.Request) -> web.Response:
        """`status` is ready, impaired or stopping; `redis` and `circuits` say what is impaired."""
        # without traffic nothing else would notice that Redis is gone
        await self._store.get("health", "ready")
        circuits = {**self._soap.circuit_states(), **self._dicomweb.circuit_states()}
        impaired = not self._store.available or any(state != "closed" for state in circuits.values())
        status = "stopping" if self.draining else "impaired" if impaired else "ready"
        return _json(
            503 if self.draining else 200,
            {
                "status": status,
                "redis": self._store.status(),
                "circuits": circuits,
            },
        )


def _json(status: int, content: dict[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
