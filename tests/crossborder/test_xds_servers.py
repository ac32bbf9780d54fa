"""The gateway as registry and repository for consumers and sources that speak XDS.b alone (ITI-18, ITI-43, ITI-41),
before an affinity domain."""

import os
from contextlib import asynccontextmanager

import pytest
from lxml import etree
from msgspec import structs

from gateway.ebxml.query_response import read_query_response
from gateway.ebxml.responses import read_registry_response
from gateway.ebxml.retrieve import read_retrieve_response
from gateway.ebxml.stored_queries import write_query
from gateway.ebxml.submissions import write_provide_and_register
from gateway.model import Cx, ResponseStatus
from gateway.model.errors import PeerFault
from gateway.model.query import FindDocuments, GetDocuments
from gateway.soap.client import Attachment
from tests.affinity.samples import REPOSITORY, entry, sha1, submission
from tests.crossborder.xds_consumer import all_queries, behind, statuses, story, xds_consumer
from tests.system.documents import a_patient
from tests.system.stack import running_stack

HOME = "urn:oid:2.999.5"
OTHER = "urn:oid:2.999.6"
SERVING = {"xds_server": {"enabled": True}}
CONTENTS = [b"line\r\n", b"", b"\r\n%PDF-1.4\x00--"]


def patient():
    of = a_patient()
    return Cx(of.id, of.authority)


def described(of, *contents):
    """The submission with hash and size of the documents."""
    entries = [
        structs.replace(e, hash=sha1(content), size=len(content))
        for e, content in zip(of.entries, contents, strict=True)
    ]
    return structs.replace(of, entries=tuple(entries))


@asynccontextmanager
async def consumer(tmp_path, assert_valid, **settings):
    async with (
        running_stack(tmp_path, **{**SERVING, **settings}) as stack,
        xds_consumer(stack.base_url, assert_valid) as client,
    ):
        yield stack, client


async def told(client, of):
    """Submit a story; the submissions as they were made."""
    made = []
    for each, content in zip(story(of), CONTENTS, strict=True):
        made.append(described(each, content))
        answer = await client.provide(made[-1], content)
        assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ()), answer.errors
    return made


async def test_what_a_source_submits_is_found_and_retrieved_byte_for_byte(tmp_path, assert_valid):
    of = patient()
    async with consumer(tmp_path, assert_valid) as (_, client):
        made = await told(client, of)
        found = await client.query(FindDocuments(patient_id=of))
        ids = [each.entries[0].unique_id for each in made]
        answer, contents = await client.retrieve(*ids)
    # with what it is appended to, an addendum is replaced too
    assert statuses(found) == {ids[2]: True}
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    assert contents == dict(zip(ids, CONTENTS, strict=True))
    assert [d.header.mime_type for d in answer.documents] == [e.entries[0].mime_type for e in made]


async def test_every_stored_query_is_answered_as_the_registry_answers_it(tmp_path, assert_valid):
    of = patient()
    async with consumer(tmp_path, assert_valid) as (stack, client), behind(stack) as registry:
        opening, _, renewal = await told(client, of)
        for query in all_queries(of, opening, renewal):
            for return_type in ("LeafClass", "ObjectRef"):
                expected = await registry.query(query, return_type)
                assert not expected.empty, query
                answer = await client.query(query, return_type)
                assert {r.id for r in answer.object_refs} == {r.id for r in expected.object_refs}
                assert structs.replace(answer, object_refs=()) == structs.replace(expected, object_refs=())


async def test_a_query_that_breaks_the_rules_is_refused_with_its_rule(tmp_path, assert_valid):
    async with consumer(tmp_path, assert_valid) as (stack, client):
        body = write_query(FindDocuments(patient_id=patient()))
        for slot in body.findall(".//{*}Slot"):
            slot.getparent().remove(slot)
        answer = read_query_response(await client.soap.call(client.registry, "ITI-18", body))
        unknown = write_query(FindDocuments(patient_id=patient()))
        unknown.find(".//{*}AdhocQuery").set("id", "urn:uuid:3d1bdb10-39a2-11de-89c2-2f44d94eaa9f")
        refused = read_query_response(await client.soap.call(client.registry, "ITI-18", unknown))
        assert sum(stack.soap_calls.values()) == 0
    assert [error.code for error in answer.errors] == ["XDSStoredQueryMissingParam"]
    assert "$XDSDocumentEntryPatientId" in answer.errors[0].context
    assert (refused.status, refused.errors[0].code) == (ResponseStatus.FAILURE, "XDSUnknownStoredQuery")


async def test_what_is_of_another_community_is_refused(tmp_path, assert_valid):
    of = patient()
    async with consumer(tmp_path, assert_valid, home_community_id=HOME) as (_, client):
        made = await told(client, of)
        uid = made[0].entries[0].unique_id
        own = await client.query(GetDocuments(unique_ids=(uid,), home=HOME))
        other = await client.query(GetDocuments(unique_ids=(uid,), home=OTHER))
        named, contents = await client.retrieve(uid, home=HOME)
        refused, _ = await client.retrieve(uid, home=OTHER)
    assert [e.unique_id for e in own.entries] == [uid]
    assert [(e.code, e.location) for e in other.errors] == [("XDSUnknownCommunity", OTHER)]
    assert [d.header.home_community_id for d in named.documents] == [HOME]
    assert contents == {uid: CONTENTS[0]}
    assert [(e.code, e.location) for e in refused.errors] == [("XDSUnknownCommunity", uid)]


async def test_documents_that_are_there_come_beside_the_errors_of_the_others(tmp_path, assert_valid):
    async with consumer(tmp_path, assert_valid) as (_, client):
        made = await told(client, patient())
        uid = made[0].entries[0].unique_id
        some, contents = await client.retrieve(uid, "2.999.404")
        none, _ = await client.retrieve("2.999.404")
        elsewhere, _ = await client.retrieve(uid, repository="2.999.404")
    assert (some.status, list(contents)) == (ResponseStatus.PARTIAL, [uid])
    assert [(e.code, e.location) for e in some.errors] == [("XDSDocumentUniqueIdError", "2.999.404")]
    assert (none.status, none.documents) == (ResponseStatus.FAILURE, ())
    assert [(e.code, e.location) for e in elsewhere.errors] == [("XDSUnknownRepositoryId", uid)]


async def test_what_the_repository_refuses_is_refused_and_nothing_is_stored(tmp_path, assert_valid):
    of = patient()
    wrong = submission(entry(patient_id=of, hash=sha1(b"other"), size=4), patient_id=of)
    async with consumer(tmp_path, assert_valid) as (_, client):
        answer = await client.provide(wrong, b"text")
        found = await client.query(FindDocuments(patient_id=of))
    assert (answer.status, answer.errors[0].code) == (ResponseStatus.FAILURE, "XDSRepositoryMetadataError")
    assert "hash" in answer.errors[0].context
    assert found.empty


async def test_a_document_without_its_entry_never_reaches_the_repository(tmp_path, assert_valid):
    of = submission(entry())
    async with consumer(tmp_path, assert_valid) as (stack, client):
        body = write_provide_and_register(of, {of.entries[0].entry_uuid: "one@source"})
        body.append(etree.fromstring(etree.tostring(body.find("{*}Document"))))
        body[-1].set("id", "urn:uuid:00000000-0000-4000-8000-00000000dead")
        part = Attachment("one@source", "text/plain", 1, b"x")
        answer = read_registry_response(
            await client.soap.call(client.repository, "ITI-41", body, attachments=[part])
        )
        assert sum(stack.soap_calls.values()) == 0
    assert [error.code for error in answer.errors] == ["XDSMissingDocumentMetadata"]


async def test_a_large_document_passes_both_ways_without_being_held(tmp_path, assert_valid):
    content = os.urandom(5 * 1024 * 1024) + b"\r\n"
    of = described(submission(entry()), content)
    async with consumer(tmp_path, assert_valid) as (stack, client):
        assert (await client.provide(of, content)).status is ResponseStatus.SUCCESS
        _, contents = await client.retrieve(of.entries[0].unique_id)
        assert not list((stack.settings.state_dir / "spool").rglob("part-*"))
    assert contents == {of.entries[0].unique_id: content}


async def test_room_for_documents_on_their_way_is_bounded(tmp_path, assert_valid):
    content = os.urandom(2 * 1024 * 1024)
    of = described(submission(entry()), content)
    limited = {"xds_server": {"enabled": True, "spool_bytes": 1024 * 1024, "max_request_bytes": 10_000_000}}
    async with consumer(tmp_path, assert_valid, **limited) as (stack, client), behind(stack) as domain:
        with pytest.raises(PeerFault) as caught:
            await client.provide(of, content)
        assert (await domain.provide(of, content)).status is ResponseStatus.SUCCESS
        refused, _ = await client.retrieve(of.entries[0].unique_id)
    assert caught.value.code == "Receiver"
    assert [error.code for error in refused.errors] == ["XDSRepositoryOutOfResources"]


async def test_a_submission_that_is_too_large_is_refused(tmp_path, assert_valid):
    of = described(submission(entry()), b"x" * 20_000)
    limited = {"xds_server": {"enabled": True, "max_request_bytes": 10_000}}
    async with consumer(tmp_path, assert_valid, **limited) as (stack, client):
        with pytest.raises(PeerFault) as caught:
            await client.provide(of, b"x" * 20_000)
        assert sum(stack.soap_calls.values()) == 0
    assert caught.value.code == "Sender"


async def test_a_domain_that_does_not_answer_is_an_error_that_says_what_is_known(tmp_path, assert_valid):
    dead = {"url": "http://127.0.0.1:9/xds", "max_attempts": 1}
    repositories = [{"unique_id": REPOSITORY, **dead}]
    async with consumer(tmp_path, assert_valid, registry=dead, repositories=repositories) as (_, client):
        found = await client.query(FindDocuments(patient_id=patient()))
        stored = await client.provide(described(submission(entry()), b""), b"")
        answer, _ = await client.retrieve("2.999.1")
    assert [error.code for error in found.errors] == ["XDSRegistryNotAvailable"]
    assert [error.code for error in stored.errors] == ["XDSRegistryNotAvailable"]
    assert "nothing was stored" in stored.errors[0].context
    assert [error.code for error in answer.errors] == ["XDSRepositoryError"]


async def test_an_outcome_that_nobody_knows_is_not_told_as_a_refusal(tmp_path, assert_valid):
    async def break_off(request):
        if request.path == "/xds/repository":
            await request.read()
            request.transport.close()

    async with consumer(tmp_path, assert_valid) as (stack, client):
        stack.interfere = break_off
        answer = await client.provide(described(submission(entry()), b""), b"")
    assert [error.code for error in answer.errors] == ["XDSRepositoryError"]
    assert "not known whether" in answer.errors[0].context


async def test_nothing_is_answered_by_default(tmp_path):
    async with running_stack(tmp_path) as stack:
        for path in ("/xds/registry", "/xds/repository"):
            async with stack.session.post(stack.base_url.removesuffix("/fhir") + path) as answer:
                assert answer.status == 404


async def test_an_answer_to_a_retrieve_in_simple_soap_has_its_documents_inline(tmp_path, assert_valid):
    async with consumer(tmp_path, assert_valid) as (_, client):
        made = await told(client, patient())
        uid = made[0].entries[0].unique_id
        action = "urn:ihe:iti:2007:RetrieveDocumentSet"
        text = (
            '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
            ' xmlns:a="http://www.w3.org/2005/08/addressing"><e:Header>'
            f'<a:Action e:mustUnderstand="1">{action}</a:Action><a:MessageID>urn:x:1</a:MessageID></e:Header>'
            '<e:Body><RetrieveDocumentSetRequest xmlns="urn:ihe:iti:xds-b:2007"><DocumentRequest>'
            f"<RepositoryUniqueId>{REPOSITORY}</RepositoryUniqueId><DocumentUniqueId>{uid}</DocumentUniqueId>"
            "</DocumentRequest></RetrieveDocumentSetRequest></e:Body></e:Envelope>"
        )
        headers = {"Content-Type": "application/soap+xml; charset=UTF-8"}
        session = client.soap._open_session
        async with session.post(client.repository.url, data=text.encode(), headers=headers) as reply:
            assert reply.content_type == "application/soap+xml"
            answer = read_retrieve_response(etree.fromstring(await reply.read()).find("{*}Body")[0])
    assert [document.content for document in answer.documents] == [CONTENTS[0]]
