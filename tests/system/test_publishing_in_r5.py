"""Documents published at the base of FHIR R5 in each way, and the rules of R5 for Bundles in both directions."""

import hashlib
import json
from dataclasses import replace

import orjson
import pytest
import pytest_asyncio
from fhir.resources import get_fhir_model_class

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import IMAGING_REPORT
from gateway.demo.reports import WRITERS
from gateway.demo.samples import DOCUMENT_DEFAULTS
from gateway.fhir.report_parameters import REPORT_TABLES
from gateway.fhir.versions import to_r5
from gateway.model.releases import FhirRelease

from .documents import a_document, a_patient
from .imaging import matches
from .stack import running_stack
from .test_releases import JSON, ask
from .test_reports import a_report, resource_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = list(WRITERS)
R5 = f"{JSON}; fhirVersion=5.0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(
        tmp_path_factory.mktemp("publishing-r5"), publish={"defaults": DOCUMENT_DEFAULTS}
    ) as running:
        yield running


async def stored(stack, patient, content, release):
    """The DocumentReferences of both bases for a document that comes back as it was sent, and labelled."""
    found = {}
    for base in ("R4", "R5"):
        query = {"patient.identifier": patient.token, "status": "current"}
        _, bundle = await stack.get(f"{base}/DocumentReference", **query)
        (found[base],) = matches(bundle)
        _, headers, body = await ask(stack, "GET", found[base]["content"][0]["attachment"]["url"])
        assert hashlib.sha1(body).digest() == hashlib.sha1(content).digest()
        assert headers["Content-Type"] == f"{JSON}; fhirVersion={release}"
    assert found["R4"]["id"] == found["R5"]["id"]
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_a_report_in_a_bundle_of_r5_is_an_entry_of_its_own(stack, kind):
    """FHIR Documents Publish: the document is of the release of the transaction."""
    content, case = a_report(kind, FhirRelease.R5)
    document = a_document(content=content, content_type=JSON, type=IMAGING_REPORT, creation="2025-05-08")
    bundle = to_r5(provide_bundle([replace(document, unique_id=case.identifier)], patient=case.patient))
    entry = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Binary")
    entry["resource"], entry["request"]["url"] = orjson.loads(content), "Bundle"
    (reference,) = (
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    )
    for name in ("hash", "size"):
        del reference["content"][0]["attachment"][name]
    status, _, body = await ask(stack, "POST", "/R5", orjson.dumps(bundle), Content_Type=JSON, Accept=R5)
    assert status == 200, body
    await stored(stack, case.patient, orjson.dumps(orjson.loads(content)), FhirRelease.R5)


@pytest.mark.parametrize(
    ("kind", "packed"), [*((kind, True) for kind in KINDS), ("foot", False), ("cardiac", False)]
)
async def test_metadata_are_generated_in_r5(stack, kind, packed):
    """ITI-106, with the document in a Binary, or itself, which a Bundle of type collection is not."""
    content, case = a_report(kind, FhirRelease.R5)
    resource = orjson.loads(content)
    if packed:
        attachment = resource_of(content)["content"][0]["attachment"]
        resource = {"resourceType": "Binary", "contentType": JSON, "data": attachment["data"]}
    body = {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": resource}]}
    status, headers, answer = await ask(
        stack, "POST", "/R5/DocumentReference/$generate-metadata", orjson.dumps(body), Content_Type=JSON
    )
    assert status == 200, answer
    assert "fhirVersion=5.0" in headers["Content-Type"]
    get_fhir_model_class("Parameters").model_validate_json(answer)
    found = await stored(
        stack, case.patient, content if packed else orjson.dumps(orjson.loads(content)), FhirRelease.R5
    )
    get_fhir_model_class("DocumentReference").model_validate(found["R5"])
    values = {i["value"] for i in found["R5"]["identifier"]}
    assert f"urn:oid:{case.identifier}" in values
    assert found["R4"]["masterIdentifier"]["value"] in values


@pytest.mark.parametrize("release", FhirRelease)
async def test_a_report_of_either_release_lies_in_a_binary_of_r5(stack, release):
    content, case = a_report("foot", release)
    document = a_document(content=content, content_type=JSON, type=IMAGING_REPORT, creation="2025-05-08")
    bundle = to_r5(provide_bundle([replace(document, unique_id=case.identifier)], patient=case.patient))
    status, _, body = await ask(stack, "POST", "/R5", orjson.dumps(bundle), Content_Type=JSON)
    assert status == 200, body
    await stored(stack, case.patient, content, release)


# --- Bundles ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path", ["/R4", "/R5"])
async def test_an_entry_without_its_resource_is_refused(stack, path, method):
    """Statement 18: an entry that creates or updates has a resource."""
    bundle = provide_bundle([a_document(content=b"x")], patient=a_patient())
    sent = to_r5(bundle) if path == "/R5" else bundle
    sent["entry"].append({"fullUrl": "urn:uuid:0b1d6f4e-2c1a-4c6e-9a51-000000000001",
                          "request": {"method": method, "url": "Patient/1"}})  # fmt: skip
    status, _, body = await ask(stack, "POST", path, orjson.dumps(sent), Content_Type=JSON)
    assert status in (400, 422)
    issues = json.loads(body)["issue"]
    named = [place for issue in issues for place in issue.get("expression", ())]
    assert any(place.startswith(f"Bundle.entry[{len(sent['entry']) - 1}]") for place in named), issues


@pytest.mark.parametrize("path", ["/R4", "/R5"])
async def test_each_entry_of_a_transaction_has_its_response(stack, path):
    bundle = provide_bundle([a_document(content=b"x")], patient=a_patient())
    sent = to_r5(bundle) if path == "/R5" else bundle
    status, _, body = await ask(stack, "POST", path, orjson.dumps(sent), Content_Type=JSON)
    answer = json.loads(body)
    assert (status, answer["type"]) == (200, "transaction-response")
    assert len(answer["entry"]) == len(sent["entry"])
    assert all(entry["response"]["status"].startswith("20") for entry in answer["entry"])
    assert "issues" not in answer or path == "/R5"


@pytest.mark.parametrize("base", ["R4", "R5"])
async def test_every_searchset_keeps_the_rules_of_its_release(stack, base):
    """Statements 16 and 17, for every type that can be searched, with matches and without, with a warning."""
    content, case = a_report("cardiac", FhirRelease.R5)
    document = a_document(content=content, content_type=JSON, type=IMAGING_REPORT, creation="2025-05-08")
    bundle = provide_bundle([replace(document, unique_id=case.identifier)], patient=case.patient)
    assert (await stack.publish(bundle))[0] == 200
    kinds = ["DocumentReference", "List", "ImagingStudy", *REPORT_TABLES]
    kinds += ["ImagingSelection"] if base == "R5" else []
    for kind in kinds:
        for patient in (case.patient, a_patient()):
            query = {"patient.identifier": patient.token, "colour": "red"}
            query |= {"status": "current"} if kind in ("DocumentReference", "List") else {}
            status, found = await stack.get(f"{base}/{kind}", **query)
            assert (status, found["type"]) == (200, "searchset"), found
            (own,) = [link for link in found["link"] if link["relation"] == "self"]
            assert own["url"].startswith(f"{stack.base_url}/{base}/{kind}?")
            entries = found.get("entry", [])
            assert all(entry["fullUrl"] and entry["resource"] for entry in entries)
            assert not any({"request", "response"} & entry.keys() for entry in entries)
            outcomes = [e["resource"] for e in entries if e["search"]["mode"] == "outcome"]
            if base == "R5":
                assert not outcomes
                outcomes = [found["issues"]]
            else:
                assert "issues" not in found
            severities = {issue["severity"] for outcome in outcomes for issue in outcome["issue"]}
            assert severities and severities <= {"information", "warning"}
