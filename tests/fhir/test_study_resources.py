"""What searches of studies answer with: resources of both guides, made of the manifest."""

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.fhir.found_study import FoundStudy
from gateway.fhir.study_resources import (
    StudyContext,
    write_endpoints,
    write_orders,
    write_study,
    write_study_provenance,
)
from gateway.fhir.study_search import endpoints_of
from gateway.model import Code, Cx
from gateway.model import imaging_codes as imaging
from tests.fhir.manifest_samples import GROUP, SIMPLE, TERMINOLOGY
from tests.fhir.manifest_strategies import manifests

PATIENT = Cx("P1", "2.999.3")
RECORDED = "2026-03-04T05:06:07Z"
CONTEXT = StudyContext(
    TERMINOLOGY,
    patient_reference=lambda cx: {"reference": f"Patient/{cx.id}"},
    address_of=lambda found, place: f"https://gw.example/wado/{found.id}",
    viewer_of=lambda found, url: "https://gw.example/viewer",
)


def found(manifest, **changes):
    made = FoundStudy(
        id="study-1",
        study=manifest.study,
        entry_uuid="urn:uuid:11111111-2222-3333-4444-555555555555",
        unique_id=manifest.sop_instance_uid,
        patient_id=PATIENT,
        updated="20260304101112",
        utc_offset=manifest.utc_offset,
    )
    return replace(made, **changes)


def all_resources(item):
    return [
        write_study(item, CONTEXT),
        *write_orders(item, CONTEXT),
        *write_endpoints(item, CONTEXT),
        write_study_provenance(item, CONTEXT, RECORDED),
    ]


def test_the_study_claims_both_guides_and_has_the_elements_of_both():
    study = write_study(found(SIMPLE), CONTEXT)
    assert study["meta"] == {
        "profile": [
            "https://profiles.ihe.net/RAD/MADO/StructureDefinition/MadoImagingStudy",
            "http://hl7.eu/fhir/imaging/StructureDefinition/ImagingStudyEuImaging",
        ],
        "lastUpdated": "2026-03-04T10:11:12Z",
    }
    assert [extension["url"] for extension in study["extension"]] == [
        imaging.EXT_MADO_REGION, imaging.EXT_EU_REGION,
    ]  # fmt: skip
    frames = study["series"][0]["instance"][1]["extension"]
    assert [extension["url"] for extension in frames] == [imaging.EXT_MADO_FRAMES, imaging.EXT_EU_FRAMES]
    assert study["subject"] == {"reference": "Patient/P1"}
    assert study["numberOfInstances"] == sum(series["numberOfInstances"] for series in study["series"])


def test_each_guide_gets_its_code_of_the_spine():
    regions = [
        e["valueCodeableConcept"]["coding"][0]["code"]
        for e in write_study(found(GROUP), CONTEXT)["extension"]
    ]
    assert regions == [imaging.SPINE_MADO, imaging.SPINE_EU]


def test_a_region_outside_the_value_set_of_europe_is_none_there():
    study = replace(SIMPLE.study, regions=(Code("1", imaging.SNOMED),))
    (region,) = write_study(found(replace(SIMPLE, study=study)), CONTEXT)["extension"]
    assert region["url"] == imaging.EXT_MADO_REGION


@pytest.mark.parametrize("manifest", [SIMPLE, GROUP], ids=["simple", "group"])
def test_every_reference_of_the_study_names_a_resource(manifest):
    item = found(manifest)
    study, orders, endpoints = (
        write_study(item, CONTEXT),
        write_orders(item, CONTEXT),
        write_endpoints(item, CONTEXT),
    )
    known = {f"{r['resourceType']}/{r['id']}" for r in (*orders, *endpoints)}
    named = {o["reference"] for o in study["basedOn"]}
    named |= {e["reference"] for s in study["series"] for e in s["endpoint"]}
    named |= {e["reference"] for e in study.get("endpoint", ())}
    assert named == known
    assert [r["id"] for r in orders] == [item.order_id(n) for n in range(len(item.study.requests))]
    assert [r["id"] for r in endpoints] == [part.id for part in endpoints_of(item)]


def test_orders_are_imaging_orders():
    first, second = write_orders(found(GROUP), CONTEXT)
    assert first["category"][0]["coding"][0] == {
        "system": "http://snomed.info/sct", "code": "363679005", "display": "Imaging",
    }  # fmt: skip
    assert [order["identifier"][0]["value"] for order in (first, second)] == ["B1", "B2"]
    assert first["subject"] == {"reference": "Patient/P1"}


def test_requests_of_one_number_are_one_order():
    study = replace(GROUP.study, requests=(GROUP.study.requests[0],) * 2)
    assert len(write_orders(found(replace(GROUP, study=study)), CONTEXT)) == 1


def test_endpoints_have_the_address_of_the_gateway():
    addresses = {endpoint["address"] for endpoint in write_endpoints(found(SIMPLE), CONTEXT)}
    assert addresses == {"https://gw.example/wado/study-1", "https://gw.example/viewer"}


def test_a_viewer_that_is_not_passed_on_is_not_named():
    context = StudyContext(TERMINOLOGY, CONTEXT.patient_reference, CONTEXT.address_of)
    assert "endpoint" not in write_study(found(SIMPLE), context)
    assert len(write_endpoints(found(SIMPLE), context)) == 2


def test_the_provenance_names_the_document_of_the_manifest():
    provenance = write_study_provenance(found(SIMPLE), CONTEXT, RECORDED)
    assert provenance["entity"][0]["what"] == {
        "reference": "DocumentReference/11111111-2222-3333-4444-555555555555"
    }
    assert provenance["recorded"] == "2026-03-04T10:11:12Z"
    assert provenance["target"][0] == {"reference": "ImagingStudy/study-1"}
    undated = write_study_provenance(found(SIMPLE, updated="2026"), CONTEXT, RECORDED)
    assert undated["recorded"] == RECORDED


@settings(max_examples=40)
@given(manifests())
def test_what_is_written_is_fhir(manifest):
    for resource in all_resources(found(manifest)):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
