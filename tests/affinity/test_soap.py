"""The affinity domain as its peers see it: requests and answers over real sockets."""

import asyncio
import hashlib
import itertools
import re
from pathlib import Path

import aiohttp
import pytest
from lxml import etree
from msgspec import structs

from gateway.affinity.options import AffinityOptions
from gateway.ebxml.query_response import read_query_response
from gateway.ebxml.responses import read_registry_response
from gateway.ebxml.retrieve import write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.ebxml.submissions import write_provide_and_register, write_submit_objects
from gateway.model import DocumentRequest, ResponseStatus
from gateway.model.codes import APND, HAS_MEMBER, NS_RIM, NS_XDS, RPLC
from gateway.model.query import (
    ANY_STATUS,
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetFolders,
    GetFoldersForDocument,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
)
from gateway.soap.client import Attachment
from gateway.soap.contract import load_contract
from tests.affinity.client import running
from tests.affinity.samples import (
    HOME,
    OTHER_PATIENT,
    PATIENT,
    REPOSITORY,
    entry,
    entry_uuid,
    folder,
    link,
    sha1,
    submission,
)


@pytest.fixture
async def client(tmp_path):
    options = AffinityOptions(
        state_dir=tmp_path / "state", repository_unique_id=REPOSITORY, home_community_id=HOME
    )
    async with running(options) as client:
        yield client


def provided(content: bytes, **changes):
    return entry(**{"hash": sha1(content), "size": len(content), **changes})


async def test_a_provided_document_is_found_and_retrieved_byte_for_byte(client):
    contents = (b"", b"\n", b"\r\n--boundary\r\n\r\n", bytes(range(256)) * 5000)
    entries = [provided(content) for content in contents]
    answer = await client.provide(submission(*entries), *contents)
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    found = await client.query(FindDocuments(patient_id=PATIENT))
    assert found.entries == tuple(structs.replace(e, home_community_id=HOME) for e in entries)
    retrieved, got = await client.retrieve(*(e.unique_id for e in entries), home=HOME)
    assert retrieved.status is ResponseStatus.SUCCESS
    assert [d.header.home_community_id for d in retrieved.documents] == [HOME] * 4
    assert got == {e.unique_id: content for e, content in zip(entries, contents, strict=True)}


def filled_domain():
    """Submissions that give every stored query something to find, and the queries."""
    document, box = entry(), folder()
    first = submission(
        document, folders=(box,), associations=(link(HAS_MEMBER, box.entry_uuid, document.entry_uuid),)
    )
    addendum = entry()
    second = submission(addendum, associations=(link(APND, addendum.entry_uuid, document.entry_uuid),))
    of_first, of_box = first.submission_set, box
    d, a, s, f = document.entry_uuid, addendum.entry_uuid, of_first.entry_uuid, box.entry_uuid
    member, in_box, boxed = (x.entry_uuid for x in first.associations)
    own, appended = (x.entry_uuid for x in second.associations)
    t = second.submission_set.entry_uuid
    one = {"patient_id": PATIENT}
    queries = [
        (FindDocuments(**one, author_person=("%Curie%",)), {d, a}),
        (FindDocumentsByReferenceId(**one, reference_ids=(("ACC1^%",),)), {d, a}),
        (FindSubmissionSets(**one, source_id=("2.999.6",)), {s, t}),
        (FindFolders(**one, code_list=(box.code_list,)), {f}),
        (GetAll(**one), {d, a, s, t, f, member, in_box, boxed, own, appended}),
        (GetDocuments(unique_ids=(document.unique_id,)), {d}),
        (GetFolders(entry_uuids=(f,)), {f}),
        (GetAssociations(uuids=(a,)), {own, appended}),
        (GetDocumentsAndAssociations(entry_uuids=(d,)), {d, member, boxed, appended}),
        (GetSubmissionSets(uuids=(f, a)), {s, in_box, t, own}),
        (GetSubmissionSetAndContents(unique_id=of_first.unique_id), {s, d, f, member, in_box, boxed}),
        (GetFolderAndContents(unique_id=of_box.unique_id), {f, d, boxed}),
        (GetFoldersForDocument(entry_uuid=d), {f}),
        (GetRelatedDocuments(entry_uuid=d, association_types=(APND,)), {d, a, appended}),
    ]
    return (first, second), queries


async def test_all_stored_queries_answer_with_objects_and_with_references(client):
    submissions, queries = filled_domain()
    for each in submissions:
        assert (await client.register(each)).errors == ()
    assert len({type(query) for query, _ in queries}) == 14
    for query, expected in queries:
        whole = await client.query(query)
        objects = (*whole.entries, *whole.submission_sets, *whole.folders, *whole.associations)
        assert {o.entry_uuid for o in objects} == expected, type(query).__name__
        assert whole.status is ResponseStatus.SUCCESS
        references = await client.query(query, "ObjectRef")
        assert {r.id for r in references.object_refs} == expected, type(query).__name__
        assert not references.entries


async def test_what_is_answered_is_valid_under_the_contract(client):
    submissions, queries = filled_domain()
    for each in submissions:
        await client.register(each)
    for (query, _), return_type in itertools.product(queries, ("LeafClass", "ObjectRef")):
        load_contract().validate(
            await client.soap.call(client.registry, "ITI-18", write_query(query, return_type))
        )


async def test_a_replacement_shows_in_the_registry(client):
    old, new = provided(b"old"), provided(b"new")
    await client.provide(submission(old), b"old")
    replacing = submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),))
    assert (await client.provide(replacing, b"new")).status is ResponseStatus.SUCCESS
    current = await client.query(FindDocuments(patient_id=PATIENT))
    assert [e.entry_uuid for e in current.entries] == [new.entry_uuid]
    both = await client.query(FindDocuments(patient_id=PATIENT, status=ANY_STATUS))
    assert len(both.entries) == 2
    _, contents = await client.retrieve(old.unique_id)
    assert contents[old.unique_id] == b"old"


async def test_a_refused_submission_is_a_failure_that_leaves_nothing(client, tmp_path):
    good, bad = provided(b"good"), provided(b"bad", hash=sha1(b"else"))
    answer = await client.provide(submission(good, bad), b"good", b"bad")
    assert answer.status is ResponseStatus.FAILURE
    assert [e.code for e in answer.errors] == ["XDSRepositoryMetadataError"]
    assert (await client.query(FindDocuments(patient_id=PATIENT))).entries == ()
    assert [p for p in (tmp_path / "state" / "documents").rglob("*") if p.is_file()] == []


async def test_registry_errors_come_with_code_and_rule(client):
    answer = await client.register(submission(entry(patient_id=OTHER_PATIENT)))
    assert answer.status is ResponseStatus.FAILURE
    assert [e.code for e in answer.errors] == ["XDSPatientIdDoesNotMatch"]
    assert "patientId must be that of the SubmissionSet" in answer.errors[0].context


async def test_entry_and_document_must_match(client):
    one, two = provided(b"1"), provided(b"2")
    whole = write_provide_and_register(submission(one, two), {one.entry_uuid: "1@s", two.entry_uuid: "2@s"})
    attachments = [Attachment(f"{n}@s", "text/plain", 1, str(n).encode()) for n in (1, 2)]
    document = whole.findall(f"{{{NS_XDS}}}Document")[1]
    whole.remove(document)
    answer = await client.soap.call(client.repository, "ITI-41", whole, attachments=attachments[:1])
    assert [e.code for e in read_registry_response(answer).errors] == ["XDSMissingDocument"]
    document.set("id", entry_uuid())
    whole.append(document)
    whole.find(f".//{{{NS_RIM}}}RegistryObjectList").remove(
        whole.findall(f".//{{{NS_RIM}}}ExtrinsicObject")[1]
    )
    answer = await client.soap.call(client.repository, "ITI-41", whole, attachments=attachments)
    assert [e.code for e in read_registry_response(answer).errors] == ["XDSMissingDocumentMetadata"]


async def test_inline_documents_are_taken_too(client):
    content = b"\r\ninline\r\n"
    sent = provided(content)
    whole = write_provide_and_register(submission(sent), {sent.entry_uuid: "1@s"})
    document = whole.find(f"{{{NS_XDS}}}Document")
    document.remove(document[0])
    document.text = " DQppbmxp\n bmUNCg== "
    assert read_registry_response(await client.soap.call(client.repository, "ITI-41", whole)).errors == ()
    _, contents = await client.retrieve(sent.unique_id)
    assert contents == {sent.unique_id: content}


@pytest.mark.parametrize(
    ("transaction", "code"),
    [("ITI-42", "XDSRegistryMetadataError"), ("ITI-41", "XDSRepositoryMetadataError")],
)
async def test_a_submission_that_breaks_the_schema_is_a_metadata_error(client, transaction, code):
    sent = provided(b"x")
    if transaction == "ITI-42":
        body, peer = write_submit_objects(submission(sent)), client.registry
    else:
        body, peer = write_provide_and_register(submission(sent), {sent.entry_uuid: "1@s"}), client.repository
    listed = body.find(f".//{{{NS_RIM}}}RegistryObjectList")
    etree.SubElement(listed[0], f"{{{NS_RIM}}}Slot", name="late").append(
        etree.Element(f"{{{NS_RIM}}}ValueList")
    )
    attachments = [Attachment("1@s", "text/plain", 1, b"x")] if transaction == "ITI-41" else []
    answer = read_registry_response(await client.soap.call(peer, transaction, body, attachments=attachments))
    assert {e.code for e in answer.errors} == {code}
    assert (await client.query(FindDocuments(patient_id=PATIENT))).entries == ()


async def test_a_query_that_breaks_a_rule_is_a_failure(client):
    body = write_query(FindDocuments(patient_id=PATIENT))
    adhoc = body.find(f"{{{NS_RIM}}}AdhocQuery")
    for slot in adhoc.findall(f"{{{NS_RIM}}}Slot"):
        if slot.get("name") == "$XDSDocumentEntryStatus":
            adhoc.remove(slot)
    answer = read_query_response(await client.soap.call(client.registry, "ITI-18", body))
    assert answer.status is ResponseStatus.FAILURE
    assert [e.code for e in answer.errors] == ["XDSStoredQueryMissingParam"]
    adhoc.set("id", "urn:uuid:00000000-0000-4000-8000-000000000000")
    answer = read_query_response(await client.soap.call(client.registry, "ITI-18", body))
    assert [e.code for e in answer.errors] == ["XDSUnknownStoredQuery"]


async def test_some_documents_and_an_error_are_a_partial_success(client):
    sent = provided(b"x")
    await client.provide(submission(sent), b"x")
    answer, contents = await client.retrieve(sent.unique_id, "2.999.404")
    assert answer.status is ResponseStatus.PARTIAL
    assert contents == {sent.unique_id: b"x"}
    assert [(e.code, e.location) for e in answer.errors] == [("XDSDocumentUniqueIdError", "2.999.404")]


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ({}, "XDSDocumentUniqueIdError"),
        ({"repository": "2.999.99"}, "XDSUnknownRepositoryId"),
        ({"home": "urn:oid:2.999.98"}, "XDSUnknownCommunity"),
    ],
)
async def test_a_document_that_is_not_here_is_an_error_with_its_unique_id(client, where, code):
    answer, contents = await client.retrieve("2.999.404", **where)
    assert (answer.status, contents) == (ResponseStatus.FAILURE, {})
    assert [(e.code, e.location) for e in answer.errors] == [(code, "2.999.404")]


async def test_a_damaged_file_is_never_served(client, tmp_path):
    sent = provided(b"whole")
    await client.provide(submission(sent), b"whole")
    (path,) = (tmp_path / "state" / "documents").rglob(sha1(b"whole"))
    path.write_bytes(b"who")
    answer, contents = await client.retrieve(sent.unique_id)
    assert contents == {}
    assert [e.code for e in answer.errors] == ["XDSRepositoryError"]


async def test_a_large_document_goes_in_and_out_without_a_copy_left_in_the_spool(client, tmp_path):
    block = bytes(range(256)) * 4096
    count = 24

    async def blocks():
        for _ in range(count):
            yield block

    digest = hashlib.sha1(block * count).hexdigest()
    sent = entry(hash=digest, size=len(block) * count, mime_type="application/dicom")
    attachment = Attachment("big@s", sent.mime_type, sent.size, blocks)
    body = write_provide_and_register(submission(sent), {sent.entry_uuid: "big@s"})
    answer = await client.soap.call(client.repository, "ITI-41", body, attachments=[attachment])
    assert read_registry_response(answer).errors == ()
    request = write_retrieve_request([DocumentRequest(REPOSITORY, sent.unique_id)])
    got = hashlib.sha1()
    async with client.soap.open(client.repository, "ITI-43", request) as reply:
        async for part in reply.parts():
            async for chunk in part:
                got.update(chunk)
    assert got.hexdigest() == digest
    assert [p for p in (tmp_path / "state" / "spool").rglob("*") if p.is_file()] == []


async def test_many_sources_at_once_are_all_stored(client):
    entries = [provided(b"%d" % number) for number in range(60)]
    answers = await asyncio.gather(
        *(client.provide(submission(e), b"%d" % number) for number, e in enumerate(entries))
    )
    assert {a.status for a in answers} == {ResponseStatus.SUCCESS}
    found = await client.query(FindDocuments(patient_id=PATIENT))
    assert {e.entry_uuid for e in found.entries} == {e.entry_uuid for e in entries}


async def test_the_same_submission_at_once_is_stored_once(client):
    wanted = submission(provided(b"same"))
    answers = await asyncio.gather(*(client.provide(wanted, b"same") for _ in range(8)))
    statuses = [a.status for a in answers]
    assert statuses.count(ResponseStatus.SUCCESS) == 1
    refused = next(a for a in answers if a.status is ResponseStatus.FAILURE)
    assert refused.errors[0].code == "XDSDuplicateUniqueIdInRegistry"
    assert len((await client.query(FindDocuments(patient_id=PATIENT))).entries) == 1


async def test_content_survives_a_restart(tmp_path):
    options = AffinityOptions(state_dir=tmp_path / "state", repository_unique_id=REPOSITORY)
    sent = provided(b"kept")
    async with running(options) as client:
        await client.provide(submission(sent), b"kept")
    async with running(options) as client:
        _, contents = await client.retrieve(sent.unique_id)
        assert contents == {sent.unique_id: b"kept"}
        assert (await client.query(GetDocuments(entry_uuids=(sent.entry_uuid,)))).entries == (sent,)


async def test_two_processes_do_not_share_a_state_directory(client, tmp_path):
    with pytest.raises(OSError, match="another process uses this state directory"):
        async with running(AffinityOptions(state_dir=tmp_path / "state", repository_unique_id=REPOSITORY)):
            pass


async def test_health_says_ok(client):
    async with aiohttp.ClientSession() as session, session.get(f"{client.base}/health") as response:
        assert response.status == 200
        assert await response.json() == {"status": "ok"}


async def test_a_registry_transaction_is_not_served_by_the_repository(client):
    from gateway.model.errors import PeerFault

    with pytest.raises(PeerFault) as caught:
        await client.soap.call(client.repository, "ITI-18", write_query(FindDocuments(patient_id=PATIENT)))
    assert caught.value.code == "Sender"


@pytest.mark.parametrize(
    "wrong",
    [
        {"repository_unique_id": "here"},
        {"home_community_id": "urn:uuid:1"},
        {"max_results": 0},
    ],
)
def test_a_wrong_option_stops_the_start(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AffinityOptions(**{"state_dir": tmp_path, "repository_unique_id": REPOSITORY, **wrong})


CAPTURE = Path(__file__).parents[3] / "shared" / "oracle" / "messages" / "http-mtom-pnr.txt"


@pytest.mark.skipif(not CAPTURE.exists(), reason="the oracle material is not here")
async def test_a_submission_captured_elsewhere_is_stored(client):
    head, _, body = CAPTURE.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    (content_type,) = (line for line in head.decode().splitlines() if line.startswith("Content-Type:"))
    headers = {"Content-Type": content_type.partition(":")[2].strip()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(client.repository.url, data=body.replace(b"\n", b"\r\n"), headers=headers) as response,
    ):
        answer = await response.text()
    assert "ResponseStatusType:Success" in answer
    name = re.search(
        rb'value="([^"]*)"[^>]*>\s*<rim:Name>\s*<rim:LocalizedString value="XDSDocumentEntry.uniqueId', body
    )
    assert name is not None
    retrieved, contents = await client.retrieve(name[1].decode())
    assert retrieved.status is ResponseStatus.SUCCESS
    assert contents[name[1].decode()].strip().endswith(b"shall not perish from the earth.")
