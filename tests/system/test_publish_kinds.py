"""What else than Binaries can be published, over sockets: FHIR documents, references to
other servers, updates of Folders."""

import hashlib
import uuid
from base64 import b64encode

import orjson
import pytest
from aiohttp import web

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.samples import IdSource, SampleFolder
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from gateway.model import codes
from tests.fhir.test_provide_fhir_documents import document as fhir_document
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack, site

pytestmark = pytest.mark.asyncio(loop_scope="module")


def with_fhir_document(patient, document, media_type):
    """A provide bundle whose document is a FHIR document."""
    bundle = provide_bundle([a_document(content=b"x")], patient=patient)
    bundle["entry"][2]["resource"] = document
    bundle["entry"][2]["request"]["url"] = "Bundle"
    attachment = bundle["entry"][1]["resource"]["content"][0]["attachment"]
    attachment.pop("hash", None)
    attachment.pop("size", None)
    attachment["contentType"] = media_type
    return bundle


@pytest.mark.parametrize("media_type", ["application/fhir+json", "application/fhir+xml"])
async def test_a_fhir_document_is_stored_once_and_comes_back_as_it_was_hashed(stack, media_type):
    patient = a_patient()
    bundle = with_fhir_document(patient, fhir_document(), media_type)
    raw = write_xml(bundle) if media_type.endswith("xml") else orjson.dumps(bundle)
    async with stack.session.post(
        stack.base_url, data=raw, headers={"Content-Type": media_type, "Accept": "application/fhir+json"}
    ) as answer:
        assert answer.status == 200, await answer.text()
        response = await answer.json(content_type=None)
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    status, headers, body = await stack.download(found, Accept=media_type)
    attachment = found["content"][0]["attachment"]
    assert (status, headers["Content-Type"], attachment["contentType"]) == (200, media_type, media_type)
    assert attachment["hash"] == b64encode(hashlib.sha1(body).digest()).decode()
    assert attachment["size"] == len(body)
    location = response["entry"][2]["response"]["location"]
    async with stack.session.get(location) as again:
        assert await again.read() == body
    if media_type.endswith("json"):
        assert body == orjson.dumps(fhir_document())
    else:
        assert read_xml(body) == read_xml(write_xml(fhir_document()))


async def test_a_reference_to_a_directory_is_stored_as_what_it_leads_to(tmp_path):
    practitioner = {"resourceType": "Practitioner", "id": "1", "name": [{"family": "Kildare"}]}

    async def answer(_):
        return web.json_response(practitioner, content_type="application/fhir+json")

    directory = web.Application()
    directory.router.add_get("/fhir/Practitioner/1", answer)
    async with site(directory) as url:
        settings = {"allowed_hosts": [url.removeprefix("http://")]}
        async with running_stack(tmp_path, references=settings) as stack:
            patient = a_patient()
            bundle = provide_bundle([a_document()], patient=patient)
            bundle["meta"]["profile"] = [codes.PROFILE_UNCONTAINED_BUNDLE]
            reference = bundle["entry"][1]["resource"]
            reference["authenticator"] = {"reference": f"{url}/fhir/Practitioner/1"}
            status, published = await stack.publish(bundle)
            assert status == 200, published
            (found,) = await stack.find(patient__identifier=patient.token, status="current")
            contained = {f"#{c['id']}": c for c in found["contained"]}
            assert contained[found["authenticator"]["reference"]]["name"][0]["family"] == "Kildare"


async def test_a_reference_to_a_server_that_is_not_listed_is_refused(stack):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    bundle["meta"]["profile"] = [codes.PROFILE_UNCONTAINED_BUNDLE]
    bundle["entry"][1]["resource"]["authenticator"] = {"reference": "http://169.254.169.254/Practitioner/1"}
    status, outcome = await stack.publish(bundle)
    assert status == 422
    assert [i["expression"] for i in outcome["issue"]] == [
        ["Bundle.entry[1].resource.authenticator.reference"]
    ]
    assert await stack.find(patient__identifier=patient.token, status="current") == []


async def a_folder(stack, patient, *documents):
    """A new Folder with these new documents: its List, and its ETag."""
    folder = SampleFolder(IdSource(uuid.uuid4().hex).oid(3), "Episode", CONTENT_TYPE)
    status, answer = await stack.publish(provide_bundle(documents, patient=patient, folder=folder))
    assert status == 200, answer
    location = answer["entry"][1 + len(documents)]["response"]["location"]
    async with stack.session.get(f"{stack.base_url}/{location}") as read:
        assert read.status == 200
        return await read.json(content_type=None), read.headers["ETag"]


def update_of(folder, patient, document, entries):
    """A Bundle that publishes a document and puts the Folder with it and `entries`."""
    bundle = provide_bundle([document], patient=patient)
    added = {"item": {"reference": bundle["entry"][1]["fullUrl"]}}
    bundle["entry"].append(
        {
            "fullUrl": f"https://client.example/List/{folder['id']}",
            "resource": {**folder, "entry": [*entries, added]},
            "request": {"method": "PUT", "url": f"List/{folder['id']}"},
        }
    )
    return bundle


def listed(folder):
    return {entry["item"]["reference"] for entry in folder["entry"]}


async def test_a_folder_takes_new_documents_and_those_that_are_registered(stack):
    patient = a_patient()
    folder, etag = await a_folder(stack, patient, a_document(), a_document())
    assert etag == f'W/"{folder["meta"]["versionId"]}"'
    status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
    assert status == 200, answer
    elsewhere = answer["entry"][1]["response"]["location"]
    bundle = update_of(folder, patient, a_document(), [*folder["entry"], {"item": {"reference": elsewhere}}])
    bundle["entry"][-1]["request"]["ifMatch"] = etag
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["201", "201", "201", "200"]
    _, now = await stack.get(f"List/{folder['id']}")
    new = answer["entry"][1]["response"]["location"]
    assert listed(now) == listed(folder) | {elsewhere, new}
    assert len(now["entry"]) == 4
    again = await stack.publish(bundle)
    assert again == (200, answer)
    _, submission_set = await stack.get(answer["entry"][0]["response"]["location"])
    assert listed(submission_set) == {new}


async def test_a_folder_loses_no_document(stack):
    patient = a_patient()
    folder, _ = await a_folder(stack, patient, a_document(), a_document())
    status, outcome = await stack.publish(update_of(folder, patient, a_document(), folder["entry"][1:]))
    assert (status, outcome["issue"][0]["expression"]) == (409, ["Bundle.entry[3].resource.entry"])
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 2
    _, now = await stack.get(f"List/{folder['id']}")
    assert now == folder


async def test_an_update_of_an_older_version_of_a_folder_is_refused(stack):
    patient = a_patient()
    folder, _ = await a_folder(stack, patient, a_document())
    bundle = update_of(folder, patient, a_document(), folder["entry"])
    bundle["entry"][-1]["request"]["ifMatch"] = 'W/"20200101000000"'
    status, outcome = await stack.publish(bundle)
    assert (status, outcome["issue"][0]["expression"]) == (412, ["Bundle.entry[3].request.ifMatch"])
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1


async def test_a_folder_that_does_not_exist_is_not_made_by_an_update(stack):
    patient = a_patient()
    folder, _ = await a_folder(stack, patient, a_document())
    status, outcome = await stack.publish(
        update_of({**folder, "id": str(uuid.uuid4())}, patient, a_document(), folder["entry"])
    )
    assert (status, outcome["issue"][0]["expression"]) == (422, ["Bundle.entry[3].request.url"])
