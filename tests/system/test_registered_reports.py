"""Imaging reports in CDA and as PDF appear as DocumentReferences with what their metadata say, and nothing else."""

import base64
import sqlite3
from contextlib import closing

import pytest
from msgspec import structs

from gateway.affinity.objects import decode_entry
from gateway.demo.bundles import provide_bundle
from gateway.demo.report_documents import REPORT
from gateway.demo.samples import LOINC, SampleCode
from gateway.fhir.datatypes import write_date_time
from gateway.fhir.terminology import DEFAULT_CODE_SYSTEMS
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import AvailabilityStatus
from tests.cda.documents import FULL

from .documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGING_SUMMARY = SampleCode(LOINC, "18748-4", "Diagnostic imaging study")
DOCUMENTS = {
    "cda": {"content": FULL.encode(), "content_type": "text/xml"},
    "cda of hl7": {"content": FULL.encode(), "content_type": "application/hl7-v3+xml"},
    "pdf": {"content": b"%PDF-1.4 not much\n", "content_type": "application/pdf"},
}
CONSTANTS = {
    # what the resource is, and the profiles and extensions that it has its elements by
    "resourceType": {"DocumentReference", "Patient", "Practitioner", "PractitionerRole", "Organization"},
    "profile": None,
    # the gateway's own addresses
    "url": None,
    "reference": None,
    "id": None,
    "versionId": None,
}


IDENTIFIER_TYPE = ("identifier.type.coding.system", "identifier.type.coding.code")


def in_the_registry(stack, patient):
    path = stack.settings.state_dir.parent / "affinity" / "registry.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute(
            "SELECT body FROM document_entry WHERE patient LIKE ?", (f"{patient.id}%",)
        ).fetchall()
    return decode_entry(row[0])


def leaves(value, path=""):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


def texts(value):
    """Every text and number of an entry."""
    if isinstance(value, str | int):
        yield str(value)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from texts(item)
    elif hasattr(value, "__struct_fields__"):
        for item in structs.astuple(value):
            yield from texts(item)


def said(entry):
    """The values of the entry in the forms that FHIR has for them."""
    found = set(texts(entry))
    found |= {written for text in set(found) if text.isdigit() and (written := write_date_time(text))}
    found |= {f"urn:oid:{text}" for text in set(found)}
    found |= {uri for uri, oid in DEFAULT_CODE_SYSTEMS if oid in found}
    found.add(base64.b64encode(bytes.fromhex(entry.hash)).decode())
    if entry.status is AvailabilityStatus.APPROVED:
        found.add("current")
    birth = entry.source_patient_info.birth_date
    found |= {
        f"{birth[:4]}-{birth[4:6]}-{birth[6:8]}",
        {"F": "female", "M": "male"}[entry.source_patient_info.gender],
    }
    return found


def is_constant(path, value):
    last = path.rpartition(".")[2]
    if last in CONSTANTS:
        allowed = CONSTANTS[last]
        return allowed is None or value in allowed
    if path.lower().endswith(IDENTIFIER_TYPE):
        # what an identifier of XDS is, uniqueId or entryUUID
        return True
    # that a report of type 85430-7 is of the priority category of imaging is the guide's rule
    category = {imaging.EU_PRIORITY_CATEGORIES, imaging.MEDICAL_IMAGING}
    return value in {codes.URI_SYSTEM, "usual", "official", *category}


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_every_element_is_said_by_the_entry(stack, kind):
    patient = a_patient()
    document = a_document(type=REPORT, title="Thorax", creation="2024-02-01T10:00:00Z", **DOCUMENTS[kind])
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    entry = in_the_registry(stack, patient)
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    known = said(entry)
    submitted = found["date"]
    unsaid = [
        (path, value)
        for path, value in leaves(found)
        if not is_constant(path, value) and str(value) not in known and value != submitted
    ]
    assert not unsaid, unsaid
    # XDS has the time of a document's submission in its SubmissionSet
    assert submitted.startswith("20")
    assert not [e for e in found.get("extension", ()) if "modality" in e["url"] or "bodySite" in e["url"]]
    assert "related" not in found["context"]
    assert not found["content"][0].get("extension")
    assert found["content"][0]["attachment"]["contentType"] == document.content_type
    status, headers, stored = await stack.download(found)
    assert (status, stored) == (200, document.content)
    assert headers["Content-Type"].startswith(document.content_type)


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_nothing_is_taken_out_of_it(stack, kind):
    """No resource is derived of a report that is not in FHIR, and it is not even fetched."""
    patient = a_patient()
    document = a_document(type=REPORT, **DOCUMENTS[kind])
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    before = stack.soap_calls["/xds/repository"]
    for resource_type in ("DiagnosticReport", "Composition", "Observation", "ImagingStudy", "Provenance"):
        status, bundle = await stack.get(resource_type, **{"patient.identifier": patient.token})
        assert (status, bundle["total"]) == (200, 0)
    assert stack.soap_calls["/xds/repository"] == before


async def test_they_are_found_by_type_beside_reports_in_fhir(stack):
    patient = a_patient()
    documents = [a_document(type=REPORT, **DOCUMENTS["cda"]), a_document(type=IMAGING_SUMMARY)]
    status, answer = await stack.publish(provide_bundle(documents, patient=patient))
    assert status == 200, answer
    for parameters, count in (
        ({"type": "http://loinc.org|85430-7"}, 1),
        ({"type": "85430-7,18748-4"}, 2),
        ({"contenttype": "text/xml"}, 1),
    ):
        found = await stack.find(patient__identifier=patient.token, status="current", **parameters)
        assert len(found) == count
