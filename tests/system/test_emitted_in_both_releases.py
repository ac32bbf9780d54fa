"""Whatever the gateway sends is of its release to the models of that release: the content of the demonstration,
its reports, and a thousand generated entries.
"""

import json

import orjson
import pytest
import pytest_asyncio
from fhir.resources import get_fhir_model_class as r5_model_class
from fhir.resources.R4B import get_fhir_model_class as r4_model_class
from hypothesis import HealthCheck, given, settings

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_documents import order_of
from gateway.fhir.document_reference_read import read_document_reference
from gateway.fhir.imaging_documents import imaging_document_json
from gateway.fhir.report_parameters import REPORT_TABLES
from gateway.fhir.version_references import ONLY_IN_R4
from gateway.fhir.versions import from_r5, to_r5
from gateway.model.releases import FhirRelease
from tests.fhir import strategies
from tests.fhir.contexts import read_context, write_context
from tests.system.emitted import JSON, PUBLISH, answers, publish_samples
from tests.system.imaging import published_study
from tests.system.reports import a_report, study_of
from tests.system.stack import running_stack

wire = pytest.mark.asyncio(loop_scope="module")
MODELS = {"R4": r4_model_class, "R5": r5_model_class}


def parse(resource, release):
    """Every resource of an answer as the models of its release read it; the type of each."""
    kind = resource["resourceType"]
    if kind == "Bundle" and resource["type"] == "document":
        return {kind}
    if kind == "Bundle":
        held = {
            **resource,
            "entry": [{k: v for k, v in e.items() if k != "resource"} for e in resource.get("entry", ())],
        }
        MODELS[release]("Bundle").model_validate(
            held if held["entry"] else {k: v for k, v in held.items() if k != "entry"}
        )
        inner = (parse(e["resource"], release) for e in resource.get("entry", ()) if "resource" in e)
        return {kind}.union(*inner)
    MODELS[release](kind).model_validate(resource)
    assert ("issues" in resource) is False
    return {kind}


# --- generated entries ------------------------------------------------------------------------------------
@given(strategies.document_entries())
@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_generated_entry_is_valid_in_both_releases_and_means_the_same(entry):
    old = orjson.loads(imaging_document_json(entry, write_context()))
    new = to_r5(old)
    r4_model_class("DocumentReference").model_validate(old)
    r5_model_class("DocumentReference").model_validate(new)
    of_old, of_new = (
        read_document_reference(resource, read_context(), "DocumentReference")
        for resource in (old, from_r5(new))
    )
    assert sorted(of_old.reference_ids, key=str) == sorted(of_new.reference_ids, key=str)
    names = [name for name in of_old.__struct_fields__ if name != "reference_ids"]
    assert [getattr(of_old, name) for name in names] == [getattr(of_new, name) for name in names]


# --- the demonstration ------------------------------------------------------------------------------------
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("both"), publish=PUBLISH) as running:
        yield running, await publish_samples(running)


@wire
@pytest.mark.parametrize("release", ["R4", "R5"])
async def test_each_kind_of_answer_is_of_its_release(stack, release):
    running, locations = stack
    version = FhirRelease[release]
    seen = set()
    accept = f"{JSON}; fhirVersion={version}"
    async for asked, status, text in answers(running, locations, accept):
        resource = json.loads(text)
        seen |= parse(resource, release)
        assert status < 500, asked
    assert seen >= {
        "Bundle",
        "CapabilityStatement",
        "DocumentReference",
        "List",
        "OperationOutcome",
        "Patient",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def imaging(tmp_path_factory):
    """The study of the demonstration with its manifest and all sample reports, and reports of R5 besides."""
    async with published_study(
        tmp_path_factory.mktemp("both-imaging"), "imaging in both releases"
    ) as running:
        patient, order = running.content.patient, order_of(running.content)
        study = study_of(running.content.images)
        reports = [
            a_report("cardiac", patient, order, study),
            a_report("foot", patient, order, number="FOOT", release=FhirRelease.R5),
            a_report("minimal", patient, order, study, number="PDF", release=FhirRelease.R5),
        ]
        status, answer = await running.stack.publish(provide_bundle(reports, patient=patient))
        assert status == 200, answer
        yield running


@wire
@pytest.mark.parametrize("release", ["R4", "R5"])
async def test_what_reports_and_manifests_give_is_of_its_release(imaging, release):
    kinds = ["ImagingStudy", "Endpoint", "DocumentReference", *REPORT_TABLES]
    kinds += ["ImagingSelection"] if release == "R5" else []
    seen = set()
    for kind in kinds:
        query = {"patient.identifier": imaging.content.patient.token, "_include": "*", "_revinclude": "*"}
        query |= {"status": "current"} if kind == "DocumentReference" else {}
        status, bundle = await imaging.stack.get(f"{release}/{kind}", **query)
        assert status == 200, bundle
        seen |= parse(bundle, release)
        for entry in bundle.get("entry", ()):
            if "id" in entry["resource"] and entry["resource"]["resourceType"] != "OperationOutcome":
                assert entry["fullUrl"].startswith(f"{imaging.stack.base_url}/{release}/")
    assert seen >= {"Composition", "Device", "DiagnosticReport", "Endpoint", "ImagingStudy", "Practitioner"}
    assert ("ImagingSelection" in seen, "Basic" in seen) == (
        (True, False) if release == "R5" else (False, True)
    )
    assert not (release == "R5" and seen & ONLY_IN_R4)
