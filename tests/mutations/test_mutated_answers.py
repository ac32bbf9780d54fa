"""Whatever registry and repository answer, a client gets a valid resource, the document to the byte, or an error.

`MUTATIONS=50000` in the environment makes as many mutants instead of the usual few.
"""

import hashlib
import json
from collections import Counter

import aiohttp
import pytest
from aiohttp import web
from lxml import etree
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.responses import write_registry_response
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref, write_retrieve_response
from gateway.model import (
    Association,
    DocumentHeader,
    ObjectRef,
    QueryResult,
    RegistryError,
    RegistryResponse,
    ResponseStatus,
    Severity,
    codes,
)
from gateway.model.codes import NS_SOAP12
from tests.ebxml.test_golden import ENTRY, PATIENT, SUBMISSION
from tests.fhir.judges import errors_of
from tests.mutations.domain import AGAIN, SOAP, count, enveloped, first, gateway_before_a_domain, numbered
from tests.mutations.mutators import mutated_bytes, mutated_xml
from tests.mutations.watch import grown_by, resident_mib, watching
from tests.soap.wire import RELATED, document_part, envelope, related, root_part
from tests.system.documents import a_document, a_patient
from tests.system.stack import REPOSITORY

CONTENT = bytes(range(256)) * 600 + b"\r\n--b2\r\n"
UUIDS = [f"urn:uuid:6b1a2f0e-5d0c-4d56-9a3b-0a1c2d3e4f5{n}" for n in range(8)]
KNOWN = replace(
    ENTRY,
    entry_uuid=UUIDS[0],
    repository_unique_id=REPOSITORY,
    size=len(CONTENT),
    hash=hashlib.sha1(CONTENT).hexdigest(),
)
OTHER = replace(
    KNOWN,
    entry_uuid=UUIDS[1],
    unique_id="1.2.3.4.5.6",
    object_type=codes.ON_DEMAND_DOCUMENT,
    hash=None,
    size=None,
)
SET = replace(SUBMISSION.submission_set, entry_uuid=UUIDS[2])
FOLDER = replace(
    SUBMISSION.folders[0], entry_uuid=UUIDS[3], patient_id=PATIENT, last_update_time="20240102030405"
)


def association(number, kind, source, target):
    return Association(entry_uuid=UUIDS[number], type=kind, source=UUIDS[source], target=UUIDS[target])


FOUND = QueryResult(
    status=ResponseStatus.SUCCESS,
    errors=(RegistryError("XDSExtraMetadataNotSaved", "one slot", Severity.WARNING),),
    entries=(KNOWN, OTHER),
    submission_sets=(SET,),
    folders=(FOLDER,),
    associations=(
        association(4, codes.RPLC, 0, 1),
        association(5, codes.HAS_MEMBER, 2, 0),
        association(6, codes.HAS_MEMBER, 3, 1),
        association(7, codes.HAS_MEMBER, 2, 6),
    ),
    object_refs=(ObjectRef(UUIDS[0]),),
)
ERRORS = (
    RegistryError("XDSRegistryBusy", "later", location="urn:oid:1.2.3"),
    RegistryError("XDSDocumentUniqueIdError", "", Severity.WARNING),
)
FAULT = (
    f'<env:Fault xmlns:env="{NS_SOAP12}"><env:Code><env:Value>env:Receiver</env:Value><env:Subcode><env:Value>'
    'x:Y</env:Value></env:Subcode></env:Code><env:Reason><env:Text xml:lang="en">no</env:Text></env:Reason>'
    "<env:Detail><d/></env:Detail></env:Fault>"
)


def retrieved(content):
    header = DocumentHeader(REPOSITORY, KNOWN.unique_id, "application/pdf", KNOWN.home_community_id)
    return enveloped(
        write_retrieve_response(
            RetrieveAnswer(ResponseStatus.SUCCESS, (), (RetrievedDocument(header, content),))
        )
    )


MTOM = related(root_part(retrieved(XopHref("cid:doc@peer")).decode()), document_part(CONTENT))
FOUND_ANSWER = enveloped(write_query_response(FOUND))
QUERY_ANSWERS = [
    FOUND_ANSWER,
    FOUND_ANSWER,
    enveloped(
        write_query_response(QueryResult(status=ResponseStatus.PARTIAL, entries=(KNOWN,), errors=ERRORS))
    ),
    enveloped(write_query_response(QueryResult(status=ResponseStatus.FAILURE, errors=ERRORS))),
]
STORED = enveloped(write_registry_response(RegistryResponse(ResponseStatus.SUCCESS, ERRORS[1:])))
REFUSED = enveloped(write_registry_response(RegistryResponse(ResponseStatus.FAILURE, ERRORS)))
FAULTED = envelope(FAULT).encode()
RETRIEVED = [
    retrieved(CONTENT),
    FAULTED,
    enveloped(write_retrieve_response(RetrieveAnswer(ResponseStatus.FAILURE, ERRORS, ()))),
]
TYPES = (
    SOAP,
    "application/soap+xml",
    "text/xml",
    "text/html",
    "application/xop+xml",
    RELATED,
    "multipart/related",
    "x",
    "",
)


def good_answer(body, random):
    """Media type and body of an answer that fits the request."""
    if b"RetrieveDocumentSetRequest" in body:
        return (RELATED, MTOM) if random.random() < 0.7 else (SOAP, random.choice(RETRIEVED))
    if b"ProvideAndRegisterDocumentSetRequest" in body:
        return SOAP, random.choice((STORED, REFUSED, FAULTED))
    return SOAP, random.choice((*QUERY_ANSWERS, FAULTED) if random.random() < 0.4 else QUERY_ANSWERS[:1])


def mutated_answer(body, random):
    """An answer of which status, media type, root or bytes are others."""
    media_type, text = good_answer(body, random)
    status = random.choice((200, 200, 200, 200, 400, 500, 503)) if random.random() < 0.1 else 200
    if random.random() < 0.05:
        media_type = random.choice(TYPES)
    if random.random() < 0.05:
        media_type = mutated_bytes(media_type.encode(), random).decode("latin-1")
    if random.random() < 0.8:
        is_xml = media_type.startswith("application/soap") and text.startswith(b"<")
        if is_xml and random.random() < 0.8:
            text = mutated_xml(etree.fromstring(text), random)
        elif text is MTOM and random.random() < 0.5:
            root = mutated_xml(etree.fromstring(retrieved(XopHref("cid:doc@peer"))), random)
            text = related(root_part(root.decode()), document_part(CONTENT))
        else:
            text = mutated_bytes(text, random)
    printable = "".join(c for c in media_type if " " <= c <= "\xff" and c != "\x7f")
    return web.Response(status=status, body=text, headers={"Content-Type": printable})


ID = UUIDS[0][9:]
SEARCH = {"patient.identifier": f"urn:oid:{PATIENT.authority}|{PATIENT.id}", "status": "current"}
REQUESTS = {
    "find": ("GET", "/DocumentReference", SEARCH),
    "find pages": (
        "GET",
        "/DocumentReference",
        SEARCH | {"_count": "1", "creation": "ge2020", "author.family": "Welby"},
    ),
    "find lists": ("GET", "/List", SEARCH | {"code": "submissionset,folder"}),
    "find with neighbours": ("GET", "/DocumentReference", SEARCH | {"_include": "*", "_revinclude": "*"}),
    "find anything": ("GET", "", SEARCH | {"_sort": "-_lastUpdated"}),
    "read": ("GET", f"/DocumentReference/{ID}", {}),
    "read set": ("GET", f"/List/{UUIDS[2][9:]}", {}),
    "read folder": ("GET", f"/List/{UUIDS[3][9:]}", {}),
    "binary": ("GET", f"/Binary/{ID}", {"_format": "json"}),
    "publish": ("POST", "", {}),
    "retrieve": ("GET", "url", {}),
    "retrieve again": ("GET", "url", {}),
    "head": ("HEAD", "url", {}),
}


@pytest.mark.timeout(120 + count(0) // 10)
async def test_each_mutant_is_answered_and_leaves_nothing_behind(tmp_path):
    statuses = Counter()
    async with gateway_before_a_domain(tmp_path) as (stack, domain):
        domain.answer = lambda request, body: web.Response(body=FOUND_ANSWER, headers={"Content-Type": SOAP})
        _, searchset = await stack.get("DocumentReference", **SEARCH)
        url = next(
            e["resource"]["content"][0]["attachment"]["url"]
            for e in searchset["entry"]
            if e["resource"].get("id") == ID
        )

        async def send(name, number):
            method, path, parameters = REQUESTS[name]
            target = url if path == "url" else stack.base_url + path
            bundle = (
                {"json": provide_bundle([a_document(str(number))], patient=a_patient())}
                if method == "POST"
                else {}
            )
            try:
                async with stack.session.request(
                    method,
                    target,
                    params=parameters,
                    headers={"Content-Type": "application/fhir+json"},
                    **bundle,
                ) as answer:
                    body = await answer.read()
            except aiohttp.ClientPayloadError:
                # an end before the end is how a client learns of a document that is not the one
                assert path == "url", number
                statuses["cut"] += 1
                return
            statuses[answer.status] += 1
            if method == "HEAD":
                assert answer.status in (200, 404, 502, 503, 403, 500), number
            elif path == "url" and answer.status == 200:
                assert body == CONTENT, number
            else:
                said = json.loads(body)
                assert errors_of(said) == [], (number, said)
                if answer.status >= 300:
                    assert said["resourceType"] == "OperationOutcome", number
                    assert said["issue"][0]["diagnostics"], number
                if answer.status == 500:
                    # a peer that calls our request wrong: its own status, and never a failure of ours
                    assert "(ITI-" in said["issue"][0]["diagnostics"], number

        async def ask(number):
            random = numbered("answer", number)
            domain.answer = lambda request, body: mutated_answer(body, random)
            await send(random.choice(list(REQUESTS)), number)

        with watching() as watch:
            total, start, memory = count(1500), first(), resident_mib()
            for number in range(start, start + total):
                await ask(number)
                assert not watch.defects, (number, watch.defects)
            print(f"\n{dict(statuses)}; {memory:.0f} -> {resident_mib():.0f} MiB")

            async def again():
                for number in range(start, start + AGAIN):
                    await ask(number)

            grown = await grown_by(again)
    assert min(statuses[200], statuses[502]) > total // 10 and statuses[404]
    assert grown < AGAIN // 4, "what is needed once was there: the same requests again leave nothing"
