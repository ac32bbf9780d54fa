"""What the gateway sends at its base of FHIR R5 keeps R5 and the profiles of IHE MHD 5.1.0, as HAPI sees it."""

import json

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.fhir.versions import to_r5
from gateway.model import codes
from tests.system.documents import a_document, a_patient
from tests.system.imaging import published_study
from tests.system.stack import running_stack

SEARCHSET = codes.MHD_STRUCTURE + "IHE.MHD.FindDocumentReferencesComprehensiveResponseMessage"
LISTS = codes.MHD_STRUCTURE + "IHE.MHD.FindDocumentListsResponseMessage"
PROVIDE_RESPONSE = codes.MHD_STRUCTURE + "IHE.MHD.ProvideDocumentBundleResponse"

ALLOWED = (
    # ServiceRequestOrderEuImaging slices identifiers by type, and gives a slice no type to tell it by
    "does not have fixed value, binding or existence assertions",
)
"""Findings that are defects of a profile."""

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory):
    """The gateway with the sample content, and the token of its patient."""
    content = sample_content("hapi-r5")
    async with running_stack(tmp_path_factory.mktemp("hapi-r5")) as stack:
        documents = [content.report, content.discharge, content.manifest]
        bundle = provide_bundle(documents, patient=content.patient, folder=content.folder, title="Chest CT")
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
        replaced = answer["entry"][1]["response"]["location"]
        replacement = provide_bundle([content.corrected_report], patient=content.patient, replaces=replaced)
        assert (await stack.publish(replacement))[0] == 200
        yield stack, content.patient.token


async def text_of(stack, path, **parameters):
    """The body as it was sent."""
    async with stack.session.get(f"{stack.base_url}/R5/{path}", params=parameters) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


@pytest.mark.parametrize(("kind", "profile"), [("DocumentReference", SEARCHSET), ("List", LISTS)])
async def test_searchsets_and_what_is_in_them(served, hapi_r5, kind, profile):
    stack, token = served
    query = {"patient.identifier": token, "status": "current,superseded" if kind != "List" else "current"}
    text = await text_of(stack, kind, **query)
    assert json.loads(text)["total"] > 0
    assert hapi_r5.errors(text, profile) == []


async def test_a_searchset_with_issues(served, hapi_r5):
    stack, token = served
    text = await text_of(
        stack, "DocumentReference", **{"patient.identifier": token, "status": "current", "x": "1"}
    )
    assert json.loads(text)["issues"]
    assert hapi_r5.errors(text) == []


async def test_the_capability_statement_and_definitions(served, hapi_r5):
    stack, _ = served
    for path in ("metadata", "SearchParameter", "OperationDefinition"):
        assert hapi_r5.errors(await text_of(stack, path)) == []


async def test_the_answer_to_a_publish(served, hapi_r5):
    stack, _ = served
    bundle = to_r5(provide_bundle([a_document("hapi r5")], patient=a_patient()))
    async with stack.session.post(
        f"{stack.base_url}/R5", json=bundle, headers={"Content-Type": "application/fhir+json"}
    ) as answer:
        assert answer.status == 200, await answer.text()
        assert hapi_r5.errors(await answer.read(), PROVIDE_RESPONSE) == []


async def test_imaging_resources(tmp_path, hapi_r5):
    async with published_study(tmp_path, "imaging in R5") as published:
        token = published.content.patient.token
        for kind in ("ImagingStudy", "ServiceRequest", "Endpoint", "Provenance", "DocumentReference"):
            query = {"patient.identifier": token}
            if kind == "DocumentReference":
                query["status"] = "current"
            text = await text_of(published.stack, kind, **query)
            assert json.loads(text)["total"] > 0
            errors = hapi_r5.errors(text)
            assert [e for e in errors if not any(known in e for known in ALLOWED)] == [], kind
