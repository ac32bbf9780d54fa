"""What WS-Addressing asks of the headers of a request, and which are refused."""

from typing import Final

from gateway.model.codes import NS_WSA
from gateway.soap.envelope import ANONYMOUS, Envelope, SoapFault
from gateway.soap.late_replies import LateReplies

HERE: Final = frozenset({None, ANONYMOUS})
"""Values of ReplyTo that mean the connection of the request."""

_REQUIRED: Final = ("Action", "MessageID")


def check_addressing(envelope: Envelope, late: LateReplies | None) -> None:
    """Raises SoapFault for headers that are missing, repeated, or ask for an answer where none is sent
    (WS-Addressing 1.0 SOAP binding section 6.4). wsa:To is not compared: proxies change what it names."""
    if envelope.repeated:
        raise SoapFault(
            "Sender",
            "a WS-Addressing header appears more than once",
            subcodes=(f"{{{NS_WSA}}}InvalidAddressingHeader", f"{{{NS_WSA}}}InvalidCardinality"),
            problem_header=envelope.repeated[0],
        )
    present = {"Action": envelope.action, "MessageID": envelope.message_id}
    for local in _REQUIRED:
        if present[local] is None:
            raise SoapFault(
                "Sender",
                f"the WS-Addressing header {local} is missing",
                subcodes=(f"{{{NS_WSA}}}MessageAddressingHeaderRequired",),
                problem_header=f"{{{NS_WSA}}}{local}",
            )
    if envelope.reply_to in HERE or (late is not None and late.allows(str(envelope.reply_to))):
        return
    reason = "answers are sent on the same connection only; ReplyTo must be anonymous"
    if late is not None:
        reason = "ReplyTo must be anonymous, or an address that this service has been told to answer to"
    raise SoapFault(
        "Sender",
        reason,
        subcodes=(f"{{{NS_WSA}}}InvalidAddressingHeader", f"{{{NS_WSA}}}OnlyAnonymousAddressSupported"),
        problem_header=f"{{{NS_WSA}}}ReplyTo",
    )
