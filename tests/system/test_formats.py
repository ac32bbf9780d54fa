"""Every FHIR endpoint in both formats, negotiated and compressed, errors included."""

import asyncio
import copy
import gzip
import json

import aiohttp
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON, XML = "application/fhir+json", "application/fhir+xml"


async def ask(stack, method, path="", body=None, **headers):
    """Status, headers and body of an answer, whose Content-Encoding is left on."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = path if "://" in path else f"{stack.base_url}{path}"
    async with (
        aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=("Accept-Encoding", "Accept")
        ) as session,
        session.request(method, url, data=body, headers=named) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


def resource_of(headers, body):
    """The resource of an answer, by its Content-Type, which has to be complete."""
    media_type, _, parameters = headers["Content-Type"].partition(";")
    assert parameters.strip().endswith("charset=utf-8")
    return read_xml(body) if media_type == XML else json.loads(body)


async def both(stack, path):
    """The resource at a path, which has to be the same in both formats."""
    found = []
    for media_type in (JSON, XML):
        status, headers, body = await ask(stack, "GET", path, Accept=media_type)
        assert (status, headers["Content-Type"]) == (200, f"{media_type}; charset=utf-8")
        found.append(resource_of(headers, body))
    assert found[0] == found[1]
    return found[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(stack):
    """A patient with three documents that came in XML, and the answer to their publication."""
    patient = a_patient()
    documents = [a_document(title=f"Ä & <{n}>\n\"'", content=bytes(range(256))) for n in range(3)]
    bundle = provide_bundle(documents, patient=patient)
    status, headers, body = await ask(stack, "POST", "", write_xml(bundle), Content_Type=XML)
    assert status == 200, body
    assert headers["Content-Type"] == f"{XML}; charset=utf-8"
    return patient, bundle, resource_of(headers, body)


async def test_each_endpoint_answers_the_same_in_both_formats(stack, published):
    patient, _, response = published
    for path in [entry["response"]["location"] for entry in response["entry"]][:4]:
        await both(stack, f"/{path}")
    page = await both(stack, f"/DocumentReference?patient.identifier={patient.token}&status=current")
    assert page["total"] == 3
    for entry in page["entry"]:
        title = entry["resource"]["content"][0]["attachment"]["title"]
        assert title.startswith("Ä & <")
        await both(stack, f"/{entry['resource']['subject']['reference']}")
    statement = await both(stack, "/metadata")
    assert {JSON, XML} <= set(statement["format"])


@pytest.mark.parametrize(
    "path",
    [
        "/SearchParameter",
        "/SearchParameter?url=https%3A%2F%2Fprofiles.ihe.net%2FITI%2FMHD%2FSearchParameter%2FList-SourceId",
        "/SearchParameter/DocumentReference-Creation",
        "/OperationDefinition",
        "?patient.identifier={token}&status=current",
        "?patient.identifier={token}&status=current&_type=List&code=folder,submissionset&_include=*",
        "/List?patient.identifier={token}&status=current&code=submissionset&_summary=true&_revinclude=*",
        "/DocumentReference?patient.identifier={token}&status=current&_elements=type&_include=*",
    ],
)
async def test_definitions_and_searches_of_every_shape_are_the_same_in_both_formats(stack, published, path):
    patient, _, _ = published
    path = path.format(token=patient.token)
    found = await both(stack, path)
    ampersand = "&" if "?" in path else "?"
    status, headers, body = await ask(stack, "GET", f"{path}{ampersand}_format=xml&_pretty=true")
    assert (status, headers["Content-Type"]) == (200, f"{XML}; charset=utf-8")
    assert b"\n  <" in body
    assert resource_of(headers, body) == found


async def test_the_documents_of_an_xml_bundle_come_back_byte_for_byte(stack, published):
    patient, _, _ = published
    for found in await stack.find(patient__identifier=patient.token, status="current"):
        status, _, body = await stack.download(found, Accept="*/*")
        assert (status, body) == (200, bytes(range(256)))


async def test_the_same_bundle_in_the_other_format_is_the_same_publication(stack, published):
    patient, bundle, response = published
    stack.soap_calls.clear()
    status, answer = await stack.publish(bundle)
    assert (status, answer) == (200, response)
    assert stack.soap_calls["/xds/repository"] == 0
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 3


async def test_a_search_by_post_takes_format_from_its_form(stack, published):
    patient, _, _ = published
    form = {"patient.identifier": patient.token, "status": "current", "_format": "xml", "_pretty": "true"}
    status, headers, body = await ask(stack, "POST", "/DocumentReference/_search?_format=json", form)
    assert status == 200
    assert b'\n  <total value="3"/>\n' in body
    assert resource_of(headers, body)["total"] == 3
    wrong = {"_format": "xml", "status": "nonsense", "patient.identifier": patient.token}
    status, headers, body = await ask(stack, "POST", "/DocumentReference/_search", wrong)
    assert status == 400
    assert headers["Content-Type"] == f"{XML}; charset=utf-8"
    assert read_xml(body)["resourceType"] == "OperationOutcome"


async def test_links_to_further_pages_keep_the_format(stack, published):
    patient, _, _ = published
    path = f"/DocumentReference?patient.identifier={patient.token}&status=current&_count=1&_format=xml&_pretty=true"
    seen = 0
    while path:
        status, headers, body = await ask(stack, "GET", path)
        assert status == 200
        assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Bundle')
        page = resource_of(headers, body)
        seen += len(page["entry"])
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert seen == 3


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (JSON, JSON),
        (XML, XML),
        (f"{XML};q=0.5, {JSON};q=0.4", XML),
        (f"{XML};q=0.5, {JSON}", JSON),
        (f"{XML}, */*", XML),
        (f"{XML}, {JSON}", XML),
        (f"{JSON};q=0, */*", XML),
        ("application/*;q=0.1", JSON),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/xml"),
        ("application/json", "application/json"),
        ("text/xml", "text/xml"),
        ("Application/FHIR+XML; charset=utf-8", XML),
        (f"{XML}; fhirVersion=4.0", f"{XML}; fhirVersion=4.0"),
        (f"{XML}; fhirVersion=3.0, {JSON};q=0.1", JSON),
        (f'{JSON}; fhirVersion="4.0"; q=0.3', f"{JSON}; fhirVersion=4.0"),
    ],
)
async def test_accept_decides(stack, accept, media_type):
    headers = {} if accept is None else {"Accept": accept}
    status, got, body = await ask(stack, "GET", "/metadata", **headers)
    assert (status, got["Content-Type"]) == (200, f"{media_type}; charset=utf-8")
    assert body[:1] == (b"<" if "xml" in media_type else b"{")
    assert got["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    "name", ["xml", "text/xml", "application/xml", XML, "application%2Ffhir%2Bxml", "XML"]
)
async def test_format_overrules_accept(stack, name):
    for path in (f"/metadata?_format={name}", f"/metadata?_format={name};fhirVersion=4.0"):
        status, headers, _ = await ask(stack, "GET", path, Accept=JSON)
        assert status == 200
        assert headers["Content-Type"].partition(";")[0] == XML
    name = name.replace("xml", "json").replace("XML", "JSON")
    status, headers, _ = await ask(stack, "GET", f"/metadata?_format={name}", Accept=XML)
    assert (status, headers["Content-Type"]) == (200, f"{JSON}; charset=utf-8")


@pytest.mark.parametrize(
    ("query", "accept", "answered"),
    [
        ("", "text/html", JSON),
        ("", f"{JSON}; fhirVersion=4.3", JSON),
        ("", f"{JSON};q=0, {XML};q=0, */*", JSON),
        ("?_format=ttl", XML, XML),
        ("?_format=html", JSON, JSON),
        ("?_format=json;fhirVersion=3.0", XML, XML),
    ],
)
async def test_what_cannot_be_written_is_406_in_a_format_that_the_client_may_read(
    stack, query, accept, answered
):
    for path in ("/metadata", "/DocumentReference", "/List/1"):
        status, headers, body = await ask(stack, "GET", path + query, Accept=accept)
        assert status == 406, path
        assert headers["Content-Type"] == f"{answered}; charset=utf-8"
        assert resource_of(headers, body)["issue"][0]["code"] == "not-supported"


async def test_an_empty_format_is_none(stack, published):
    patient, _, _ = published
    form = {"patient.identifier": patient.token, "status": "current", "_format": ""}
    assert (await ask(stack, "POST", "/DocumentReference/_search", form))[0] == 200
    assert (await ask(stack, "GET", "/metadata?_format="))[0] == 200


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "", "application/fhir+turtle", f"{XML}; fhirVersion=3.0", f"{JSON}; charset=iso-8859-1"],
)
async def test_a_body_of_another_type_is_415(stack, content_type):
    status, headers, body = await ask(stack, "POST", "", b"{}", Content_Type=content_type, Accept=XML)
    assert status == 415
    assert resource_of(headers, body)["issue"][0]["code"] == "not-supported"


@pytest.mark.parametrize(
    "content_type", [XML, "application/xml", f'{XML}; fhirVersion="4.0"; charset="UTF-8"']
)
async def test_each_name_of_xml_is_taken(stack, content_type):
    bundle = provide_bundle([a_document()], patient=a_patient())
    status, headers, body = await ask(stack, "POST", "", write_xml(bundle), Content_Type=content_type)
    assert status == 200, body
    assert headers["Content-Type"] == f"{XML}; charset=utf-8"
    status, headers, again = await ask(
        stack, "POST", "", write_xml(bundle), Content_Type=content_type, Accept=JSON
    )
    assert json.loads(again) == read_xml(body)


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ('<!DOCTYPE a [<!ENTITY e "x">]>{}', "document type declaration"),
        ("{}</Bundle>", "not XML"),
        ('<Bundle><type value="transaction"/></Bundle>', "namespace"),
    ],
)
async def test_hostile_xml_is_400_in_xml(stack, xml, said):
    raw = xml.replace("{}", write_xml(provide_bundle([a_document()], patient=a_patient())).decode()[38:])
    status, headers, body = await ask(stack, "POST", "", raw.encode(), Content_Type=XML)
    assert status == 400
    (issue,) = resource_of(headers, body)["issue"]
    assert said in issue["diagnostics"]


async def test_an_element_twice_is_400_with_its_path_and_nothing_is_stored(stack):
    patient = a_patient()
    bundle = write_xml(provide_bundle([a_document()], patient=patient)).replace(
        b'<status value="current"/>', b'<status value="current"/><status value="superseded"/>'
    )
    status, headers, body = await ask(stack, "POST", "", bundle, Content_Type=XML)
    assert status == 400
    expressions = [issue["expression"] for issue in resource_of(headers, body)["issue"]]
    assert ["Bundle.entry[0].resource.status"] in expressions
    assert await stack.find(patient__identifier=patient.token, status="current") == []


async def test_errors_of_each_kind_come_in_the_format_of_the_client(stack):
    for path, status in (
        ("/nothing", 404),
        ("/List/x", 404),
        ("/DocumentReference", 400),
        ("/content/x", 404),
        ("", 400),
        ("/SearchParameter/x", 404),
        ("/OperationDefinition/x", 404),
        ("/Binary/x", 404),
        ("/Patient/x", 404),
        ("?_type=Observation", 400),
    ):
        got, headers, body = await ask(stack, "GET", path, Accept=XML)
        assert (got, headers["Content-Type"]) == (status, f"{XML}; charset=utf-8"), path
        assert read_xml(body)["resourceType"] == "OperationOutcome"
    got, headers, _ = await ask(stack, "DELETE", "/metadata", Accept=XML)
    assert (got, headers["Content-Type"]) == (405, f"{XML}; charset=utf-8")
    assert "GET" in headers["Allow"]


# --- gzip -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [("gzip, deflate, br", True), ("*", True), ("gzip;q=0, *", False), ("br", False), (None, False)],
)
async def test_answers_are_compressed_for_clients_that_take_it(stack, accept_encoding, compressed):
    headers = {} if accept_encoding is None else {"Accept-Encoding": accept_encoding}
    for media_type in (JSON, XML):
        _, got, body = await ask(stack, "GET", "/metadata", Accept=media_type, **headers)
        assert (got.get("Content-Encoding") == "gzip") is compressed
        _, plain, whole = await ask(stack, "GET", "/metadata", Accept=media_type)
        assert resource_of(got, gzip.decompress(body) if compressed else body) == resource_of(plain, whole)


async def test_short_answers_are_not_compressed(stack):
    status, headers, _ = await ask(stack, "GET", "/List/x", Accept_Encoding="gzip")
    assert (status, headers.get("Content-Encoding")) == (404, None)


@pytest.mark.parametrize("media_type", [JSON, XML])
async def test_bodies_are_taken_compressed(stack, media_type):
    patient = a_patient()
    bundle = provide_bundle([a_document(content=b"abc" * 100_000)], patient=patient)
    raw = write_xml(bundle) if media_type == XML else json.dumps(bundle).encode()
    status, _, body = await ask(
        stack, "POST", "", gzip.compress(raw), Content_Type=media_type, Content_Encoding="gzip"
    )
    assert status == 200, body
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    assert (await stack.download(found))[2] == b"abc" * 100_000
    form = gzip.compress(f"patient.identifier={patient.token}&status=current".encode())
    kind = "application/x-www-form-urlencoded"
    status, headers, body = await ask(
        stack, "POST", "/DocumentReference/_search", form, Content_Type=kind, Content_Encoding="gzip"
    )
    assert (status, resource_of(headers, body)["total"]) == (200, 1)


async def test_what_is_not_one_gzip_stream_is_400(stack):
    raw = json.dumps(provide_bundle([a_document()], patient=a_patient())).encode()
    packed = gzip.compress(raw)
    for body in (raw, packed[:-20], packed[:30], packed + b"more", packed + packed, b"\x1f\x8b"):
        status, headers, answer = await ask(
            stack, "POST", "", body, Content_Type=JSON, Content_Encoding="gzip", Accept=XML
        )
        assert status == 400
        assert "gzip" in resource_of(headers, answer)["issue"][0]["diagnostics"]


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd"])
async def test_other_codings_are_415_and_say_what_is_taken(stack, coding):
    status, headers, _ = await ask(stack, "POST", "", b"x", Content_Type=JSON, Content_Encoding=coding)
    assert (status, headers["Accept-Encoding"]) == (415, "gzip")


async def test_a_decompression_bomb_ends_at_the_limit_of_a_body(tmp_path):
    limit = 1024 * 1024
    async with running_stack(tmp_path, server={"max_bundle_bytes": limit}) as small:
        for start in (b'{"a":"', b"<Bundle"):
            bomb = gzip.compress(start + b" " * (200 * limit))
            assert len(bomb) < limit
            status, headers, body = await ask(
                small, "POST", "", bomb, Content_Type=JSON, Content_Encoding="gzip"
            )
            assert status == 413
            assert resource_of(headers, body)["issue"][0]["code"] == "too-long"
        form = gzip.compress(b"a=" + b"b" * (20 * limit))
        kind = "application/x-www-form-urlencoded"
        status, _, _ = await ask(
            small, "POST", "/DocumentReference/_search", form, Content_Type=kind, Content_Encoding="gzip"
        )
        assert status == 413


async def test_a_large_page_in_xml_leaves_others_their_turn(stack):
    patient = a_patient()
    for start in range(0, 200, 50):
        documents = [a_document(title=f"Number {start + n}") for n in range(50)]
        status, _ = await stack.publish(provide_bundle(documents, patient=patient))
        assert status == 200
    path = f"/DocumentReference?patient.identifier={patient.token}&status=current&_count=200"
    page = asyncio.ensure_future(ask(stack, "GET", path, Accept=XML, Accept_Encoding="gzip"))
    others = 0
    while not page.done():
        assert (await ask(stack, "GET", "/List/x"))[0] == 404
        others += 1
    status, headers, body = await page
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert len(read_xml(gzip.decompress(body))["entry"]) == 200
    assert others > 1


async def test_a_bundle_with_a_narrative_is_the_same_publication_in_both_formats(stack):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    noted = copy.deepcopy(bundle)
    noted["entry"][1]["resource"]["text"] = {
        "status": "generated",
        "div": "<div xmlns='http://www.w3.org/1999/xhtml'>Note<br /></div>",
    }
    status, answer = await stack.publish(noted)
    assert status == 200, answer
    status, headers, body = await ask(stack, "POST", "", write_xml(noted, pretty=True), Content_Type=XML)
    assert (status, resource_of(headers, body)) == (200, answer)
