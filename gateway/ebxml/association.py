"""Association <-> rim:Association (ITI TF-3 4.2.2 and 4.2.1.3)."""

from typing import Any

from lxml.etree import _Element

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import ASSOCIATION, CLASSIFICATION, SLOT
from gateway.ebxml.object_reader import read_code, read_home, read_scheme, read_status, read_uuid, slot_values
from gateway.ebxml.object_writer import ObjectWriter
from gateway.model import Association, codes

_BY_TOKEN = {
    urn.rpartition(":")[2].lower(): urn
    for urn in (
        codes.HAS_MEMBER,
        *codes.DOCUMENT_RELATIONS,
        codes.UPDATE_AVAILABILITY_STATUS,
        codes.SUBMIT_ASSOCIATION,
    )
}


def read_association_type(text: str) -> str:
    """The URN of a type that is known by its last token, in whatever case and whichever URN it stands.

    XDS.a wrote the token alone (`HasMember`); peers mix up the URNs of OASIS, IHE 2007 and IHE 2010.
    """
    stripped = text.strip()
    prefix, _, token = stripped.lower().rpartition(":")
    known = _BY_TOKEN.get(token)
    return known if known and (not prefix or prefix.endswith(":associationtype")) else stripped


def read_association(element: _Element) -> Association:
    """Association.

    Raises MetadataError where type, source or target are missing.
    """
    submission_set_status: str | None = None
    documentation = None
    extra: list[tuple[str, tuple[str, ...]]] = []
    for child in element:
        tag = child.tag
        if tag == SLOT:
            name = child.get("name") or ""
            values = slot_values(child)
            if name != "SubmissionSetStatus":
                extra.append((name, tuple(values)))
            elif values:
                submission_set_status = values[0]
        elif (
            tag == CLASSIFICATION
            and read_scheme(child.get("classificationScheme")) == codes.ASSOCIATION_DOCUMENTATION
        ):
            documentation = read_code(child)
    association_type = read_association_type(element.get("associationType") or "")
    source = read_uuid(element.get("sourceObject"))
    target = read_uuid(element.get("targetObject"))
    if not (association_type and source and target):
        raise MetadataError(
            "XDSRegistryMetadataError", "an Association lacks associationType, sourceObject or targetObject"
        )
    return Association(
        entry_uuid=read_uuid(element.get("id")),
        type=association_type,
        source=source,
        target=target,
        submission_set_status=submission_set_status,
        documentation=documentation,
        status=read_status(element.get("status")),
        home_community_id=read_home(element),
        extra=tuple(extra),
    )


def write_association(association: Association, parent: _Element | None = None) -> _Element:
    """Association with its status, SubmissionSetStatus and reason, appended to `parent` where given."""
    attributes: dict[str, Any] = {
        "home": association.home_community_id,
        "objectType": codes.OBJECT_TYPE_PREFIX + "Association",
        "status": association.status.value,
        "associationType": association.type,
        "sourceObject": association.source,
        "targetObject": association.target,
    }
    writer = ObjectWriter(ASSOCIATION, association.entry_uuid, attributes, parent)
    writer.slot("SubmissionSetStatus", association.submission_set_status)
    writer.extra_slots(association.extra)
    writer.code(codes.ASSOCIATION_DOCUMENTATION, association.documentation, "association documentation")
    return writer.element
