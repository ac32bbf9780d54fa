"""Imaging reports over the whole stack: published in each way, found by what they say, retrieved byte for byte."""

import hashlib
import uuid
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import IMAGING_REPORT
from gateway.demo.reports import WRITERS
from gateway.demo.samples import DOCUMENT_DEFAULTS, IdSource
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import case_of
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/fhir+json"
ORACLE = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
EXAMPLES = sorted(ORACLE.glob("r[45]/hl7.fhir.eu.imaging*/examples/Bundle-*.json"))
ALL = [(kind, release) for kind in WRITERS for release in FhirRelease]
AUTHORITIES = {
    "http://example.org/myhosptital/reportidentifiers": "2.999.91",
    "http://example.org/myhosptital/accessionsystem": "2.999.92",
    "http://example.org/myhospital/accessionsystem": "2.999.92",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(
        tmp_path_factory.mktemp("stack"),
        publish={"defaults": DOCUMENT_DEFAULTS},
        terminology={"assigning_authorities": AUTHORITIES},
    ) as running:
        yield running


def a_report(kind, release):
    """A report about a patient of its own, and that patient."""
    seed = uuid.uuid4().hex
    patient = a_patient("report")
    case = replace(case_of(kind, IdSource(seed)), identifier=IdSource(seed).oid(2), patient=patient)
    return WRITERS[kind](release, IdSource(seed), case), case


def resource_of(content, content_type=JSON):
    attachment = {"contentType": content_type, "data": b64encode(content).decode()}
    return {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}]}


async def send(stack, path, body):
    async with stack.session.post(
        f"{stack.base_url}/{path}", data=orjson.dumps(body), headers={"Content-Type": JSON, "Accept": JSON}
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def publish_in_bundle(stack, content, patient, unique_id):
    """ITI-65 with the report as Binary, and a DocumentReference that says no more than it has to."""
    document = a_document(
        content=content,
        content_type=JSON,
        title="Report",
        type=IMAGING_REPORT,
        creation="2025-05-08T10:00:00+02:00",
    )
    document = replace(document, unique_id=unique_id)
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    return answer


async def simplified(stack, content):
    status, answer = await send(stack, "DocumentReference", resource_of(content))
    assert status == 201, answer


async def generate(stack, content):
    binary = {"resourceType": "Binary", "contentType": JSON, "data": b64encode(content).decode()}
    body = {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": binary}]}
    status, answer = await send(stack, "DocumentReference/$generate-metadata", body)
    assert status == 200, answer


async def check_found(stack, content, case):
    """The report is found by patient, type, category, study and accession, and comes back as it was."""
    study, order = case.study, case.order
    for parameters in (
        {"type": "http://loinc.org|85430-7"},
        {"category": "Medical-Imaging"},
        {"related__identifier": f"urn:dicom:uid|urn:oid:{study.uid}"},
        {"accession-number": f"urn:oid:{order.accession_authority}|{order.accession}"},
        {"study-instance-uid": f"urn:oid:{study.uid}"},
    ):
        named = {name.replace("__", ":"): value for name, value in parameters.items()}
        found = await stack.find(patient__identifier=case.patient.token, status="current", **named)
        assert len(found) == 1, parameters
    (reference,) = found
    status, headers, body = await stack.download(reference, Accept=JSON)
    assert (status, body) == (200, content)
    assert headers["Content-Type"].startswith(JSON)
    attachment = reference["content"][0]["attachment"]
    assert attachment["hash"] == b64encode(hashlib.sha1(content).digest()).decode()
    return reference


@pytest.mark.parametrize(("kind", "release"), ALL)
async def test_a_report_published_by_simplified_publish(stack, kind, release):
    content, case = a_report(kind, release)
    await simplified(stack, content)
    reference = await check_found(stack, content, case)
    assert reference["masterIdentifier"]["value"] == f"urn:oid:{case.identifier}"
    canonical = orjson.loads(content)["meta"]["profile"][0]
    assert reference["content"][0]["format"] == {
        "system": "urn:ietf:rfc:3986",
        "code": canonical,
        "display": "EU imaging report",
    }
    assert reference["content"][0]["extension"][0]["valueCanonical"] == canonical
    if kind != "minimal":
        assert reference["context"]["period"]["start"].startswith("2025-04-29T07:15:00")
        assert reference["authenticator"]


@pytest.mark.parametrize(("kind", "release"), ALL)
async def test_a_report_whose_metadata_are_generated(stack, kind, release):
    content, case = a_report(kind, release)
    await generate(stack, content)
    await check_found(stack, content, case)


@pytest.mark.parametrize(("kind", "release"), ALL)
async def test_a_report_published_in_a_bundle(stack, kind, release):
    content, case = a_report(kind, release)
    await publish_in_bundle(stack, content, case.patient, case.identifier)
    await check_found(stack, content, case)


@pytest.mark.parametrize("kind", list(WRITERS))
async def test_a_report_published_as_fhir_document(stack, kind):
    content, case = a_report(kind, FhirRelease.R4)
    document = a_document(content=content, content_type=JSON, type=IMAGING_REPORT, creation="2025-05-08")
    document = replace(document, unique_id=case.identifier)
    bundle = provide_bundle([document], patient=case.patient)
    entry = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Binary")
    entry["resource"], entry["request"]["url"] = orjson.loads(content), "Bundle"
    reference = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    )
    for name in ("hash", "size"):
        del reference["content"][0]["attachment"][name]
    status, answer = await stack.publish(orjson.dumps(bundle))
    assert status == 200, answer
    await check_found(stack, orjson.dumps(orjson.loads(content)), case)


@pytest.mark.skipif(not EXAMPLES, reason="the guide's examples are not here")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
async def test_the_examples_of_the_guide(stack, path):
    patient, content = a_patient("guide"), path.read_bytes()
    document = a_document(
        content=content, content_type=JSON, type=IMAGING_REPORT, language="de", creation="2025-05-08"
    )
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    (reference,) = await stack.find(
        patient__identifier=patient.token, status="current", category="Medical-Imaging"
    )
    status, _, body = await stack.download(reference, Accept=JSON)
    assert (status, body) == (200, content)
    related = [r["identifier"]["value"] for r in reference["context"]["related"]]
    if "minimal" in path.stem:
        assert related == ["urn:oid:1.2.840.113619.2.55.3.604688123.783.1704067200.1", "ACC-123456789"]
    else:
        expected = ["urn:oid:1.2.276.2000010.784732", "urn:oid:1.2.276.2000010.784733", "123456789"]
        assert related == expected


async def test_a_report_that_breaks_the_guide_is_stored_with_warnings(stack):
    content, case = a_report("foot", FhirRelease.R4)
    bundle = orjson.loads(content)
    del bundle["entry"][0]["resource"]["section"][1]
    answer = await publish_in_bundle(stack, orjson.dumps(bundle), case.patient, case.identifier)
    issues = [i for e in answer["entry"] for i in e["response"].get("outcome", {}).get("issue", ())]
    assert ["section-order" in issue["diagnostics"] for issue in issues] == [True]
    assert issues[0]["severity"] == "warning"


async def test_with_strict_it_is_refused_and_nothing_is_stored(tmp_path):
    async with running_stack(tmp_path, reports={"check": "strict"}) as stack:
        content, case = a_report("foot", FhirRelease.R4)
        bundle = orjson.loads(content)
        del bundle["entry"][0]["resource"]["section"][1]
        document = a_document(
            content=orjson.dumps(bundle), content_type=JSON, type=IMAGING_REPORT, creation="2025-05-08"
        )
        status, outcome = await stack.publish(provide_bundle([document], patient=case.patient))
        assert status == 422
        assert [
            "section-order" in i["diagnostics"] for i in outcome["issue"] if i["severity"] == "error"
        ] == [True]
        assert await stack.find(patient__identifier=case.patient.token, status="current") == []
