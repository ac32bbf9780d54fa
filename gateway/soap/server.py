"""SOAP 1.2 service of IHE transactions as an aiohttp handler (ITI TF-2 Appendix V.3).

A request is understood by its media type, dispatched on wsa:Action and then checked against the body
element; its attachments are taken in before the handler runs. The reply is packaged as the request was.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from lxml import etree
from lxml.etree import _Element

from gateway.model.codes import NS_WSA
from gateway.multipart import parse_media_type
from gateway.safe_xml import MessageError
from gateway.soap.addressing import HERE, check_addressing
from gateway.soap.contract import Contract, Packaging, Transaction
from gateway.soap.envelope import Envelope, SoapFault, SoapVersionError, read_envelope
from gateway.soap.exchange import bounded
from gateway.soap.late_replies import LateReplies
from gateway.soap.mtom import MULTIPART_RELATED, MessageLimits, NotSoap, read_message
from gateway.soap.observed import Exchanged, Record, Settle, unrecorded
from gateway.soap.outgoing import OutgoingMessage
from gateway.soap.replies import SoapReply, fault_message, packaged_reply, respond
from gateway.soap.spool import RequestSpool, SpoolArea, SpooledPart

__all__ = ["Handler", "ServiceLimits", "SoapReply", "SoapRequest", "SoapService", "SpooledPart"]

log = structlog.get_logger()

_OBJECTS_ON_LOOP: Final = 20


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Bytes: of a whole request, of its envelope (with inline documents), of an attachment in memory, of all
    files of the requests in flight (None is no bound)."""

    request: int = 4 * 1024 * 1024 * 1024
    envelope: int = 64 * 1024 * 1024
    in_memory: int = 256 * 1024
    spooled: int | None = None


@dataclass(frozen=True, slots=True)
class SoapRequest:
    """One request for a handler.

    `body` is the body element, whose xop:Include name keys of `attachments`; every one is there. `spool` is
    room for what an answer is made of, which lasts until the answer has been sent.
    """

    transaction: Transaction
    body: _Element
    message_id: str
    attachments: Mapping[str, SpooledPart]
    spool: RequestSpool
    header: _Element | None = None
    reply_to: str | None = None
    """Where the answer is posted to; None for the connection of the request."""


Handler = Callable[[SoapRequest], Awaitable[SoapReply]]
"""May raise SoapFault; anything else it raises becomes a fault that tells nothing of it."""


Admission = Callable[[], AbstractContextManager[None]]
"""Makes the context that an admitted request is handled in; it may turn what is raised there into a fault."""

Admit = Callable[[web.Request, _Element, _Element | None, str], Awaitable[Admission]]
"""Decides who may ask: HTTP request, root and header of the envelope, transaction. Raises SoapFault."""


async def admit_everyone(
    request: web.Request, root: _Element, header: _Element | None, transaction: str
) -> Admission:
    """Whoever reaches the service is answered."""
    return nullcontext


@dataclass(slots=True)
class _Turn:
    """What is known of a request when it fails."""

    packaged: bool = False
    message_id: str | None = None
    addressed: bool = False
    """The sender has WS-Addressing; who has not would stumble over a header that must be understood."""
    broken_off: bool = False
    """Part of the request may be unread, so the connection cannot be used again."""
    admission: Admission = nullcontext
    transaction: str | None = None
    body: _Element | None = None
    header: _Element | None = None
    received: SoapRequest | None = None

    def fault(self, fault: SoapFault, to: str | None = None) -> OutgoingMessage:
        """The fault as the answer to this request."""
        return fault_message(fault, self.message_id, addressed=self.addressed, packaged=self.packaged, to=to)


class SoapService:
    """Answers POST requests of the transactions that have a handler, by transaction id."""

    def __init__(
        self,
        contract: Contract,
        handlers: Mapping[str, Handler],
        spool_dir: Path,
        limits: ServiceLimits | None = None,
        late: LateReplies | None = None,
        *,
        record: Record = unrecorded,
    ) -> None:
        """With `late`, answers may be asked for at another address. `record` is told of each exchange."""
        self.admit: Admit = admit_everyone
        """Asked before attachments are taken in and a handler runs."""
        self._late = late
        self._record = record
        self._contract = contract
        self._handlers = dict(handlers)
        self._limits = limits or ServiceLimits()
        self._spool = SpoolArea(spool_dir, self._limits.spooled)
        self._takes_documents = any(contract[name].packaging is Packaging.MTOM for name in handlers)

    async def finish(self, seconds: float) -> None:
        """Give answers that are due elsewhere `seconds` to get there."""
        if self._late is not None:
            await self._late.finish(seconds)

    def close(self) -> None:
        """Remove the spool folder of this process."""
        self._spool.close()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request."""
        if request.method != "POST":
            return web.Response(
                status=405, headers={"Allow": "POST"}, text="SOAP requests are sent by POST\n"
            )
        turn = _Turn()
        try:
            with ExitStack() as stack:
                received = await self._received(request, stack.enter_context(self._spool.request()), turn)
                if received.reply_to is not None and self._late is not None:
                    self._late.check_room()
                    self._late.start(self._answer_late(request, self._late, received, turn, stack.pop_all()))
                    return web.Response(status=202)
                message, body = await self._handle(received, turn)
                settle = self._tell(request, turn, body, flows=not message.whole)
                return await respond(request, message, 200, close=turn.broken_off, settle=settle)
        except NotSoap as error:
            self._tell(request, turn, None, failure=str(error))
            response = web.Response(status=415, text=f"{error}\n")
            response.force_close()
            return response
        except SoapFault as fault:
            self._tell(request, turn, None, failure=fault.reason)
            return await respond(request, turn.fault(fault), fault.http_status, close=turn.broken_off)

    def _tell(
        self,
        request: web.Request,
        turn: _Turn,
        body: _Element | None,
        *,
        failure: str | None = None,
        flows: bool = False,
    ) -> Settle:
        """Have the exchange recorded, before its answer goes out."""
        received = turn.received
        transaction = turn.transaction or (next(iter(self._handlers)) if len(self._handlers) == 1 else "")
        return self._record(
            Exchanged(
                transaction,
                served=True,
                url=_endpoint(request),
                peer=request.remote or "",
                request=turn.body,
                reply=body,
                failure=failure,
                headers=request.headers,
                header=turn.header,
                reply_to=None if received is None else received.reply_to,
                flows=flows,
            )
        )

    async def _answer_late(
        self, request: web.Request, late: LateReplies, received: SoapRequest, turn: _Turn, held: ExitStack
    ) -> None:
        assert received.reply_to is not None
        with held:
            try:
                message, body = await self._handle(received, turn)
                self._tell(request, turn, body)
            except SoapFault as fault:
                self._tell(request, turn, None, failure=fault.reason)
                message = turn.fault(fault, received.reply_to)
            await late.post(received.reply_to, message)

    async def _received(self, request: web.Request, spool: RequestSpool, turn: _Turn) -> SoapRequest:
        try:
            return await self._receive(request, spool, turn)
        except NotSoap:
            raise
        except SoapVersionError as error:
            raise SoapFault("VersionMismatch", str(error)) from None
        except MessageError as error:
            turn.broken_off = True
            raise SoapFault("Sender", str(error)) from None
        except ConnectionError:
            raise
        except OSError as error:
            turn.broken_off = True
            log.error("soap.spool_failed", error=type(error).__name__, errno=error.errno)
            raise SoapFault("Receiver", "the request could not be stored on its way in") from error

    async def _receive(self, request: web.Request, spool: RequestSpool, turn: _Turn) -> SoapRequest:
        content_type = request.headers.get("Content-Type")
        turn.packaged = parse_media_type(content_type).name == MULTIPART_RELATED
        message = await read_message(
            content_type,
            bounded(request.content.iter_any(), self._limits.request),
            huge=self._takes_documents,
            limits=MessageLimits(envelope=self._limits.envelope, before_root=self._limits.request),
        )
        try:
            turn.broken_off = message.packaged
            envelope = read_envelope(message.root)
            turn.message_id = envelope.message_id
            turn.addressed = envelope.addressed
            turn.body, turn.header = envelope.body, envelope.header
            transaction = self._dispatch(envelope)
            turn.transaction = transaction.id
            turn.admission = await self.admit(request, message.root, envelope.header, transaction.id)
            attachments = {
                part.content_id: await spool.keep(
                    part.content_id, part.content_type, part, self._limits.in_memory
                )
                async for part in message.parts()
                if part.content_id in message.wanted
            }
            await message.finish()
            turn.broken_off = False
        finally:
            message.close()
        assert envelope.body is not None
        assert envelope.message_id is not None
        turn.received = SoapRequest(
            transaction,
            envelope.body,
            envelope.message_id,
            attachments,
            spool,
            envelope.header,
            None if envelope.reply_to in HERE else envelope.reply_to,
        )
        return turn.received

    def _dispatch(self, envelope: Envelope) -> Transaction:
        """The transaction that is asked for. Raises SoapFault for headers and bodies that do not fit."""
        if envelope.not_understood:
            raise SoapFault(
                "MustUnderstand",
                "a header block that must be understood is not",
                not_understood=envelope.not_understood,
            )
        check_addressing(envelope, self._late)
        action = envelope.action or ""
        transaction = self._contract.by_action(action)
        if transaction is None or transaction.id not in self._handlers:
            raise SoapFault(
                "Sender",
                "this endpoint has no operation for the Action",
                subcodes=(f"{{{NS_WSA}}}ActionNotSupported",),
                problem_action=action,
            )
        if envelope.body is None or envelope.body.tag != transaction.request:
            expected = etree.QName(transaction.request).localname
            raise SoapFault("Sender", f"the body element does not fit the Action, which takes {expected}")
        return transaction

    async def _handle(self, request: SoapRequest, turn: _Turn) -> tuple[OutgoingMessage, _Element]:
        """The answer, and its body element."""
        try:
            with turn.admission():
                reply = await self._handlers[request.transaction.id](request)
            # writing the answer to a large query takes some 100 us per object
            packaged = turn.packaged or reply.packaged
            work = (reply, request.transaction, request.message_id, packaged, request.reply_to)
            if len(reply.body) and _objects(reply.body) > _OBJECTS_ON_LOOP:
                return await asyncio.to_thread(packaged_reply, *work), reply.body
            return packaged_reply(*work), reply.body
        except SoapFault:
            raise
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[-6:]
            # the exception's own text may quote the message
            log.error(
                "soap.handler_failed",
                transaction=request.transaction.id,
                error=type(error).__name__,
                frames=[f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
            )
            raise SoapFault("Receiver", "the service failed; its log has the reason") from error


def _endpoint(request: web.Request) -> str:
    """The URL that was called, its path alone where the Host header makes none of it."""
    try:
        return str(request.url.with_query(None))
    except ValueError:
        return request.rel_url.raw_path.encode(errors="replace").decode()


def _objects(body: _Element) -> int:
    """Children of the fullest child: the size of an answer without walking all of it."""
    return max((len(child) for child in body), default=0)
