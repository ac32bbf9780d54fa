"""Simplified Publish (ITI-105) over sockets: stored, found and retrieved like any other document."""

import hashlib
from base64 import b64encode

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.fhir.xml_writer import write_xml
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")


def simplified(patient, document):
    """A DocumentReference with its document inside."""
    made = provide_bundle([document], patient=patient)["entry"][1]["resource"]
    attachment = made["content"][0]["attachment"]
    attachment.pop("url")
    attachment["data"] = b64encode(document.content).decode()
    return made


async def post(stack, resource, media_type="application/fhir+json"):
    """Status, headers and body of a create."""
    body = {"data": resource} if isinstance(resource, bytes) else {"json": resource}
    headers = {"Content-Type": media_type, "Accept": "application/fhir+json"}
    async with stack.session.post(f"{stack.base_url}/DocumentReference", headers=headers, **body) as answer:
        return answer.status, answer.headers, await answer.json(content_type=None)


@pytest.mark.parametrize("media_type", ["application/fhir+json", "application/fhir+xml"])
async def test_the_answer_is_the_document_reference_as_it_is_stored(stack, media_type):
    patient, document = a_patient(), a_document(content=b"\r\nsimple\0")
    made = simplified(patient, document)
    raw = write_xml(made) if media_type.endswith("xml") else made
    status, headers, created = await post(stack, raw, media_type)
    assert status == 201, created
    assert "data" not in created["content"][0]["attachment"]
    assert headers["Location"] == f"{stack.base_url}/DocumentReference/{created['id']}"
    assert await stack.get(headers["Location"]) == (200, created)
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    assert found == created
    _, _, body = await stack.download(created)
    assert hashlib.sha1(body).hexdigest() == hashlib.sha1(document.content).hexdigest()


async def test_it_brings_a_submission_set(stack):
    patient = a_patient()
    _, _, created = await post(stack, simplified(patient, a_document()))
    status, lists = await stack.get(
        "List", **{"patient.identifier": patient.token, "code": "submissionset", "status": "current"}
    )
    assert status == 200, lists
    (submission_set,) = [e["resource"] for e in lists["entry"] if e["search"]["mode"] == "match"]
    assert [e["item"]["reference"].rsplit("/", 1)[-1] for e in submission_set["entry"]] == [created["id"]]


async def test_a_repeat_gets_the_same_answer_and_stores_nothing(stack):
    patient = a_patient()
    made = simplified(patient, a_document())
    first = await post(stack, made)
    again = await post(stack, made)
    assert (again[0], again[2]) == (first[0], first[2])
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1


async def test_a_replacement_supersedes_its_target(stack):
    patient = a_patient()
    _, _, old = await post(stack, simplified(patient, a_document()))
    made = simplified(patient, a_document())
    made["relatesTo"] = [{"code": "replaces", "target": {"reference": f"DocumentReference/{old['id']}"}}]
    status, _, new = await post(stack, made)
    assert status == 201, new
    assert new["relatesTo"][0]["target"]["reference"].endswith(old["id"])
    (superseded,) = await stack.find(patient__identifier=patient.token, status="superseded")
    assert superseded["id"] == old["id"]


async def test_a_refusal_names_the_element_and_stores_nothing(stack):
    patient = a_patient()
    made = simplified(patient, a_document())
    made["content"][0]["attachment"]["hash"] = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
    status, _, outcome = await post(stack, made)
    assert status == 422
    assert outcome["issue"][0]["expression"] == ["DocumentReference.content[0].attachment.hash"]
    assert await stack.find(patient__identifier=patient.token, status="current") == []
