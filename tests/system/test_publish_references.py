"""What a Provide Document Bundle (ITI-65) refers to and does not bring: documents of this server, documents and
patients of others (IHE MHD 4.2.4 2:3.65.4.1.2, 2:3.65.4.1.3).
"""

import uuid
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.model import codes
from tests.system.documents import a_document, a_patient
from tests.system.publishing import a_registered_document, codes_of, published, warnings_of
from tests.system.stack import running_stack, site
from tests.system.tables import fingerprint

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- references beyond the Bundle --------------------------------------------------------------------------
@pytest.mark.parametrize("by", ["literal", "absolute", "entryUUID", "uniqueId"])
async def test_documents_of_this_server_are_referred_to_in_each_form(stack, by):
    patient = a_patient()
    old = await a_registered_document(stack, patient)
    reference = {
        "literal": {"reference": f"DocumentReference/{old['id']}"},
        "absolute": {"reference": f"{stack.base_url}/DocumentReference/{old['id']}"},
        "entryUUID": {"identifier": old["identifier"][1]},
        "uniqueId": {"identifier": old["masterIdentifier"]},
    }[by]
    bundle = provide_bundle([a_document()], patient=patient)
    bundle["entry"][0]["resource"]["entry"].append({"item": reference})
    bundle["entry"][1]["resource"]["relatesTo"] = [
        {"code": "replaces", "target": reference}, {"code": "transforms", "target": reference},
    ]  # fmt: skip
    _, answer = await published(stack, bundle)
    _, new = await stack.get(answer["entry"][1]["response"]["location"])
    # one association, XFRM_RPLC, which FHIR shows as both
    assert [(r["code"], r["target"]["reference"]) for r in new["relatesTo"]] == [
        ("replaces", f"DocumentReference/{old['id']}"),
        ("transforms", f"DocumentReference/{old['id']}"),
    ]
    (superseded,) = await stack.find(patient__identifier=patient.token, status="superseded")
    assert superseded["id"] == old["id"]
    _, members = await stack.get(answer["entry"][0]["response"]["location"])
    assert {e["item"]["reference"] for e in members["entry"]} == {
        f"DocumentReference/{old['id']}", f"DocumentReference/{new['id']}",
    }  # fmt: skip
    assert await stack.publish(bundle) == (200, answer)


async def test_a_unique_id_that_is_not_registered_is_named(stack):
    bundle = provide_bundle([a_document()], patient=a_patient())
    identifier = {"system": codes.URI_SYSTEM, "value": "urn:oid:2.999.404"}
    bundle["entry"][1]["resource"]["relatesTo"] = [{"code": "appends", "target": {"identifier": identifier}}]
    status, outcome = await stack.publish(bundle)
    assert (status, codes_of(outcome)) == (
        422,
        {"UnresolvedReferenceException": "Bundle.entry[1].resource.relatesTo[0].target.reference"},
    )


@asynccontextmanager
async def a_server_with(content, content_type="text/plain"):
    """host:port of a server that holds one document, and its URL."""

    async def answer(_):
        return web.Response(body=content, content_type=content_type)

    app = web.Application()
    app.router.add_get("/document", answer)
    async with site(app) as url:
        yield url.removeprefix("http://"), f"{url}/document"


@asynccontextmanager
async def a_stack_beside(tmp_path, content, content_type="text/plain"):
    """A stack that may ask such a server, and the URL."""
    async with (
        a_server_with(content, content_type) as (host, url),
        running_stack(tmp_path, references={"allowed_hosts": [host]}) as stack,
    ):
        yield stack, url


def held_elsewhere(patient, url, content=b"held elsewhere"):
    """A Bundle whose document is at a URL."""
    bundle = provide_bundle([a_document(content=content)], patient=patient)
    bundle["entry"][1]["resource"]["content"][0]["attachment"]["url"] = url
    del bundle["entry"][2]
    return bundle


async def test_a_document_that_a_listed_server_holds_is_fetched_and_stored(tmp_path):
    async with a_stack_beside(tmp_path, b"held elsewhere") as (stack, url):
        patient = a_patient()
        bundle = held_elsewhere(patient, url)
        _, answer = await published(stack, bundle)
        (found,) = await stack.find(patient__identifier=patient.token, status="current")
        assert found["content"][0]["attachment"]["url"].startswith(stack.base_url)
        status, _, body = await stack.download(found)
        assert (status, body) == (200, b"held elsewhere")
        assert await stack.publish(bundle) == (200, answer)


@pytest.mark.parametrize(
    ("content", "content_type", "element"),
    [
        (b"held elsewherE", "text/plain", "hash"),
        (b"held elsewhere and more", "text/plain", "size"),
        (b"held elsewhere", "text/html", "contentType"),
    ],
)
async def test_a_document_that_is_another_than_described_is_refused(tmp_path, content, content_type, element):
    async with a_stack_beside(tmp_path, content, content_type) as (stack, url):
        before = fingerprint(stack)
        status, outcome = await stack.publish(held_elsewhere(a_patient(), url))
        assert status == 422
        assert f"Bundle.entry[1].resource.content[0].attachment.{element}" in {
            e for i in outcome["issue"] for e in i["expression"]
        }
        assert fingerprint(stack) == before


async def test_a_document_at_a_server_that_is_not_listed_is_not_fetched(stack):
    async with a_server_with(b"held elsewhere") as (_, url):
        status, outcome = await stack.publish(held_elsewhere(a_patient(), url))
    assert (status, codes_of(outcome)) == (
        422,
        {"XDSMissingDocument": "Bundle.entry[1].resource.content[0].attachment.url"},
    )
    assert "references.allowed_hosts" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("described", "said"),
    [({}, "On-Demand"), ({"size": 0, "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}, "Delayed Assembly")],
)
async def test_a_document_that_is_not_there_yet_is_called_what_it_is(stack, described, said):
    bundle = held_elsewhere(a_patient(), "https://elsewhere.example/document")
    attachment = bundle["entry"][1]["resource"]["content"][0]["attachment"]
    del attachment["hash"], attachment["size"]
    attachment |= described
    status, outcome = await stack.publish(bundle)
    assert (status, said in outcome["issue"][0]["diagnostics"]) == (422, True)


async def test_uncontained_bundles_need_no_source_patient(stack):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    bundle["meta"]["profile"] = [codes.PROFILE_UNCONTAINED_BUNDLE]
    reference = bundle["entry"][1]["resource"]
    del reference["context"]["sourcePatientInfo"]
    reference["contained"] = [c for c in reference["contained"] if c["resourceType"] != "Patient"]
    if not reference["contained"]:
        del reference["contained"]
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    issues = warnings_of(answer)
    assert "Bundle.entry[1].resource.context.sourcePatientInfo" in {
        e for i in issues for e in i["expression"]
    }
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    (source,) = [c for c in found["contained"] if c["id"] == "sourcePatient"]
    assert source["identifier"] == [patient.identifier]


# --- Patient entries ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "GET without resource"])
async def test_a_patient_entry_is_matched_and_never_created(stack, method):
    patient = a_patient()
    (own,) = {(await a_registered_document(stack, patient))["subject"]["reference"]}
    bundle = provide_bundle([a_document()], patient=patient)
    full_url = uuid.uuid4().urn if method == "POST" else f"{stack.base_url}/{own}"
    entry = {
        "fullUrl": full_url,
        "resource": patient.resource("p"),
        "request": {"method": method[:4].strip(), "url": "Patient" if method == "POST" else own},
    }
    if method.endswith("resource"):
        del entry["resource"]
    bundle["entry"].append(entry)
    for position in (0, 1):
        bundle["entry"][position]["resource"]["subject"] = {"reference": full_url}
    _, answer = await published(stack, bundle)
    assert answer["entry"][3]["response"]["status"] == "200 OK"
    assert answer["entry"][3]["response"]["location"] == own
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 2
