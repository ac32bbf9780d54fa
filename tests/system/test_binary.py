"""Binary/[id] over sockets: the resource for FHIR formats, the document itself for all others."""

from base64 import b64decode

import orjson
import pytest

from gateway.demo.bundles import provide_bundle
from gateway.fhir.xml_reader import read_xml
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT = b"\r\nthe document\0"


async def published(stack, content=CONTENT):
    patient = a_patient()
    status, answer = await stack.publish(provide_bundle([a_document(content=content)], patient=patient))
    assert status == 200, answer
    return answer["entry"][1]["response"]["location"].rpartition("/")[2]


async def get(stack, name, **headers):
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    async with stack.session.get(f"{stack.base_url}/Binary/{name}", headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "",
        "text/plain",
        "TEXT/Plain",
        "text/*",
        "application/pdf, text/plain;q=0.5",
        "text/plain, application/fhir+json;q=0.9",
        "application/fhir+json;q=0, */*",
        "application/fhir+json;q=0.1, application/fhir+xml;q=0.2, text/*;q=0.3",
    ],
)
async def test_the_document_itself(stack, accept):
    status, headers, body = await get(stack, await published(stack), Accept=accept)
    assert (status, headers["Content-Type"], body) == (200, "text/plain", CONTENT)
    assert headers["Content-Length"] == str(len(CONTENT))


async def test_a_part_of_the_document(stack):
    status, _, body = await get(stack, await published(stack), Range="bytes=2-4")
    assert (status, body) == (206, b"the")


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+json",
        "text/html, application/fhir+json;q=0.9",
        "application/fhir+json, text/plain",
        "application/fhir+json;q=0.2, text/plain;q=0.1",
        "application/fhir+json; fhirVersion=4.0, */*;q=0.1",
    ],
)
async def test_the_resource_in_json(stack, accept):
    name = await published(stack)
    async with stack.session.get(f"{stack.base_url}/Binary/{name}", headers={"Accept": accept}) as answer:
        assert answer.content_type == "application/fhir+json"
        resource = await answer.json(content_type=None)
    assert (resource["id"], resource["contentType"]) == (name, "text/plain")
    assert b64decode(resource["data"]) == CONTENT


async def test_the_resource_in_xml(stack):
    name = await published(stack)
    _, headers, body = await get(stack, name, Accept="application/fhir+xml")
    assert headers["Content-Type"].startswith("application/fhir+xml")
    assert b64decode(read_xml(body)["data"]) == CONTENT
    status, by_name = await stack.get(f"Binary/{name}", _format="json")
    assert (status, by_name["resourceType"]) == (200, "Binary")


@pytest.mark.parametrize("accept", ["application/pdf", "text/plain;q=0", "image/*, text/html", "*/*;q=0"])
async def test_a_type_that_the_document_is_not(stack, accept):
    status, headers, body = await get(stack, await published(stack), Accept=accept)
    assert status == 406
    assert b"text/plain" in body
    assert headers["Content-Type"].startswith("application/fhir+json")


@pytest.mark.parametrize("accept", ["application/fhir+json; fhirVersion=3.0", "application/fhir+json;q=0"])
async def test_a_format_that_is_refused(stack, accept):
    status, _, _ = await get(stack, await published(stack), Accept=accept)
    assert status == 406


async def test_a_document_that_is_a_resource_is_a_binary_here_and_itself_at_its_own_url(stack):
    patient, content = a_patient(), b'{"resourceType": "Basic", "code": {"text": "x"}}'
    document = a_document(content=content, content_type="application/fhir+json")
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    status, _, body = await stack.download(found, Accept="application/fhir+json")
    assert (status, body) == (200, content)
    status, _, body = await get(stack, found["id"], Accept="application/fhir+json")
    assert (status, b64decode(orjson.loads(body)["data"])) == (200, content)
    status, _, body = await get(stack, found["id"], Accept="*/*")
    assert (status, body) == (200, content)


@pytest.mark.parametrize("name", ["0b9aef92-8cdb-4819-9c33-93378ca9b883", "no-such-id"])
@pytest.mark.parametrize("accept", ["*/*", "application/fhir+json"])
async def test_no_such_document(stack, name, accept):
    async with stack.session.get(f"{stack.base_url}/Binary/{name}", headers={"Accept": accept}) as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["resourceType"] == "OperationOutcome"


async def test_the_registry_is_asked_once_where_a_document_lies(stack):
    name = await published(stack)
    stack.soap_calls.clear()
    for _ in range(3):
        assert (await get(stack, name))[0] == 200
    assert dict(stack.soap_calls) == {"/xds/registry": 1, "/xds/repository": 3}
