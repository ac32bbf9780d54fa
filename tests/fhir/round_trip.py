"""A publish with everything that is mapped, and its way to the registry and back."""

import copy
from typing import Any, NamedTuple

from gateway.ebxml.submissions import read_provide_and_register, write_provide_and_register
from gateway.fhir.document_reference import write_document_reference
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.mhd.members import DOCUMENT as DOCUMENT_REFERENCE
from gateway.mhd.members import LIST, members_of
from gateway.model import codes
from tests.ebxml.wire import over_the_wire
from tests.fhir import provide_samples as samples
from tests.fhir.contexts import write_context
from tests.fhir.provide_samples import OLD, concept, identifier, urn

SET, DOCUMENT, FOLDER = 0, 1, 3
"""Positions in the Bundle."""


def _id(system: str, value: str) -> list[dict[str, Any]]:
    return [{"system": system, "value": value}]


def _people() -> list[dict[str, Any]]:
    return [
        {
            "resourceType": "Practitioner",
            "id": "a",
            "identifier": _id("urn:oid:2.999.4", "17"),
            "name": [{"family": "Welby", "given": ["Marcus", "M."], "prefix": ["Dr"], "suffix": ["Jr"]}],
            "telecom": [{"system": "phone", "value": "1", "use": "work"}],
        },
        {
            "resourceType": "PractitionerRole",
            "id": "r",
            "practitioner": {"reference": "#a"},
            "organization": {"reference": "#o"},
            "code": [concept("1", "http://snomed.info/sct")],
            "specialty": [{"text": "Specialty"}],
            "telecom": [{"system": "email", "value": "a@b.example"}],
        },
        {
            "resourceType": "Organization",
            "id": "o",
            "identifier": _id("urn:ietf:rfc:3986", "urn:oid:2.999.5"),
            "name": "Clinic",
        },
        {
            "resourceType": "Organization",
            "id": "o2",
            "name": "House",
            "telecom": [{"system": "phone", "value": "3"}],
        },
    ]


def _patient() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "p",
        "identifier": _id("urn:oid:2.999.3", "MRN1"),
        "name": [{"family": "Muster", "given": ["Maria"], "prefix": ["Dr"], "suffix": ["Jr"]}],
        "gender": "female",
        "birthDate": "1961-02-03",
        "address": [
            {"line": ["Gasse 1", "2"], "city": "Wien", "state": "W", "postalCode": "1010", "country": "AT"}
        ],
    }


def _home() -> dict[str, Any]:
    return {"url": codes.EXT_HOME_COMMUNITY, "valueOid": "urn:oid:2.999.50"}


def full_bundle() -> dict[str, Any]:
    """SubmissionSet, document, Binary and Folder, each with every element that has a place in XDS."""
    made = samples.with_folder(b"content")
    submission_set, document, folder = (made["entry"][n]["resource"] for n in (SET, DOCUMENT, FOLDER))
    _fill_document(document)
    for number, resource in ((78, submission_set), (79, folder)):
        resource["identifier"].append(identifier("entryUUID", urn(number)))
        resource["extension"].append(_home())
        resource["title"] = "Title"
        resource["note"] = [{"text": "Note"}]
    submission_set["contained"] = _people()
    submission_set["source"] = {
        "reference": "#r",
        "extension": [{"url": codes.EXT_AUTHOR_ORG, "valueReference": {"reference": "#o2"}}],
    }
    submission_set["contained"].append(
        {"resourceType": "Practitioner", "id": "i", "name": [{"family": "Kim"}]}
    )
    submission_set["extension"].append(
        {"url": codes.EXT_INTENDED_RECIPIENT, "valueReference": {"reference": "#i"}}
    )
    return made


def _fill_document(document: dict[str, Any]) -> None:
    document["extension"] = [_home()]
    document["identifier"] = [
        identifier("uniqueId", document["masterIdentifier"]["value"]),
        identifier("entryUUID", urn(77)),
    ]
    legal = {"resourceType": "Practitioner", "id": "l", "name": [{"family": "Legal"}]}
    document["contained"] = [_patient(), *_people(), legal]
    document["author"] = [{"reference": "#r"}, {"reference": "#o2"}]
    document["authenticator"] = {"reference": "#l"}
    document["description"] = "Description"
    document["relatesTo"] = [{"code": "appends", "target": {"reference": f"DocumentReference/{OLD}"}}]
    document["content"][0]["attachment"]["title"] = "Title"
    accession = {"coding": [{"system": codes.URI_SYSTEM, "code": codes.REFERENCE_ACCESSION}]}
    document["context"] |= {
        "event": [concept("1-8")],
        "period": {"start": "2020-01-01", "end": "2020-01-02T03:04:05Z"},
        "related": [{"identifier": {"type": accession, "system": "urn:oid:2.999.7", "value": "A1"}}],
        "encounter": [{"identifier": {"system": "urn:oid:2.999.8", "value": "E1"}}],
    }


class Returned(NamedTuple):
    """SubmissionSet, document and Folder as a search shows them, and what the publish was told."""

    resources: dict[int, dict[str, Any]]
    said: tuple[str, ...]


def sent_and_found(bundle: dict[str, Any]) -> Returned:
    """Read the Bundle, send it as ITI-41, and write what the registry then holds. Raises OutcomeError."""
    provided = samples.read(bundle)
    content_ids = {document.entry_uuid: "content@gateway" for document in provided.documents}
    message = over_the_wire(write_provide_and_register(provided.submission, content_ids))
    stored = read_provide_and_register(message).submission
    (entry,), (folder,) = stored.entries, stored.folders
    warnings: list[Any] = []
    context = write_context(warnings=warnings)
    relations = [a for a in stored.associations if a.type in codes.DOCUMENT_RELATIONS]
    kinds = {entry.entry_uuid: DOCUMENT_REFERENCE, folder.entry_uuid: LIST}
    in_set, in_folder = (
        members_of(owner.entry_uuid, stored.associations, kinds) for owner in (stored.submission_set, folder)
    )
    resources = {
        SET: write_submission_set_list(stored.submission_set, in_set, context),
        DOCUMENT: write_document_reference(entry, context, relations),
        FOLDER: write_folder_list(folder, in_folder, context),
    }
    assert warnings == [], "what can be published can be shown"
    return Returned(resources, tuple(issue.expression or "" for issue in provided.warnings))


def with_resource(bundle: dict[str, Any], position: int, resource: dict[str, Any]) -> dict[str, Any]:
    """The Bundle with another resource at this position."""
    made = copy.deepcopy(bundle)
    made["entry"][position]["resource"] = resource
    return made
