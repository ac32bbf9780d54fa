"""DocumentEntry of a manifest: derived, checked and filled (IHE RAD MADO appendix A)."""

import pytest
from msgspec.structs import replace

from gateway.fhir.manifest_metadata import (
    EntryDefaults,
    ManifestFormat,
    check_entry_against_manifest,
    derive_entry_metadata,
    filled,
    reference_ids_of,
)
from gateway.model import Author, Code, Cx, DocumentEntry, Organization, Person, ReferenceId, codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer, LocalTime, Study
from tests.fhir.manifest_samples import CT, GROUP, HEAD, SIMPLE, STUDY_UID

DEFAULTS = EntryDefaults(
    class_code=Code("Medical-Imaging", imaging.EU_PRIORITY_CATEGORIES, "Medical imaging"),
    facility_type=Code("79491001", imaging.SNOMED, "Hospital-based radiology facility"),
    practice_setting=Code("394914008", imaging.SNOMED, "Radiology"),
    confidentiality=(Code("N", "2.16.840.1.113883.5.25", "Normal"),),
    language="de-DE",
)
BARE = DocumentEntry(entry_uuid="urn:uuid:1", unique_id="")


def derived(manifest=SIMPLE, form=ManifestFormat.KOS):
    return derive_entry_metadata(manifest, form, DEFAULTS)


def entry(manifest=SIMPLE, form=ManifestFormat.KOS, **changes):
    return replace(filled(BARE, derived(manifest, form)), **changes)


def texts(checked, manifest=SIMPLE, form=ManifestFormat.KOS, severity="error"):
    issues = check_entry_against_manifest(checked, manifest, form)
    return [issue.expression for issue in issues if issue.severity == severity]


def test_everything_that_a_manifest_says():
    metadata = derived()
    assert metadata.unique_id == "2.999.1.1"
    assert metadata.mime_type == "application/dicom"
    assert metadata.format_code == Code(
        "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.2.6.1", "Key Object Selection Document"
    )
    assert metadata.type_code.code == "18748-4"
    assert metadata.event_codes == (CT, HEAD, Code("303653007", imaging.SNOMED, "CT of head"))
    assert metadata.reference_ids == (
        ReferenceId(STUDY_UID, None, "urn:ihe:iti:xds:2016:studyInstanceUID"),
        ReferenceId("A1", "2.999.10", "urn:ihe:iti:xds:2013:accession"),
        ReferenceId("P1", "2.999.11", "urn:ihe:iti:xds:2013:order"),
    )
    assert metadata.service_start_time == "20260224152310"
    assert metadata.creation_time == "20260224235759"
    assert metadata.title == "CT <head>"
    assert metadata.authors == (Author(institutions=(Organization("Example Hospital", "2.999.50"),)),)
    assert metadata.source_patient_id == Cx("UV1", "2.999.12")
    assert metadata.source_patient_info.names == (Person(family="Müller", given="Anna"),)
    assert (metadata.source_patient_info.birth_date, metadata.source_patient_info.gender) == ("19770530", "F")


def test_the_other_format_differs_in_format_and_type_of_content_alone():
    fhir = derived(form=ManifestFormat.FHIR)
    assert fhir.mime_type == "application/fhir+json"
    assert fhir.format_code.code == "urn:ihe:rad:MADO:fhir-manifest:2026"
    assert fhir.format_code.scheme == "1.3.6.1.4.1.19376.1.2.7.1"
    kos = derived()
    assert replace(fhir, mime_type=kos.mime_type, format_code=kos.format_code) == kos


def test_modalities_are_those_of_study_and_series():
    assert [code.code for code in derived(GROUP).event_codes][:2] == ["CT", "KO"]


def test_a_number_whose_issuer_is_no_oid_has_no_place():
    request = replace(
        SIMPLE.study.requests[0],
        accession=IssuedId("A1", Issuer(universal_id="https://ris.example", universal_id_type="URI")),
        placer=IssuedId("P1"),
    )
    manifest = replace(SIMPLE, study=replace(SIMPLE.study, requests=(request,)))
    assert [reference.id for reference in reference_ids_of(manifest)] == [STUDY_UID]


def test_times_of_unknown_zone_are_days():
    manifest = replace(
        SIMPLE, utc_offset=None, created=LocalTime("20260225", "0030"),
        study=replace(SIMPLE.study, started=LocalTime("20260224", "1623")),
    )  # fmt: skip
    assert (derived(manifest).creation_time, derived(manifest).service_start_time) == ("20260225", "20260224")


def test_what_is_derived_contradicts_nothing():
    for manifest in (SIMPLE, GROUP):
        for form in ManifestFormat:
            assert check_entry_against_manifest(entry(manifest, form), manifest, form) == ()


def test_what_an_entry_leaves_out_contradicts_nothing():
    assert check_entry_against_manifest(BARE, SIMPLE, ManifestFormat.KOS) == ()


def test_a_manifest_that_says_nothing_is_contradicted_by_nothing():
    silent = replace(SIMPLE, study=Study(STUDY_UID), utc_offset=None)
    stated = entry(reference_ids=(ReferenceId(STUDY_UID, None, codes.REFERENCE_STUDY),))
    assert check_entry_against_manifest(stated, silent, ManifestFormat.KOS) == ()


STUDY_REFERENCE = ReferenceId("2.999.8", None, codes.REFERENCE_STUDY)


@pytest.mark.parametrize(
    ("element", "changes"),
    [
        ("masterIdentifier", {"unique_id": "2.999.7"}),
        ("content.format", {"format_code": ManifestFormat.FHIR.code}),
        ("type", {"type_code": Code("85430-7", imaging.LOINC)}),
        ("context.related", {"reference_ids": (STUDY_REFERENCE,)}),
        ("context.related", {"reference_ids": (ReferenceId(STUDY_UID, None, codes.REFERENCE_STUDY), STUDY_REFERENCE)}),
        ("context.related", {"reference_ids": (ReferenceId("A1", "2.999.99", codes.REFERENCE_ACCESSION),)}),
        ("extension", {"event_codes": (Code("MR", imaging.DCM),)}),
        ("extension", {"event_codes": (Code("MR", "DCM"),)}),
        ("extension", {"event_codes": (Code("38266002", "SCT"),)}),
        ("context.period.start", {"service_start_time": "20250101"}),
        ("context.sourcePatientInfo", {"source_patient_id": Cx("OTHER", "2.999.12")}),
    ],
)  # fmt: skip
def test_a_contradiction_is_an_error_that_names_the_element(element, changes):
    assert texts(entry(**changes)) == [f"DocumentReference.{element}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"event_codes": (Code("CT", "DCM"), Code("774007", "SCT"), Code("anything", "1.2.3"))},
        {"event_codes": (Code("71388002", imaging.SNOMED),)},
        {"reference_ids": (ReferenceId("X", "2.999.5", codes.REFERENCE_REFERRAL),)},
        {"source_patient_id": Cx("OTHER", "2.999.77")},
        {"service_start_time": "2026022415"},
        {"service_start_time": "20260224"},
    ],
)
def test_what_says_the_same_or_something_else_is_no_contradiction(changes):
    assert check_entry_against_manifest(entry(**changes), SIMPLE, ManifestFormat.KOS) == ()


@pytest.mark.parametrize(
    "issuer", [None, Issuer("RIS"), Issuer(universal_id="https://ris", universal_id_type="URI")]
)
def test_a_number_whose_issuer_the_manifest_does_not_say_is_that_of_the_entry(issuer):
    request = replace(SIMPLE.study.requests[0], accession=IssuedId("A1", issuer))
    manifest = replace(SIMPLE, study=replace(SIMPLE.study, requests=(request,)))
    same = entry(reference_ids=(ReferenceId("A1", "2.999.10", codes.REFERENCE_ACCESSION),))
    assert texts(same, manifest) == []
    other = entry(reference_ids=(ReferenceId("A2", "2.999.10", codes.REFERENCE_ACCESSION),))
    assert texts(other, manifest) == ["DocumentReference.context.related"]


def test_a_manifest_without_accession_numbers_is_not_contradicted_by_one():
    manifest = replace(SIMPLE, study=replace(SIMPLE.study, requests=()))
    stated = entry(reference_ids=(ReferenceId("A1", "2.999.10", codes.REFERENCE_ACCESSION),))
    assert texts(stated, manifest) == []


def test_each_code_of_the_spine_is_the_spine():
    for code in imaging.SPINE:
        assert texts(entry(GROUP, event_codes=(Code(code, imaging.SNOMED),)), GROUP) == []


def test_local_time_taken_for_utc_is_a_warning():
    shifted = entry(service_start_time="20260224162310")
    assert texts(shifted) == []
    assert texts(shifted, severity="warning") == ["DocumentReference.context.period.start"]


def test_natively_registered_fhir_has_a_unique_id_of_its_own():
    own = entry(form=ManifestFormat.FHIR, unique_id="2.999.7")
    assert texts(own, form=ManifestFormat.FHIR) == []
    assert texts(own, form=ManifestFormat.FHIR, severity="warning") == ["DocumentReference.masterIdentifier"]


def test_no_diagnostics_show_a_value():
    wrong = entry(
        unique_id="2.999.7", source_patient_id=Cx("OTHER", "2.999.12"), reference_ids=(STUDY_REFERENCE,)
    )
    shown = " ".join(i.diagnostics for i in check_entry_against_manifest(wrong, SIMPLE, ManifestFormat.KOS))
    for value in ("2.999", "OTHER", "UV1"):
        assert value not in shown


def test_filling_keeps_what_there_is_and_adds_what_is_missing():
    own = replace(
        BARE, title="Mine", event_codes=(Code("CT", "DCM", "CT"),), language="en",
        reference_ids=(ReferenceId("X", "2.999.5", codes.REFERENCE_REFERRAL),),
    )  # fmt: skip
    made = filled(own, derived())
    assert (made.title, made.language) == ("Mine", "en")
    assert made.event_codes == (Code("CT", "DCM", "CT"), *derived().event_codes[1:])
    assert made.reference_ids == (*own.reference_ids, *derived().reference_ids)
    assert filled(made, derived()) == made
