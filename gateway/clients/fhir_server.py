"""HTTP to FHIR servers: searches, reads, transactions and documents, in JSON.

Requests go to the base of the settings, to pages and documents below it, and to hosts that the settings
allow; redirects are not followed, no cookie and no proxy of the environment is used, and what the gateway
shows of itself goes to the base alone. What a server says in its own words stays out of errors that reach
logs.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson

from gateway.clients.fhir_access import Anonymous, FhirAccess, NoAccess
from gateway.clients.http_peers import READ_BUFFER, HttpPeers, failure_of
from gateway.clients.mhd_exchange import RecordMhd, unrecorded
from gateway.clients.outside_resources import OutsidePolicy
from gateway.fhir.datatypes import Json
from gateway.fhir.peer_shapes import shaped
from gateway.model import RegistryError, Severity
from gateway.model.errors import (
    PeerBusy,
    PeerError,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)
from gateway.soap.exchange import tls_of
from gateway.soap.resilience import AttemptFailed, CallObserver, Peer, Traffic, unobserved
from gateway.soap.via import COMMUNITIES_HEADER, came_through, header_value
from gateway.spans import span
from gateway.tls import Context, default_context

FHIR_JSON: Final = "application/fhir+json"
_ACCEPT_JSON: Final = f"{FHIR_JSON}, application/json;q=0.8"
_BOM: Final = b"\xef\xbb\xbf"
_ERRORS: Final = frozenset({"error", "fatal"})

Body = Callable[[], AsyncIterator[bytes]] | bytes | None


@dataclass(frozen=True)
class FhirServer:
    """A server: `peer.url` is its base, `hosts` may be named by its answers besides."""

    peer: Peer
    access: FhirAccess = field(default_factory=Anonymous)
    hosts: frozenset[str] = frozenset()

    def url_of(self, reference: str) -> str | None:
        """The absolute URL of something that an answer names; None for one that may not be asked."""
        url = urljoin(self.peer.url + "/", reference)
        if self.is_own(url) or OutsidePolicy(hosts=self.hosts).allows(url):
            return url
        return None

    def is_own(self, url: str) -> bool:
        """True for a URL at the server's own host and port."""
        try:
            here, there = urlsplit(self.peer.url), urlsplit(url)
            places = [(p.scheme, p.hostname, p.port) for p in (here, there)]
        except ValueError:
            return False
        return places[0] == places[1] and "@" not in there.netloc


class Refused(Exception):
    """A server refuses a request: HTTP status, and what its OperationOutcome says as errors of XDS.

    `outcome` is that OperationOutcome, None where there is none.
    """

    def __init__(self, status: int, errors: tuple[RegistryError, ...], outcome: Json | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.errors = errors
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class FhirRequest:
    """One request. `url` is absolute; with a `body` that is a function each attempt makes it again. A status
    of `means` is raised as Refused, whatever it means at other transactions."""

    method: str
    url: str
    accept: str = _ACCEPT_JSON
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    means: frozenset[int] = frozenset()


class FhirClient(HttpPeers):
    """One per process; an async context manager."""

    _keepalive = 4.0

    def __init__(
        self,
        tls: Context = default_context,
        *,
        observe: CallObserver = unobserved,
        headers: Callable[[], Mapping[str, str]] = dict,
        record: RecordMhd = unrecorded,
    ) -> None:
        """`headers` gives what each request sends besides; `record` is told of exchanges with MHD servers."""
        super().__init__(tls, observe=observe, headers=headers)
        self.record = record

    async def json(self, server: FhirServer, transaction: str, request: FhirRequest) -> Json:
        """The resource that a request is answered with. Raises PeerError, and Refused for HTTP 4xx."""

        async def whole(response: aiohttp.ClientResponse) -> tuple[int, bytes]:
            most = server.peer.max_answer_bytes
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > most:
                    text = f"the answer has more than {most} bytes (max_answer_bytes)"
                    raise AttemptFailed(PeerProtocolError(server.peer.name, transaction, text))
            return response.status, bytes(body)

        with span(transaction, "client", {"peer.service": server.peer.name}):
            async with self._lane(server.peer, transaction).place():
                status, body = await self._answer(server, transaction, request, whole)
        resource = _loaded(body)
        if status >= 400:
            outcome = shaped(resource)
            is_outcome = outcome is not None and outcome["resourceType"] == "OperationOutcome"
            raise Refused(status, outcome_errors(resource), outcome if is_outcome else None)
        if resource is None:
            raise PeerProtocolError(server.peer.name, transaction, "the answer is no FHIR resource in JSON")
        return resource

    @asynccontextmanager
    async def open(
        self, server: FhirServer, transaction: str, request: FhirRequest
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer whose body is read by the caller. Raises PeerError, and Refused for HTTP 4xx."""

        async def begun(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
            return response

        with span(transaction, "client", {"peer.service": server.peer.name}):
            async with self._lane(server.peer, transaction).place():
                response = await self._answer(server, transaction, request, begun, keep=True)
                try:
                    if response.status >= 400:
                        raise Refused(response.status, ())
                    yield response
                finally:
                    self._lane(server.peer, transaction).traffic.received += response.content.total_bytes
                    response.close()

    async def broken(self, server: FhirServer, transaction: str, error: Exception) -> PeerError:
        """What to raise for an answer that broke on the way; it speaks against the server."""
        return await self._broken(server.peer, transaction, error)

    async def _answer(
        self,
        server: FhirServer,
        transaction: str,
        request: FhirRequest,
        take: Callable[[aiohttp.ClientResponse], Any],
        *,
        keep: bool = False,
    ) -> Any:
        """What `take` makes of the answer; with `keep` the answer stays open."""
        peer, lane = server.peer, self._lane(server.peer, transaction)

        async def attempt() -> Any:
            response = await self._sent(server, transaction, request)
            try:
                taken = await take(response)
            except (aiohttp.ClientError, OSError) as error:
                response.close()
                raise AttemptFailed(
                    failure_of(peer, transaction, error), repeatable=True, counts=True
                ) from error
            except BaseException:
                response.close()
                raise
            if not keep:
                lane.traffic.received += response.content.total_bytes
                response.release()
            return taken

        attempts = peer.max_attempts if request.repeatable else 1
        return await lane.run(attempt, attempts)

    async def _sent(
        self, server: FhirServer, transaction: str, request: FhirRequest
    ) -> aiohttp.ClientResponse:
        response = await self._send(server, transaction, request)
        if response.status == 401 and server.is_own(request.url) and server.access.refused():
            response.close()
            response = await self._send(server, transaction, request)
        refused = None
        if response.status not in request.means:
            refused = _refusal(server.peer, transaction, response.status)
        if refused is not None:
            response.close()
            raise refused
        return response

    async def _send(
        self, server: FhirServer, transaction: str, request: FhirRequest
    ) -> aiohttp.ClientResponse:
        peer = server.peer
        told = {} if peer.external else self._headers()
        headers = {**told, "Accept": request.accept, **request.headers}
        if communities := header_value((*came_through(), *peer.via)):
            headers[COMMUNITIES_HEADER] = communities
        if server.is_own(request.url):
            try:
                shown = await server.access.header()
            except NoAccess as error:
                raise AttemptFailed(PeerUnreachable(peer.name, transaction, str(error))) from None
            if shown is not None:
                headers["Authorization"] = shown
        body = request.body() if callable(request.body) else request.body
        try:
            return await self._session.request(
                request.method,
                request.url,
                data=_counted(body, self._lane(server.peer, transaction).traffic),
                headers=headers,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=peer.connect_timeout, sock_read=peer.read_timeout
                ),
                allow_redirects=False,
                read_bufsize=READ_BUFFER,
                ssl=tls_of(peer, self._tls),
                server_hostname=peer.tls.server_name if peer.tls else None,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise AttemptFailed(failure_of(peer, transaction, error), repeatable=True, counts=True) from error


def outcome_errors(resource: Json | None) -> tuple[RegistryError, ...]:
    """The issues of an OperationOutcome as errors and warnings of XDS, whose codes they may have."""
    outcome = shaped(resource)
    if outcome is None or outcome["resourceType"] != "OperationOutcome":
        return ()
    return tuple(_error_of(issue) for issue in outcome.get("issue") or ())


def _error_of(issue: Json) -> RegistryError:
    details = issue.get("details") or {}
    names = [coding.get("code", "") for coding in details.get("coding") or ()]
    code = next((name for name in names if name.startswith("XDS")), "XDSRegistryError")
    text = details.get("text") or issue.get("diagnostics") or issue.get("code") or ""
    severity = Severity.ERROR if issue.get("severity") in _ERRORS else Severity.WARNING
    return RegistryError(code, text[:1000], severity)


def _counted(body: Any, traffic: Traffic) -> Any:
    """A body whose bytes are counted as they go out."""
    if body is None:
        return None
    if isinstance(body, bytes | str):
        traffic.sent += len(body.encode() if isinstance(body, str) else body)
        return body

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in body:
            yield piece
            traffic.sent += len(piece)

    return pieces()


def _loaded(body: bytes) -> Json | None:
    try:
        value = orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _refusal(peer: Peer, transaction: str, status: int) -> AttemptFailed | None:
    if status in {429, 503}:
        busy = PeerBusy(peer.name, transaction, f"the peer is busy (HTTP {status})")
        # a server in front of the peer answers 503 too, and may do so after passing the request on
        busy.outcome_known = status == 429
        return AttemptFailed(busy, repeatable=status == 503, counts=status == 503)
    if status == 504:
        late = PeerTimeout(peer.name, transaction, "a server in front of the peer gave up (HTTP 504)")
        return AttemptFailed(late, repeatable=True, counts=True)
    if status in {401, 403}:
        text = f"the server does not let this gateway in (HTTP {status})"
        return AttemptFailed(PeerForbids(peer.name, transaction, text))
    if (status >= 500 and status != 501) or 300 <= status < 400:
        text = f"HTTP {status}" + (", which is not followed" if status < 400 else "")
        error = PeerProtocolError(peer.name, transaction, text)
        return AttemptFailed(error, repeatable=status == 502, counts=status >= 500)
    return None
