"""Audit repositories for tests: one of FHIR and one of syslog, real servers that keep what they are sent."""

import asyncio
import json
import re
import ssl
from contextlib import suppress
from typing import Any

from aiohttp import web

TAG = re.compile(r"_tag=urn:mhd-xds-gateway:audit-record(?:%7C|\|)(.+)")


class FhirArchive:
    """Takes AuditEvents by batch, create and update; knows conditional creates. `port` stays the same."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.received: list[str] = []
        """Ids as they came, repeats included."""
        self.status = 201
        """Of each create; of the whole request where it is below 0."""
        self.forget_answers = 0
        """Requests whose answers are lost after they were stored."""
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    async def start(self) -> "FhirArchive":
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/fhir", self._batch)
        app.router.add_post("/fhir/AuditEvent", self._create)
        app.router.add_put("/fhir/AuditEvent/{id}", self._update)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _batch(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        bundle = await request.json()
        assert bundle["type"] == "batch"
        if self.status < 0:
            return web.Response(status=-self.status)
        entries = []
        for entry in bundle["entry"]:
            status = self._store(entry["resource"], entry["request"].get("ifNoneExist", ""))
            entries.append({"response": {"status": f"{status} x"}})
        if self.forget_answers:
            self.forget_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        answer = {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
        return web.Response(body=json.dumps(answer), content_type="application/fhir+json")

    async def _create(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        if self.status < 0:
            return web.Response(status=-self.status)
        return web.Response(
            status=self._store(await request.json(), request.headers.get("If-None-Exist", ""))
        )

    async def _update(self, request: web.Request) -> web.Response:
        event = await request.json()
        assert event["id"] == request.match_info["id"]
        known = event["id"] in self.events
        self.received.append(event["id"])
        self.events[event["id"]] = event
        return web.Response(status=200 if known else 201)

    def _store(self, event: dict[str, Any], condition: str) -> int:
        if self.status >= 400:
            return self.status
        match = TAG.fullmatch(condition)
        assert match, condition
        self.received.append(match[1])
        if match[1] in self.events:
            return 200
        self.events[match[1]] = event
        return self.status


class SyslogArchive:
    """Takes syslog messages with octet counting, with TLS where a context is given."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.messages: list[bytes] = []
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> "SyslogArchive":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                count = await reader.readuntil(b" ")
                self.messages.append(await reader.readexactly(int(count)))
        self._writers.discard(writer)
        writer.close()
