"""Searches of documents that go to several communities at once (ITI-66, ITI-67 over ITI-18 and ITI-38)."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.wiring.communities import members
from tests.crossborder.neighbours import (
    OWN,
    forbidding,
    garbage,
    home_of,
    neighbours,
    never,
    outcomes,
    strange,
)
from tests.ports import free_port
from tests.system.documents import a_document, a_patient
from tests.system.test_lists import a_folder

ONE, TWO = f"{OWN}.1", f"{OWN}.2"


async def publish(stack, patient, *documents, **further):
    status, answer = await stack.publish(provide_bundle(documents, patient=patient, **further))
    assert status == 200, answer


@asynccontextmanager
async def three(tmp_path, **arguments):
    """The own community and two others, with a document of one patient in each."""
    patient = a_patient()
    async with neighbours(tmp_path, "1", "2", **arguments) as around:
        stacks = {OWN: around.front, ONE: around.by_name["1"].stack, TWO: around.by_name["2"].stack}
        documents = {home: a_document() for home in stacks}
        for home, stack in stacks.items():
            await publish(stack, patient, documents[home])
        yield around, patient, documents


async def search(stack, patient, **parameters):
    named = {"patient.identifier": patient.token, "status": "current", **parameters}
    status, bundle = await stack.get("DocumentReference", **named)
    assert status == 200, bundle
    return bundle


def found_in(bundle):
    return [home_of(e["resource"]) for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


async def test_one_search_finds_the_documents_of_all_communities_and_each_says_where_it_is(tmp_path):
    async with three(tmp_path) as (around, patient, documents):
        found = await around.front.find(patient__identifier=patient.token, status="current")
        contents = {}
        for resource in found:
            status, read = await around.front.get(f"DocumentReference/{resource['id']}")
            assert (status, read) == (200, resource)
            contents[home_of(resource)] = (await around.front.download(resource))[2]
            assert {r["subject"]["reference"] for r in found} == {resource["subject"]["reference"]}
    assert contents == {home: document.content for home, document in documents.items()}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ONE, {ONE}),
        (ONE.removeprefix("urn:oid:"), {ONE}),
        (f"{ONE},{TWO}", {ONE, TWO}),
        (OWN, {OWN}),
        ([ONE, TWO], set()),
    ],
)
async def test_a_search_can_name_the_communities_that_it_is_for(tmp_path, asked, expected):
    async with three(tmp_path) as (around, patient, _):
        before = dict(around.by_name["2"].stack.soap_calls)
        bundle = await search(around.front, patient, targetCommunityIdList=asked)
        assert set(found_in(bundle)) == expected
        assert not outcomes(bundle)
        if TWO not in expected:
            assert around.by_name["2"].stack.soap_calls == before


async def test_a_community_that_is_not_known_is_an_error_that_names_it(tmp_path):
    async with neighbours(tmp_path, "1") as around:
        parameters = {"patient.identifier": a_patient().token, "targetCommunityIdList": "urn:oid:2.999.77"}
        status, outcome = await around.front.get("DocumentReference", **parameters)
    assert status == 400
    assert "urn:oid:2.999.77" in outcome["issue"][0]["diagnostics"]


async def test_a_community_that_does_not_accept_who_asks_is_named_as_that(tmp_path):
    async with strange(forbidding) as place, AsyncExitStack() as stack:
        changes = {"2": {"query_url": f"{place}/"}}
        around, patient, _ = await stack.enter_async_context(three(tmp_path, changes=changes))
        bundle = await search(around.front, patient)
    (issue,) = outcomes(bundle)
    assert set(found_in(bundle)) == {OWN, ONE}
    assert f"2 ({TWO}) does not accept who asks" in issue["diagnostics"]


@pytest.mark.parametrize("how", ["stopped", "silent", "garbage", "a stranger"])
async def test_what_the_living_have_is_given_with_a_warning_that_names_the_dead(tmp_path, how):
    async with strange(garbage if how == "garbage" else never) as place:
        wrong = {
            "stopped": {"query_url": f"http://127.0.0.1:{free_port()}/"},
            "silent": {"query_url": f"{place}/", "deadline": 0.5},
            "garbage": {"query_url": f"{place}/"},
            "a stranger": {"home_community_id": "urn:oid:2.999.55"},
        }[how]
        async with three(tmp_path, changes={"2": wrong}) as (around, patient, _):
            bundle = await search(around.front, patient)
    (issue,) = outcomes(bundle)
    assert set(found_in(bundle)) == {OWN, ONE}
    assert (issue["severity"], issue["code"]) == (
        "warning",
        "not-found" if how == "a stranger" else "transient",
    )
    assert wrong.get("home_community_id", TWO) in issue["diagnostics"]
    assert patient.id not in issue["diagnostics"]


@pytest.mark.parametrize(
    ("how", "expected"), [("silent", 504), ("garbage", 502), ("stopped", 502), ("forbidding", 403)]
)
async def test_where_nobody_answers_the_search_fails_and_names_all(tmp_path, how, expected):
    answer = {"garbage": garbage, "forbidding": forbidding}.get(how, never)
    async with strange(answer) as place:
        url = f"http://127.0.0.1:{free_port()}/" if how == "stopped" else f"{place}/"
        # what refuses does so at once, also where a machine is slow
        wrong = {"query_url": url, "deadline": 30 if how == "stopped" else 0.5}
        own = {"fan_out": {"deadline": 0.5}}
        async with neighbours(tmp_path, "1", "2", own=own, changes={"1": wrong, "2": wrong}) as around:

            async def interfere(request):
                return await answer(request)

            around.front.interfere = interfere
            status, outcome = await around.front.get(
                "DocumentReference", **{"patient.identifier": a_patient().token, "status": "current"}
            )
    assert status == expected, outcome
    text = str(outcome["issue"])
    assert all(name in text for name in ("registry", "community 1", "community 2"))


async def test_copies_of_one_document_in_two_communities_stay_two(tmp_path):
    patient, document = a_patient(), a_document()
    async with neighbours(tmp_path, "1", "2") as around:
        for name in ("1", "2"):
            await publish(around.by_name[name].stack, patient, document)
        found = await around.front.find(patient__identifier=patient.token, status="current")
        assert sorted(map(home_of, found)) == [ONE, TWO]
        assert len({resource["id"] for resource in found}) == 2
        by_identifier = await around.front.find(
            identifier=f"urn:ietf:rfc:3986|{found[0]['masterIdentifier']['value']}"
        )
        assert sorted(map(home_of, by_identifier)) == [ONE, TWO]


async def test_an_id_leads_to_its_community_alone(tmp_path):
    async with three(tmp_path) as (around, patient, _):
        found = {home_of(r): r for r in await around.front.find(patient__identifier=patient.token)}
        before = dict(around.by_name["2"].stack.soap_calls)
        uuid, _, mark = found[ONE]["id"].partition(".")
        (one,) = await around.front.find(_id=found[ONE]["id"])
        assert one == found[ONE]
        async with around.front.session.get(f"{around.front.base_url}/Binary/{one['id']}") as answer:
            assert answer.status == 200
        other_mark = found[TWO]["id"].partition(".")[2]
        assert around.by_name["2"].stack.soap_calls == before
        for wrong in (uuid, f"{uuid}.{other_mark}", f"{uuid}.aaaaaaaa", found[TWO]["id"][:36] + f".{mark}"):
            assert (await around.front.get(f"DocumentReference/{wrong}"))[0] == 404
            assert (await around.front.get(f"Binary/{wrong}"))[0] == 404
            assert await around.front.find(_id=wrong) == []


async def test_an_entry_uuid_is_found_wherever_it_is(tmp_path):
    async with three(tmp_path) as (around, patient, _):
        found = {home_of(r): r for r in await around.front.find(patient__identifier=patient.token)}
        (value,) = [
            i["value"] for i in found[TWO]["identifier"] if i["value"] == f"urn:uuid:{found[TWO]['id'][:36]}"
        ]
        assert await around.front.find(identifier=f"urn:ietf:rfc:3986|{value}") == [found[TWO]]


async def test_pages_go_on_over_communities_also_where_nothing_is_remembered(tmp_path):
    patient = a_patient()
    async with neighbours(tmp_path, "1", "2") as around:
        for stack in (around.front, around.by_name["1"].stack, around.by_name["2"].stack):
            for _ in range(3):
                await publish(stack, patient, a_document())
        page = await search(around.front, patient, _count=2)
        seen = []
        while True:
            seen += [e["resource"]["id"] for e in page["entry"] if e["search"]["mode"] == "match"]
            assert page["total"] == 9
            link = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
            if link is None:
                break
            status, page = await around.front.get(link)
            assert status == 200
    assert len(seen) == len(set(seen)) == 9


async def test_lists_of_a_community_lead_to_their_members(tmp_path):
    patient, document = a_patient(), a_document()
    async with neighbours(tmp_path, "1") as around:
        await publish(around.by_name["1"].stack, patient, document, folder=a_folder())
        lists = await around.front.find_lists(
            code="submissionset,folder", patient__identifier=patient.token, status="current"
        )
        assert {home_of(each) for each in lists} == {ONE}
        (found,) = await around.front.find(patient__identifier=patient.token, status="current")
        for each in lists:
            assert (await around.front.get(f"List/{each['id']}"))[1] == each
            assert {"item": {"reference": f"DocumentReference/{found['id']}"}} in each["entry"]
        status, bundle = await around.front.get(
            "DocumentReference",
            **{"_id": found["id"], "_revinclude": "List:item"},
        )
        assert status == 200
        included = [e["resource"]["id"] for e in bundle["entry"] if e["search"]["mode"] == "include"]
        assert sorted(included) == sorted(each["id"] for each in lists)
        _, bundle = await around.front.get(
            "DocumentReference", **{"_id": found["id"], "_revinclude": "Provenance:target"}
        )
        (origin,) = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "include"]
        assert origin["entity"][0]["what"]["reference"] in {f"List/{each['id']}" for each in lists}
        assert await around.front.get(f"Provenance/{origin['id']}") == (200, origin)


async def test_versions_of_a_document_of_a_community_name_each_other(tmp_path):
    patient, document = a_patient(), a_document()
    async with neighbours(tmp_path, "1") as around:
        theirs = around.by_name["1"].stack
        await publish(theirs, patient, document)
        (old,) = await theirs.find(patient__identifier=patient.token, status="current")
        await publish(theirs, patient, a_document(), replaces=f"DocumentReference/{old['id']}")
        found = {
            r["status"]: r
            for r in await around.front.find(patient__identifier=patient.token, status="current,superseded")
        }
    (relation,) = found["current"]["relatesTo"]
    assert relation["target"]["reference"] == f"DocumentReference/{found['superseded']['id']}"


async def test_a_document_that_its_community_does_not_give_any_more_is_not_found(tmp_path):
    async with three(tmp_path) as (around, patient, _):
        found = {home_of(r): r for r in await around.front.find(patient__identifier=patient.token)}
        other = around.by_name["1"].stack

        async def gone(request):
            return None if request.path != "/xds/repository" else await garbage(request)

        other.interfere = gone
        assert (await around.front.download(found[ONE]))[0] == 502
        assert (await around.front.download(found[TWO]))[0] == 200


async def test_a_search_that_would_come_back_to_this_gateway_ends_here(tmp_path):
    patient = a_patient()
    answering = {"responding_gateway": {"enabled": True}}
    async with neighbours(tmp_path, "1", own=answering) as around:
        front = around.front
        await publish(front, patient, a_document())
        await publish(around.by_name["1"].stack, patient, a_document())
        back = front.settings.communities[0].model_copy(
            update={
                "home_community_id": TWO,
                "name": "2",
                "query_url": front.base_url.replace("/fhir", "/xca/gateway"),
            }
        )
        changed = front.settings.model_copy(update={"communities": (*front.settings.communities, back)})
        front.parts.communities.change_to(members(changed, front.parts))
        bundle = await search(front, patient)
    assert set(found_in(bundle)) == {OWN, ONE}
    (issue,) = outcomes(bundle)
    assert TWO in issue["diagnostics"]
