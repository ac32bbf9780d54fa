"""What the gateway sends keeps FHIR R4 and the profiles of IHE MHD 4.2.4, as HAPI FHIR's validator sees it."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.samples import IdSource, SampleFolder
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from tests.fhir import provide_samples
from tests.fhir.provide_samples import OLD
from tests.interop.hapi import SEVERAL_MODALITIES, complaints
from tests.system.documents import a_document, a_patient
from tests.system.stack import Stack, running_stack

SEARCHSET = codes.MHD_STRUCTURE + "IHE.MHD.FindDocumentReferencesComprehensiveResponseMessage"
PROVIDE_RESPONSE = codes.MHD_STRUCTURE + "IHE.MHD.ProvideDocumentBundleResponse"

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Served:
    """The gateway with the sample content, and its answers to the requests that published it."""

    stack: Stack
    token: str
    answers: list[dict[str, Any]]

    async def text(self, path: str, **parameters: str) -> tuple[int, bytes]:
        """Status and the body as it was sent."""
        url = path if "://" in path else f"{self.stack.base_url}/{path}"
        async with self.stack.session.get(url, params=parameters) as answer:
            return answer.status, await answer.read()

    async def published(self, bundle: dict[str, Any]) -> dict[str, Any]:
        status, answer = await self.stack.publish(bundle)
        assert status == 200, answer
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory):
    content = sample_content("hapi")
    async with running_stack(tmp_path_factory.mktemp("hapi-stack")) as stack:
        made = Served(stack, content.patient.token, [])
        documents = [content.report, content.discharge, content.manifest]
        bundle = provide_bundle(documents, patient=content.patient, folder=content.folder, title="Chest CT")
        made.answers.append(await made.published(bundle))
        first = made.answers[0]["entry"][1]["response"]["location"]
        replacement = provide_bundle([content.corrected_report], patient=content.patient, replaces=first)
        made.answers.append(await made.published(replacement))
        related = provide_bundle(
            [a_document("hapi")],
            patient=content.patient,
            relates_to=[
                (code, made.answers[1]["entry"][1]["response"]["location"]) for code in ("appends", "signs")
            ],
        )
        made.answers.append(await made.published(related))
        yield made


async def test_searchsets(served, hapi):
    # current are the discharge letter, the corrected report, what appends to and signs it, and the manifest in
    # both formats; superseded is the report as it was first
    for status, total in (("current", 5), ("superseded", 1), ("current,superseded", 6)):
        code, text = await served.text(
            "DocumentReference", **{"patient.identifier": served.token, "status": status}
        )
        assert code == 200
        assert json.loads(text)["total"] == total
        assert complaints(hapi.errors(text, SEARCHSET), SEVERAL_MODALITIES) == []


async def test_pages_and_an_empty_searchset(served, hapi):
    query = {"patient.identifier": served.token, "status": "current", "_count": "2"}
    _, page = await served.text("DocumentReference", **query)
    links = {link["relation"]: link["url"] for link in json.loads(page)["link"]}
    _, last = await served.text(links["next"])
    _, empty = await served.text("DocumentReference", **query, type="http://loinc.org|00000-0")
    assert json.loads(empty)["total"] == 0
    for text in (page, last, empty):
        assert complaints(hapi.errors(text, SEARCHSET), SEVERAL_MODALITIES) == []


async def test_a_searchset_with_warnings(served, hapi):
    query = {"patient.identifier": served.token, "status": "current", "colour": "red"}
    _, text = await served.text("DocumentReference", **query)
    modes = [entry["search"]["mode"] for entry in json.loads(text)["entry"]]
    assert "outcome" in modes
    assert complaints(hapi.errors(text, SEARCHSET), SEVERAL_MODALITIES) == []


async def test_document_references_claim_a_profile_and_keep_it(served, hapi):
    found = await served.stack.find(patient__identifier=served.token, status="current,superseded")
    # the manifest is there in both formats
    assert len(found) == 6
    assert max(len(reference.get("author", ())) for reference in found) > 2
    assert {r["code"] for reference in found for r in reference.get("relatesTo", ())} >= {
        "replaces",
        "appends",
    }
    claimed = {}
    for reference in found:
        status, text = await served.text(f"DocumentReference/{reference['id']}")
        assert status == 200
        read = json.loads(text)
        unique_id = read["masterIdentifier"]["value"].removeprefix("urn:oid:")
        claimed[unique_id, read["content"][0]["attachment"]["contentType"]] = read["meta"]["profile"]
        assert complaints(hapi.errors(text), SEVERAL_MODALITIES) == []
    plain, content = [codes.PROFILE_COMPREHENSIVE_DOCUMENT], sample_content("hapi")
    documents = (content.report, content.corrected_report, content.discharge, a_document("hapi"))
    manifest = content.manifest.unique_id
    assert claimed == {
        **{(d.unique_id, d.content_type): plain for d in documents},
        (manifest, imaging.MIME_DICOM): [*plain, imaging.PROFILE_MADO_KOS_DOCUMENT],
        (manifest, imaging.MIME_FHIR_JSON): [*plain, imaging.PROFILE_MADO_FHIR_DOCUMENT],
    }


async def test_submission_set_folder_and_patient(served, hapi):
    locations = [e["response"]["location"] for answer in served.answers for e in answer["entry"]]
    lists = {location for location in locations if "List/" in location}
    assert len(lists) == 4
    claimed = set()
    for location in lists:
        status, text = await served.text(location)
        assert status == 200
        claimed.update(json.loads(text)["meta"]["profile"])
        assert hapi.errors(text) == []
    assert claimed == {codes.PROFILE_COMPREHENSIVE_SUBMISSION_SET, codes.PROFILE_COMPREHENSIVE_FOLDER}
    found = await served.stack.find(patient__identifier=served.token, status="current")
    status, text = await served.text(found[0]["subject"]["reference"])
    assert (status, json.loads(text)["resourceType"]) == (200, "Patient")
    assert hapi.errors(text) == []


async def test_transaction_responses(served, hapi):
    bundle = provide_bundle(
        [a_document()],
        patient=a_patient(),
        folder=SampleFolder(IdSource("f").oid(4), "F", sample_content("x").folder.code),
    )
    bundle["entry"][1]["resource"]["extension"] = [{"url": "https://x.example", "valueBoolean": True}]
    warned = await served.published(bundle)
    assert any("outcome" in entry["response"] for entry in warned["entry"])
    for answer in (*served.answers, warned):
        assert hapi.errors(answer, PROVIDE_RESPONSE) == []


async def test_capability_statement(served, hapi):
    status, text = await served.text("metadata")
    assert status == 200
    assert hapi.errors(text) == []


@pytest.mark.parametrize("path", ["DocumentReference", "List", ""])
@pytest.mark.parametrize("part", ["true", "text", "elements"])
async def test_parts_and_neighbours(served, hapi, path, part):
    who = {"patient.identifier": served.token, "status": "current,superseded"}
    shape = {"_summary": part} if part != "elements" else {"_elements": "subject,author,source,identifier"}
    if part != "text":
        shape |= {"_include": "*", "_revinclude": "*"}
    status, text = await served.text(path, **who, **shape)
    assert status == 200
    modes = {entry["search"]["mode"] for entry in json.loads(text)["entry"]}
    assert modes - {"outcome"} == ({"match"} if part == "text" else {"match", "include"})
    assert complaints(hapi.errors(text), SEVERAL_MODALITIES) == []


@pytest.mark.parametrize(
    "path",
    [
        "SearchParameter/DocumentReference-Creation",
        "SearchParameter/List-DesignationType",
        "SearchParameter/List-SourceId",
        "OperationDefinition/generate-metadata",
    ],
)
async def test_definitions(served, hapi, path):
    status, text = await served.text(path)
    assert status == 200
    assert complaints(hapi.errors(text), SEVERAL_MODALITIES) == []


async def test_outcomes(served, hapi):
    broken = provide_samples.bundle()
    broken["type"] = "batch"
    broken["entry"][1]["resource"]["docStatus"] = "final"
    del broken["entry"][0]["resource"]["extension"]
    unread = provide_samples.bundle() | {"colour": "red"}
    replayed = provide_bundle([a_document("hapi", content=b"another")], patient=a_patient())
    outcomes = [await served.stack.publish(b) for b in (broken, unread, replayed, b"{", b"[]")]
    for path in (f"DocumentReference/{OLD}", f"List/{OLD}", "Patient/none", "content/none", "Nothing"):
        outcomes.append(await served.stack.get(path))
    for query in ({}, {"status": "current"}, {"patient.identifier": "x", "status": "y", "date": "z"}):
        status, text = await served.text("DocumentReference", **query)
        outcomes.append((status, json.loads(text)))
    for status, outcome in outcomes:
        assert status >= 400
        assert outcome["resourceType"] == "OperationOutcome"
        assert hapi.errors(outcome) == []
