"""SubmissionSet and Folder <-> rim:RegistryPackage (ITI TF-3 4.2.3.3 and 4.2.3.4)."""

from collections.abc import Mapping
from typing import Any

from lxml.etree import _Element

from gateway.ebxml import hl7
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import CLASSIFICATION, DESCRIPTION, EXTERNAL_IDENTIFIER, NAME, REGISTRY_PACKAGE, SLOT
from gateway.ebxml.object_reader import (
    localized,
    read_authors,
    read_code,
    read_home,
    read_scheme,
    read_status,
    read_uuid,
    slot_values,
)
from gateway.ebxml.object_writer import ObjectWriter
from gateway.model import Author, Code, Cx, Folder, IntendedRecipient, SubmissionSet, codes

_SLOT_NAMES = {name.lower(): name for name in ("submissionTime", "intendedRecipient", "lastUpdateTime")}
PACKAGE_NODES = frozenset({codes.SS_NODE, codes.FOLDER_NODE})

_UNIQUE_ID_NODES = {codes.SS_UNIQUE_ID: codes.SS_NODE, codes.FOLDER_UNIQUE_ID: codes.FOLDER_NODE}


def package_node(element: _Element, labels: Mapping[str, str]) -> str | None:
    """What a RegistryPackage is: `codes.SS_NODE`, `codes.FOLDER_NODE`, or None where nothing tells.

    The Classification that says so stands inside the package or next to it in the list; `labels` maps the
    ids of packages to the nodes found next to them. Without one, the kind of the uniqueId tells.
    """
    for child in element.iterchildren(CLASSIFICATION):
        node = read_scheme(child.get("classificationNode"))
        if node in PACKAGE_NODES:
            return node
    label = labels.get(element.get("id") or "")
    if label is not None:
        return label
    for child in element.iterchildren(EXTERNAL_IDENTIFIER):
        kind = _UNIQUE_ID_NODES.get(read_scheme(child.get("identificationScheme")))
        if kind is not None:
            return kind
    return None


def package_labels(object_list: _Element) -> dict[str, str]:
    """Nodes of the Classifications that stand next to the packages, by id of the package."""
    return {
        child.get("classifiedObject") or "": node
        for child in object_list.iterchildren(CLASSIFICATION)
        if (node := read_scheme(child.get("classificationNode"))) in PACKAGE_NODES
    }


class _Parts:
    """Children of a RegistryPackage by kind."""

    def __init__(self, element: _Element) -> None:
        self.slots: dict[str, list[str]] = {}
        self.identifiers: dict[str, str] = {}
        self.classifications: list[tuple[str, _Element]] = []
        self.nodes: set[str] = set()
        self.title: str | None = None
        self.comments: str | None = None
        for child in element:
            tag = child.tag
            if tag == SLOT:
                name = (child.get("name") or "").strip()
                self.slots.setdefault(_SLOT_NAMES.get(name.lower(), name), slot_values(child))
            elif tag == CLASSIFICATION:
                self.classifications.append((read_scheme(child.get("classificationScheme")), child))
                self.nodes.add(read_scheme(child.get("classificationNode")))
            elif tag == EXTERNAL_IDENTIFIER:
                value = (child.get("value") or "").strip()
                self.identifiers.setdefault(read_scheme(child.get("identificationScheme")), value)
            elif tag == NAME:
                self.title = localized(child)
            elif tag == DESCRIPTION:
                self.comments = localized(child)

    def first(self, slot: str) -> str | None:
        """First value of a slot that XDS defines, which then is no extra one."""
        values = self.slots.pop(slot, [])
        return values[0] if values else None

    def extra(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return tuple((name, tuple(values)) for name, values in self.slots.items())

    def patient_id(self, scheme: str) -> Cx | None:
        value = self.identifiers.get(scheme)
        return hl7.read_cx(value) if value else None

    def required(self, scheme: str, name: str) -> str:
        value = self.identifiers.get(scheme)
        if not value:
            raise MetadataError("XDSRegistryMetadataError", f"a RegistryPackage has no {name}")
        return value

    def codes_of(self, scheme: str) -> list[Code]:
        return [read_code(child) for name, child in self.classifications if name == scheme]

    def authors_of(self, scheme: str) -> tuple[Author, ...]:
        return tuple(
            author for name, child in self.classifications if name == scheme for author in read_authors(child)
        )


def read_submission_set(element: _Element) -> SubmissionSet:
    """SubmissionSet of a RegistryPackage. Raises MetadataError without uniqueId or sourceId.

    submissionTime is empty where it is missing.
    """
    parts = _Parts(element)
    recipients = parts.slots.pop("intendedRecipient", [])
    content_types = parts.codes_of(codes.SS_CONTENT_TYPE)
    return SubmissionSet(
        entry_uuid=read_uuid(element.get("id")),
        unique_id=parts.required(codes.SS_UNIQUE_ID, "XDSSubmissionSet.uniqueId"),
        source_id=hl7.oid(parts.required(codes.SS_SOURCE_ID, "XDSSubmissionSet.sourceId")),
        submission_time=parts.first("submissionTime") or "",
        patient_id=parts.patient_id(codes.SS_PATIENT_ID),
        content_type=content_types[0] if content_types else None,
        authors=parts.authors_of(codes.SS_AUTHOR),
        intended_recipients=tuple(
            recipient for text in recipients if (recipient := read_recipient(text)) is not None
        ),
        title=parts.title,
        comments=parts.comments,
        status=read_status(element.get("status")),
        home_community_id=read_home(element),
        limited_metadata=codes.SS_LIMITED in parts.nodes,
        extra=parts.extra(),
    )


def write_submission_set(submission_set: SubmissionSet, parent: _Element | None = None) -> _Element:
    """RegistryPackage that its Classification makes a SubmissionSet, appended to `parent` where given."""
    writer = _package(submission_set, parent)
    writer.slot("submissionTime", submission_set.submission_time or None)
    writer.slot("intendedRecipient", *[write_recipient(r) for r in submission_set.intended_recipients])
    writer.extra_slots(submission_set.extra)
    writer.texts(submission_set.title, submission_set.comments)
    writer.node(codes.SS_NODE)
    if submission_set.limited_metadata:
        writer.node(codes.SS_LIMITED)
    for author in submission_set.authors:
        writer.author(codes.SS_AUTHOR, author)
    writer.code(codes.SS_CONTENT_TYPE, submission_set.content_type, "contentTypeCode")
    patient_id = hl7.write_cx(submission_set.patient_id) if submission_set.patient_id else None
    writer.identifier(codes.SS_PATIENT_ID, "XDSSubmissionSet.patientId", patient_id)
    writer.identifier(codes.SS_SOURCE_ID, "XDSSubmissionSet.sourceId", submission_set.source_id)
    writer.identifier(codes.SS_UNIQUE_ID, "XDSSubmissionSet.uniqueId", submission_set.unique_id)
    return writer.element


def read_folder(element: _Element) -> Folder:
    """Folder of a RegistryPackage. Raises MetadataError without uniqueId."""
    parts = _Parts(element)
    return Folder(
        entry_uuid=read_uuid(element.get("id")),
        unique_id=parts.required(codes.FOLDER_UNIQUE_ID, "XDSFolder.uniqueId"),
        patient_id=parts.patient_id(codes.FOLDER_PATIENT_ID),
        code_list=tuple(parts.codes_of(codes.FOLDER_CODE_LIST)),
        last_update_time=parts.first("lastUpdateTime"),
        title=parts.title,
        comments=parts.comments,
        status=read_status(element.get("status")),
        home_community_id=read_home(element),
        limited_metadata=codes.FOLDER_LIMITED in parts.nodes,
        extra=parts.extra(),
    )


def write_folder(folder: Folder, parent: _Element | None = None) -> _Element:
    """RegistryPackage that its Classification makes a Folder, appended to `parent` where given."""
    writer = _package(folder, parent)
    writer.slot("lastUpdateTime", folder.last_update_time)
    writer.extra_slots(folder.extra)
    writer.texts(folder.title, folder.comments)
    writer.node(codes.FOLDER_NODE)
    if folder.limited_metadata:
        writer.node(codes.FOLDER_LIMITED)
    for code in folder.code_list:
        writer.code(codes.FOLDER_CODE_LIST, code, "codeList")
    patient_id = hl7.write_cx(folder.patient_id) if folder.patient_id else None
    writer.identifier(codes.FOLDER_PATIENT_ID, "XDSFolder.patientId", patient_id)
    writer.identifier(codes.FOLDER_UNIQUE_ID, "XDSFolder.uniqueId", folder.unique_id)
    return writer.element


def _package(package: SubmissionSet | Folder, parent: _Element | None) -> ObjectWriter:
    attributes: dict[str, Any] = {
        "home": package.home_community_id,
        "objectType": codes.OBJECT_TYPE_PREFIX + "RegistryPackage",
        "status": package.status.value,
    }
    return ObjectWriter(REGISTRY_PACKAGE, package.entry_uuid, attributes, parent)


def read_recipient(value: str) -> IntendedRecipient | None:
    """intendedRecipient `XON|XCN|XTN`; None where all three are empty."""
    organization, _, rest = value.partition("|")
    person, _, telecom = rest.partition("|")
    recipient = IntendedRecipient(
        organization=hl7.read_xon(organization) if organization.strip("^&") else None,
        person=hl7.read_xcn(person) if person.strip("^&") else None,
        telecom=hl7.read_xtn(telecom) if telecom else None,
    )
    return None if recipient == IntendedRecipient() else recipient


def write_recipient(recipient: IntendedRecipient) -> str:
    """intendedRecipient without empty trailing parts."""
    parts = (
        hl7.write_xon(recipient.organization) if recipient.organization else "",
        hl7.write_xcn(recipient.person) if recipient.person else "",
        hl7.write_xtn(recipient.telecom) if recipient.telecom else "",
    )
    return "|".join(parts).rstrip("|")
