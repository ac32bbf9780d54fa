"""What comes back from ITI-66 and ITI-67 over sockets: parts of resources, neighbours, order, and what it costs."""

import uuid

import pytest
from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import IdSource, SampleCode, SampleFolder
from gateway.fhir.xml_reader import read_xml
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

EPISODE = SampleCode("http://snomed.info/sct", "185349003", "Encounter for check up")
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


async def publish(stack, patient, documents=1, *, folder=False, **changes):
    """Ids of SubmissionSet, documents and Folder of a new submission."""
    made = SampleFolder(IdSource(uuid.uuid4().hex).oid(9), "Folder", EPISODE) if folder else None
    bundle = provide_bundle(
        [a_document() for _ in range(documents)],
        patient=patient,
        seed=uuid.uuid4().hex,
        folder=made,
        **changes,
    )
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return [entry["response"]["location"].rpartition("/")[2] for entry in answer["entry"]]


async def search(stack, resource, patient, **parameters):
    """The Bundle of a search, and its resources by search mode."""
    named = {name.replace("__", "."): value for name, value in parameters.items()}
    query = {"patient.identifier": patient.token, "status": "current", **named}
    status, bundle = await stack.get(resource, **query)
    assert status == 200, bundle
    by_mode = {"match": [], "include": [], "outcome": []}
    for entry in bundle.get("entry", ()):
        by_mode[entry["search"]["mode"]].append(entry["resource"])
    return bundle, by_mode


def names(resources):
    return sorted(f"{r['resourceType']}/{r['id']}" for r in resources)


# --- neighbours -----------------------------------------------------------------------------------------


async def test_documents_come_with_patient_related_documents_and_the_lists_that_hold_them(stack):
    patient = a_patient()
    first_set, first, folder, *_ = await publish(stack, patient, folder=True)
    second_set, second, *_ = await publish(
        stack, patient, relates_to=[("appends", f"DocumentReference/{first}")]
    )
    _, found = await search(
        stack,
        "DocumentReference",
        patient,
        _include=["DocumentReference:patient", "DocumentReference:relatesto"],
        _revinclude=["List:item", "DocumentReference:relatesto"],
    )
    assert names(found["match"]) == sorted([f"DocumentReference/{first}", f"DocumentReference/{second}"])
    who = found["match"][0]["subject"]["reference"]
    assert names(found["include"]) == sorted(
        [f"List/{first_set}", f"List/{second_set}", f"List/{folder}", who]
    )
    for resource in found["include"]:
        assert await stack.get(f"{resource['resourceType']}/{resource['id']}") == (200, resource)


async def test_a_related_document_that_is_no_match_comes_along_with_its_own_relations(stack):
    patient = a_patient()
    _, old, *_ = await publish(stack, patient)
    _, new, *_ = await publish(stack, patient, replaces=f"DocumentReference/{old}")
    _, addendum, *_ = await publish(stack, patient, relates_to=[("appends", f"DocumentReference/{new}")])
    _, found = await search(
        stack, "DocumentReference", patient, _id=addendum, _include="DocumentReference:relatesto"
    )
    assert names(found["include"]) == [f"DocumentReference/{new}"]
    assert found["include"][0]["relatesTo"][0]["target"]["reference"] == f"DocumentReference/{old}"
    _, found = await search(
        stack, "DocumentReference", patient, _id=new, _revinclude="DocumentReference:relatesto"
    )
    assert names(found["include"]) == [f"DocumentReference/{addendum}"]
    _, found = await search(stack, "DocumentReference", patient, _include="DocumentReference:relatesto")
    assert names(found["match"]) == sorted([f"DocumentReference/{new}", f"DocumentReference/{addendum}"])
    assert names(found["include"]) == [f"DocumentReference/{old}"]
    assert found["include"][0]["status"] == "superseded"


async def test_lists_come_with_their_members_and_with_what_holds_them(stack):
    patient = a_patient()
    set_id, first, second, folder, *_ = await publish(stack, patient, 2, folder=True)
    documents = [f"DocumentReference/{first}", f"DocumentReference/{second}"]
    _, found = await search(stack, "List", patient, code="submissionset", _include="List:item")
    assert names(found["include"]) == sorted([*documents, f"List/{folder}"])
    _, found = await search(
        stack, "List", patient, code="submissionset", _include="List:item:DocumentReference"
    )
    assert names(found["include"]) == sorted(documents)
    _, found = await search(
        stack, "List", patient, code="folder", _include=["List:item", "List:subject"], _revinclude="List:item"
    )
    who = found["match"][0]["subject"]["reference"]
    assert names(found["include"]) == sorted([*documents, f"List/{set_id}", who])


async def test_neighbours_cost_one_call_for_each_kind_whatever_the_page(stack):
    patient = a_patient()
    for _ in range(12):
        await publish(stack, patient, 3, folder=True)
    stack.soap_calls.clear()
    _, found = await search(
        stack,
        "DocumentReference",
        patient,
        _include="DocumentReference:patient",
        _revinclude="List:item",
    )
    assert (len(found["match"]), len(found["include"])) == (36, 25)
    # search, associations; SubmissionSets, Folders, their associations; who the patient is
    assert dict(stack.soap_calls) == {"/xds/registry": 6}
    stack.soap_calls.clear()
    _, found = await search(stack, "List", patient, code="submissionset", _include="*")
    assert (len(found["match"]), len(found["include"])) == (12, 36 + 12 + 1)
    # search, associations, Folders among members; documents, Folders, their associations; who the patient is
    assert dict(stack.soap_calls) == {"/xds/registry": 7}


async def test_pages_bring_the_neighbours_of_their_own_matches(stack):
    patient = a_patient()
    for _ in range(3):
        await publish(stack, patient)
    bundle, found = await search(stack, "DocumentReference", patient, _count=2, _revinclude="List:item")
    assert (bundle["total"], len(found["include"])) == (3, 2)
    (link,) = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    _, page = await stack.get(link)
    assert [e["search"]["mode"] for e in page["entry"]] == ["match", "include"]
    assert "_revinclude=List%3Aitem" in page["link"][0]["url"]


async def test_where_neighbours_cannot_be_had_the_matches_come_with_a_warning(tmp_path):
    asked = []

    async def refuse_the_third(request):
        asked.append(request.path)
        return web.Response(status=503) if len(asked) > 2 else None

    async with running_stack(tmp_path) as stack:
        patient = a_patient()
        await publish(stack, patient)
        stack.interfere = refuse_the_third
        _, found = await search(stack, "DocumentReference", patient, _revinclude="List:item")
    assert (len(found["match"]), found["include"]) == (1, [])
    (outcome,) = found["outcome"]
    assert (outcome["issue"][0]["severity"], outcome["issue"][0]["code"]) == ("warning", "incomplete")


# --- parts ----------------------------------------------------------------------------------------------


async def test_elements_leave_what_is_asked_for_and_what_fhir_requires(stack):
    patient = a_patient()
    await publish(stack, patient, folder=True)
    bundle, found = await search(stack, "DocumentReference", patient, _elements="type,masterIdentifier")
    (document,) = found["match"]
    assert set(document) == {"resourceType", "id", "meta", "type", "masterIdentifier", "status", "content"}
    assert document["meta"] == {"tag": [SUBSETTED]}
    assert "_elements=type,masterIdentifier" in bundle["link"][0]["url"]
    _, found = await search(stack, "List", patient, _elements="List.title", code="folder")
    assert set(found["match"][0]) == {"resourceType", "id", "meta", "title", "status", "mode"}
    _, found = await search(stack, "DocumentReference", patient, _elements="flavour")
    assert "flavour" in found["outcome"][0]["issue"][0]["diagnostics"]
    assert "tag" not in found["match"][0]["meta"]


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
async def test_summaries(stack, resource):
    patient = a_patient()
    await publish(stack, patient)
    whole, found = await search(stack, resource, patient)
    (full,) = found["match"]
    for value in ("false", "data"):
        _, found = await search(stack, resource, patient, _summary=value)
        assert found["match"] == [full]
    for value in ("true", "text"):
        bundle, found = await search(stack, resource, patient, _summary=value)
        (part,) = found["match"]
        assert SUBSETTED in part["meta"]["tag"]
        assert set(part) < set(full)
        assert all(part[name] == full[name] for name in set(part) - {"meta", "contained", "context"})
        assert f"_summary={value}" in bundle["link"][0]["url"]
    stack.soap_calls.clear()
    for parameters in ({"_summary": "count"}, {"_count": 0}):
        bundle, found = await search(stack, resource, patient, **parameters)
        assert (bundle["total"], found["match"]) == (whole["total"], [])
        assert [link["relation"] for link in bundle["link"]] == ["self"]


async def test_a_read_gives_a_part_too(stack):
    patient = a_patient()
    set_id, document, *_ = await publish(stack, patient)
    status, part = await stack.get(f"DocumentReference/{document}", _summary="true")
    assert (status, part["meta"]["tag"]) == (200, [SUBSETTED])
    status, part = await stack.get(f"List/{set_id}", _elements="date")
    assert set(part) == {"resourceType", "id", "meta", "date", "status", "mode"}
    status, outcome = await stack.get(f"List/{set_id}", _elements="flavour")
    assert (status, outcome["resourceType"]) == (400, "OperationOutcome")


async def test_parts_and_neighbours_are_the_same_in_xml(stack):
    patient = a_patient()
    await publish(stack, patient, folder=True)
    query = {
        "_summary": "true",
        "_include": "DocumentReference:patient",
        "_revinclude": "List:item",
    }
    bundle, _ = await search(stack, "DocumentReference", patient, **query)
    parameters = {"patient.identifier": patient.token, "status": "current", **query, "_format": "xml"}
    async with stack.session.get(f"{stack.base_url}/DocumentReference", params=parameters) as answer:
        assert read_xml(await answer.read()) == bundle


# --- times of submission, order -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["date", "_lastUpdated"])
async def test_documents_are_found_by_the_time_of_their_submission(stack, name):
    patient = a_patient()
    early = (await publish(stack, patient, submitted="2025-03-04T05:06:07Z"))[1]
    late = (await publish(stack, patient, submitted="2026-03-04T05:06:07Z"))[1]
    for value, expected in [
        ("ge2026", [late]),
        ("lt2026", [early]),
        ("2025-03-04T05:06:07Z", [early]),
        ("2025,2026", [early, late]),
        ("eb2025", []),
        (["ge2025", "lt2025-06"], [early]),
    ]:
        bundle, found = await search(stack, "DocumentReference", patient, **{name: value})
        assert names(found["match"]) == sorted(f"DocumentReference/{i}" for i in expected), value
        assert bundle["total"] == len(expected)
        assert found["outcome"] == []
    stack.soap_calls.clear()
    _, found = await search(stack, "DocumentReference", patient, _sort=f"-{name}")
    assert [r["id"] for r in found["match"]] == [late, early]
    assert dict(stack.soap_calls) == {"/xds/registry": 3}
    _, found = await search(stack, "DocumentReference", patient, _sort=name, _count=1)
    assert [r["id"] for r in found["match"]] == [early]
    _, found = await search(stack, "DocumentReference", patient, **{f"{name}:missing": "true"})
    assert found["match"] == []


async def test_a_later_reference_to_a_document_does_not_change_when_it_was_submitted(stack):
    patient = a_patient()
    _, document, *_ = await publish(stack, patient, folder=True, submitted="2025-03-04T05:06:07Z")
    bundle = provide_bundle(
        [a_document()], patient=patient, seed=uuid.uuid4().hex, submitted="2026-03-04T05:06:07Z"
    )
    submission_set = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "List")
    submission_set["entry"].append({"item": {"reference": f"DocumentReference/{document}"}})
    assert (await stack.publish(bundle))[0] == 200
    _, found = await search(stack, "DocumentReference", patient, _lastUpdated="2025")
    assert names(found["match"]) == [f"DocumentReference/{document}"]


async def test_lists_are_found_by_the_time_that_they_show_as_last_updated(stack):
    patient = a_patient()
    set_id, _, folder, *_ = await publish(stack, patient, folder=True, submitted="2025-03-04T05:06:07Z")
    _, found = await search(stack, "List", patient, _lastUpdated="lt2026-01-01T00:00:00Z")
    assert names(found["match"]) == [f"List/{set_id}"]
    assert found["match"][0]["meta"]["lastUpdated"] == "2025-03-04T05:06:07Z"
    _, found = await search(stack, "List", patient, _lastUpdated="ge2026-01-01T00:00:00Z")
    assert names(found["match"]) == [f"List/{folder}"]
    _, found = await search(stack, "List", patient, _sort="-_lastUpdated")
    assert [r["id"] for r in found["match"]] == [folder, set_id]


async def test_several_sort_keys_in_either_direction(stack):
    patient = a_patient()
    for title, created in [("b", "2024-01-02"), ("a", "2024-01-02"), ("c", "2023-01-02")]:
        document = a_document(title=title, creation=f"{created}T00:00:00Z")
        status, _ = await stack.publish(provide_bundle([document], patient=patient, seed=uuid.uuid4().hex))
        assert status == 200
    for order in ("-creation,_id", "creation,-_id"):
        _, found = await search(stack, "DocumentReference", patient, _sort=order)
        keys = [(r["content"][0]["attachment"]["creation"], r["id"]) for r in found["match"]]
        descending = order.startswith("-")
        assert [k[0] for k in keys] == sorted((k[0] for k in keys), reverse=descending)
        same = [k[1] for k in keys if k[0].startswith("2024")]
        assert same == sorted(same, reverse=not descending)


async def test_without_submission_sets_a_search_by_them_fails_and_says_why(tmp_path):
    asked = []

    async def refuse_the_second(request):
        asked.append(request.path)
        return web.Response(status=503) if len(asked) > 1 else None

    async with running_stack(tmp_path, peers={"max_attempts": 1}) as stack:
        patient = a_patient()
        await publish(stack, patient)
        stack.interfere = refuse_the_second
        status, outcome = await stack.get(
            "DocumentReference",
            **{"patient.identifier": patient.token, "status": "current", "date": "ge2020"},
        )
    assert (status, outcome["resourceType"]) == (503, "OperationOutcome")
    assert "registry" in outcome["issue"][0]["diagnostics"]
