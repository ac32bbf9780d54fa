"""One HTTP POST to a peer and its answer as far as the envelope; what goes wrong on the way as PeerError."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from lxml import etree
from lxml.etree import _Element

from gateway.http_body import read_body
from gateway.model.codes import NS_RS
from gateway.model.errors import (
    PeerBusy,
    PeerDisconnected,
    PeerError,
    PeerFault,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)
from gateway.safe_xml import MessageError, MessageTooLarge
from gateway.soap.contract import Packaging, Transaction
from gateway.soap.envelope import Envelope, SoapFault, read_envelope
from gateway.soap.mtom import MessageLimits, ReceivedMessage, inline_contents, read_message
from gateway.soap.outgoing import OutgoingMessage
from gateway.soap.resilience import AttemptFailed, Peer, Traffic
from gateway.tls import Context

READ_BUFFER: Final = 256 * 1024
_LATE_END_SECONDS: Final = 0.25
_BUSY: Final = frozenset({429, 503})
_FORBIDDEN: Final = frozenset({401, 403})
_BARE_RESPONSE: Final = f"{{{NS_RS}}}RegistryResponse"
"""Peers refuse a query or a retrieve with this, without the element of the transaction around it."""


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request ready to be sent, as often as its attachments can be read."""

    message_id: str
    message: OutgoingMessage
    headers: Mapping[str, str] = field(default_factory=dict)
    """HTTP headers besides those of the message."""


def tls_of(peer: Peer, usual: Context) -> ssl.SSLContext | bool:
    """The TLS context of calls to a peer."""
    return usual() if peer.tls is None else peer.tls.context


class Exchange:
    """One attempt. After `send`, `header` and `body` are those of the envelope, `message` what follows it."""

    body: _Element
    header: _Element | None
    message: ReceivedMessage

    def __init__(self, peer: Peer, transaction: Transaction, traffic: Traffic) -> None:
        self._peer = peer
        self._transaction = transaction
        self._traffic = traffic
        self._response: aiohttp.ClientResponse | None = None

    async def send(
        self,
        session: aiohttp.ClientSession,
        tls: Context,
        request: OutgoingRequest,
        *,
        streamed: bool,
    ) -> None:
        """Post the request and read the answer's envelope.

        `streamed` leaves the attachments unbounded. Raises AttemptFailed, or what a source of an attachment
        raises. The caller closes the exchange in any case.
        """
        upload = _Upload(request.message, self._traffic)
        try:
            self._response = response = await session.post(
                self._peer.url,
                data=upload.data(),
                headers={**request.headers, **upload.headers()},
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=self._peer.connect_timeout, sock_read=self._peer.read_timeout
                ),
                allow_redirects=False,
                read_bufsize=READ_BUFFER,
                ssl=tls_of(self._peer, tls),
                server_hostname=self._peer.tls.server_name if self._peer.tls else None,
            )
            envelope = await self._read_answer(response, streamed)
        except (aiohttp.ClientError, OSError) as error:
            if upload.error is not None:
                raise upload.error from None
            raise self.failure(error) from error
        self._check(envelope, request.message_id)

    async def _read_answer(self, response: aiohttp.ClientResponse, streamed: bool) -> Envelope:
        if 300 <= response.status < 400:
            raise AttemptFailed(self._protocol(f"a redirect (HTTP {response.status}), which is not followed"))
        if response.status in {202, 204}:
            raise AttemptFailed(self._protocol(f"no answer (HTTP {response.status})"))
        chunks = read_body(response) if streamed else response.content.iter_any()
        limit = self._peer.max_answer_bytes
        try:
            self.message = await read_message(
                response.headers.get("Content-Type"),
                chunks if streamed else bounded(chunks, limit),
                huge=self._transaction.packaging is Packaging.MTOM,
                limits=MessageLimits(envelope=limit),
            )
            return read_envelope(self.message.root)
        except MessageError as error:
            raise self._unusable(response.status, error) from None

    def _unusable(self, status: int, error: MessageError) -> AttemptFailed:
        """An answer that is not SOAP: the HTTP status says more than its content."""
        name, transaction = self._peer.name, self._transaction.id
        if status in _BUSY:
            busy = PeerBusy(name, transaction, f"the peer is busy (HTTP {status})")
            # a server in front of the peer answers 503 too, and may do so after passing the request on
            busy.outcome_known = status == 429
            return AttemptFailed(busy, repeatable=status == 503, counts=status == 503)
        if status == 504:
            late = PeerTimeout(name, transaction, "a server in front of the peer gave up waiting (HTTP 504)")
            return AttemptFailed(late, repeatable=True, counts=True)
        if status in _FORBIDDEN:
            return AttemptFailed(PeerForbids(name, transaction, f"HTTP {status} without a SOAP message"))
        if status >= 400:
            return AttemptFailed(
                self._protocol(f"HTTP {status} without a SOAP message"),
                repeatable=status == 502,
                counts=status >= 500,
            )
        return AttemptFailed(self._protocol(str(error)))

    def _check(self, envelope: Envelope, message_id: str) -> None:
        """The answer must be one to this request, and the element that the transaction defines.

        Its Action is not compared: peers send wrong ones, and the body element decides.
        """
        if envelope.fault is not None:
            raise AttemptFailed(self._fault(envelope.fault))
        if envelope.relates_to and message_id not in envelope.relates_to:
            raise AttemptFailed(self._protocol("the answer relates to another message (wsa:RelatesTo)"))
        expected = etree.QName(self._transaction.response).localname
        if envelope.body is None:
            raise AttemptFailed(self._protocol(f"the body of the answer is empty, {expected} is missing"))
        if envelope.body.tag not in (self._transaction.response, _BARE_RESPONSE):
            got = re.sub(r"[^\w.\-]", "?", etree.QName(envelope.body).localname)[:80]
            raise AttemptFailed(
                self._protocol(f"the answer is element {got}, not {self._transaction.response}")
            )
        self.body = envelope.body
        self.header = envelope.header

    def _fault(self, fault: SoapFault) -> PeerFault:
        subcodes = tuple(etree.QName(code).localname for code in fault.subcodes)
        error = PeerFault(self._peer.name, self._transaction.id, fault.code, subcodes)
        # the peer's own words may quote the message, so they stay out of the text that reaches logs
        error.reason = fault.reason
        return error

    def _protocol(self, detail: str) -> PeerProtocolError:
        return PeerProtocolError(self._peer.name, self._transaction.id, detail)

    def broken(self, error: MessageError) -> PeerProtocolError:
        """What a broken message of the peer is."""
        return self._protocol(str(error))

    def failure(self, error: Exception) -> AttemptFailed:
        """What an error of the HTTP client is."""
        name, transaction, peer = self._peer.name, self._transaction.id, self._peer
        failed: PeerError
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            failed = PeerUnreachable(name, transaction, f"no connection within {peer.connect_timeout:g} s")
            return AttemptFailed(failed, repeatable=True, counts=True)
        if isinstance(error, aiohttp.ClientConnectorError):
            is_tls = isinstance(error, aiohttp.ClientSSLError)
            failed = PeerUnreachable(name, transaction, "TLS failed" if is_tls else "no connection")
            return AttemptFailed(failed, repeatable=not is_tls, counts=True)
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return AttemptFailed(PeerUnreachable(name, transaction, "its URL in the settings is no HTTP URL"))
        if isinstance(error, TimeoutError):
            failed = PeerTimeout(name, transaction, f"no bytes for {peer.read_timeout:g} s")
            return AttemptFailed(failed, repeatable=self._response is None, counts=True)
        if isinstance(error, aiohttp.ClientResponseError):
            return AttemptFailed(self._protocol("the answer is not HTTP"), counts=True)
        if isinstance(error.__cause__, ContentEncodingError):
            return AttemptFailed(self._protocol("the content encoding of the answer is broken"))
        part = "before" if self._response is None else "in the middle of"
        failed = PeerDisconnected(name, transaction, f"the connection broke {part} the answer")
        return AttemptFailed(failed, repeatable=True, counts=True)

    async def whole_body(self) -> _Element:
        """The body element with the attachments in it as base64. Raises AttemptFailed."""
        try:
            contents: dict[str, bytes] = {}
            async for part in self.message.parts():
                content = b"".join([chunk async for chunk in part])
                contents[part.content_id] = content
            if self.message.wanted:
                inline_contents(self.message.root, contents)
            await self.message.finish()
        except MessageError as error:
            raise AttemptFailed(self.broken(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self.failure(error) from error
        return self.body

    async def finish(self) -> None:
        """Read the little that may be left, so that the connection can be used again; never fails."""
        with suppress(MessageError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_LATE_END_SECONDS):
                await self.message.finish()

    def close(self) -> None:
        """Let go of the connection: back to the pool where the answer was read to its end, else closed."""
        if hasattr(self, "message"):
            self.message.close()
        if self._response is not None:
            self._traffic.received += self._response.content.total_bytes
            self._response.close()
            self._response = None


class _Upload:
    """The request body; keeps the error of a source, which the HTTP client would hide in its own."""

    def __init__(self, message: OutgoingMessage, traffic: Traffic) -> None:
        self._message = message
        self._traffic = traffic
        self.error: Exception | None = None

    def data(self) -> bytes | AsyncIterator[bytes]:
        if not self._message.whole:
            return self._chunks()
        self._traffic.sent += len(self._message.start)
        return self._message.start

    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": self._message.content_type}
        if self._message.content_length is not None:
            headers["Content-Length"] = str(self._message.content_length)
        return headers

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._message.chunks():
                yield chunk
                self._traffic.sent += len(chunk)
        except Exception as error:
            self.error = error
            raise


async def bounded(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """The same chunks. Raises MessageTooLarge after `limit` bytes."""
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise MessageTooLarge(f"the message is larger than {limit} bytes")
        yield chunk
