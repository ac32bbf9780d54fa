"""What a FHIR document says about itself, as document sharing metadata (ITI-106)."""

import json
from pathlib import Path

import pytest

from gateway.fhir.fhir_document_header import read_document_header
from gateway.fhir.findings import Findings
from gateway.fhir.terminology import Terminology
from gateway.model import Code, Cx, Organization, Person, ReferenceId, codes

EXAMPLE = (
    Path(__file__).resolve().parents[3]
    / "shared/oracle/profiles/r4/ihe.iti.mhd-4.2.4/examples/Bundle-ex-fhir-document-bundle.json"
)
SNOMED = "2.16.840.1.113883.6.96"
BASE = "https://his.example/fhir"


def concept(code, system="http://snomed.info/sct"):
    return {"coding": [{"system": system, "code": code}]}


def document():
    composition = {
        "resourceType": "Composition",
        "meta": {"profile": ["https://profiles.example/Composition|1.0"]},
        "language": "de-AT",
        "identifier": {"system": "urn:oid:2.999.5", "value": "SERIES-1"},
        "status": "final",
        "type": concept("18842-5", "http://loinc.org"),
        "category": [concept("371531000")],
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": f"{BASE}/Encounter/e"},
        "date": "2024-02-01T10:15:00+01:00",
        "author": [{"reference": "PractitionerRole/r"}, {"display": "Resident"}],
        "title": "Summary",
        "confidentiality": "R",
        "attester": [
            {"mode": "personal", "party": {"display": "Nobody"}},
            {"mode": "legal", "party": {"reference": "Practitioner/d"}},
        ],
        "custodian": {"reference": "Organization/o"},
        "event": [
            {"code": [concept("CT", "http://dicom.nema.org/resources/ontology/DCM")],
             "period": {"start": "2024-01-20", "end": "2024-01-25"}},
            {"period": {"start": "2024-01-22", "end": "2024-01-31T15:00:00+01:00"}},
        ],
    }  # fmt: skip
    resources = [
        ("Composition", "c", composition),
        ("Patient", "p", {"identifier": [{"system": "urn:oid:2.999.3", "value": "MRN-1"}], "name": [{"family": "Muster"}]}),
        ("PractitionerRole", "r", {"practitioner": {"reference": "Practitioner/d"}, "organization": {"reference": "Organization/o"}, "specialty": [concept("394914008")]}),
        ("Practitioner", "d", {"name": [{"family": "Welby"}]}),
        ("Organization", "o", {"name": "Hospital"}),
        ("Encounter", "e", {"identifier": [{"system": "urn:oid:2.999.4", "value": "STAY-1"}], "status": "finished", "class": {"code": "IMP"}, "serviceType": concept("394802001"), "location": [{"location": {"reference": "Location/l"}}]}),
        ("Location", "l", {"type": [concept("22232009")]}),
    ]  # fmt: skip
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.1.1"},
        "timestamp": "2024-02-01T10:15:00Z",
        "entry": [
            {"fullUrl": f"{BASE}/{kind}/{name}", "resource": {"resourceType": kind, "id": name, **resource}}
            for kind, name, resource in resources
        ],
    }


def read(bundle):
    findings = Findings()
    return read_document_header(bundle, Terminology(), findings, "Bundle"), findings


def errors(bundle):
    return [e.expression for e in read(bundle)[1].errors]


def test_every_element_that_is_mapped():
    header, findings = read(document())
    assert findings.errors == []
    entry = header.entry
    assert entry.unique_id == "2.999.1.1"
    assert entry.type_code == Code("18842-5", "2.16.840.1.113883.6.1", "18842-5")
    assert entry.class_code == Code("371531000", SNOMED, "371531000")
    assert (entry.title, entry.language, entry.creation_time) == ("Summary", "de-AT", "20240201091500")
    assert entry.confidentiality == (Code("R", codes.CONFIDENTIALITY_OID, "R"),)
    assert entry.source_patient_id == Cx("MRN-1", "2.999.3")
    role, resident = entry.authors
    assert role.person == Person(family="Welby")
    assert role.institutions == (Organization("Hospital"),)
    assert role.specialties == (Code("394914008", SNOMED),)
    assert resident.person == Person(family="Resident")
    assert entry.legal_authenticator == Person(family="Welby")
    assert (entry.service_start_time, entry.service_stop_time) == ("20240120", "20240131140000")
    assert [c.code for c in entry.event_codes] == ["CT"]
    assert entry.facility_type == Code("22232009", SNOMED, "22232009")
    assert entry.practice_setting == Code("394802001", SNOMED, "394802001")
    assert entry.reference_ids == (
        ReferenceId("SERIES-1", "2.999.5", codes.REFERENCE_UNIQUE_ID),
        ReferenceId("STAY-1", "2.999.4", codes.REFERENCE_ENCOUNTER),
    )
    assert header.custodian == Organization("Hospital")
    assert header.templates == ("https://profiles.example/Composition",)


ACCESSION = {
    "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
    "system": "urn:oid:2.999.6",
    "value": "ACC-1",
}
STUDY = {"system": "urn:dicom:uid", "value": "urn:oid:2.999.7.1"}
KEYS = (
    ReferenceId("ACC-1", "2.999.6", codes.REFERENCE_ACCESSION),
    ReferenceId("2.999.7.1", None, codes.REFERENCE_STUDY),
)


def with_report(based_on, study, *resources):
    made = document()
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "basedOn": based_on,
        "imagingStudy": study,
    }
    for number, resource in enumerate((report, *resources)):
        made["entry"].append(
            {"fullUrl": f"{BASE}/{resource['resourceType']}/x{number}", "resource": resource}
        )
    return made


def test_orders_and_studies_of_a_report_by_identifier():
    made = with_report([{"identifier": ACCESSION}], [{"identifier": STUDY}])
    assert read(made)[0].entry.reference_ids[2:] == KEYS


def test_orders_and_studies_of_a_report_by_reference():
    made = with_report(
        [{"reference": f"{BASE}/ServiceRequest/x1"}],
        [{"reference": f"{BASE}/ImagingStudy/x2"}],
        {"resourceType": "ServiceRequest", "identifier": [ACCESSION, {"value": "internal"}]},
        {"resourceType": "ImagingStudy", "identifier": [STUDY]},
        # a study to compare with is not what the document is about
        {"resourceType": "ImagingStudy", "identifier": [{**STUDY, "value": "urn:oid:2.999.7.2"}]},
    )
    assert read(made)[0].entry.reference_ids[2:] == KEYS


@pytest.mark.parametrize("odd", ["x", 5, [], [5], [{"identifier": 5}], [{"identifier": {"value": 5}}], [{"reference": []}]])  # fmt: skip
def test_reports_are_the_matter_of_their_author(odd):
    header, findings = read(with_report(odd, odd))
    assert (len(header.entry.reference_ids), findings.errors) == (2, [])


def test_references_to_contained_resources_are_followed():
    made = document()
    composition = made["entry"][0]["resource"]
    composition["contained"] = [{"resourceType": "Practitioner", "id": "me", "name": [{"family": "Inside"}]}]
    composition["author"] = [{"reference": "#me"}]
    assert read(made)[0].entry.authors[0].person == Person(family="Inside")


@pytest.mark.parametrize(
    ("position", "element", "value", "expression"),
    [
        (0, "subject", {"reference": "Patient/unknown"}, "Bundle.entry[0].resource.subject"),
        (0, "type", concept("1", "http://x.example"), "Bundle.entry[0].resource.type.coding"),
        (0, "author", [{"reference": "Practitioner/unknown"}], "Bundle.entry[0].resource.author[0].reference"),
        (1, "identifier", [{"system": "http://x.example", "value": "1"}], "Bundle.entry[1].resource.identifier[0].system"),
        (3, "name", "Welby", "Bundle.entry[3].resource.name"),
        (6, "type", [concept("1", "http://x.example")], "Bundle.entry[6].resource.type[0].coding"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_named_by_its_element(position, element, value, expression):
    made = document()
    made["entry"][position]["resource"][element] = value
    assert expression in errors(made)


def test_a_reference_that_leads_in_a_circle_ends():
    made = document()
    made["entry"][4]["resource"]["organization"] = {"reference": "Organization/o"}
    assert "Bundle.entry[4].resource.organization" in errors(made)


@pytest.mark.skipif(not EXAMPLE.is_file(), reason="the examples of the profile are not here")
def test_the_example_of_the_guide():
    header, findings = read(json.loads(EXAMPLE.read_text()))
    assert {e.code for e in findings.errors} <= {"code-invalid", "required"}
    assert header.entry.unique_id == "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    assert header.entry.type_code.code == "28655-9"
