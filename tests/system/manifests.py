"""Manifests in a running stack: published by clients, and registered as older sources do it."""

import uuid
from hashlib import sha1
from typing import Any

from gateway.clients.repository import OutgoingDocument
from gateway.demo.samples import SampleCode, SampleDocument, SamplePatient
from gateway.model import Association, Code, Cx, DocumentEntry, Submission, SubmissionSet, codes
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.wiring.peers import document_repositories

from .documents import a_document
from .stack import Stack

LOINC = "2.16.840.1.113883.6.1"
FHIR_JSON, FHIR_XML, DICOM = "application/fhir+json", "application/fhir+xml", "application/dicom"
KOS_FORMAT = SampleCode(
    "http://dicom.nema.org/resources/ontology/DCMUID", "1.2.840.10008.5.1.4.1.1.88.59", "KOS"
)
FHIR_FORMAT = SampleCode(
    "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
    "urn:ihe:rad:MADO:fhir-manifest:2026",
    "MADO FHIR manifest",
)
STUDY_TYPE = SampleCode("http://loinc.org", "18748-4", "Diagnostic imaging study")


def manifest_document(content: bytes, unique_id: str, **changes: Any) -> SampleDocument:
    """A manifest as a client publishes it, which says nothing of modality, study and numbers by itself."""
    values: dict[str, Any] = {
        "content": content,
        "unique_id": unique_id,
        "content_type": DICOM,
        "format": KOS_FORMAT,
        "type": STUDY_TYPE,
        "title": "Images",
        "creation": "2024-03-10T07:25:00Z",
        **changes,
    }
    return a_document(**values)


def legacy_entry(patient: SamplePatient, content: bytes, unique_id: str, **changes: Any) -> DocumentEntry:
    """The entry of a manifest as XDS-I.b sources before MADO make it: no eventCodeList, no referenceIdList."""
    values: dict[str, Any] = {
        "entry_uuid": f"urn:uuid:{uuid.uuid4()}",
        "unique_id": unique_id,
        "patient_id": Cx(patient.id, patient.authority),
        "source_patient_id": Cx(patient.id, patient.authority),
        "mime_type": DICOM,
        "format_code": Code("1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.2.6.1", "KOS"),
        "class_code": Code("IMAGES", "2.999.1.1", "Images"),
        "type_code": Code("18748-4", LOINC, "Diagnostic imaging study"),
        "facility_type": Code("HOSP", "2.999.1.2", "Hospital"),
        "practice_setting": Code("RAD", "2.999.1.3", "Radiology"),
        "confidentiality": (Code("N", "2.16.840.1.113883.5.25", "normal"),),
        "language": "en",
        "creation_time": "20240310072500",
        "hash": sha1(content, usedforsecurity=False).hexdigest(),
        "size": len(content),
        **changes,
    }
    return DocumentEntry(**values)


async def register(stack: Stack, *documents: tuple[DocumentEntry, bytes], relations: Any = ()) -> None:
    """Store documents by ITI-41, past the gateway. `relations` are (type, source, target) by entryUUID."""
    entries = [entry for entry, _ in documents]
    submission_set = SubmissionSet(
        entry_uuid=f"urn:uuid:{uuid.uuid4()}",
        unique_id=f"2.25.{uuid.uuid4().int}",
        source_id="2.999.3.9",
        submission_time="20240310080000",
        patient_id=entries[0].patient_id,
        content_type=Code("34133-9", LOINC, "Summary"),
    )
    associations = [
        Association(
            entry_uuid=f"urn:uuid:{uuid.uuid4()}",
            type=codes.HAS_MEMBER,
            source=submission_set.entry_uuid,
            target=entry.entry_uuid,
            submission_set_status="Original",
        )
        for entry in entries
    ]
    associations += [
        Association(entry_uuid=f"urn:uuid:{uuid.uuid4()}", type=kind, source=source, target=target)
        for kind, source, target in relations
    ]
    submission = Submission(
        submission_set=submission_set, entries=tuple(entries), associations=tuple(associations)
    )
    outgoing = [OutgoingDocument(entry.entry_uuid, entry.mime_type, content) for entry, content in documents]
    async with SoapClient(load_contract()) as soap:
        (repository,) = document_repositories(stack.settings, soap).values()
        answer = await repository.provide_and_register(submission, outgoing)
    assert not answer.errors
