"""The DocumentEntry of a report says what the report says, and nothing against it."""

import pytest
from msgspec.structs import replace

from gateway.fhir.manifest_metadata import filled
from gateway.fhir.report_metadata import (
    check_entry_against_report,
    derive_report_metadata,
    unique_id_of,
)
from gateway.model import Code, Cx, DocumentEntry, ReferenceId, codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import ALL, read, report

EMPTY = DocumentEntry(entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000000", unique_id="")
SUMMARY = read(report("cardiac")).summary


def entry(**more):
    return replace(filled(EMPTY, derive_report_metadata(SUMMARY)), **more)


def test_what_a_report_says_of_itself():
    made = derive_report_metadata(SUMMARY)
    assert made.unique_id == "2.999.2.7"
    assert made.type_code == Code("85430-7", imaging.LOINC, "Diagnostic imaging report")
    assert made.class_code is not None and made.class_code.code == "Medical-Imaging"
    assert made.format_code.code == "http://hl7.eu/fhir/imaging/StructureDefinition/BundleReportEuImaging"
    assert made.format_code.scheme == "urn:ietf:rfc:3986"
    assert made.event_codes == (
        Code("CT", imaging.DCM, "Computed Tomography"),
        Code("80891009", imaging.SNOMED, "Heart structure"),
    )
    assert made.reference_ids == (
        ReferenceId("2.999.3.77", None, codes.REFERENCE_STUDY),
        ReferenceId("A123", "2.999.1.3", codes.REFERENCE_ACCESSION),
        ReferenceId("P456", "2.999.1.4", codes.REFERENCE_ORDER),
    )
    assert made.creation_time == "20250508080000"
    assert made.service_start_time == "20250429071500"
    assert made.legal_authenticator is not None and made.legal_authenticator.family == "Sample"
    assert made.source_patient_id == Cx("REPORT-1", "2.999.1.1")
    assert made.source_patient_info is not None and made.source_patient_info.birth_date == "19750412"
    assert (made.title, made.language) == ("CT of the heart", "en")
    assert [code.code for code in made.confidentiality] == ["N"]


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_the_format_code_is_the_canonical_of_the_profile(kind, release):
    bundle = report(kind, release)
    made = derive_report_metadata(read(bundle).summary)
    assert [made.format_code.code] == bundle["meta"]["profile"]
    assert made.format_code.code in imaging.EU_REPORT_BUNDLES


def test_nothing_is_invented():
    bundle = report("minimal")
    for resource in (entry["resource"] for entry in bundle["entry"]):
        for name in (
            "basedOn",
            "imagingStudy",
            "extension",
            "identifier",
            "meta",
            "language",
            "presentedForm",
        ):
            resource.pop(name, None)
    del bundle["identifier"]
    made = derive_report_metadata(read(bundle).summary)
    assert made.unique_id is None
    assert made.reference_ids == made.event_codes == made.confidentiality == ()
    assert made.language is made.source_patient_id is made.legal_authenticator is None


@pytest.mark.parametrize(
    ("issued", "expected"),
    [
        (None, None),
        (IssuedId("1"), None),
        (IssuedId("1", Issuer(None, "http://example.org/numbers", "URI")), None),
        (IssuedId("7", Issuer(None, "2.999.1", "ISO")), "2.999.1^7"),
        (IssuedId("urn:oid:2.999.5", Issuer(None, codes.URI_SYSTEM, "URI")), "2.999.5"),
        (
            IssuedId("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", Issuer(None, codes.URI_SYSTEM, "URI")),
            "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        ),
    ],
)
def test_unique_ids(issued, expected):
    assert unique_id_of(issued) == expected


def test_numbers_of_an_issuer_without_oid_have_no_reference_id():
    bundle = report("minimal")
    bundle["entry"][0]["resource"]["basedOn"][0]["identifier"]["system"] = "http://example.org/accessions"
    made = derive_report_metadata(read(bundle).summary)
    assert {reference.type for reference in made.reference_ids} == {codes.REFERENCE_STUDY}


# --- filling -----------------------------------------------------------------------------------------------
def test_what_the_client_said_stays():
    said = replace(
        EMPTY,
        title="Mine",
        language="en-GB",
        event_codes=(Code("CT", "DCM", "CT scan"), Code("1", "2.999.1", "Own")),
        reference_ids=(ReferenceId("A123", "2.999.1.3", codes.REFERENCE_ACCESSION),),
    )
    made = filled(said, derive_report_metadata(SUMMARY))
    assert (made.title, made.language) == ("Mine", "en-GB")
    assert [code.code for code in made.event_codes] == ["CT", "1", "80891009"]
    assert [reference.id for reference in made.reference_ids] == ["A123", "2.999.3.77", "P456"]


# --- contradictions ----------------------------------------------------------------------------------------
def test_an_entry_made_of_the_report_agrees_with_it():
    assert check_entry_against_report(entry(), SUMMARY) == ()
    assert check_entry_against_report(EMPTY, SUMMARY) == ()


@pytest.mark.parametrize(
    ("changes", "severity", "element"),
    [
        ({"unique_id": "2.999.2.8"}, "warning", "masterIdentifier"),
        ({"type_code": Code("18748-4", imaging.LOINC)}, "error", "type"),
        ({"type_code": Code("24801-3", imaging.LOINC)}, "warning", "type"),
        (
            {"format_code": Code(imaging.EU_STRUCTURE + "BundleReportMinimalMetadataEuImaging", "x")},
            "error",
            "content.format",
        ),
        ({"reference_ids": (ReferenceId("2.9", None, codes.REFERENCE_STUDY),)}, "error", "context.related"),
        (
            {"reference_ids": (ReferenceId("A123", "2.999.9", codes.REFERENCE_ACCESSION),)},
            "error",
            "context.related",
        ),
        (
            {"reference_ids": (ReferenceId("P457", "2.999.1.4", codes.REFERENCE_ORDER),)},
            "error",
            "context.related",
        ),
        ({"event_codes": (Code("MR", imaging.DCM),)}, "error", "extension"),
        ({"event_codes": (Code("MR", "DCM"),)}, "error", "extension"),
        ({"event_codes": (Code("774007", imaging.SNOMED),)}, "error", "extension"),
        ({"service_start_time": "20250501"}, "error", "context.period.start"),
        ({"service_start_time": "20250429081500"}, "warning", "context.period.start"),
        ({"creation_time": "2024"}, "warning", "content.attachment.creation"),
        ({"language": "de"}, "error", "content.attachment.language"),
        ({"source_patient_id": Cx("OTHER", "2.999.1.1")}, "error", "context.sourcePatientInfo"),
        ({"patient_id": Cx("OTHER", "2.999.1.1")}, "error", "subject"),
    ],
)
def test_a_contradiction_names_its_element(changes, severity, element):
    (issue,) = check_entry_against_report(entry(**changes), SUMMARY, "Bundle.entry[1].resource")
    assert issue.severity == severity
    assert issue.expression == f"Bundle.entry[1].resource.{element}"


@pytest.mark.parametrize(
    "changes",
    [
        {"service_start_time": "20250429"},
        {"creation_time": "202505"},
        {"language": "en-US"},
        {"event_codes": (Code("procedure", imaging.SNOMED),)},
        {"patient_id": Cx("OTHER", "2.999.8")},
        {"format_code": Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", codes.FORMAT_CODE_OID)},
    ],
)
def test_what_is_less_exact_or_of_another_authority_is_no_contradiction(changes):
    assert check_entry_against_report(entry(**changes), SUMMARY) == ()


def test_the_three_codes_of_the_spine_are_one_region():
    summary = replace(SUMMARY, regions=(Code(imaging.SPINE_EU, imaging.SNOMED),))
    stated = replace(EMPTY, event_codes=(Code(imaging.SPINE_OLD, imaging.SNOMED),))
    assert check_entry_against_report(stated, summary) == ()


def test_the_format_of_the_other_release_is_a_contradiction():
    newer = read(report("cardiac", FhirRelease.R5)).summary
    (issue,) = check_entry_against_report(entry(), newer)
    assert issue.expression == "DocumentReference.content.format"


def test_a_number_of_an_issuer_without_oid_may_be_the_one_that_is_stated():
    bundle = report("cardiac")
    for found in (entry["resource"] for entry in bundle["entry"]):
        for based in found.get("basedOn", ()):
            based["identifier"]["system"] = "http://example.org/accessions"
        if found["resourceType"] == "ServiceRequest":
            found["identifier"][0]["system"] = "http://example.org/accessions"
    summary = read(bundle).summary
    stated = (ReferenceId("A123", "2.999.1.3", codes.REFERENCE_ACCESSION),)
    assert check_entry_against_report(replace(EMPTY, reference_ids=stated), summary) == ()
    other = (ReferenceId("A124", "2.999.1.3", codes.REFERENCE_ACCESSION),)
    assert check_entry_against_report(replace(EMPTY, reference_ids=other), summary) != ()
