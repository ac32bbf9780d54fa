"""Where documents come from: Provenance that the SubmissionSet of each makes, along with documents, by id, and
found by the document."""

import json
import re
import uuid
from urllib.parse import quote

import pytest
import redis
from fhir.resources import get_fhir_model_class as r5_model
from fhir.resources.R4B import get_fhir_model_class as r4_model

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from tests.correlation.servers import Server
from tests.system.documents import a_document, a_patient
from tests.system.imaging import matches, published_study
from tests.system.issuers import running_issuer
from tests.system.stack import running_stack
from tests.system.test_patient_bound_tokens import Bound

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALONG = {"_revinclude": "Provenance:target"}
MODELS = {"R4": r4_model, "R5": r5_model}


async def publish(stack, patient, documents=1, **changes):
    """Ids of SubmissionSet and documents of a new submission."""
    bundle = provide_bundle(
        [a_document() for _ in range(documents)], patient=patient, seed=uuid.uuid4().hex, **changes
    )
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return [entry["response"]["location"].rpartition("/")[2] for entry in answer["entry"]]


async def of_documents(stack, patient, base="", **parameters):
    """Provenance by the reference to its document, as a search of documents brings it along."""
    asked = {"patient.identifier": patient.token, "status": "current,superseded", **ALONG, **parameters}
    status, bundle = await stack.get(f"{base}DocumentReference", **asked)
    assert status == 200, bundle
    found = matches(bundle, "include")
    assert {r["resourceType"] for r in found} <= {"Provenance"}
    for resource in found:
        assert len(resource["target"]) == 1
    return {r["target"][0]["reference"]: r for r in found}


def entities(provenance):
    return [(one["role"], one["what"]["reference"]) for one in provenance["entity"]]


def activity(provenance):
    return provenance["activity"]["coding"][0]["code"]


# --- what it says -----------------------------------------------------------------------------------------
async def test_it_says_what_the_submission_set_says(stack):
    patient = a_patient()
    set_id, document, *_ = await publish(stack, patient)
    (provenance,) = (await of_documents(stack, patient)).values()
    _, submitted = await stack.get(f"List/{set_id}")
    assert provenance["target"] == [{"reference": f"DocumentReference/{document}"}]
    assert provenance["recorded"] == provenance["meta"]["lastUpdated"] == submitted["date"]
    assert entities(provenance) == [("source", f"List/{set_id}")]
    assert activity(provenance) == "CREATE"
    *authors, source = provenance["agent"]
    (source_id,) = [e["valueIdentifier"] for e in submitted["extension"] if e["url"].endswith("ihe-sourceId")]
    assert source["who"] == {"identifier": source_id}
    contained = {f"#{one['id']}": one for one in provenance["contained"]}
    named = [contained[agent["who"]["reference"]] for agent in authors]
    assert [r["resourceType"] for r in named] == [
        r["resourceType"] for r in submitted["contained"] if f"#{r['id']}" == submitted["source"]["reference"]
    ]
    assert all(agent["type"]["coding"][0]["code"] == "author" for agent in authors)


async def test_a_replacement_names_what_it_replaces(stack):
    patient = a_patient()
    _, old, *_ = await publish(stack, patient)
    set_id, new, *_ = await publish(stack, patient, replaces=f"DocumentReference/{old}")
    _, more, *_ = await publish(stack, patient, relates_to=[("appends", f"DocumentReference/{new}")])
    found = await of_documents(stack, patient)
    assert {name: activity(one) for name, one in found.items()} == {
        f"DocumentReference/{old}": "CREATE",
        f"DocumentReference/{new}": "UPDATE",
        f"DocumentReference/{more}": "APPEND",
    }
    replacing = found[f"DocumentReference/{new}"]
    assert entities(replacing) == [("source", f"List/{set_id}"), ("revision", f"DocumentReference/{old}")]
    assert await stack.get(f"Provenance/{replacing['id']}") == (200, replacing)
    old_one = found[f"DocumentReference/{old}"]
    status, bundle = await stack.get("Provenance", target=f"DocumentReference/{old}")
    assert (status, matches(bundle)) == (200, [old_one]), "of a superseded document too"


@pytest.mark.parametrize("release", MODELS)
async def test_it_is_valid_and_the_same_by_id_by_target_and_along_with_documents(stack, release):
    patient = a_patient()
    _, old, *_ = await publish(stack, patient)
    await publish(stack, patient, replaces=f"DocumentReference/{old}")
    found = await of_documents(stack, patient, f"{release}/")
    assert len(found) == 2
    for document, provenance in found.items():
        MODELS[release]("Provenance").model_validate(provenance)
        assert await stack.get(f"{release}/Provenance/{provenance['id']}") == (200, provenance)
        who = {"patient.identifier": patient.token}
        for asked in ({"target": document}, {"target": document, **who}, {"_id": provenance["id"], **who}):
            status, bundle = await stack.get(f"{release}/Provenance", **asked)
            assert (status, matches(bundle)) == (200, [provenance]), bundle
            MODELS[release]("Bundle").model_validate(bundle)
    status, bundle = await stack.get(f"{release}/Provenance", target=",".join(found), _count=1)
    assert (status, bundle["total"], len(matches(bundle))) == (200, 2, 1)
    (link,) = [one["url"] for one in bundle["link"] if one["relation"] == "next"]
    _, page = await stack.get(link)
    listed = [one["id"] for one in (*matches(bundle), *matches(page))]
    assert sorted(listed) == sorted(one["id"] for one in found.values())


async def test_what_is_not_there_is_not_found(stack):
    patient, other = a_patient(), a_patient()
    _, document, *_ = await publish(stack, patient)
    for name in (f"{uuid.uuid4()}-origin", "x-origin", document, f"{document}-origin-origin"):
        status, answer = await stack.get(f"Provenance/{name}")
        assert (status, answer["resourceType"]) == (404, "OperationOutcome")
    for asked in (
        {"target": f"DocumentReference/{uuid.uuid4()}"},
        {"target": f"DocumentReference/{document}", "patient.identifier": other.token},
        {"target": f"DocumentReference/{document}", "recorded": "lt2000"},
    ):
        status, bundle = await stack.get("Provenance", **asked)
        assert (status, bundle["total"]) == (200, 0), asked
    mixed = f"DocumentReference/{document},ImagingStudy/x"
    status, answer = await stack.get("Provenance", **{"patient.identifier": patient.token, "target": mixed})
    assert status == 400
    assert "target" in answer["issue"][0]["diagnostics"]
    assert (await stack.get("Provenance"))[0] == 400


# --- what it costs ----------------------------------------------------------------------------------------
async def test_a_page_costs_one_query_more_and_none_where_lists_come_along_too(stack):
    patient = a_patient()
    for _ in range(4):
        await publish(stack, patient, 3)
    stack.soap_calls.clear()
    found = await of_documents(stack, patient)
    assert len(found) == 12
    # search, associations; SubmissionSets
    assert dict(stack.soap_calls) == {"/xds/registry": 3}
    stack.soap_calls.clear()
    asked = {"patient.identifier": patient.token, "status": "current"}
    await stack.get("DocumentReference", **asked, _revinclude="List:item")
    lists = dict(stack.soap_calls)
    stack.soap_calls.clear()
    await stack.get("DocumentReference", **asked, _revinclude=["List:item", "Provenance:target"])
    assert dict(stack.soap_calls) == lists
    stack.soap_calls.clear()
    await stack.get("Provenance", target=",".join(found))
    # documents with their associations; SubmissionSets
    assert dict(stack.soap_calls) == {"/xds/registry": 2}


# --- manifests --------------------------------------------------------------------------------------------
async def test_a_translation_is_made_of_its_original_and_nothing_has_to_be_remembered(tmp_path):
    server = Server(tmp_path / "redis").start()
    named = {"redis": {"url": server.url}}
    try:
        async with published_study(tmp_path, "provenance of translations", **named) as running:
            patient = running.content.patient
            found = await of_documents(running.stack, patient)
            original, translation = sorted(found, key=len)
            assert translation == f"{original}-fhir"
            assert activity(found[translation]) == "transform"
            assert entities(found[translation])[0] == entities(found[original])[0]
            assert ("derivation", original) in entities(found[translation])
            roles = [agent["type"]["coding"][0]["code"] for agent in found[translation]["agent"]]
            assert roles[0] == "assembler"
            with redis.Redis.from_url(server.url) as kept:
                kept.flushall()
            for name, provenance in found.items():
                assert await running.stack.get(f"Provenance/{provenance['id']}") == (200, provenance)
                _, bundle = await running.stack.get("Provenance", target=name)
                assert matches(bundle) == [provenance]
    finally:
        server.kill()


# --- tokens -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("others", ["forbidden", "not-found"])
async def test_a_token_shows_what_it_shows_of_the_document(tmp_path, others):
    contents = [sample_content(f"provenance {others} {n}", a_patient().id) for n in range(2)]
    async with running_issuer() as issuer:
        security = {
            "access": "token",
            "other_patient": others,
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        async with running_stack(tmp_path, security=security) as stack:
            stack.interfere = None
            site = Bound(stack, issuer, contents)
            documents = []
            for content in contents:
                bundle = provide_bundle([a_document()], patient=content.patient, seed=uuid.uuid4().hex)
                status, body = await site.publish(bundle, site.all)
                assert status == 200, body
                location = json.loads(body)["entry"][1]["response"]["location"]
                documents.append(re.search(r"DocumentReference/[^/]+", location)[0])
            mine, theirs = documents
            ids = [f"Provenance/{one.rpartition('/')[2]}-origin" for one in documents]
            assert (await site.ask(ids[1], site.all))[0] == 200
            assert (await site.ask(ids[0], site.bound))[0] == 200
            hidden = 403 if others == "forbidden" else 404
            status, _, body = await site.ask(ids[1], site.bound)
            assert status == hidden == (await site.ask(theirs, site.bound))[0]
            assert json.loads(body)["resourceType"] == "OperationOutcome"
            assert len(await site.resources(f"Provenance?target={mine}", site.bound)) == 1
            status, _, body = await site.ask(f"Provenance?target={theirs}", site.bound)
            assert status == 403 or json.loads(body)["total"] == 0
            assert contents[1].patient.id.encode() not in body

            search = f"DocumentReference?patient.identifier={quote(contents[0].patient.token)}&status=current"
            along = f"{search}&_revinclude=Provenance:target"
            for scope, path, status in (
                ("system/DocumentReference.rs", search, 200),
                ("system/DocumentReference.rs", along, 403),
                ("system/DocumentReference.rs system/Provenance.r", along, 200),
                ("system/DocumentReference.rs", ids[0], 403),
                ("system/Provenance.r", ids[0], 200),
                ("system/Provenance.r", f"Provenance?target={mine}", 403),
                ("system/Provenance.s", f"Provenance?target={mine}", 200),
            ):
                assert (await site.ask(path, site.token(scope)))[0] == status, (scope, path)


async def test_it_is_written_in_xml_too(stack):
    patient = a_patient()
    await publish(stack, patient)
    (provenance,) = (await of_documents(stack, patient)).values()
    url = f"{stack.base_url}/Provenance/{provenance['id']}"
    async with stack.session.get(url, headers={"Accept": "application/fhir+xml"}) as answer:
        text = await answer.text()
    assert answer.status == 200
    assert f'<recorded value="{provenance["recorded"]}"/>' in text
