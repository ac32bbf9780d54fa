"""Search at the base over sockets: documents and Lists together mean what they mean apart."""

import uuid
from collections import Counter

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import IdSource, SampleCode, SampleFolder
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

EPISODE = SampleCode("http://snomed.info/sct", "185349003", "Encounter for check up")


async def publish(stack, patient, **changes):
    folder = SampleFolder(IdSource(uuid.uuid4().hex).oid(9), "Folder", EPISODE)
    bundle = provide_bundle([a_document()], patient=patient, seed=uuid.uuid4().hex, folder=folder, **changes)
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return [entry["response"]["location"].rpartition("/")[2] for entry in answer["entry"]]


def matches(bundle):
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


def outcomes(bundle):
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "outcome"]


async def search(stack, patient, path="", **parameters):
    named = {"patient.identifier": patient.token, "status": "current", **parameters}
    status, bundle = await stack.get(f"{stack.base_url}{path}", **named)
    assert status == 200, bundle
    return bundle


@pytest.mark.parametrize(
    "types", [{}, {"_type": "DocumentReference,List"}, {"_type": "List,DocumentReference"}]
)
async def test_documents_and_lists_come_together_as_they_come_apart(stack, types):
    patient = a_patient()
    await publish(stack, patient)
    await publish(stack, patient)
    apart = matches(await search(stack, patient, "/DocumentReference")) + matches(
        await search(stack, patient, "/List")
    )
    stack.soap_calls.clear()
    bundle = await search(stack, patient, **types)
    assert bundle["total"] == len(apart) == 6
    assert matches(bundle) == apart
    assert outcomes(bundle) == []
    # documents, SubmissionSets, Folders; associations of the page
    assert dict(stack.soap_calls) == {"/xds/registry": 4}
    assert bundle["link"][0]["url"].startswith(f"{stack.base_url}?_type=DocumentReference,List&")
    _, again = await stack.get(bundle["link"][0]["url"])
    assert again == bundle


@pytest.mark.parametrize("kind", ["DocumentReference", "List"])
async def test_one_type_is_the_search_of_the_type_with_all_its_parameters(stack, kind):
    patient = a_patient()
    await publish(stack, patient)
    own = {"type": "http://loinc.org|11488-4"} if kind == "DocumentReference" else {"code": "folder"}
    assert await search(stack, patient, _type=kind, **own) == await search(stack, patient, f"/{kind}", **own)


async def test_post_answers_as_get_does_with_parameters_of_url_and_form(stack):
    patient = a_patient()
    await publish(stack, patient)
    form = {"patient.identifier": patient.token}
    url = f"{stack.base_url}/_search?_type=DocumentReference,List&status=current"
    async with stack.session.post(url, data=form) as answer:
        assert answer.status == 200
        posted = await answer.json(content_type=None)
    got = await search(stack, patient)
    assert matches(posted) == matches(got)


async def test_common_parameters_select_in_both(stack):
    patient = a_patient()
    set_id, document, folder, *_ = await publish(stack, patient, submitted="2025-03-04T05:06:07Z")
    later, other, second, *_ = await publish(stack, patient, submitted="2026-03-04T05:06:07Z")
    bundle = await search(stack, patient, _lastUpdated="lt2026")
    assert {r["id"] for r in matches(bundle)} == {set_id, document}
    bundle = await search(stack, patient, date=["ge2025-03", "lt2026-06"], _sort="-_lastUpdated")
    assert [r["id"] for r in matches(bundle)][2:] == sorted([set_id, document])
    assert {r["id"] for r in matches(bundle)} == {set_id, document, later, other}
    bundle = await search(stack, patient, _id=f"{document},{folder}")
    assert {r["id"] for r in matches(bundle)} == {document, folder}
    found = matches(bundle)[0]
    identifier = found["masterIdentifier"]
    bundle = await search(stack, patient, identifier=f"{identifier['system']}|{identifier['value']}")
    assert matches(bundle) == [found]
    assert second in {r["id"] for r in matches(await search(stack, patient))}


async def test_what_is_named_beside_what_holds_it_comes_once(stack):
    """The registry gives a SubmissionSet with its documents, of which one is named too."""
    patient = a_patient()
    set_id, document, folder, *_ = await publish(stack, patient)
    named = []
    for path in (f"List/{set_id}", f"DocumentReference/{document}", f"List/{folder}"):
        _, resource = await stack.get(path)
        identifiers = [resource.get("masterIdentifier"), *resource["identifier"]]
        named += [i["value"] for i in identifiers if i and i["value"].startswith("urn:oid:")][:1]
    bundle = await search(stack, patient, identifier=",".join(f"urn:ietf:rfc:3986|{n}" for n in named))
    assert bundle["total"] == len(matches(bundle)) == 3
    assert {r["id"] for r in matches(bundle)} == {set_id, document, folder}


async def test_a_parameter_of_one_type_is_left_out_with_a_warning_or_refused(stack):
    patient = a_patient()
    await publish(stack, patient)
    bundle = await search(stack, patient, type="http://loinc.org|1")
    assert bundle["total"] == 3
    assert "type" in outcomes(bundle)[0]["issue"][0]["diagnostics"]
    assert "loinc" not in bundle["link"][0]["url"]
    url = f"{stack.base_url}?patient.identifier={patient.token}&status=current&type=x"
    async with stack.session.get(url, headers={"Prefer": "handling=strict"}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    "parameters", [{"_type": "Observation"}, {"_type": "List,Patient"}, {}, {"_count": "x"}, {"date": "x"}]
)
async def test_what_cannot_be_met_is_refused(stack, parameters):
    status, outcome = await stack.get(stack.base_url, **parameters)
    assert (status, outcome["resourceType"]) == (400, "OperationOutcome")
    assert all(len(issue["diagnostics"]) > 10 for issue in outcome["issue"])


@pytest.mark.parametrize("snapshot", ["kept", "gone"])
async def test_pages_hold_both_and_show_each_once(stack, snapshot, monkeypatch):
    async def gone(*_):
        return None

    if snapshot == "gone":
        monkeypatch.setattr("gateway.correlation.store.CorrelationStore.get_parts", gone)
    patient = a_patient()
    for _ in range(3):
        await publish(stack, patient)
    whole = matches(await search(stack, patient))
    page = await search(stack, patient, _count=4, _elements="DocumentReference.type,List.title")
    seen = []
    while True:
        assert page["total"] == 9
        seen += [r["id"] for r in matches(page)]
        assert all("meta" in r and "identifier" not in r for r in matches(page))
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        stack.soap_calls.clear()
        status, page = await stack.get(following[0])
        assert status == 200
        assert snapshot == "gone" or stack.soap_calls["/xds/registry"] <= 2
    assert seen == [r["id"] for r in whole]


async def test_neighbours_come_along(stack):
    patient = a_patient()
    set_id, document, *_ = await publish(stack, patient)
    bundle = await search(stack, patient, _id=document, _include="*", _revinclude="*")
    included = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "include"]
    assert set_id in {resource["id"] for resource in included}
    kinds = Counter(resource["resourceType"] for resource in included)
    assert kinds == {"List": 2, "Patient": 1, "Provenance": 1}
