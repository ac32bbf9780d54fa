"""The answers of a SOAP service: reply or fault as a message, packaged as its request was, and sent."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web
from lxml.etree import _Element

from gateway.http_body import write_body
from gateway.soap.contract import Transaction
from gateway.soap.envelope import HeaderBlock, SoapFault, write_envelope, write_fault
from gateway.soap.observed import Settle, settled
from gateway.soap.outgoing import Attachment, OutgoingMessage, inline_message, mtom_message, simple_message


@dataclass(frozen=True, slots=True)
class SoapReply:
    """A body element whose xop:Include name `attachments`; after a simple SOAP request they go inline, unless
    the reply is to be `packaged` whatever the request was. `header_blocks` go with it."""

    body: _Element
    attachments: Sequence[Attachment] = field(default=())
    packaged: bool = False
    header_blocks: Sequence[HeaderBlock] = field(default=())


def packaged_reply(
    reply: SoapReply, transaction: Transaction, relates_to: str, packaged: bool, to: str | None
) -> OutgoingMessage:
    """The reply as a message, which RelatesTo the request; `to` is set where it is posted."""

    def envelope_around(body: _Element) -> bytes:
        return write_envelope(
            body,
            action=transaction.response_action,
            message_id=_new_message_id(),
            relates_to=relates_to,
            to=to,
            header_blocks=reply.header_blocks,
        )

    if packaged:
        return mtom_message(envelope_around(reply.body), transaction.response_action, reply.attachments)
    return inline_message(reply.body, reply.attachments, transaction.response_action, envelope_around)


def fault_message(
    fault: SoapFault, relates_to: str | None, *, addressed: bool, packaged: bool, to: str | None = None
) -> OutgoingMessage:
    """The fault as a message, packaged as the request was; `to` is set where it is posted."""
    envelope = write_fault(
        fault,
        relates_to=relates_to,
        message_id=_new_message_id(),
        must_understand=addressed,
        to=to,
    )
    write = mtom_message if packaged else simple_message
    return write(envelope, fault.action)


async def respond(
    request: web.Request, message: OutgoingMessage, status: int, *, close: bool, settle: Settle = settled
) -> web.StreamResponse:
    """Send the message, and `settle` whether all of it went out. `close` ends the connection after it."""
    try:
        response = await _sent(request, message, status, close)
    except BaseException:
        settle("the answer did not get through")
        raise
    settle(None)
    return response


async def _sent(
    request: web.Request, message: OutgoingMessage, status: int, close: bool
) -> web.StreamResponse:
    headers = {"Content-Type": message.content_type}
    response: web.StreamResponse
    if message.whole:
        response = web.Response(status=status, headers=headers, body=message.start)
    else:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = message.content_length
    if close:
        response.force_close()
    await response.prepare(request)
    if not message.whole:
        # an error in here ends the connection, which tells the peer that the answer is not complete
        await write_body(request, response, message.chunks())
    await response.write_eof()
    return response


def _new_message_id() -> str:
    return f"urn:uuid:{uuid.uuid4()}"
