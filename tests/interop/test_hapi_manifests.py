"""FHIR manifests that the gateway writes keep the profiles of IHE RAD MADO, as HAPI FHIR's validator sees it.

What is allowed is a list with reasons: the profiles have slices that nothing can be matched against, and
allow one order where MADO itself demands all of a group.
"""

import re

import pytest
from hypothesis import Phase, given, settings
from msgspec.structs import replace

from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_bundle import manifest_bundle_bytes
from gateway.model import Code, Organization
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import ImagingRequest, LocalTime, Study
from tests.fhir import test_imaging_documents as documents
from tests.fhir.manifest_samples import CONTEXT, FAR, GROUP, NEAR, SIMPLE
from tests.fhir.manifest_strategies import manifests
from tests.fhir.test_study_resources import all_resources, found

pytestmark = pytest.mark.interop

DEFECTS = (
    # MadoRequestedProcedure slices by type.coding and fixes only the children of its codings
    r"Could not match discriminator \(type\.coding\) for slice ServiceRequest\.identifier:(placer|filler)",
    # MadoWebViewerEndpoint slices by $this and fixes only the children of the coding
    r"Could not match discriminator \(\$this\) for slice Endpoint\.payloadType:type-none",
    # ServiceRequestOrderEuImaging slices by type and fixes nothing of it but in the profile of the slice
    r"Could not match discriminator \(type\) for slice ServiceRequest\.identifier:accessionNumber",
)
SEVERAL_ORDERS = (
    # a study of several accessions has to be supported and the slice allows one of them
    r"ImagingStudy\.basedOn:(order|ServiceRequestOrderEuImagingaccession): max allowed = 1",
    # so the study does not match the slices for it either
    r"Slice 'Bundle\.entry:(composition|imaging-study)': a matching slice is required",
    r"Slice 'Composition\.event:imaging-study': a matching slice is required",
)


def complaints(errors, *allowed):
    return [error for error in errors if not any(re.search(pattern, error) for pattern in allowed)]


def as_json(manifest):
    return manifest_bundle_bytes(manifest, CONTEXT)


def test_a_study_with_everything(hapi):
    assert complaints(hapi.errors(as_json(SIMPLE)), *DEFECTS) == []


def test_in_xml(hapi):
    xml = manifest_bundle_bytes(SIMPLE, CONTEXT, FhirFormat.XML)
    assert complaints(hapi.errors(xml), *DEFECTS) == []


def test_a_study_of_several_orders(hapi):
    errors = hapi.errors(as_json(GROUP))
    assert complaints(errors, *DEFECTS, *SEVERAL_ORDERS) == []
    assert any(re.search(SEVERAL_ORDERS[0], error) for error in errors), "the guide has been mended"


def test_a_study_of_which_little_is_known(hapi):
    series = tuple(replace(s, modality=None, description=None, number=None) for s in SIMPLE.study.series)
    little = replace(
        SIMPLE,
        created=LocalTime("20260225", "1200"),
        utc_offset=None,
        study=Study(
            "2.999.1.100",
            started=LocalTime("20260225", "1200"),
            requests=(ImagingRequest(),),
            series=series,
        ),
        creator=replace(SIMPLE.creator, manufacturer=None, organization=None),
    )
    assert complaints(hapi.errors(as_json(little)), *DEFECTS) == []


@settings(max_examples=12, phases=[Phase.generate], derandomize=True)
@given(manifests())
def test_generated_studies(hapi, manifest):
    study = manifest.study
    # a location without UID is none that the profile takes
    series = tuple(replace(s, locations=(NEAR, FAR)) for s in study.series)
    made = replace(manifest, study=replace(study, series=series, requests=study.requests[:1]))
    assert complaints(hapi.errors(as_json(made)), *DEFECTS) == []


@pytest.mark.parametrize("manifest", [SIMPLE, GROUP], ids=["simple", "group"])
def test_resources_of_searches(hapi, manifest):
    resources = all_resources(found(manifest))
    base = "https://gateway.example/fhir"
    searchset = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"fullUrl": f"{base}/{r['resourceType']}/{r['id']}", "resource": r} for r in resources],
    }
    allowed = SEVERAL_ORDERS if manifest is GROUP else ()
    assert complaints(hapi.errors(searchset), *DEFECTS, *allowed) == []


SEVERAL_VALUES = (
    # a study of several modalities repeats the extension, since R5 allows it and R4 has one
    r"DocumentReference\.extension:modality: max allowed = 1",
    # the group case again
    r"DocumentReference\.context\.related:accession-number: max allowed = 1",
)
EU_DOCUMENT = "http://hl7.eu/fhir/health-data-api/StructureDefinition/EehrxfMhdDocumentReference"
EU_REPORT = imaging.EU_STRUCTURE + "DocumentReferenceImagingReport"
REPORT_BUNDLE = Code(imaging.EU_STRUCTURE + "BundleReportEuImaging", "urn:ietf:rfc:3986")


@pytest.mark.parametrize(
    ("document", "profile", "allowed"),
    [
        (documents.A, EU_DOCUMENT, ()),
        (documents.twin_of(documents.A, documents.FHIR), EU_DOCUMENT, ()),
        (documents.G, EU_DOCUMENT, SEVERAL_VALUES),
        (documents.LEGACY, EU_DOCUMENT, ()),
        (replace(documents.REPORT, format_code=REPORT_BUNDLE), EU_REPORT, ()),
    ],
    ids=["kos", "fhir", "several", "legacy", "report"],
)
def test_document_references(hapi, document, profile, allowed):
    written = documents.written(document, custodians={"urn:oid:2.999.70": Organization("Region", "2.999.60")})
    assert complaints(hapi.errors(written, profile), *allowed) == []
