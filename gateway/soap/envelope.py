"""SOAP 1.2 envelopes with WS-Addressing 1.0 headers, and SOAP 1.2 faults.

Sources: ITI TF-2 Appendix V.3 (headers of IHE transactions), SOAP 1.2 part 1 sections 5.1-5.4, WS-Addressing
1.0 SOAP binding section 6 (predefined faults).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree
from lxml.etree import _Element

from gateway.model.codes import NS_SOAP12, NS_WSA, NS_WSSE
from gateway.safe_xml import MessageError

NS_SOAP11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
ANONYMOUS: Final = f"{NS_WSA}/anonymous"
WSA_FAULT_ACTION: Final = f"{NS_WSA}/fault"
SOAP_FAULT_ACTION: Final = f"{NS_WSA}/soap/fault"
FAULT_ACTIONS: Final = frozenset({WSA_FAULT_ACTION, SOAP_FAULT_ACTION})
REPLY: Final = f"{NS_WSA}/reply"

_UNDERSTOOD: Final = frozenset({NS_WSA, NS_WSSE})
_OUR_ROLES: Final = frozenset(
    {"", f"{NS_SOAP12}/role/next", f"{NS_SOAP12}/role/ultimateReceiver"},
)

HeaderBlock = _Element | bytes
"""A header block as an element, or as bytes that must not change by a single one (signed assertions)."""


class EnvelopeError(MessageError):
    """Well-formed XML that is no SOAP 1.2 envelope with one body element."""


class SoapVersionError(EnvelopeError):
    """An envelope of another SOAP version."""


class SoapFault(Exception):
    """A SOAP 1.2 fault, read from a peer or to be sent to one.

    `code` is the local name of env:Code (`Sender`, `Receiver`, `MustUnderstand`, `VersionMismatch`),
    `subcodes` are Clark names from outer to inner, `reason` an English text without content of messages,
    `node` the URI of the node that failed. `problem_header` and `not_understood` are Clark names of header
    blocks, `problem_action` the Action that is not supported.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        subcodes: Sequence[str] = (),
        node: str | None = None,
        problem_header: str | None = None,
        problem_action: str | None = None,
        not_understood: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.subcodes = tuple(subcodes)
        self.node = node
        self.problem_header = problem_header
        self.problem_action = problem_action
        self.not_understood = tuple(not_understood)

    @property
    def action(self) -> str:
        """wsa:Action of the message that carries this fault."""
        outer = self.subcodes[0] if self.subcodes else ""
        return WSA_FAULT_ACTION if outer.startswith(f"{{{NS_WSA}}}") else SOAP_FAULT_ACTION

    @property
    def http_status(self) -> int:
        """SOAP 1.2 part 2 Table 20; 500 for those of WS-Security, as toolkits answer them."""
        if self.subcodes and self.subcodes[0].startswith(f"{{{NS_WSSE}}}"):
            return 500
        return 400 if self.code == "Sender" else 500


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an envelope says. Texts of headers are trimmed, absent ones are None; `body` xor `fault`."""

    action: str | None
    message_id: str | None
    relates_to: tuple[str, ...]
    to: str | None
    reply_to: str | None
    header: _Element | None
    body: _Element | None
    fault: SoapFault | None
    not_understood: tuple[str, ...]
    """Clark names of header blocks that must be understood and are neither WS-Addressing nor WS-Security."""
    repeated: tuple[str, ...] = field(default=())
    """Clark names of WS-Addressing headers that may appear once and appear more often."""

    @property
    def addressed(self) -> bool:
        """True where the sender uses WS-Addressing, in part at least."""
        return self.header is not None and any(
            etree.QName(block).namespace == NS_WSA for block in self.header
        )


def write_envelope(
    body: _Element | bytes,
    *,
    action: str,
    message_id: str | None = None,
    to: str | None = None,
    reply_to: str | None = None,
    relates_to: str | None = None,
    header_blocks: Iterable[HeaderBlock] = (),
    must_understand: bool = True,
) -> bytes:
    """One envelope in UTF-8 around a body element (or its bytes). Headers that are None are left out.

    `must_understand` is for the Action, as IHE asks of every message; False for a peer that knows no
    WS-Addressing.
    """
    flag = ' s:mustUnderstand="1"' if must_understand else ""
    parts = [
        b"<?xml version='1.0' encoding='UTF-8'?>"
        b'<s:Envelope xmlns:s="%b" xmlns:a="%b"><s:Header>' % (NS_SOAP12.encode(), NS_WSA.encode()),
        f"<a:Action{flag}>{escape(action)}</a:Action>".encode(),
    ]
    if message_id is not None:
        parts.append(f"<a:MessageID>{escape(message_id)}</a:MessageID>".encode())
    if relates_to is not None:
        parts.append(f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>".encode())
    if reply_to is not None:
        parts.append(f"<a:ReplyTo><a:Address>{escape(reply_to)}</a:Address></a:ReplyTo>".encode())
    if to is not None:
        parts.append(f"<a:To>{escape(to)}</a:To>".encode())
    parts += [_bytes_of(block) for block in header_blocks]
    parts += [b"</s:Header><s:Body>", _bytes_of(body), b"</s:Body></s:Envelope>"]
    return b"".join(parts)


def _bytes_of(element: _Element | bytes) -> bytes:
    if isinstance(element, bytes):
        return element
    serialised: bytes = etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False)
    return serialised


def write_fault(
    fault: SoapFault,
    *,
    relates_to: str | None = None,
    message_id: str | None = None,
    must_understand: bool = True,
    to: str | None = None,
) -> bytes:
    """An envelope that carries the fault, with the header blocks that its kind asks for."""
    return write_envelope(
        _fault_body(fault),
        action=fault.action,
        message_id=message_id,
        to=to,
        relates_to=relates_to,
        header_blocks=[_qname_element("s:NotUnderstood", name) for name in fault.not_understood]
        + ([_upgrade()] if fault.code == "VersionMismatch" else []),
        must_understand=must_understand,
    )


def _fault_body(fault: SoapFault) -> bytes:
    subcode = ""
    for name in reversed(fault.subcodes):
        namespace, local = _split(name)
        value = f"<s:Value xmlns:f={quoteattr(namespace)}>f:{escape(local)}</s:Value>"
        subcode = f"<s:Subcode>{value}{subcode}</s:Subcode>"
    node = f"<s:Node>{escape(fault.node)}</s:Node>" if fault.node else ""
    detail = ""
    if fault.problem_header is not None:
        namespace, local = _split(fault.problem_header)
        detail = (
            f"<a:ProblemHeaderQName xmlns:f={quoteattr(namespace)}>f:{escape(local)}</a:ProblemHeaderQName>"
        )
    elif fault.problem_action is not None:
        detail = f"<a:ProblemAction><a:Action>{escape(fault.problem_action)}</a:Action></a:ProblemAction>"
    if detail:
        detail = f"<s:Detail>{detail}</s:Detail>"
    return (
        f"<s:Fault><s:Code><s:Value>s:{escape(fault.code)}</s:Value>{subcode}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{escape(fault.reason)}</s:Text></s:Reason>{node}{detail}</s:Fault>'
    ).encode()


def _qname_element(tag: str, name: str) -> bytes:
    namespace, local = _split(name)
    return f'<{tag} xmlns:f={quoteattr(namespace)} qname="f:{escape(local)}"/>'.encode()


def _upgrade() -> bytes:
    return b'<s:Upgrade><s:SupportedEnvelope qname="s:Envelope"/></s:Upgrade>'


def _split(name: str) -> tuple[str, str]:
    qname = etree.QName(name)
    return qname.namespace or "", qname.localname


def read_envelope(root: _Element) -> Envelope:
    """Read an envelope. Raises SoapVersionError, or EnvelopeError where the root is no envelope.

    Text between the elements is ignored. A header addressed to another role is not looked at.
    """
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace != NS_SOAP12:
        if name.localname == "Envelope":
            raise SoapVersionError("the envelope is not one of SOAP 1.2")
        raise EnvelopeError("the XML is not a SOAP envelope")
    header = root.find(f"{{{NS_SOAP12}}}Header")
    body = root.find(f"{{{NS_SOAP12}}}Body")
    if body is None:
        raise EnvelopeError("the envelope has no body")
    if len(body) > 1:
        raise EnvelopeError("the body of the envelope has more than one element")
    content = body[0] if len(body) else None
    fault = _read_fault(content) if content is not None and content.tag == f"{{{NS_SOAP12}}}Fault" else None
    blocks = [] if header is None else [block for block in header if _is_ours(block)]
    singles = {local: _texts(blocks, local) for local in ("Action", "MessageID", "To", "ReplyTo")}
    return Envelope(
        action=_first(singles["Action"]),
        message_id=_first(singles["MessageID"]),
        relates_to=_replies(blocks),
        to=_first(singles["To"]),
        reply_to=_first(singles["ReplyTo"]),
        header=header,
        body=None if fault else content,
        fault=fault,
        not_understood=tuple(str(block.tag) for block in blocks if _is_not_understood(block)),
        repeated=tuple(f"{{{NS_WSA}}}{local}" for local, texts in singles.items() if len(texts) > 1),
    )


def _is_ours(block: _Element) -> bool:
    return (block.get(f"{{{NS_SOAP12}}}role") or "").strip() in _OUR_ROLES


def _is_not_understood(block: _Element) -> bool:
    required = (block.get(f"{{{NS_SOAP12}}}mustUnderstand") or "").strip() in {"1", "true"}
    return required and etree.QName(block).namespace not in _UNDERSTOOD


def _texts(blocks: Iterable[_Element], local: str) -> list[str]:
    found = [block for block in blocks if block.tag == f"{{{NS_WSA}}}{local}"]
    if local == "ReplyTo":
        return [(block.findtext(f"{{{NS_WSA}}}Address") or "").strip() for block in found]
    return [(block.text or "").strip() for block in found]


def _first(texts: Sequence[str]) -> str | None:
    return texts[0] or None if texts else None


def _replies(blocks: Iterable[_Element]) -> tuple[str, ...]:
    return tuple(
        (block.text or "").strip()
        for block in blocks
        if block.tag == f"{{{NS_WSA}}}RelatesTo" and block.get("RelationshipType", REPLY).strip() == REPLY
    )


def _read_fault(element: _Element) -> SoapFault:
    codes: list[str] = []
    holder = element.find(f"{{{NS_SOAP12}}}Code")
    while holder is not None:
        value = holder.find(f"{{{NS_SOAP12}}}Value")
        if value is not None:
            codes.append(_clark(value))
        holder = holder.find(f"{{{NS_SOAP12}}}Subcode")
    reasons = element.findall(f"{{{NS_SOAP12}}}Reason/{{{NS_SOAP12}}}Text")
    lang = "{http://www.w3.org/XML/1998/namespace}lang"
    english = [text for text in reasons if (text.get(lang) or "").lower().startswith("en")]
    chosen = (english or reasons)[:1]
    return SoapFault(
        etree.QName(codes[0]).localname if codes else "Receiver",
        "".join("".join(str(piece) for piece in text.itertext()) for text in chosen).strip(),
        subcodes=codes[1:],
        node=(element.findtext(f"{{{NS_SOAP12}}}Node") or "").strip() or None,
    )


def _clark(value: _Element) -> str:
    """The QName in an element's text with its prefix resolved; a bare name where it cannot be."""
    prefix, _, local = (value.text or "").strip().rpartition(":")
    namespace = value.nsmap.get(prefix or None)
    try:
        return etree.QName(namespace, local or "Receiver").text
    except ValueError:
        return "Receiver"
