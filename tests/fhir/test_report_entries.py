"""The resources of a report document: of either release and format the same, each valid in FHIR R4."""

import json

import pytest
from fhir.resources.R4B import get_fhir_model_class

from gateway.fhir.formats import FhirFormat, write_resource
from gateway.fhir.imaging_selections import selection_as_basic
from gateway.fhir.report_entries import NotABundle, read_report_entries
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import KINDS, report, report_bytes, resource


def contents(kind, release, form=FhirFormat.JSON):
    raw = report_bytes(kind, release)
    written = raw if form is FhirFormat.JSON else write_resource(raw, form, release=release)
    return [
        (entry.kind, entry.name, json.loads(entry.content))
        for entry in read_report_entries(written, form).entries
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("release", FhirRelease)
def test_every_resource_is_valid_in_r4(kind, release):
    for resource_type, _, content in contents(kind, release):
        get_fhir_model_class(resource_type).model_validate(content)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("release", FhirRelease)
def test_xml_says_the_same_as_json(kind, release):
    assert contents(kind, release, FhirFormat.XML) == contents(kind, release)


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_of_r5_has_the_resources_that_it_has_in_r4(kind):
    in_r4, in_r5 = (contents(kind, release) for release in FhirRelease)
    assert [(k, n) for k, n, _ in in_r5] == [(k, n) for k, n, _ in in_r4]
    for (resource_type, _, old), (_, _, new) in zip(in_r4, in_r5, strict=True):
        if resource_type in {"Basic", "Device", "ImagingStudy", "Patient", "ServiceRequest", "Observation"}:
            assert without(new) == without(old), resource_type


def without(content):
    """Without what the two releases of a sample say of themselves, and what R4 has no place for."""
    ignored = {"meta", "text", "derivedFrom"}
    return {name: value for name, value in content.items() if name not in ignored}


def test_an_element_that_r4_has_no_place_for_is_told():
    selection = resource(report("cardiac", FhirRelease.R5), "ImagingSelection") | {"novel": 1}
    lost = []
    basic = selection_as_basic(selection, lost.append)
    assert lost == ["ImagingSelection.novel"]
    assert basic == {**resource(report("cardiac"), "Basic"), "meta": selection["meta"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<>", "no FHIR"), (b"[]", "no FHIR"), (b'{"resourceType":"Patient"}', "no Bundle")],
)
def test_what_is_no_bundle_is_refused(content, reason):
    with pytest.raises(NotABundle, match=reason):
        read_report_entries(content)


def test_a_bundle_without_report_holds_none():
    bundle = {
        "resourceType": "Bundle",
        "type": "document",
        "entry": [{"resource": {"resourceType": "Patient"}}],
    }
    assert not read_report_entries(json.dumps(bundle).encode()).is_report
