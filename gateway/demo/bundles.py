"""Provide Document Bundle requests (ITI-65, Comprehensive profile of IHE MHD 4.2.4) of sample documents."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from gateway.demo.samples import (
    LOINC,
    SOURCE_ID,
    STAFF_AUTHORITY,
    IdSource,
    SampleAuthor,
    SampleCode,
    SampleDocument,
    SampleFolder,
    SamplePatient,
    unique_id_identifier,
)
from gateway.model import codes

CONTENT_TYPE = SampleCode(LOINC, "34133-9", "Summary of episode note")

Resource = dict[str, Any]


def provide_bundle(
    documents: Sequence[SampleDocument],
    *,
    patient: SamplePatient,
    folder: SampleFolder | None = None,
    replaces: str | None = None,
    relates_to: Sequence[tuple[str, str]] = (),
    submitted: str = "2026-01-02T03:04:05Z",
    title: str | None = None,
    seed: str | None = None,
) -> Resource:
    """A transaction Bundle that publishes `documents` of one patient with one SubmissionSet.

    `replaces` is a reference (`DocumentReference/<id>`) to what the first document replaces; `relates_to`
    has further pairs of code and reference for it. `folder` is created and holds all documents.
    `submitted` is an instant. The same arguments give the same Bundle; another `seed` (by default made of
    the uniqueIds) gives the SubmissionSet another identity.
    """
    ids = IdSource(seed or " ".join([*(d.unique_id for d in documents), replaces or ""]))
    relations = [*relates_to, *([("replaces", replaces)] if replaces else [])]
    references = [ids.uuid() for _ in documents]
    binaries = [ids.uuid() for _ in documents]
    folder_url = ids.uuid()
    items = [*references, *([folder_url] if folder else [])]
    entries = [_entry(ids.uuid(), "List", _submission_set(ids.oid(8), patient, items, submitted, title))]
    for number, document in enumerate(documents):
        related = relations if number == 0 else []
        resource = _document_reference(document, patient, binaries[number], related)
        entries.append(_entry(references[number], "DocumentReference", resource))
    if folder:
        entries.append(_entry(folder_url, "List", _folder(folder, patient, references)))
    if replaces:
        entries.append(_supersede(ids.uuid(), replaces))
    entries += [
        _entry(url, "Binary", _binary(document)) for document, url in zip(documents, binaries, strict=True)
    ]
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [codes.PROFILE_COMPREHENSIVE_BUNDLE]},
        "type": "transaction",
        "entry": entries,
    }


def _entry(full_url: str, url: str, resource: Resource) -> Resource:
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": url}}


def _supersede(full_url: str, target: str) -> Resource:
    operation = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "DocumentReference.status"},
        {"name": "value", "valueCode": "superseded"},
    ]
    return {
        "fullUrl": full_url,
        "resource": {
            "resourceType": "Parameters",
            "parameter": [{"name": "operation", "part": operation}],
        },
        "request": {"method": "PATCH", "url": target},
    }


def _subject(patient: SamplePatient) -> Resource:
    return {"type": "Patient", "identifier": patient.identifier}


def _designation(code: SampleCode) -> Resource:
    return {"url": codes.EXT_DESIGNATION_TYPE, "valueCodeableConcept": code.concept()}


def _list_code(kind: str) -> Resource:
    return {"coding": [{"system": codes.MHD_LIST_TYPES, "code": kind}]}


def _submission_set(
    unique_id: str, patient: SamplePatient, items: Sequence[str], submitted: str, title: str | None
) -> Resource:
    source = {"system": codes.URI_SYSTEM, "value": f"urn:oid:{SOURCE_ID}"}
    made: Resource = {
        "resourceType": "List",
        "contained": [
            {
                "resourceType": "Practitioner",
                "id": "submitter",
                "identifier": [{"system": f"urn:oid:{STAFF_AUTHORITY}", "value": "S-300"}],
                "name": [{"family": "Submitter", "given": ["Sam"]}],
            }
        ],
        "extension": [
            {"url": codes.EXT_SOURCE_ID, "valueIdentifier": source},
            _designation(CONTENT_TYPE),
        ],
        "identifier": [unique_id_identifier(unique_id)],
        "status": "current",
        "mode": "working",
        "code": _list_code("submissionset"),
        "subject": _subject(patient),
        "date": submitted,
        "source": {"reference": "#submitter"},
        "entry": [{"item": {"reference": item}} for item in items],
    }
    if title:
        made["title"] = title
    return made


def _folder(folder: SampleFolder, patient: SamplePatient, items: Sequence[str]) -> Resource:
    return {
        "resourceType": "List",
        "extension": [_designation(folder.code)],
        "identifier": [unique_id_identifier(folder.unique_id)],
        "status": "current",
        "mode": "working",
        "title": folder.title,
        "code": _list_code("folder"),
        "subject": _subject(patient),
        "entry": [{"item": {"reference": item}} for item in items],
    }


def _document_reference(
    document: SampleDocument,
    patient: SamplePatient,
    binary: str,
    relations: Sequence[tuple[str, str]],
) -> Resource:
    authors, contained = _authors(document.authors)
    made: Resource = {
        "resourceType": "DocumentReference",
        "contained": [patient.resource("patient"), *contained],
        "masterIdentifier": document.identifier,
        "status": "current",
        "type": document.type.concept(),
        "category": [document.category.concept()],
        "subject": _subject(patient),
        "author": authors,
        "relatesTo": [{"code": code, "target": {"reference": target}} for code, target in relations],
        "description": document.description,
        "securityLabel": [label.concept() for label in document.security_labels],
        "content": [
            {
                "attachment": {
                    "contentType": document.content_type,
                    "language": document.language,
                    "url": binary,
                    "size": len(document.content),
                    "hash": document.hash,
                    "title": document.title,
                    "creation": document.creation,
                },
                "format": document.format.coding(),
            }
        ],
        "context": _context(document),
    }
    return {name: value for name, value in made.items() if value not in (None, [])}


def _context(document: SampleDocument) -> Resource:
    made: Resource = {
        "event": [event.concept() for event in document.events],
        "period": dict(zip(("start", "end"), document.period, strict=True)) if document.period else None,
        "facilityType": document.facility.concept(),
        "practiceSetting": document.setting.concept(),
        "sourcePatientInfo": {"reference": "#patient"},
        "related": [{"identifier": reference.identifier} for reference in document.reference_ids],
    }
    return {name: value for name, value in made.items() if value not in (None, [])}


def _authors(authors: Sequence[SampleAuthor]) -> tuple[list[Resource], list[Resource]]:
    """References to the authors, and the contained resources that they lead to."""
    references: list[Resource] = []
    contained: list[Resource] = []
    for number, author in enumerate(authors, start=1):
        parts: Resource = {}
        if author.family or author.given:
            parts["practitioner"] = _practitioner(author, f"practitioner{number}")
        if author.organization:
            parts["organization"] = {
                "resourceType": "Organization",
                "id": f"organization{number}",
                "identifier": [{"system": codes.URI_SYSTEM, "value": f"urn:oid:{author.organization_id}"}],
                "name": author.organization,
            }
        contained += parts.values()
        target = next(iter(parts.values()))["id"]
        if len(parts) > 1 or author.role or author.specialty:
            target = f"role{number}"
            links = {name: {"reference": f"#{part['id']}"} for name, part in parts.items()}
            contained.append(_role(author, target, links))
        references.append({"reference": f"#{target}"})
    return references, contained


def _practitioner(author: SampleAuthor, resource_id: str) -> Resource:
    name: Resource = {"family": author.family, "given": [author.given] if author.given else None}
    made: Resource = {
        "resourceType": "Practitioner",
        "id": resource_id,
        "name": [{part: value for part, value in name.items() if value}],
    }
    if author.staff_id:
        made["identifier"] = [{"system": f"urn:oid:{STAFF_AUTHORITY}", "value": author.staff_id}]
    return made


def _role(author: SampleAuthor, resource_id: str, links: Resource) -> Resource:
    made: Resource = {"resourceType": "PractitionerRole", "id": resource_id, **links}
    if author.role:
        made["code"] = [author.role.concept()]
    if author.specialty:
        made["specialty"] = [author.specialty.concept()]
    return made


def _binary(document: SampleDocument) -> Resource:
    return {
        "resourceType": "Binary",
        "contentType": document.content_type,
        "data": b64encode(document.content).decode(),
    }
