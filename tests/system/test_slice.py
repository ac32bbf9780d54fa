"""Publish, find and retrieve through the gateway, the registry and the repository."""

import asyncio
import hashlib
import json
import random
import uuid
from base64 import b64encode

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SampleAuthor, SampleReferenceId
from gateway.model import codes
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT_ENTRY = 1
"""Position of the first DocumentReference in a provide bundle: after the SubmissionSet."""


async def published(stack, bundle):
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return answer


@pytest.mark.parametrize(
    "content",
    [b"\r\n--\r\n", b"\r\n", b"\n", b"\r\nstarts and ends with CR LF\r\n", b"\0", bytes(range(256)) * 5000],
    ids=["delimiter-like", "crlf", "lf", "crlf-both-ends", "nul", "1.2MB"],
)
async def test_a_document_comes_back_byte_for_byte(stack, content):
    patient, document = a_patient(), a_document(content=content)
    await published(stack, provide_bundle([document], patient=patient))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    status, headers, body = await stack.download(found)
    assert (status, body) == (200, content)
    assert found["content"][0]["attachment"]["hash"] == b64encode(hashlib.sha1(body).digest()).decode()
    assert headers["ETag"] == f'"{hashlib.sha1(body).hexdigest()}"'
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Length"] == str(len(content))


async def test_three_documents_have_three_locations_that_resolve(stack):
    patient = a_patient()
    documents = [a_document(title=f"Number {n}") for n in range(3)]
    bundle = provide_bundle(documents, patient=patient)
    answer = await published(stack, bundle)
    assert answer["type"] == "transaction-response"
    assert len(answer["entry"]) == len(bundle["entry"])
    locations = [e["response"]["location"] for e in answer["entry"]]
    assert len(set(locations)) == len(locations)
    for location, document in zip(locations[1:4], documents, strict=True):
        status, reference = await stack.get(location)
        assert status == 200
        assert reference["content"][0]["attachment"]["title"] == document.title
        assert location.endswith(f"DocumentReference/{reference['id']}")
    status, submission_set = await stack.get(locations[0])
    assert status == 200
    assert {e["item"]["reference"].rsplit("/", 1)[-1] for e in submission_set["entry"]} == {
        location.rsplit("/", 1)[-1] for location in locations[1:4]
    }


async def test_two_hundred_entries_cost_two_soap_calls(stack):
    patient = a_patient()
    for start in range(0, 200, 50):
        documents = [a_document(title=f"Number {start + n}") for n in range(50)]
        await published(stack, provide_bundle(documents, patient=patient))
    stack.soap_calls.clear()
    found = await stack.find(patient__identifier=patient.token, status="current", _count=200)
    assert len(found) == 200
    assert dict(stack.soap_calls) == {"/xds/registry": 2}


async def test_related_finds_authority_in_cx4_and_type_in_cx5(stack):
    patient = a_patient()
    accession = SampleReferenceId(value="ACC'1%", type=codes.REFERENCE_ACCESSION, authority="2.999.1.3")
    study = SampleReferenceId(value="2.999.77.1", type=codes.REFERENCE_STUDY)
    document = a_document(reference_ids=(accession, study))
    await published(stack, provide_bundle([document, a_document()], patient=patient))

    async def found(related):
        return [
            r["masterIdentifier"]["value"]
            for r in await stack.find(
                patient__identifier=patient.token, status="current", **{"related:identifier": related}
            )
        ]

    expected = [f"urn:oid:{document.unique_id}"]
    assert await found("urn:oid:2.999.1.3|ACC'1%") == expected
    assert await found("urn:dicom:uid|urn:oid:2.999.77.1") == expected
    assert await found("urn:oid:2.999.1.4|ACC'1%") == []
    assert await found("urn:oid:2.999.1.3|ACC'") == []
    (one,) = await stack.find(
        patient__identifier=patient.token,
        status="current",
        **{"related:identifier": "urn:oid:2.999.1.3|ACC'1%"},
    )
    shown = {
        (r["identifier"]["system"], r["identifier"]["value"]): r["identifier"]["type"]["coding"][0]["code"]
        for r in one["context"]["related"]
    }
    assert shown["urn:oid:2.999.1.3", "ACC'1%"] == codes.REFERENCE_ACCESSION


@pytest.mark.parametrize(
    ("parameter", "matches"),
    [
        ("eq2024", True),
        ("2024", True),
        ("eq2023", False),
        ("eq2024-01", True),
        ("eq2024-02", False),
        ("ge2024-01-01T10:00:00+01:00", True),
        ("lt2024-01-01T10:00:00+01:00", False),
        ("gt2024-01-01T10:00:00+01:00", False),
        ("le2024-01-01T09:00:00Z", True),
        ("ne2024", False),
        ("sa2023", True),
        ("eb2025", True),
    ],
)
async def test_dates_are_compared_as_intervals_in_utc(stack, parameter, matches):
    patient = a_patient()
    document = a_document(creation="2024-01-01T09:00:00Z")
    await published(stack, provide_bundle([document], patient=patient))
    found = await stack.find(patient__identifier=patient.token, status="current", creation=parameter)
    assert bool(found) is matches


async def test_a_uuid_can_be_the_unique_id(stack):
    patient, unique_id = a_patient(), uuid.uuid4().urn
    document = a_document(unique_id=unique_id)
    await published(stack, provide_bundle([document], patient=patient))
    (found,) = await stack.find(identifier=document.token)
    assert found["masterIdentifier"]["value"] == unique_id
    assert (await stack.download(found))[2] == document.content


async def test_all_authors_are_kept_in_order(stack):
    patient = a_patient()
    authors = (
        SampleAuthor(family="Erste", given="Anna", staff_id="1"),
        SampleAuthor(organization="Zweites Haus"),
        SampleAuthor(family="Dritter", given="Otto", staff_id="3", organization="Drittes Haus"),
    )
    await published(stack, provide_bundle([a_document(authors=authors)], patient=patient))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    contained = {r["id"]: r for r in found["contained"]}
    kinds = [contained[a["reference"].removeprefix("#")]["resourceType"] for a in found["author"]]
    assert kinds == ["Practitioner", "Organization", "PractitionerRole"]
    text = json.dumps(found)
    assert all(name in text for name in ("Erste", "Zweites Haus", "Dritter", "Drittes Haus"))


async def test_a_replacement_supersedes_and_says_what(stack):
    patient, old, new = a_patient(), a_document(title="Old"), a_document(title="New")
    answer = await published(stack, provide_bundle([old], patient=patient))
    old_id = answer["entry"][DOCUMENT_ENTRY]["response"]["location"].rsplit("/", 1)[-1]
    await published(stack, provide_bundle([new], patient=patient, replaces=f"DocumentReference/{old_id}"))
    (current,) = await stack.find(patient__identifier=patient.token, status="current")
    (superseded,) = await stack.find(patient__identifier=patient.token, status="superseded")
    assert superseded["id"] == old_id
    assert superseded["status"] == "superseded"
    (relation,) = current["relatesTo"]
    assert relation["code"] == "replaces"
    assert relation["target"]["reference"].endswith(f"DocumentReference/{old_id}")
    status, again = await stack.publish(
        provide_bundle([a_document()], patient=patient, replaces=f"DocumentReference/{old_id}")
    )
    assert status in {409, 422}
    assert again["issue"][0]["details"]["coding"][0]["code"] == "XDSRegistryDeprecatedDocumentError"


async def test_the_same_bundle_again_stores_nothing_and_answers_the_same(stack):
    patient, document = a_patient(), a_document()
    bundle = provide_bundle([document], patient=patient)
    first = await published(stack, bundle)
    shuffled = json.loads(json.dumps(bundle))
    shuffled["entry"] = [dict(reversed(entry.items())) for entry in shuffled["entry"]]
    assert await published(stack, json.dumps(shuffled, indent=3).encode()) == first
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1


async def test_two_clients_at_once_store_once(stack):
    patient = a_patient()
    bundle = provide_bundle([a_document(content=random.randbytes(100_000))], patient=patient)
    stack.soap_calls.clear()
    answers = await asyncio.gather(*(published(stack, bundle) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert stack.soap_calls["/xds/repository"] == 1
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1


async def test_paging_over_a_snapshot_shows_each_entry_once(stack):
    patient = a_patient()
    documents = [a_document(creation=f"2026-01-02T03:04:{n:02}Z") for n in range(23)]
    await published(stack, provide_bundle(documents, patient=patient))
    status, page = await stack.get(
        "DocumentReference", **{"patient.identifier": patient.token, "status": "current", "_count": 5}
    )
    seen = []
    while True:
        assert status == 200
        assert page["total"] == 23
        seen += [e["resource"]["masterIdentifier"]["value"] for e in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        if "next" not in links:
            break
        assert patient.id not in links["next"]
        if len(seen) == 10:
            # what is published meanwhile does not move the pages
            await published(stack, provide_bundle([a_document()], patient=patient))
        status, page = await stack.get(links["next"])
    assert seen == [f"urn:oid:{d.unique_id}" for d in reversed(documents)]


async def test_post_search_answers_as_get_does(stack):
    patient = a_patient()
    await published(stack, provide_bundle([a_document()], patient=patient))
    form = {"patient.identifier": patient.token, "status": "current"}
    async with stack.session.post(f"{stack.base_url}/DocumentReference/_search", data=form) as answer:
        posted = await answer.json(content_type=None)
    _, got = await stack.get("DocumentReference", **form)
    assert posted["entry"] == got["entry"]
    assert posted["total"] == 1


async def test_a_wrong_hash_is_refused_and_nothing_is_stored(stack):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    attachment = bundle["entry"][DOCUMENT_ENTRY]["resource"]["content"][0]["attachment"]
    attachment["hash"] = b64encode(hashlib.sha1(b"other").digest()).decode()
    status, outcome = await stack.publish(bundle)
    assert status == 422
    assert "Bundle.entry[1].resource.content[0].attachment.hash" in outcome["issue"][0]["expression"]
    assert await stack.find(patient__identifier=patient.token) == []


async def test_a_url_that_was_tampered_with_opens_nothing(stack):
    patient = a_patient()
    await published(stack, provide_bundle([a_document()], patient=patient))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    url = found["content"][0]["attachment"]["url"]
    changed = url[:-1] + ("A" if url[-1] != "A" else "B")
    async with stack.session.get(changed) as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["resourceType"] == "OperationOutcome"


async def test_head_range_and_conditions_of_a_document(stack):
    patient, document = a_patient(), a_document(content=bytes(range(200)))
    await published(stack, provide_bundle([document], patient=patient))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    url = found["content"][0]["attachment"]["url"]
    stack.soap_calls.clear()
    async with stack.session.head(url) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "200")
        etag = answer.headers["ETag"]
    assert stack.soap_calls["/xds/repository"] == 0
    status, headers, body = await stack.download(found, Range="bytes=10-19")
    assert (status, headers["Content-Range"], body) == (206, "bytes 10-19/200", bytes(range(10, 20)))
    assert (await stack.download(found, **{"If-None-Match": etag}))[0] == 304
    assert (await stack.download(found, Range="bytes=200-"))[0] == 416
    assert (await stack.download(found, Accept="application/pdf"))[0] == 406
    assert (await stack.download(found, Accept="text/*"))[0] == 200


async def test_unknown_ids_are_404_with_an_outcome(stack):
    for path in (f"DocumentReference/{uuid.uuid4()}", f"List/{uuid.uuid4()}", "Patient/x", "content/x", "x"):
        status, outcome = await stack.get(path)
        assert (status, outcome["resourceType"]) == (404, "OperationOutcome"), path


async def test_a_patient_reference_of_an_answer_can_be_searched_and_read(stack):
    patient = a_patient()
    await published(stack, provide_bundle([a_document()], patient=patient))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    reference = found["subject"]["reference"]
    assert await stack.find(patient=reference, status="current") == [found]
    status, resource = await stack.get(reference)
    assert (status, resource["identifier"]) == (200, [patient.identifier])
