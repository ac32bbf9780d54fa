"""What reports hold keeps FHIR R5 and the profiles of HL7 Europe for it, as HAPI FHIR's validator sees it, and so
do the sample reports that are written in R5.

What is allowed is a list with reasons.
"""

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION
from gateway.fhir.report_parameters import REPORT_TABLES
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import KINDS, report_bytes
from tests.interop.test_hapi_manifests import complaints
from tests.system.documents import a_patient
from tests.system.imaging import published_study
from tests.system.reports import a_report, order_of, study_of

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

OTHER = ReportOrder("HAPI-5", ORGANIZATION, "P-HAPI-5", ORGANIZATION)
DEFECTS = (
    # slices by type and by function that fix nothing of it
    r"Could not match discriminator \(type\) for slice ServiceRequest\.identifier:accessionNumber",
    r"Could not match discriminator \(function\) for slice Procedure\.performer:(performer|imaging-device)",
    # entries of sections and sources of a dose are sliced by the profile of the Reference, not by that of what
    # it refers to: every reference matches each of the slices
    r"Profile \S+/CompositionEuImaging, Element matches more than one slice",
    r"Profile \S+/ObservationRadiationDoseEuImaging, Element matches more than one slice",
    r"section\[\d\]\.entry\[\d\]: Invalid Resource target type",
    # so no Composition and no DiagnosticReport that the guide wants matches the slice for it
    r"Slice 'Bundle\.entry:(Composition|DiagnosticReport)EuImaging': a matching slice is required",
    # the invariant has a list where FHIRPath takes one value, and no value where the Composition is not there
    r"Constraint failed: dgr-1",
)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sample_report_of_r5(hapi_r5, kind):
    assert complaints(hapi_r5.errors(report_bytes(kind, FhirRelease.R5)), *DEFECTS) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    """A study with its manifest and reports of R4, and a patient with reports of R5."""
    async with published_study(tmp_path_factory.mktemp("hapi-reports-r5"), "reports for HAPI") as running:
        patient, other = running.content.patient, a_patient()
        order, study = order_of(running.content), study_of(running.content.images)
        for who, release in ((patient, FhirRelease.R4), (other, FhirRelease.R5)):
            reports = [
                a_report(
                    "cardiac",
                    who,
                    order if who is patient else OTHER,
                    study if who is patient else None,
                    release=release,
                ),
                a_report("foot", who, OTHER, number="F", release=release),
                a_report("minimal", who, OTHER, number="M", release=release),
            ]
            status, answer = await running.stack.publish(provide_bundle(reports, patient=who))
            assert status == 200, answer
        running.patients = patient, other
        yield running


@pytest.mark.parametrize("kind", ["ImagingStudy", "ImagingSelection", *REPORT_TABLES])
async def test_the_resources_of_reports(published, hapi_r5, kind):
    for patient in published.patients:
        _, bundle = await published.stack.get(f"R5/{kind}", **{"patient.identifier": patient.token})
        assert complaints(hapi_r5.errors(bundle), *DEFECTS) == []
