"""SOAP 1.2 client of IHE transactions over HTTP (ITI TF-2 Appendix V.3).

Every call goes to `peer.url` and nowhere else: redirects are not followed, and neither WS-Addressing nor
XOP headers of an answer can name another host. All that can go wrong is a `PeerError` that names the peer.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
from lxml.etree import _Element

from gateway.chunks import Chunk, Explained
from gateway.model.errors import PeerError
from gateway.safe_xml import MessageError
from gateway.soap.contract import Contract, Packaging, Transaction
from gateway.soap.envelope import ANONYMOUS, HeaderBlock, write_envelope
from gateway.soap.exchange import READ_BUFFER, Exchange, OutgoingRequest
from gateway.soap.mtom import Part
from gateway.soap.observed import Exchanged, Record, unrecorded
from gateway.soap.outgoing import Attachment, mtom_message, simple_message
from gateway.soap.resilience import CallObserver, Lane, Peer, unobserved
from gateway.soap.via import came_through, via_block
from gateway.spans import NOTHING, Step, begin, span
from gateway.tls import Context, default_context

__all__ = ["Attachment", "Part", "Peer", "SoapClient", "StreamedReply"]

_IDLE_SECONDS: Final = 4.0
"""Connections idle for longer are closed by us: some servers close after 5 s, and a POST that meets such a
close has an unknown outcome."""
_BROKEN: Final = (MessageError, aiohttp.ClientError, OSError)
"""What an answer can break with."""


_PARTS_WITH_SPANS: Final = 100
"""A study has thousands: a trace shows the first ones of an answer."""

SecurityHeader = Callable[[Peer, str], Sequence[HeaderBlock]]
"""Gives the header blocks that say to a peer who asks, for a transaction. May raise PeerError."""


def nobody(peer: Peer, transaction: str) -> Sequence[HeaderBlock]:
    """Peers are not told who asks."""
    return ()


class StreamedReply:
    """An answer whose envelope has been read and whose attachments are still on their way."""

    def __init__(self, exchange: Exchange, lane: Lane) -> None:
        self.body: _Element = exchange.body
        """The body element; where it holds xop:Include, `parts` has the content."""
        self._exchange = exchange
        self._lane = lane
        self._given = 0

    async def parts(self) -> AsyncIterator[Part]:
        """Every attachment once, in the order of the answer; read each before asking for the next.

        Raises PeerError, also at the end where an attachment that the envelope names is missing.
        """
        parts = self._exchange.message.parts()
        while True:
            try:
                part = await anext(parts)
            except StopAsyncIteration:
                return
            except _BROKEN as error:
                raise await self._told(error) from error
            chunks = Explained(part.views(), _BROKEN, self._told)
            self._given += 1
            step = begin("part") if self._given <= _PARTS_WITH_SPANS else NOTHING
            yield Part(part.content_id, part.headers, chunks if step is NOTHING else _spanned(chunks, step))

    async def _told(self, error: Exception) -> PeerError:
        if isinstance(error, MessageError):
            return self._exchange.broken(error)
        failure = self._exchange.failure(error)
        if failure.counts:
            await self._lane.failed(failure.error)
        return failure.error


async def _spanned(chunks: AsyncIterator[Chunk], step: Step) -> AsyncIterator[Chunk]:
    """The same pieces; the span ends with them."""
    size = 0
    try:
        async for chunk in chunks:
            size += len(chunk)
            yield chunk
    except PeerError as error:
        step.fail(type(error).__name__)
        raise
    finally:
        step.set("gateway.bytes", size)
        step.end()


@dataclass(frozen=True, slots=True)
class SoapAnswer:
    """Body element and SOAP header of an answer."""

    body: _Element
    header: _Element | None


class SoapClient:
    """Calls peers. One per process; an async context manager where it owns its session."""

    def __init__(
        self,
        contract: Contract,
        session: aiohttp.ClientSession | None = None,
        *,
        tls: Context = default_context,
        observe: CallObserver = unobserved,
        headers: Callable[[], Mapping[str, str]] = dict,
        security: SecurityHeader = nobody,
        record: Record = unrecorded,
    ) -> None:
        """`session` is used as it is and not closed; without one an own session is made on entering.

        `tls` applies to https peers that have none of their own; the system's trust store by default.
        `headers` gives what each call sends besides, in HTTP, `security` in the header of the envelope.
        `record` is told of each exchange.
        """
        self._contract = contract
        self._session = session
        self._owned: aiohttp.ClientSession | None = None
        self._tls = tls
        self._observe = observe
        self._headers = headers
        self._security = security
        self._record = record
        self._lanes: dict[tuple[Peer, str], Lane] = {}

    def _headers_for(self, peer: Peer) -> Mapping[str, str]:
        return {} if peer.external else self._headers()

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._owned = self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=READ_BUFFER,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        if self._owned is not None:
            await self._owned.close()
            self._owned = self._session = None

    def lanes(self) -> Collection[Lane]:
        """One per peer and transaction that was called."""
        return self._lanes.values()

    def circuit_states(self) -> Mapping[str, str]:
        """State per `peer transaction` that was called: `closed`, `open` or `half-open`."""
        return {f"{peer.name} {transaction}": lane.state for (peer, transaction), lane in self._lanes.items()}

    async def call(
        self,
        peer: Peer,
        transaction: str,
        body: _Element,
        *,
        attachments: Sequence[Attachment] = (),
        retry: bool = False,
        header_blocks: Sequence[HeaderBlock] = (),
    ) -> _Element:
        """Send one request and return the body element of the answer, its attachments as inline base64.

        With `retry` (only for transactions that are safe to repeat) failures of the transport are repeated.
        Raises PeerError; what a source of an attachment raises passes through.
        """
        answer = await self.ask(
            peer, transaction, body, attachments=attachments, retry=retry, header_blocks=header_blocks
        )
        return answer.body

    async def ask(
        self,
        peer: Peer,
        transaction: str,
        body: _Element,
        *,
        attachments: Sequence[Attachment] = (),
        retry: bool = False,
        header_blocks: Sequence[HeaderBlock] = (),
    ) -> SoapAnswer:
        """The same as `call`, with the header of the answer."""
        known = self._contract[transaction]
        lane = self._lane(peer, transaction)
        blocks = (*header_blocks, *self._security(peer, transaction))
        with span(transaction, "client", {"peer.service": peer.name}):
            request = _request(peer, known, body, attachments, blocks, headers=self._headers_for(peer))

            async def attempt() -> SoapAnswer:
                exchange = Exchange(peer, known, lane.traffic)
                try:
                    await exchange.send(self._open_session, self._tls, request, streamed=False)
                    return SoapAnswer(await exchange.whole_body(), exchange.header)
                finally:
                    exchange.close()

            with self._recorded(peer, transaction, body, request) as answer:
                async with lane.place():
                    reply = await lane.run(attempt, _attempts(peer, retry, attachments))
                answer.append(reply.body)
                return reply

    @asynccontextmanager
    async def open(
        self,
        peer: Peer,
        transaction: str,
        body: _Element,
        *,
        attachments: Sequence[Attachment] = (),
        retry: bool = False,
        header_blocks: Sequence[HeaderBlock] = (),
    ) -> AsyncIterator[StreamedReply]:
        """The same as `call` for an answer whose attachments are streamed; leaving early ends the answer."""
        known = self._contract[transaction]
        lane = self._lane(peer, transaction)
        blocks = (*header_blocks, *self._security(peer, transaction))
        with span(transaction, "client", {"peer.service": peer.name}):
            request = _request(peer, known, body, attachments, blocks, headers=self._headers_for(peer))

            async def attempt() -> Exchange:
                exchange = Exchange(peer, known, lane.traffic)
                try:
                    await exchange.send(self._open_session, self._tls, request, streamed=True)
                except BaseException:
                    exchange.close()
                    raise
                return exchange

            with self._recorded(peer, transaction, body, request) as answer:
                async with lane.place():
                    exchange = await lane.run(attempt, _attempts(peer, retry, attachments))
                    answer.append(exchange.body)
                    try:
                        yield StreamedReply(exchange, lane)
                        await exchange.finish()
                    finally:
                        exchange.close()

    @contextmanager
    def _recorded(
        self, peer: Peer, transaction: str, body: _Element, request: OutgoingRequest
    ) -> Iterator[list[_Element]]:
        """Tell of the exchange inside, whose answer is put into the list as soon as it is there."""
        answer: list[_Element] = []
        failure: str | None = None
        try:
            yield answer
        except PeerError as error:
            failure = str(error)
            raise
        except BaseException as error:
            # whoever asked has left, or something else failed that was made of the answer
            failure = None if answer and not isinstance(error, asyncio.CancelledError) else "it was given up"
            raise
        finally:
            self._record(
                Exchanged(
                    transaction,
                    served=False,
                    url=peer.url,
                    peer=peer.name,
                    request=body,
                    reply=answer[0] if answer else None,
                    failure=failure,
                    headers=request.headers,
                )
            )

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the SOAP client is used outside its context")
        return self._session

    def _lane(self, peer: Peer, transaction: str) -> Lane:
        key = (peer, transaction)
        if key not in self._lanes:
            self._lanes[key] = Lane(peer, transaction, self._observe)
        return self._lanes[key]


def _request(
    peer: Peer,
    transaction: Transaction,
    body: _Element,
    attachments: Sequence[Attachment],
    header_blocks: Sequence[HeaderBlock],
    *,
    headers: Mapping[str, str],
) -> OutgoingRequest:
    message_id = f"urn:uuid:{uuid.uuid4()}"
    envelope = write_envelope(
        body,
        action=transaction.action,
        message_id=message_id,
        reply_to=ANONYMOUS,
        to=peer.url,
        header_blocks=(*header_blocks, *via_block((*came_through(), *peer.via))),
    )
    if transaction.packaging is Packaging.MTOM or attachments:
        return OutgoingRequest(message_id, mtom_message(envelope, transaction.action, attachments), headers)
    return OutgoingRequest(message_id, simple_message(envelope, transaction.action), headers)


def _attempts(peer: Peer, retry: bool, attachments: Sequence[Attachment]) -> int:
    repeatable = retry and all(attachment.repeatable for attachment in attachments)
    return peer.max_attempts if repeatable else 1
