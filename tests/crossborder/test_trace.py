"""`gateway trace` says where a study or document is held, which ways lead there and why a retrieve would fail."""

import json
import re

import pytest
from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.settings import Settings
from gateway.trace.findings import lines
from gateway.trace.tracer import Tracer
from gateway.trace_command import run_trace
from gateway.wiring.trace import reached
from tests.crossborder.neighbours import OWN, garbage, strange
from tests.crossborder.test_images_of_communities import searched, studies

HOME = f"{OWN}.1"


@pytest.fixture(autouse=True)
def _logs_stay_those_of_the_tests(monkeypatch):
    monkeypatch.setattr("gateway.trace_command.configure", lambda level: None)


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
        await around.by_name["1"].stack.publish(provide_bundle([content.report], patient=content.patient))
        _, trace = await as_json(
            around.front.settings,
            content.images.accession,
            patient=f"urn:oid:{content.patient.authority}|{content.patient.id}",
        )
        found = {d["document_unique_id"] for d in trace["documents"]}
        assert found == {content.manifest.unique_id, content.report.unique_id}, "reports name the number too"


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


async def test_a_study_is_traced_by_its_accession_number(tmp_path):
    async with studies(tmp_path, {"": "a", "1": "b"}) as (around, contents):
        for content in contents.values():
            await searched(around.front, content)
        settings, content = around.front.settings, contents["1"]
        number, authority = content.images.accession, content.images.accession_authority
        for text in (number, f"{authority}|{number}", f"urn:oid:{authority}|{number}"):
            code, trace = await as_json(settings, text)
            found = [(d["home_community_id"], d["study_instance_uid"]) for d in trace["documents"]]
            assert (code, found) == (0, [(HOME, content.images.study_instance_uid)]), text
        # of the same number of somebody else, and of a number that nobody has, there is nothing
        assert (await as_json(settings, f"2.999.77|{number}"))[0] == 3
        assert (await as_json(settings, "NO-SUCH-NUMBER"))[0] == 3


async def test_each_series_is_told_with_its_locations_and_legs(tmp_path):
    async with studies(tmp_path, {"": "a"}) as (around, contents):
        content = contents[""]
        await searched(around.front, content)
        _, trace = await as_json(around.front.settings, content.images.study_instance_uid, retrieve=False)
        (document,) = trace["documents"]
        assert document["registered"] == {"transaction": "ITI-18", "peer": "registry", "tried": True}
        legs = {
            series["series_instance_uid"]: (series["modality"], way["location"], way["transaction"])
            for series in document["series"]
            for way in series["ways"]
        }
        by_place = {FIRST_LOCATION: "RAD-69", SECOND_LOCATION: "RAD-107"}
        assert legs == {
            series.series_instance_uid: (series.modality, series.location_uid, by_place[series.location_uid])
            for series in content.images.series
        }


async def test_a_superseded_document_names_the_one_that_replaced_it(tmp_path):
    async with studies(tmp_path, {"": "a"}) as (around, contents):
        front, content = around.front, contents[""]
        await front.publish(provide_bundle([content.report], patient=content.patient))
        (old,) = [
            r
            for r in await front.find(patient__identifier=content.patient.token, status="current")
            if r["masterIdentifier"]["value"] == f"urn:oid:{content.report.unique_id}"
        ]
        later = content.corrected_report
        status, answer = await front.publish(
            provide_bundle([later], patient=content.patient, replaces=f"DocumentReference/{old['id']}")
        )
        assert status == 200, answer
        code, trace = await as_json(front.settings, old["id"])
        superseded, successor = trace["documents"]
        assert (code, superseded["status"], successor["status"]) == (0, "superseded", "current")
        assert superseded["replaced_by"] == [successor["fhir_id"]]
        assert successor["document_unique_id"] == later.unique_id
        gone = Settings(**{**front.settings.model_dump(), "retrieve": {"deprecated": "gone"}})
        code, printed = await traced(gone, old["id"])
        (line,) = [each for each in printed if "FAIL" in each]
        assert (code, "retrieve.deprecated" in line) == (1, True)


async def test_a_leg_whose_last_calls_failed_is_told_with_its_circuit(tmp_path):
    async def no_rad69(request):
        return web.Response(status=500) if request.path == "/xds/imaging" else None

    async with studies(tmp_path, {"": "a"}) as (around, contents):
        front, content = around.front, contents[""]
        await searched(front, content)
        front.interfere = no_rad69
        tracer = Tracer(reached(front.settings, front.parts), retrieve=False)
        broken = Tracer(reached(front.settings, front.parts), retrieve=True)
        for _ in range(20):
            await broken.trace(content.images.study_instance_uid)
        trace = await tracer.trace(content.images.study_instance_uid)
        (document,) = trace.documents
        circuits = {way.transaction: way.circuit for series in document.series for way in series.ways}
        assert circuits == {"RAD-69": "open", "RAD-107": None}
        assert any("its circuit is open" in line for line in lines(trace))


async def test_of_a_community_that_does_not_answer_it_says_what_is_remembered(tmp_path):
    async with studies(tmp_path, {"1": "b"}) as (around, contents):
        content = contents["1"]
        await searched(around.front, content)
        settings = around.front.settings
        communities = [each.model_dump() for each in settings.communities]
        async with strange(garbage) as place:
            communities[0]["query_url"] = f"{place}/xca"
            dead = Settings(**{**settings.model_dump(), "communities": communities})
            code, trace = await as_json(dead, content.images.study_instance_uid)
        assert (code, trace["documents"]) == (3, [])
        (known,) = trace["unconfirmed"]
        assert (known["home_community_id"], known["document_unique_id"]) == (
            HOME,
            content.manifest.unique_id,
        )
        assert "cannot be asked" in known["reason"]
        assert any("1" in each and "ITI-38" in each for each in trace["silent"])


async def test_what_a_registry_says_of_a_patient_is_not_passed_on(tmp_path):
    async def quotes(request):
        if request.path != "/xds/registry":
            return None
        (asked,) = re.findall("<[^>]*MessageID[^>]*>([^<]+)<", await request.text())
        return web.Response(text=QUOTES.format(asked), content_type="application/soap+xml")

    async with studies(tmp_path, {"": "a", "1": "b"}) as (around, contents):
        around.front.interfere = quotes
        code, printed = await traced(around.front.settings, contents["1"].manifest.unique_id)
    text = "\n".join(printed)
    assert (code, "the own community: XDSRegistryError" in text) == (1, True)
    assert "SECRET" not in text


QUOTES = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">
<s:Header><a:Action>urn:ihe:iti:2007:RegistryStoredQueryResponse</a:Action><a:RelatesTo>{}</a:RelatesTo></s:Header>
<s:Body><AdhocQueryResponse xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
 status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure">
<RegistryErrorList xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"><RegistryError errorCode="XDSRegistryError"
 codeContext="nobody is called SECRET^^^&amp;2.999&amp;ISO"
 severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"/></RegistryErrorList>
</AdhocQueryResponse></s:Body></s:Envelope>"""
