"""Sample imaging reports keep the profiles of HL7 Europe in FHIR R4, as HAPI FHIR's validator sees it.

What is allowed is a list with reasons; the guide's own semi-structured report breaks the same rules.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import KINDS, changed, report, report_bytes
from tests.fhir.test_report_documents import PROFILE, entry_of, profiles, written
from tests.interop.test_hapi_manifests import complaints
from tests.system.imaging import matches, published_study
from tests.system.reports import a_report, order_of, study_of

pytestmark = pytest.mark.interop

EXAMPLES = Path(__file__).resolve().parents[3] / "shared/oracle/profiles/r4/hl7.fhir.eu.imaging/examples"
DEFECTS = (
    # CompositionEuImaging has it on the Composition; its definition for R4 names Condition alone
    r"extension http://hl7\.org/fhir/StructureDefinition/event-basedOn is not allowed",
    # so no Composition that the guide wants matches the slice for it
    r"Slice 'Bundle\.entry:CompositionEuImaging': a matching slice is required",
    # entries of sections are sliced by the profile of the Reference, not by that of what it refers to: every
    # reference matches each of the slices
    r"Profile \S+/CompositionEuImaging, Element matches more than one slice",
    r"section\[\d\]\.entry\[\d\]: Invalid Resource target type",
    # slices by type and by function that fix nothing of it
    r"Could not match discriminator \(type\) for slice ServiceRequest\.identifier:accessionNumber",
    r"Could not match discriminator \(function\) for slice Procedure\.performer:(performer|imaging-device)",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_report(hapi, kind):
    assert complaints(hapi.errors(report_bytes(kind, FhirRelease.R4)), *DEFECTS) == []


def test_the_guide_breaks_the_same_rules(hapi):
    raw = (EXAMPLES / "Bundle-bundle-report-semi-structured.json").read_bytes()
    errors = hapi.errors(raw)
    assert complaints(errors, *DEFECTS) == []
    assert errors, "the guide has been mended"


@pytest.mark.parametrize(
    "path",
    [
        "entry[0].resource.identifier",
        "entry[0].resource.category[0]",
        "entry[0].resource.section[1]",
        "entry[1].resource.extension[1]",
        "entry[6].resource.identifier",
    ],
)
def test_the_validator_sees_what_is_missing(hapi, path):
    assert complaints(hapi.errors(changed(report("foot"), path)), *DEFECTS[2:]) != []
    assert len(hapi.errors(changed(report("foot"), path))) > len(hapi.errors(report("foot")))


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_reference_of_a_report(hapi, kind):
    made = written(entry_of(kind))
    assert (PROFILE in profiles(made)) is (kind != "minimal"), "a PDF names no modality"
    assert hapi.errors(made) == []


# --- what is answered of reports ------------------------------------------------------------------------------
KINDS_ANSWERED = (
    *("DiagnosticReport", "Composition", "Observation", "Procedure", "ServiceRequest", "Condition", "Device"),
    *("Basic", "Provenance", "ImagingStudy", "Endpoint", "Patient"),
)
EVERYTHING = {"_include": "*", "_include:iterate": "*", "_revinclude": "*"}
DEFECTS_OF_PARTS = (
    *DEFECTS,
    # ServiceRequestOrderEuImaging slices identifiers by type, and gives a slice no type to tell it by
    r"does not have fixed value, binding or existence assertions",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answered(tmp_path_factory):
    """A gateway with a study and each kind of report."""
    async with published_study(tmp_path_factory.mktemp("hapi-reports"), "hapi reports") as running:
        patient, images = running.content.patient, running.content.images
        order = order_of(running.content)
        documents = [
            a_report("cardiac", patient, order, study_of(images)),
            a_report("foot", patient, replace(order, accession="FOOT", placer="P-FOOT")),
            a_report("minimal", patient, order, study_of(images), number="M"),
        ]
        status, answer = await running.stack.publish(provide_bundle(documents, patient=patient))
        assert status == 200, answer
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS_ANSWERED)
async def test_a_search_with_all_that_comes_along(hapi, answered, kind):
    name = "identifier" if kind == "Patient" else "patient.identifier"
    more = {} if kind == "Patient" else EVERYTHING
    bundle = await answered.search(kind, **{name: answered.content.patient.token, **more})
    assert matches(bundle)
    assert complaints(hapi.errors(bundle), *DEFECTS_OF_PARTS) == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("summary", ["true", "text", "data", "count"])
async def test_parts_of_resources(hapi, answered, summary):
    for kind in ("DiagnosticReport", "Composition", "Observation", "Provenance"):
        token = answered.content.patient.token
        bundle = await answered.search(kind, **{"patient.identifier": token, "_summary": summary})
        assert complaints(hapi.errors(bundle), *DEFECTS_OF_PARTS) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_the_validator_would_see_an_error_in_an_answer(hapi, answered):
    token = answered.content.patient.token
    bundle = await answered.search("DiagnosticReport", **{"patient.identifier": token})
    del bundle["entry"][0]["resource"]["status"]
    assert complaints(hapi.errors(bundle), *DEFECTS_OF_PARTS) != []
