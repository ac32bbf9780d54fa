"""DocumentEntry <-> rim:ExtrinsicObject (ITI TF-3 4.2.3.2; places of the attributes: Table 4.2.3.2-1)."""

from collections.abc import Callable
from typing import Any

from lxml.etree import _Element

from gateway.ebxml import hl7
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    CLASSIFICATION,
    DESCRIPTION,
    EXTERNAL_IDENTIFIER,
    EXTRINSIC_OBJECT,
    NAME,
    SLOT,
    VERSION_INFO,
)
from gateway.ebxml.object_reader import (
    localized,
    read_authors,
    read_code,
    read_home,
    read_scheme,
    read_status,
    read_uuid,
    slot_value,
    slot_values,
)
from gateway.ebxml.object_writer import ObjectWriter
from gateway.ebxml.patient_info import read_patient_info, write_patient_info
from gateway.model import Author, Code, DocumentEntry, codes


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise MetadataError("XDSRegistryMetadataError", "slot size of a DocumentEntry is not a whole number")
    return int(text)


SINGLE_SLOTS: dict[str | None, tuple[str, Callable[[str], Any] | None]] = {
    "creationTime": ("creation_time", None),
    "serviceStartTime": ("service_start_time", None),
    "serviceStopTime": ("service_stop_time", None),
    "languageCode": ("language", None),
    "hash": ("hash", str.lower),
    "size": ("size", _size),
    "repositoryUniqueId": ("repository_unique_id", hl7.oid),
    "sourcePatientId": ("source_patient_id", hl7.read_cx),
    "legalAuthenticator": ("legal_authenticator", hl7.read_xcn),
    "URI": ("uri", None),
    "documentAvailability": ("document_availability", None),
}

_LIST_SLOTS: dict[str | None, tuple[str, Callable[[tuple[str, ...]], Any]]] = {
    "sourcePatientInfo": ("source_patient_info", read_patient_info),
    codes.REFERENCE_ID_LIST_SLOT: (
        "reference_ids",
        lambda values: tuple([hl7.read_reference_id(value) for value in values]),
    ),
}

_SLOT_NAMES = {name.lower(): name for name in (*SINGLE_SLOTS, *_LIST_SLOTS) if name}
"""Names by lower case: peers write `repositoryUniqueID` and the like."""

SINGLE_CODES: dict[str | None, str] = {
    codes.DE_CLASS: "class_code",
    codes.DE_TYPE: "type_code",
    codes.DE_FORMAT: "format_code",
    codes.DE_FACILITY: "facility_type",
    codes.DE_PRACTICE_SETTING: "practice_setting",
}


def read_document_entry(element: _Element) -> DocumentEntry:
    """DocumentEntry of an ExtrinsicObject, in whatever order its children stand.

    A single-valued attribute that occurs twice is read at its first place; slots that XDS does not define
    go to `extra`, classifications and identifiers of other schemes are passed over. Raises MetadataError
    where entryUUID or uniqueId are missing or the size is no number.
    """
    fields: dict[str, Any] = {}
    authors: list[Author] = []
    confidentiality: list[Code] = []
    event_codes: list[Code] = []
    extra: list[tuple[str, tuple[str, ...]]] = []
    for child in element:
        tag = child.tag
        if tag == SLOT:
            _read_slot(child, fields, extra)
        elif tag == CLASSIFICATION:
            scheme = read_scheme(child.get("classificationScheme"))
            field = SINGLE_CODES.get(scheme)
            if field is not None:
                fields.setdefault(field, read_code(child))
            elif scheme == codes.DE_AUTHOR:
                authors.extend(read_authors(child))
            elif scheme == codes.DE_CONFIDENTIALITY:
                confidentiality.append(read_code(child))
            elif scheme == codes.DE_EVENT:
                event_codes.append(read_code(child))
            elif read_scheme(child.get("classificationNode")) == codes.DE_LIMITED:
                fields["limited_metadata"] = True
        elif tag == EXTERNAL_IDENTIFIER:
            scheme = read_scheme(child.get("identificationScheme"))
            if scheme == codes.DE_UNIQUE_ID:
                fields["unique_id"] = (child.get("value") or "").strip()
            elif scheme == codes.DE_PATIENT_ID and (value := (child.get("value") or "").strip()):
                fields["patient_id"] = hl7.read_cx(value)
        elif tag == NAME:
            fields["title"] = localized(child)
        elif tag == DESCRIPTION:
            fields["comments"] = localized(child)
        elif tag == VERSION_INFO:
            fields["version"] = child.get("versionName")
    entry_uuid = read_uuid(element.get("id"))
    if not entry_uuid or not fields.get("unique_id"):
        missing = "uniqueId" if entry_uuid else "entryUUID"
        raise MetadataError("XDSRegistryMetadataError", f"an ExtrinsicObject has no {missing}")
    return DocumentEntry(
        entry_uuid=entry_uuid,
        object_type=read_scheme(element.get("objectType")) or codes.STABLE_DOCUMENT,
        status=read_status(element.get("status")),
        mime_type=(element.get("mimeType") or "").strip(),
        home_community_id=read_home(element),
        logical_id=read_uuid(element.get("lid")) or None,
        authors=tuple(authors),
        confidentiality=tuple(confidentiality),
        event_codes=tuple(event_codes),
        extra=tuple(extra),
        **fields,
    )


def _read_slot(slot: _Element, fields: dict[str, Any], extra: list[tuple[str, tuple[str, ...]]]) -> None:
    name = slot.get("name")
    single = SINGLE_SLOTS.get(name)
    if single is not None:
        field, convert = single
        value = slot_value(slot)
        if value is not None and field not in fields:
            fields[field] = value if convert is None else convert(value)
        return
    values = tuple(slot_values(slot))
    several = _LIST_SLOTS.get(name)
    if several is None:
        known = _SLOT_NAMES.get((name or "").strip().lower())
        if known is not None and known != name:
            slot.set("name", known)
            _read_slot(slot, fields, extra)
            return
        extra.append((name or "", values))
    elif values and several[0] not in fields:
        fields[several[0]] = several[1](values)


def write_document_entry(entry: DocumentEntry, parent: _Element | None = None) -> _Element:
    """ExtrinsicObject, appended to `parent` where given.

    Raises MetadataError where a value is longer than ebRIM allows.
    """
    writer = ObjectWriter(
        EXTRINSIC_OBJECT,
        entry.entry_uuid,
        {
            "home": entry.home_community_id,
            "lid": entry.logical_id,
            "objectType": entry.object_type,
            "status": entry.status.value,
            "mimeType": entry.mime_type or None,
        },
        parent,
    )
    _write_slots(writer, entry)
    writer.texts(entry.title, entry.comments, entry.version)
    for author in entry.authors:
        writer.author(codes.DE_AUTHOR, author)
    writer.code(codes.DE_CLASS, entry.class_code, "classCode")
    for code in entry.confidentiality:
        writer.code(codes.DE_CONFIDENTIALITY, code, "confidentialityCode")
    for code in entry.event_codes:
        writer.code(codes.DE_EVENT, code, "eventCodeList")
    writer.code(codes.DE_FORMAT, entry.format_code, "formatCode")
    writer.code(codes.DE_FACILITY, entry.facility_type, "healthcareFacilityTypeCode")
    writer.code(codes.DE_PRACTICE_SETTING, entry.practice_setting, "practiceSettingCode")
    writer.code(codes.DE_TYPE, entry.type_code, "typeCode")
    if entry.limited_metadata:
        writer.node(codes.DE_LIMITED)
    patient_id = hl7.write_cx(entry.patient_id) if entry.patient_id else None
    writer.identifier(codes.DE_PATIENT_ID, "XDSDocumentEntry.patientId", patient_id)
    writer.identifier(codes.DE_UNIQUE_ID, "XDSDocumentEntry.uniqueId", entry.unique_id)
    return writer.element


def _write_slots(writer: ObjectWriter, entry: DocumentEntry) -> None:
    writer.slot("creationTime", entry.creation_time)
    writer.slot("documentAvailability", entry.document_availability)
    writer.slot("hash", entry.hash)
    writer.slot("languageCode", entry.language)
    authenticator = entry.legal_authenticator
    writer.slot("legalAuthenticator", hl7.write_xcn(authenticator) if authenticator else None)
    writer.slot(
        codes.REFERENCE_ID_LIST_SLOT, *[hl7.write_reference_id(value) for value in entry.reference_ids]
    )
    writer.slot("repositoryUniqueId", entry.repository_unique_id)
    writer.slot("serviceStartTime", entry.service_start_time)
    writer.slot("serviceStopTime", entry.service_stop_time)
    writer.slot("size", str(entry.size) if entry.size is not None else None)
    source_id = entry.source_patient_id
    writer.slot("sourcePatientId", hl7.write_cx(source_id) if source_id else None)
    if entry.source_patient_info:
        writer.slot("sourcePatientInfo", *write_patient_info(entry.source_patient_info))
    writer.slot("URI", entry.uri)
    writer.extra_slots(entry.extra)
