"""Provide Document Bundles that keep every rule, made afresh for each test to change."""

import base64
import hashlib
from dataclasses import replace

import orjson

from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle import read_provide_bundle
from gateway.fhir.provide_bundle_folders import FolderState
from gateway.fhir.provide_context import ProvideContext
from gateway.fhir.terminology import Terminology
from gateway.model import Cx, codes

BASE = "https://gateway.example/fhir"
PATIENT = Cx("P1", "2.999.2")
OTHER_PATIENT = Cx("P2", "2.999.2")
OLD = "7b0c6e0a-0000-4000-8000-0000000000aa"
OLDER = "7b0c6e0a-0000-4000-8000-0000000000bb"
FOLDER_ID = "7b0c6e0a-0000-4000-8000-0000000000ff"


def urn(number):
    return f"urn:uuid:1f0a1f0a-0000-4000-8000-{number:012d}"


def context(**changes):
    patients = {"Patient/9": PATIENT, f"{BASE}/Patient/9": PATIENT, "Patient/8": OTHER_PATIENT}
    made = ProvideContext(
        terminology=Terminology({}, {"https://ids.example/patients": "2.999.2"}),
        base_url=BASE,
        patient_of=patients.get,
        patient_reference=lambda patient: {"reference": f"Patient/of-{patient.id}"},
        document_url=lambda entry: f"{BASE}/content/{entry.repository_unique_id}/{entry.unique_id}",
        repository_unique_id="2.999.10",
    )
    return replace(made, **changes)


EMPTY_FOLDER = {f"urn:uuid:{FOLDER_ID}": FolderState(frozenset(), "20260102030405")}


def read(bundle, folders=EMPTY_FOLDER, **changes):
    """The Bundle (JSON value or bytes) as submission."""
    raw = bundle if isinstance(bundle, bytes) else orjson.dumps(bundle)
    return read_provide_bundle(raw, context(**changes), folders=folders)


def refusal(bundle, **changes):
    """The OutcomeError that the Bundle ends with."""
    try:
        read(bundle, **changes)
    except OutcomeError as error:
        return error
    raise AssertionError("the Bundle was accepted")


def concept(code, system="http://loinc.org"):
    return {"coding": [{"system": system, "code": code, "display": f"Display of {code}"}]}


def identifier(role, value):
    return {
        "type": {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": role}]},
        "system": "urn:ietf:rfc:3986",
        "value": value,
    }


def entry(number, kind, resource):
    return {"fullUrl": urn(number), "resource": resource, "request": {"method": "POST", "url": kind}}


def mhd_list(kind, items, **elements):
    return {
        "resourceType": "List",
        "status": "current",
        "mode": "working",
        "code": {"coding": [{"system": codes.MHD_LIST_TYPES, "code": kind}]},
        "subject": {"reference": "Patient/9"},
        "entry": [{"item": {"reference": item}} for item in items],
        "extension": [
            {"url": codes.EXT_DESIGNATION_TYPE, "valueCodeableConcept": concept("34133-9")},
        ],
        **elements,
    }


def submission_set(items):
    made = mhd_list(
        "submissionset",
        items,
        identifier=[identifier("uniqueId", "urn:oid:2.999.1.1")],
        date="2026-01-02T03:04:05Z",
    )
    made["extension"].append(
        {
            "url": codes.EXT_SOURCE_ID,
            "valueIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.1"},
        }
    )
    return made


def document_reference(number, content, url, **elements):
    return {
        "resourceType": "DocumentReference",
        "contained": [
            {
                "resourceType": "Patient",
                "id": "p",
                "identifier": [{"system": "urn:oid:2.999.3", "value": "MRN1"}],
                "name": [{"family": "Muster", "given": ["Maria"]}],
            },
            {"resourceType": "Practitioner", "id": "a", "name": [{"family": "Welby"}]},
        ],
        "masterIdentifier": identifier("uniqueId", f"urn:oid:2.999.1.2.{number}"),
        "status": "current",
        "type": concept("60591-5"),
        "category": [concept("11369-6")],
        "subject": {"reference": "Patient/9"},
        "author": [{"reference": "#a"}],
        "securityLabel": [concept("N", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality")],
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "language": "en",
                    "url": url,
                    "size": len(content),
                    "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),
                    "creation": "2026-01-02T03:04:05Z",
                },
                "format": {
                    "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
                    "code": "urn:ihe:iti:xds-sd:text:2008",
                },
            }
        ],
        "context": {
            "facilityType": concept("82242000", "http://snomed.info/sct"),
            "practiceSetting": concept("408467006", "http://snomed.info/sct"),
            "sourcePatientInfo": {"reference": "#p"},
        },
        **elements,
    }


def binary(content):
    made = {"resourceType": "Binary", "contentType": "text/plain"}
    if content:
        made["data"] = base64.b64encode(content).decode()
    return made


def folder(items):
    return mhd_list(
        "folder", items, title="Episode", identifier=[identifier("uniqueId", "urn:oid:2.999.1.3")]
    )


def patch(target):
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "DocumentReference.status"},
        {"name": "value", "valueCode": "superseded"},
    ]
    return {
        "fullUrl": urn(900),
        "resource": {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]},
        "request": {"method": "PATCH", "url": f"DocumentReference/{target}"},
    }


def bundle(*contents):
    """SubmissionSet (entry 0), DocumentReferences and Binaries alternating (1, 2, 3, 4, ...)."""
    contents = contents or (b"Hello World",)
    items = [urn(10 + n) for n in range(len(contents))]
    entries = [entry(1, "List", submission_set(items))]
    for n, content in enumerate(contents):
        reference = document_reference(n, content, urn(100 + n))
        entries.append(entry(10 + n, "DocumentReference", reference))
        entries.append(entry(100 + n, "Binary", binary(content)))
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [codes.PROFILE_COMPREHENSIVE_BUNDLE]},
        "type": "transaction",
        "entry": entries,
    }


def with_folder(*contents, method="POST"):
    """`bundle` with a Folder that holds every document, as last entry."""
    made = bundle(*contents)
    items = [e["fullUrl"] for e in made["entry"] if e["request"]["url"] == "DocumentReference"]
    added = entry(500, "List", folder(items))
    if method == "PUT":
        added["request"] = {"method": "PUT", "url": f"List/{FOLDER_ID}"}
    made["entry"].append(added)
    if method == "POST":
        made["entry"][0]["resource"]["entry"].append({"item": {"reference": urn(500)}})
    return made


def related(*relations):
    """`bundle` whose document has relatesTo of pairs (code, reference)."""
    made = bundle()
    made["entry"][1]["resource"]["relatesTo"] = [
        {"code": code, "target": {"reference": reference}} for code, reference in relations
    ]
    return made
