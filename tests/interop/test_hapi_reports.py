"""Sample imaging reports keep the profiles of HL7 Europe in FHIR R4, as HAPI FHIR's validator sees it.

What is allowed is a list with reasons; the guide's own semi-structured report breaks the same rules.
"""

from pathlib import Path

import pytest

from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import KINDS, changed, report, report_bytes
from tests.fhir.test_report_documents import PROFILE, entry_of, profiles, written
from tests.interop.test_hapi_manifests import complaints

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
