"""The checklist of IHE MHD gateways over the whole stack, what other modules do not show: a document on its way
through every search parameter in every form, associations of every kind, documents that are made on request.
"""

import hashlib
import uuid
from base64 import b64encode

import pytest
from msgspec.structs import replace

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.samples import SOURCE_ID, IdSource, SampleAuthor, SampleFolder, SampleReferenceId
from gateway.fhir.xml_reader import read_xml
from gateway.model import QueryResult, ResponseStatus, codes
from tests.fhir.test_document_reference import ENTRY
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.emitted import XML
from tests.system.stack import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = 1


async def published(stack, bundle):
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return [entry["response"]["location"] for entry in answer["entry"]]


async def matches(stack, resource, form, parameters):
    """What GET, POST or a search in XML finds."""
    url, headers = f"{stack.base_url}/{resource}", {"Accept": XML} if form == "XML" else {}
    request = (
        stack.session.post(f"{url}/_search", data=parameters)
        if form == "POST"
        else stack.session.get(url, params=parameters, headers=headers)
    )
    async with request as answer:
        assert answer.status == 200, await answer.text()
        bundle = read_xml(await answer.read()) if form == "XML" else await answer.json(content_type=None)
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


ACCESSION = SampleReferenceId(value="A-1", type=codes.REFERENCE_ACCESSION, authority="2.999.1.3")
CONTENT = bytes(range(256)) + b"\r\n--\r\n"
PARAMETERS = {
    "creation": ("ge2025-06", "lt2025-06"),
    "period": ("2025-05", "2024"),
    "category": ("{category}", "http://loinc.org|0-0"),
    "type": ("{type}", "http://loinc.org|0-0"),
    "setting": ("{setting}", "http://loinc.org|0-0"),
    "facility": ("{facility}", "http://loinc.org|0-0"),
    "format": ("{format}", "http://loinc.org|0-0"),
    "event": (CONTENT_TYPE.token, "http://loinc.org|0-0"),
    "security-label": ("N", "R"),
    "author.family": ("Wel", "Kil"),
    "author.given": ("Mar", "Pet"),
    "identifier": ("{identifier}", "urn:ietf:rfc:3986|urn:oid:2.999.0.1"),
    "_id": ("{id}", "1d1a4a3f-0000-4000-8000-000000000001"),
    "related:identifier": ("urn:oid:2.999.1.3|A-1", "urn:oid:2.999.1.3|A-2"),
    "patient": ("{patient}", None),
}


@pytest.mark.parametrize("form", ["GET", "POST", "XML"])
async def test_3_published_then_found_by_each_parameter_then_retrieved_to_the_byte(stack, form):
    patient = a_patient()
    document = a_document(
        content=CONTENT,
        creation="2025-06-07T08:09:10Z",
        period=("2025-05-01", "2025-05-31"),
        authors=(SampleAuthor(family="Welby", given="Marcus", staff_id="1"),),
        reference_ids=(ACCESSION,),
        events=(CONTENT_TYPE,),
    )
    location = (await published(stack, provide_bundle([document], patient=patient)))[DOCUMENT]
    _, stored = await stack.get(location)
    known = {
        name: getattr(document, name).token for name in ("category", "type", "setting", "facility", "format")
    } | {"identifier": document.token, "id": stored["id"], "patient": stored["subject"]["reference"]}
    for name, (hit, miss) in PARAMETERS.items():
        who = {"status": "current"} | ({} if name == "patient" else {"patient.identifier": patient.token})
        (found,) = await matches(stack, "DocumentReference", form, who | {name: hit.format(**known)})
        assert found["id"] == stored["id"], name
        if miss is not None:
            assert await matches(stack, "DocumentReference", form, who | {name: miss}) == [], name
        status, _, body = await stack.download(found)
        assert (status, body) == (200, CONTENT)
        assert found["content"][0]["attachment"]["hash"] == b64encode(hashlib.sha1(body).digest()).decode()


@pytest.mark.parametrize(
    "codes_of_relation", [["appends"], ["transforms"], ["signs"], ["replaces", "transforms"]]
)
async def test_4_relations_are_stored_and_shown_on_the_new_document(stack, codes_of_relation):
    patient = a_patient()
    old = (await published(stack, provide_bundle([a_document()], patient=patient)))[DOCUMENT]
    relations = [(code, old) for code in codes_of_relation if code != "replaces"]
    replaces = old if "replaces" in codes_of_relation else None
    bundle = provide_bundle([a_document()], patient=patient, relates_to=relations, replaces=replaces)
    new = (await published(stack, bundle))[DOCUMENT]
    _, shown = await stack.get(new)
    assert sorted(r["code"] for r in shown["relatesTo"]) == sorted(codes_of_relation)
    assert {r["target"]["reference"].rpartition("/")[2] for r in shown["relatesTo"]} == {
        old.rpartition("/")[2]
    }
    _, before = await stack.get(old)
    assert before["status"] == ("superseded" if replaces else "current")
    assert "relatesTo" not in before
    if replaces:
        again = provide_bundle([a_document()], patient=patient, replaces=old)
        status, outcome = await stack.publish(again)
        assert 400 <= status < 500
        assert "XDSRegistryDeprecatedDocumentError" in str(outcome)


async def test_5_submission_sets_and_folders_are_found_by_each_parameter(stack):
    patient = a_patient()
    folder = SampleFolder(IdSource(uuid.uuid4().hex).oid(3), "Episode", CONTENT_TYPE)
    set_location, *_ = await published(stack, provide_bundle([a_document()], patient=patient, folder=folder))
    who = {"patient.identifier": patient.token, "status": "current"}
    for code, parameters in {
        "submissionset": {
            "date": ("eq2026-01-02", "lt2026"),
            "designationType": (CONTENT_TYPE.token, "http://loinc.org|0-0"),
            "sourceId": (f"urn:oid:{SOURCE_ID}", "urn:oid:2.999.0.1"),
            "source.family": ("Submit", "Other"),
        },
        "folder": {
            "date": ("ge2026", "lt2020"),
            "designationType": (CONTENT_TYPE.token, "http://loinc.org|0-0"),
        },
    }.items():
        for name, (hit, miss) in parameters.items():
            (found,) = await matches(stack, "List", "GET", who | {"code": code, name: hit})
            assert found["code"]["coding"][0]["code"] == code, name
            assert (found["id"] == set_location.rpartition("/")[2]) == (code == "submissionset")
            assert await matches(stack, "List", "GET", who | {"code": code, name: miss}) == [], name


@pytest.mark.parametrize(
    ("changes", "attachment"),
    [
        (
            {"object_type": codes.ON_DEMAND_DOCUMENT, "hash": None, "size": None, "creation_time": None},
            {"contentType", "language", "url"},
        ),
        (
            {"hash": codes.EMPTY_SHA1, "size": 0},
            {"contentType", "language", "url", "creation", "hash", "size"},
        ),
    ],
    ids=["on-demand", "delayed assembly"],
)
async def test_7_documents_that_are_made_on_request_are_shown_and_retrieved(stack, changes, attachment):
    entry = replace(ENTRY, repository_unique_id=REPOSITORY, mime_type="text/plain", **changes)
    found = wire.query_answer(QueryResult(status=ResponseStatus.SUCCESS, entries=(entry,)))
    made = wire.document_answer(entry.unique_id, CONTENT)

    async def domain(request):
        return await (found if request.path == wire.REGISTRY else made)(request)

    stack.interfere = domain
    try:
        (shown,) = await stack.find(patient__identifier="urn:oid:2.999.2|P1", status="current")
        assert shown["content"][0]["attachment"].keys() == attachment
        if "hash" in attachment:
            assert shown["content"][0]["attachment"]["hash"] == "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
            assert shown["content"][0]["attachment"]["size"] == 0
        assert (await stack.download(shown))[::2] == (200, CONTENT)
    finally:
        stack.interfere = None
