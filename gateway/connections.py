"""Bounds on what one client can hold of the listener: connections, time, and requests at once.

aiohttp waits for a request as long as a client likes. Here a connection that says nothing is closed, a body
that stops arriving is answered 408, a request that takes too long to answer 504, and one client with too many
requests at once 429. Where too many connections are open those that have waited longest without a request
make room.
"""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError, fail
from gateway.fhir.outcome import write_outcome

_MOST_FILES: Final = 65_536
_ROOM: Final = 0.9
"""Part of the connections that are left when room is made."""

_TIMEOUT: Final = web.RequestKey("timeout", asyncio.Timeout)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds: until the head of the first request is there, between bytes of a body, until the answer
    begins. Numbers: open connections, requests of one client at once."""

    head: float = 20.0
    body_idle: float = 30.0
    answer: float = 600.0
    connections: int = 4096
    per_client: int = 256


@dataclass(slots=True)
class _Active:
    request: web.BaseRequest
    received: int
    since: float


class Connections:
    """Those of one application."""

    def __init__(self, limits: ConnectionLimits, client_of: Callable[[web.Request], str]) -> None:
        """`client_of` names whose requests count together."""
        self._limits = limits
        self._client_of = client_of
        self._active: dict[object, _Active] = {}
        self._idle_since: dict[object, float] = {}
        self._asked: set[object] = set()
        self._in_flight: Counter[str] = Counter()

    def timed(self) -> Middleware:
        """Inside of what turns errors into answers, outside of what reads the body."""

        @web.middleware
        async def time_it(request: web.Request, handler: Handler) -> web.StreamResponse:
            protocol = request.protocol
            self._asked.add(protocol)
            self._active[protocol] = _Active(request, 0, time.monotonic())
            try:
                async with asyncio.timeout(self._limits.answer) as timeout:
                    request[_TIMEOUT] = timeout
                    return await handler(request)
            except TimeoutError:
                if not timeout.expired():
                    raise
                text = (
                    f"There was no answer within {self._limits.answer:g} s; what was asked may still happen."
                )
                raise fail(504, "timeout", text) from None
            finally:
                del self._active[protocol]
                self._idle_since[protocol] = time.monotonic()

        return time_it

    def counted(self) -> Middleware:
        """Inside of what finds out who asks."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            client = self._client_of(request)
            if self._in_flight[client] >= self._limits.per_client:
                log.warning("connections.too_many_requests", of_one=self._limits.per_client)
                text = f"This client has {self._limits.per_client} requests under way; send again later."
                raise OutcomeError(429, fail(429, "throttled", text).issues, {"Retry-After": "1"})
            self._in_flight[client] += 1
            try:
                return await handler(request)
            finally:
                self._in_flight[client] -= 1
                if not self._in_flight[client]:
                    del self._in_flight[client]

        return count

    async def begins(self, request: web.Request, _: web.StreamResponse) -> None:
        """Signal `on_response_prepare`: what has begun may last as long as the client reads."""
        timeout = request.get(_TIMEOUT)
        if timeout is not None:
            with suppress(RuntimeError):  # it has run out in this very moment
                timeout.reschedule(None)

    async def watch(self, server: web.Server) -> None:
        """Look after the connections of a server, until it is cancelled."""
        pause = min(1.0, self._limits.head / 4, self._limits.body_idle / 4)
        while True:
            await asyncio.sleep(pause)
            self._look(server)

    def _look(self, server: web.Server) -> None:
        now = time.monotonic()
        open_now = {handler: handler.transport for handler in server.connections if handler.transport}
        for gone in [handler for handler in self._idle_since if handler not in open_now]:
            del self._idle_since[gone]
            self._asked.discard(gone)
        idle: list[tuple[float, asyncio.BaseTransport]] = []
        for handler, transport in open_now.items():
            active = self._active.get(handler)
            if active is not None:
                self._see_body(active, now)
                continue
            since = self._idle_since.setdefault(handler, now)
            if handler not in self._asked and now - since > self._limits.head:
                _end(transport)
            else:
                idle.append((since, transport))
        excess = len(open_now) - self._limits.connections
        if excess > 0:
            room = len(open_now) - int(self._limits.connections * _ROOM)
            idle.sort(key=lambda item: item[0])
            log.warning("connections.too_many", open=len(open_now), closed=min(room, len(idle)))
            for _, oldest in idle[:room]:
                _end(oldest)

    def _see_body(self, active: _Active, now: float) -> None:
        content = active.request.content
        if content.is_eof() or content.total_bytes > active.received or not _is_empty(content):
            active.received, active.since = content.total_bytes, now
        elif now - active.since > self._limits.body_idle:
            content.set_exception(
                web.HTTPRequestTimeout(reason=f"No bytes of the body for {self._limits.body_idle:g} s")
            )


CONNECTIONS: Final = web.AppKey("connections", Connections)


class _Protocol(web.RequestHandler):
    """A connection whose errors before there is a request quote nothing of it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or too long for it: the library's own text has the request line in it."""
        log.warning("connections.bad_request", status=status, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another answer has been sent")
        text = "The request is not HTTP, or its first line or a header is too long."
        outcome = write_outcome(fail(status, "structure" if status < 500 else "exception", text).issues)
        response = web.Response(status=status, body=orjson.dumps(outcome), content_type=str(FhirFormat.JSON))
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class WatchedRunner(web.AppRunner):
    """Serves an application and looks after its connections."""

    def __init__(self, app: web.Application, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self._connections = connections
        self._watching: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )

    async def setup(self) -> None:
        """Start to serve."""
        await super().setup()
        assert self.server is not None
        self._watching = asyncio.create_task(self._connections.watch(self.server))

    async def cleanup(self) -> None:
        """Finish what is in flight and end."""
        if self._watching is not None:
            self._watching.cancel()
        await super().cleanup()


def _is_empty(content: object) -> bool:
    """Whether what has arrived of a body has been read: then it is the client that is waited for."""
    return not getattr(content, "_size", 0)


def _end(transport: asyncio.BaseTransport) -> None:
    # not `close`, which waits until the client has taken what is left to be sent
    abort = getattr(transport, "abort", transport.close)
    abort()


def raise_file_limit() -> None:
    """Let this process open as many connections as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
