"""ITI-66 over sockets: SubmissionSets and Folders are found by each parameter, with their members, in few calls."""

import uuid

import pytest
from aiohttp import web

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.samples import SOURCE_ID, IdSource, SampleCode, SampleFolder
from gateway.model import codes
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

EPISODE = SampleCode("http://snomed.info/sct", "185349003", "Encounter for check up")
CURRENT = {"status": "current"}


def a_folder(title="Folder"):
    return SampleFolder(IdSource(uuid.uuid4().hex).oid(9), title, EPISODE)


async def published(stack, patient, documents=1, **changes):
    """Location ids of what was published, by kind and in the order of the Bundle."""
    bundle = provide_bundle(
        [a_document() for _ in range(documents)], patient=patient, seed=uuid.uuid4().hex, **changes
    )
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return [entry["response"]["location"].rpartition("/")[2] for entry in answer["entry"]]


def kinds_of(lists):
    return sorted(resource["code"]["coding"][0]["code"] for resource in lists)


def members(resource):
    return [entry["item"]["reference"] for entry in resource.get("entry", ())]


async def test_each_code_finds_its_kind_with_its_members(stack):
    patient = a_patient()
    set_id, first, second, folder_id, *_ = await published(stack, patient, 2, folder=a_folder())
    who = {"patient__identifier": patient.token, **CURRENT}
    (submission_set,) = await stack.find_lists(**who, code="submissionset")
    assert submission_set["id"] == set_id
    assert sorted(members(submission_set)) == sorted(
        [f"DocumentReference/{first}", f"DocumentReference/{second}", f"List/{folder_id}"]
    )
    (folder,) = await stack.find_lists(**who, code=f"{codes.MHD_LIST_TYPES}|folder")
    assert folder["id"] == folder_id
    assert sorted(members(folder)) == sorted([f"DocumentReference/{first}", f"DocumentReference/{second}"])
    assert kinds_of(await stack.find_lists(**who)) == ["folder", "submissionset"]
    for found in (submission_set, folder):
        assert await stack.get(f"List/{found['id']}") == (200, found)


async def test_members_of_an_update_are_the_new_document_and_no_association(stack):
    patient = a_patient()
    set_id, document, *_ = await published(stack, patient)
    new_set, new_document, *_ = await published(stack, patient, replaces=f"DocumentReference/{document}")
    found = {
        resource["id"]: members(resource)
        for resource in await stack.find_lists(
            patient__identifier=patient.token, **CURRENT, code="submissionset"
        )
    }
    assert found == {
        set_id: [f"DocumentReference/{document}"],
        new_set: [f"DocumentReference/{new_document}"],
    }


@pytest.mark.parametrize(
    ("code", "parameters", "matches"),
    [
        ("submissionset", {"date": "ge2026-01-02"}, True),
        ("submissionset", {"date": "2026-01-02T03:04:05Z"}, True),
        ("submissionset", {"date": "2026-01-02T04:04+01:00"}, True),
        ("submissionset", {"date": "lt2026-01-02T03:04:05Z"}, False),
        ("submissionset", {"date": "le2026-01-02T03:04:05Z"}, True),
        ("submissionset", {"date": "gt2026-01-02"}, False),
        ("submissionset", {"date": "sa2025"}, True),
        ("submissionset", {"date": "eb2026"}, False),
        ("submissionset", {"date": "ne2026"}, False),
        ("submissionset", {"date": ["ge2026-01", "lt2026-02"]}, True),
        ("folder", {"date": "ge2026-01-02"}, True),
        ("folder", {"date": "lt2026-01-02"}, False),
        ("submissionset", {"designationType": CONTENT_TYPE.token}, True),
        ("submissionset", {"designationType": CONTENT_TYPE.code}, True),
        ("submissionset", {"designationType": EPISODE.token}, False),
        ("submissionset", {"designationType:not": EPISODE.token}, True),
        ("submissionset", {"designationType:text": "summary"}, True),
        ("folder", {"designationType": EPISODE.token}, True),
        ("folder", {"designationType": [EPISODE.token, CONTENT_TYPE.token]}, False),
        ("folder", {"designationType": f"{EPISODE.token},{CONTENT_TYPE.token}"}, True),
        ("submissionset", {"source.family": "submit"}, True),
        ("submissionset", {"source.family:exact": "Submitter"}, True),
        ("submissionset", {"source.family:exact": "submitter"}, False),
        ("submissionset", {"source.family:exact": "Nobody,Submitter"}, True),
        ("submissionset", {"source.given": "Sam"}, True),
        ("submissionset", {"source.given": "Tom"}, False),
        ("submissionset", {"sourceId": f"urn:oid:{SOURCE_ID}"}, True),
        ("submissionset", {"sourceId": f"urn:ietf:rfc:3986|urn:oid:{SOURCE_ID}"}, True),
        ("submissionset", {"sourceId": "urn:oid:2.999.404"}, False),
        ("submissionset", {"status": "superseded"}, False),
        ("folder", {"status": "retired"}, False),
        ("folder", {"status": "current,superseded"}, True),
    ],
)
async def test_each_parameter_selects(stack, code, parameters, matches):
    patient = a_patient()
    await published(stack, patient, folder=a_folder())
    parameters = {"patient.identifier": patient.token, "code": code, **CURRENT, **parameters}
    status, bundle = await stack.get("List", **parameters)
    assert status == 200, bundle
    assert bundle["total"] == int(matches)
    assert [e["search"]["mode"] for e in bundle.get("entry", ())] == ["match"] * matches


async def test_a_list_is_found_by_its_identifiers_and_as_subject_refers_to_the_patient(stack):
    patient, folder = a_patient(), a_folder()
    set_id, _, folder_id, *_ = await published(stack, patient, folder=folder)
    (found,) = await stack.find_lists(identifier=f"urn:ietf:rfc:3986|urn:oid:{folder.unique_id}")
    assert found["id"] == folder_id
    for wanted in (set_id, folder_id):
        (found,) = await stack.find_lists(_id=wanted)
        assert found["id"] == wanted
        for identifier in found["identifier"]:
            (again,) = await stack.find_lists(identifier=f"{identifier['system']}|{identifier['value']}")
            assert again == found
    both = await stack.find_lists(_id=f"{set_id},{folder_id}")
    assert {resource["id"] for resource in both} == {set_id, folder_id}
    assert kinds_of(await stack.find_lists(_id=f"{set_id},{folder_id}", code="folder")) == ["folder"]
    reference = found["subject"]["reference"]
    assert kinds_of(await stack.find_lists(patient=reference, **CURRENT)) == ["folder", "submissionset"]
    assert await stack.find_lists(patient="Patient/nobody", **CURRENT) == []


async def test_a_filter_that_folders_do_not_have_is_left_out_with_a_warning(stack):
    patient = a_patient()
    await published(stack, patient, folder=a_folder())
    parameters = {"patient.identifier": patient.token, "code": "folder", "sourceId": "2.999.404", **CURRENT}
    _, bundle = await stack.get("List", **parameters)
    match, outcome = bundle["entry"]
    assert match["search"]["mode"] == "match"
    assert "sourceId" in outcome["resource"]["issue"][0]["diagnostics"]
    query = f"patient.identifier={patient.token}&code=folder&status=current&sourceId=2.999.404"
    url = f"{stack.base_url}/List?{query}"
    async with stack.session.get(url, headers={"Prefer": "handling=strict"}) as answer:
        assert answer.status == 400


async def test_communities_that_are_not_reached_are_refused(stack):
    status, outcome = await stack.get(
        "List", code="folder", targetCommunityIdList="urn:oid:2.999.9", **CURRENT
    )
    assert status == 400
    assert outcome["issue"][0]["code"] == "not-found"


async def test_post_search_answers_as_get_does(stack):
    patient = a_patient()
    await published(stack, patient, folder=a_folder())
    form = {"patient.identifier": patient.token, "code": "submissionset,folder", **CURRENT}
    async with stack.session.post(f"{stack.base_url}/List/_search", data=form) as answer:
        assert answer.status == 200
        posted = await answer.json(content_type=None)
    _, got = await stack.get("List", **form)
    assert posted == got
    assert posted["total"] == 2


async def test_two_hundred_lists_cost_two_calls_and_a_third_for_folders_among_members(stack):
    patient = a_patient()
    for _ in range(200):
        await published(stack, patient)
    who = {"patient__identifier": patient.token, **CURRENT, "_count": 200}
    stack.soap_calls.clear()
    found = await stack.find_lists(**who, code="submissionset")
    assert len(found) == 200
    assert all(len(members(resource)) == 1 for resource in found)
    assert dict(stack.soap_calls) == {"/xds/registry": 2}
    _, _, folder_id, *_ = await published(stack, patient, folder=a_folder())
    stack.soap_calls.clear()
    found = await stack.find_lists(**who, code="submissionset")
    assert any(f"List/{folder_id}" in members(resource) for resource in found)
    assert dict(stack.soap_calls) == {"/xds/registry": 3}
    stack.soap_calls.clear()
    assert len(await stack.find_lists(**who, code="folder")) == 1
    assert dict(stack.soap_calls) == {"/xds/registry": 2}


async def test_paging_over_a_snapshot_shows_each_list_once(stack):
    patient = a_patient()
    for number in range(7):
        await published(stack, patient, folder=a_folder() if number % 2 else None)
    parameters = {"patient.identifier": patient.token, **CURRENT, "_count": 3}
    everything = {r["id"] for r in await stack.find_lists(patient__identifier=patient.token, **CURRENT)}
    status, page = await stack.get("List", **parameters)
    seen = []
    while True:
        assert status == 200
        assert page["total"] == 10
        matches = [e["resource"] for e in page["entry"] if e["search"]["mode"] == "match"]
        assert all(members(resource) for resource in matches)
        seen += [resource["id"] for resource in matches]
        links = {link["relation"]: link["url"] for link in page["link"]}
        if "next" not in links:
            break
        assert patient.id not in links["next"]
        # what is published meanwhile does not move the pages
        await published(stack, patient)
        stack.soap_calls.clear()
        status, page = await stack.get(links["next"])
        assert stack.soap_calls["/xds/registry"] <= 2
    assert sorted(seen) == sorted(everything)
    status, _ = await stack.get(page["link"][0]["url"])
    assert status == 200


async def test_a_page_link_of_documents_opens_no_page_of_lists(stack):
    patient = a_patient()
    await published(stack, patient, 2)
    parameters = {"patient.identifier": patient.token, **CURRENT, "_count": 1}
    _, page = await stack.get("DocumentReference", **parameters)
    (link,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    status, _ = await stack.get(link.replace("/DocumentReference?", "/List?"))
    assert status == 404


async def test_without_associations_the_lists_are_found_and_a_warning_says_what_is_missing(tmp_path):
    asked = []

    async def refuse_the_second(request):
        asked.append(request.path)
        return web.Response(status=503) if len(asked) > 1 else None

    async with running_stack(tmp_path) as stack:
        patient = a_patient()
        await published(stack, patient)
        stack.interfere = refuse_the_second
        parameters = {"patient.identifier": patient.token, "code": "submissionset", **CURRENT}
        status, bundle = await stack.get("List", **parameters)
    assert status == 200
    match, outcome = bundle["entry"]
    assert "entry" not in match["resource"]
    (issue,) = outcome["resource"]["issue"]
    assert (issue["severity"], issue["expression"]) == ("warning", ["List.entry"])


async def test_pages_go_on_when_their_snapshot_is_gone(stack, monkeypatch):
    patient = a_patient()
    for _ in range(3):
        await published(stack, patient)
    parameters = {"patient.identifier": patient.token, "code": "submissionset", **CURRENT, "_count": 2}
    _, first = await stack.get("List", **parameters)
    (link,) = [link["url"] for link in first["link"] if link["relation"] == "next"]

    async def gone(*_):
        return None

    monkeypatch.setattr("gateway.correlation.store.CorrelationStore.get_parts", gone)
    _, second = await stack.get(link)
    ids = [entry["resource"]["id"] for page in (first, second) for entry in page["entry"]]
    assert len(ids) == len(set(ids)) == 3
