"""Which release of FHIR a stored document is of, by its metadata."""

import pytest

from gateway.fhir.document_release import document_release
from gateway.model import Code
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import DocumentEntry
from gateway.model.releases import FhirRelease

JSON = "application/fhir+json"


@pytest.mark.parametrize(
    ("mime_type", "format_code", "release"),
    [
        (JSON, imaging.EU_STRUCTURE + "BundleReportEuImaging", FhirRelease.R4),
        (JSON, "http://hl7.eu/fhir/imaging-r4/StructureDefinition/BundleReportEuImaging", FhirRelease.R4),
        (JSON, imaging.EU_R5_STRUCTURE + "BundleReportEuImaging|1.0.0", FhirRelease.R5),
        ("application/fhir+xml", imaging.EU_R5_STRUCTURE + "BundleReportEuImaging", FhirRelease.R5),
        (JSON, imaging.FORMAT_FHIR_MANIFEST, FhirRelease.R4),
        (f"{JSON}; fhirVersion=5.0", "urn:ihe:other", FhirRelease.R5),
        (f"{JSON}; charset=utf-8; fhirVersion=4.0.1", None, FhirRelease.R4),
        (f"{JSON}; fhirVersion=3.0", None, None),
        (JSON, "urn:ihe:other", None),
        (JSON, None, None),
        ("application/pdf", imaging.EU_STRUCTURE + "BundleReportEuImaging", None),
    ],
)
def test_the_release_follows_from_format_code_and_mime_type(mime_type, format_code, release):
    entry = DocumentEntry(
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
        unique_id="2.999.1",
        mime_type=mime_type,
        format_code=Code(format_code, "urn:ietf:rfc:3986") if format_code else None,
    )
    assert document_release(entry) is release
