"""The wrapper around a message of patient discovery: who sends what to whom (MCCI; ITI TF-2 Appendix O)."""

from typing import Any, Final

from lxml.etree import Element, _Element

from gateway.hl7v3.datatypes import add, add_id, attribute, checked_time, child, read_id, tag
from gateway.hl7v3.errors import Hl7v3Error
from gateway.model.codes import HL7_INTERACTIONS, NS_HL7V3, NS_XSI
from gateway.model.identity import MessageHead, Party
from gateway.model.oids import bare_oid, is_oid

REQUEST: Final = "PRPA_IN201305UV02"
RESPONSE: Final = "PRPA_IN201306UV02"
_PREFIXES: Final[Any] = {None: NS_HL7V3, "xsi": NS_XSI}
_PROCESSING: Final = frozenset({"P", "T", "D"})


def start_message(interaction: str, head: MessageHead, acknowledge: str) -> _Element:
    """The root with everything as far as the sender. Raises Hl7v3Error."""
    if head.processing not in _PROCESSING:
        raise Hl7v3Error("processingCode must be P, T or D")
    root = Element(tag(interaction), ITSVersion="XML_1.0", nsmap=_PREFIXES)
    add_id(root, "id", head.message_id)
    add(root, "creationTime", value=checked_time("creationTime", head.created))
    add(root, "interactionId", root=HL7_INTERACTIONS, extension=interaction)
    add(root, "processingCode", code=head.processing)
    add(root, "processingModeCode", code="T")
    add(root, "acceptAckCode", code=acknowledge)
    _add_party(add(root, "receiver", typeCode="RCV"), head.receiver)
    _add_party(add(root, "sender", typeCode="SND"), head.sender)
    return root


def _add_party(parent: _Element, party: Party) -> None:
    device = add(parent, "device", classCode="DEV", determinerCode="INSTANCE")
    add_id(device, "id", party.device)
    if party.home_community_id is not None:
        agent = add(device, "asAgent", classCode="AGNT")
        organization = add(agent, "representedOrganization", classCode="ORG", determinerCode="INSTANCE")
        add_id(organization, "id", bare_oid(party.home_community_id))


def read_head(root: _Element, interaction: str, query_id: str | None) -> MessageHead:
    """What a message says of itself. Raises Hl7v3Error for another message, and where an id is missing."""
    if root.tag != tag(interaction):
        raise Hl7v3Error(f"the message is no {interaction} of {NS_HL7V3}")
    message_id = read_id(child(root, "id"))
    if message_id is None:
        raise Hl7v3Error(f"{interaction}/id has no root")
    if query_id is None:
        raise Hl7v3Error(f"{interaction} has no queryId with a root")
    return MessageHead(
        message_id=message_id,
        created=attribute(child(root, "creationTime"), "value") or "",
        sender=_read_party(child(root, "sender", "device")),
        receiver=_read_party(child(root, "receiver", "device")),
        query_id=query_id,
        processing=attribute(child(root, "processingCode"), "code") or "P",
    )


def _read_party(device: _Element | None) -> Party:
    home = attribute(child(device, "asAgent", "representedOrganization", "id"), "root")
    bare = bare_oid(home) if home else ""
    return Party(read_id(child(device, "id")) or "", f"urn:oid:{bare}" if is_oid(bare) else None)
