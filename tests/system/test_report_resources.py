"""What report documents hold, read and searched as resources, beside a manifest of the same study."""

import hashlib

import orjson
import pytest
import pytest_asyncio
from fhir.resources.R4B import get_fhir_model_class

from gateway.demo.bundles import provide_bundle
from gateway.model.releases import FhirRelease

from .documents import a_patient
from .imaging import matches
from .reports import FOOT, a_report, published_reports

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_reports(
        tmp_path_factory.mktemp("reports"), "reports over the whole stack"
    ) as running:
        yield running


async def search(published, kind, **parameters):
    return await published.search(kind, patient__identifier=published.content.patient.token, **parameters)


async def report_of(published, name):
    """The DiagnosticReport of one of the documents."""
    bundle = orjson.loads(published.documents[name].content)
    (report,) = [
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport"
    ]
    number = report["identifier"][0]
    found = await search(published, "DiagnosticReport", identifier=f"{number['system']}|{number['value']}")
    (one,) = matches(found)
    return one


async def test_every_report_of_a_patient_is_found(published):
    found = await search(published, "DiagnosticReport")
    assert (found["total"], len(matches(found))) == (3, 3)
    assert all(r["subject"]["identifier"]["value"] == published.content.patient.id for r in matches(found))
    other = published.content.other_patient.token
    assert (await published.search("DiagnosticReport", patient__identifier=other))["total"] == 0


async def test_a_report_document_comes_back_byte_for_byte(published):
    for name, document in published.documents.items():
        report = await report_of(published, name)
        url = f"{published.stack.base_url}/DiagnosticReport/{report['id']}/$document"
        async with published.stack.session.get(url) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/fhir+json"
            assert hashlib.sha256(await answer.read()).digest() == hashlib.sha256(document.content).digest()


async def test_every_reference_inside_a_report_leads_to_a_resource(published):
    report = await report_of(published, "cardiac")
    seen, waiting = set(), [f"DiagnosticReport/{report['id']}"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        status, resource = await published.stack.get(path)
        assert status == 200, (path, resource)
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert len(resource["id"]) <= 64
        waiting += [r for r in literals(resource) if not r.startswith("#")]
    kinds = {path.partition("/")[0] for path in seen}
    assert kinds >= {
        "Basic", "Composition", "Condition", "Device", "DiagnosticReport", "ImagingStudy", "Observation",
        "Organization", "Patient", "Practitioner", "PractitionerRole", "Procedure", "ServiceRequest",
    }  # fmt: skip


def literals(value):
    if isinstance(value, list):
        return [found for item in value for found in literals(item)]
    if not isinstance(value, dict):
        return []
    own = [value["reference"]] if isinstance(value.get("reference"), str) else []
    return own + [found for item in value.values() for found in literals(item)]


async def test_a_report_of_r5_answers_as_resources_on_both_bases(published):
    patient = a_patient()
    report = a_report("cardiac", patient, FOOT, release=FhirRelease.R5)
    status, answer = await published.stack.publish(provide_bundle([report], patient=patient))
    assert status == 200, answer
    (old,) = matches(await published.search("DiagnosticReport", patient__identifier=patient.token))
    get_fhir_model_class("DiagnosticReport").model_validate(old)
    status, basic = await published.stack.get("Basic", **{"patient.identifier": patient.token})
    assert (status, basic["total"]) == (200, 2)
    status, found = await published.stack.get("R5/DiagnosticReport", **{"patient.identifier": patient.token})
    (new,) = matches(found)
    assert (new["id"], status) == (old["id"], 200)
    assert new["study"][0]["reference"] == old["imagingStudy"][0]["reference"]
    for base in ("", "R5/"):
        url = f"{published.stack.base_url}/{base}DiagnosticReport/{old['id']}/$document"
        async with published.stack.session.get(url) as answer:
            assert (answer.status, await answer.read()) == (200, report.content)
