"""Manifest -> FHIR -> Manifest: nothing is lost but what the list of losses says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes, write_manifest_bundle
from gateway.fhir.manifest_losses import MANIFEST_FHIR_LOSSES, as_fhir_returns, manifest_losses_markdown
from gateway.fhir.manifest_read import read_manifest, read_manifest_bundle
from gateway.fhir.terminology import Terminology
from gateway.model import Code, Organization, Person
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import Creator, LocalTime, Manifest, RetrieveLocation, Series, Severity, Study
from tests.fhir.manifest_strategies import manifests

MAPPING = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"
TERMINOLOGY = Terminology()
CONTEXT = ManifestContext(TERMINOLOGY, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@given(manifests())
def test_reading_what_was_written_gives_all_but_the_listed_losses(manifest):
    bundle = write_manifest_bundle(manifest, CONTEXT)
    assert read_manifest_bundle(bundle, TERMINOLOGY).manifest == as_fhir_returns(manifest)


@settings(max_examples=30)
@given(manifests())
def test_json_and_xml_say_the_same(manifest):
    as_json = read_manifest(manifest_bundle_bytes(manifest, CONTEXT), TERMINOLOGY)
    xml = manifest_bundle_bytes(manifest, CONTEXT, FhirFormat.XML)
    assert read_manifest(xml, TERMINOLOGY, FhirFormat.XML) == as_json


@settings(max_examples=30)
@given(manifests())
def test_fhir_is_a_fixpoint_of_reading_and_writing(manifest):
    returned = as_fhir_returns(manifest)
    assert as_fhir_returns(returned) == returned
    written = write_manifest_bundle(returned, CONTEXT)
    assert write_manifest_bundle(read_manifest_bundle(written, TERMINOLOGY).manifest, CONTEXT) == written


@settings(max_examples=30)
@given(manifests())
def test_what_is_written_is_fhir_and_the_same_each_time(manifest):
    written = manifest_bundle_bytes(manifest, CONTEXT)
    Bundle.model_validate_json(written)
    assert manifest_bundle_bytes(manifest, CONTEXT) == written


@settings(max_examples=30)
@given(manifests())
def test_what_is_written_is_read_without_complaint_about_its_form(manifest):
    read = read_manifest_bundle(write_manifest_bundle(manifest, CONTEXT), TERMINOLOGY)
    about_content = {
        "series-count-differs", "instance-count-differs", "location-missing", "location-uid-missing",
        "placeholder-address", "modality-missing", "issuer-empty",
    }  # fmt: skip
    assert {finding.rule for finding in read.findings} <= about_content
    assert all(finding.severity is not Severity.ERROR for finding in read.findings)


CT = Code("CT", imaging.DCM)
A_STUDY = Study("1.2.3", series=(Series("1.2.4", modality=CT),))
WITNESSES = {
    "Manifest.series_instance_uid": {"series_instance_uid": "1.2.9"},
    "Manifest.title": {"title": Code("131560", imaging.DCM)},
    "Code": {"study": replace(A_STUDY, procedure_codes=(Code("a\t b", "my codes", "x"),))},
    "Creator.organization": {"creator": Creator(organization=Organization(authority="2.999.1"))},
    "Study.modalities": {"study": A_STUDY},
    "Study.regions": {"study": replace(A_STUDY, regions=(Code(imaging.SPINE_OLD, imaging.SNOMED),))},
    "Study.patient": {"study": replace(A_STUDY, patient=replace(A_STUDY.patient, sex="U"))},
    "Person": {"study": replace(A_STUDY, referring_physician=Person(family="a", degree="b"))},
    "Study.stated_series, Series.stated_instances": {"study": A_STUDY},
    "Series.number, Instance.number": {"study": replace(A_STUDY, series=(Series("1.2.4", number="-1"),))},
    "Series.body_sites": {"study": replace(A_STUDY, series=(Series("1.2.4", body_sites=(CT, CT)),))},
    "Series.locations": {
        "study": replace(A_STUDY, series=(Series("1.2.4", locations=(RetrieveLocation(),)),))
    },
    "LocalTime.time": {"created": LocalTime("20260101", "1234", "+0100")},
    "LocalTime.offset": {"created": LocalTime("20260101", "123456"), "utc_offset": "+0100"},
    "Manifest.utc_offset": {"utc_offset": "+0100"},
}


@pytest.mark.parametrize("loss", MANIFEST_FHIR_LOSSES, ids=lambda loss: loss.element)
def test_each_listed_loss_is_one(loss):
    manifest = Manifest(**{"sop_instance_uid": "1.2.5", "study": A_STUDY, **WITNESSES[loss.element]})
    assert loss.apply(manifest) != manifest
    returned = read_manifest_bundle(write_manifest_bundle(manifest, CONTEXT), TERMINOLOGY).manifest
    assert loss.apply(returned) == returned


def test_the_readme_lists_the_losses():
    text = MAPPING.read_text()
    between = text.split("<!-- manifest-losses:begin -->\n")[1].split("<!-- manifest-losses:end -->")[0]
    assert between == manifest_losses_markdown()
