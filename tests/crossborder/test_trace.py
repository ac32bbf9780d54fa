"""`gateway trace` says where a study or document is held, which ways lead there and why a retrieve would fail."""

import json

import pytest

from gateway.demo.ct_study import SECOND_LOCATION
from gateway.settings import Settings
from gateway.trace.command import run_trace
from tests.crossborder.neighbours import OWN, garbage
from tests.crossborder.test_images_of_communities import searched, studies

HOME = f"{OWN}.1"


@pytest.fixture(autouse=True)
def _logs_stay_those_of_the_tests(monkeypatch):
    monkeypatch.setattr("gateway.trace.command.configure", lambda level: None)


async def traced(settings, text, **options):
    """Exit code and what is printed."""
    printed = []
    wanted = {"patient": None, "as_json": False, "retrieve": True, **options}
    return await run_trace(settings, text, printed.append, **wanted), printed


async def as_json(settings, text, **options):
    code, (body,) = await traced(settings, text, as_json=True, **options)
    return code, json.loads(body)


async def test_a_study_is_traced_through_the_gateway_that_runs_here(tmp_path):
    async with studies(tmp_path, {"": "same", "1": "same"}) as (around, contents):
        content = contents["1"]
        await searched(around.front, content)
        uid = content.images.study_instance_uid
        code, found = await as_json(around.front.settings, uid)
        assert code == 0
        assert {d["home_community_id"] for d in found["documents"]} == {None, HOME}
        for document in found["documents"]:
            assert document["study_instance_uid"] == uid
            assert document["document_unique_id"] == content.manifest.unique_id
            assert document["remembered"]
            assert document["way"]["transaction"] == ("ITI-39" if document["home_community_id"] else "ITI-43")
            assert len(document["series"]) == len(content.images.series)
            assert all(way["tried"] for series in document["series"] for way in series["ways"])
            assert (await around.front.get(f"DocumentReference/{document['fhir_id']}"))[0] == 200
        code, printed = await traced(around.front.settings, uid)
        text = "\n".join(printed)
        assert code == 0
        assert content.patient.id not in text
        assert HOME in text
        assert "FAIL" not in text


async def test_a_document_is_traced_by_each_of_its_ids(tmp_path):
    async with studies(tmp_path, {"1": "b"}) as (around, contents):
        content = contents["1"]
        found = await around.front.find(patient__identifier=content.patient.token, status="current")
        (kos,) = [r for r in found if r["content"][0]["attachment"]["contentType"] == "application/dicom"]
        for name in (
            content.manifest.unique_id,
            f"urn:oid:{content.manifest.unique_id}",
            kos["id"],
            f"urn:uuid:{kos['id'][:36]}",
        ):
            code, trace = await as_json(around.front.settings, name)
            assert (code, [d["fhir_id"] for d in trace["documents"]]) == (0, [kos["id"]]), name


async def test_a_study_that_was_not_seen_is_found_with_its_patient(tmp_path):
    async with studies(tmp_path, {"1": "b"}) as (around, contents):
        content = contents["1"]
        uid = content.images.study_instance_uid
        code, printed = await traced(around.front.settings, uid)
        assert code == 3
        assert "--patient" in "\n".join(printed)
        code, trace = await as_json(
            around.front.settings, uid, patient=f"urn:oid:{content.patient.authority}|{content.patient.id}"
        )
        assert (code, [d["study_instance_uid"] for d in trace["documents"]]) == (0, [uid])
        assert (await traced(around.front.settings, uid, patient="nobody"))[0] == 2


async def test_it_says_why_a_retrieve_would_fail(tmp_path):
    async with studies(tmp_path, {"": "a", "1": "b"}) as (around, contents):
        for content in contents.values():
            await searched(around.front, content)
        settings = around.front.settings

        def changed(**changes):
            return Settings(**{**settings.model_dump(), **changes})

        own = contents[""].images.study_instance_uid
        others = contents["1"].images.study_instance_uid
        imaging = settings.imaging.model_dump()
        imaging["locations"] = [each for each in imaging["locations"] if each["uid"] != SECOND_LOCATION]
        code, printed = await traced(changed(imaging=imaging), own)
        assert code == 1
        (line,) = [each for each in printed if "FAIL" in each]
        assert SECOND_LOCATION in line
        assert "imaging.locations" in line

        communities = [each.model_dump() for each in settings.communities]
        communities[0]["images_url"] = None
        code, printed = await traced(changed(communities=communities), others)
        assert code == 1
        assert all("no way to images" in each for each in printed if "FAIL" in each)

        async def no_documents(request):
            return await garbage(request) if request.path == "/xds/repository" else None

        around.front.interfere = no_documents
        code, printed = await traced(settings, own)
        assert code == 1
        (line,) = [each for each in printed if "FAIL" in each]
        assert "ITI-43" in line
        code, printed = await traced(settings, own, retrieve=False)
        assert (code, [each for each in printed if "FAIL" in each]) == (0, [])
