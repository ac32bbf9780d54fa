"""Our client calls a JAX-WS registry and repository that were made from our WSDLs (ITI-18, ITI-41, ITI-43)."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from msgspec import structs

from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository, OutgoingDocument
from gateway.ebxml.responses import read_registry_response
from gateway.ebxml.retrieve import XopHref, read_retrieve_response, write_retrieve_request
from gateway.ebxml.submissions import write_provide_and_register
from gateway.model import (
    AvailabilityStatus,
    Cx,
    DocumentEntry,
    DocumentRequest,
    RegistryFailure,
    ResponseStatus,
)
from gateway.model.errors import PeerFault
from gateway.model.query import FindDocuments, FindFolders, GetAssociations, GetDocuments
from gateway.soap.client import Attachment, Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from gateway.soap.mtom import cid_of_href
from gateway.soap.outgoing import mtom_message
from tests.affinity.samples import entry, entry_uuid, link, sha1, submission, unique_id
from tests.ebxml.strategies import document_entries

from .java_peer import REPOSITORY

pytestmark = pytest.mark.interop

UNKNOWN_HEADER = (
    b'<x:Contract xmlns:x="urn:example:unknown" xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    b' s:mustUnderstand="1"/>'
)
SMALL = {
    "0-bytes": b"",
    "1-byte": b"\0",
    "crlf": b"\r\n",
    "crlf-both-ends": b"\r\n\r\nText\r\n\r\n",
    "delimiter-like": b"\r\n--uuid:\r\n--MIMEBoundary_\r\n",
    "70-kB": b"\r\n" + random.Random(1).randbytes(70_000) + b"\r\n",
}
LARGE = b"\r\n" + random.Random(2).randbytes(50_000_000) + b"\r\n"


@dataclass
class Peers:
    """The clients of both actors of the peer."""

    soap: SoapClient
    registry: DocumentRegistry
    repository: DocumentRepository

    async def publish(self, *documents: tuple[DocumentEntry, bytes]) -> None:
        """Submit documents together."""
        sent = [OutgoingDocument(e.entry_uuid, e.mime_type, content) for e, content in documents]
        answer = await self.repository.provide_and_register(submission(*(e for e, _ in documents)), sent)
        assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())

    async def found(self, wanted: DocumentEntry) -> DocumentEntry:
        """What the registry has under the uniqueId of an entry."""
        result = await self.registry.query(GetDocuments(unique_ids=(wanted.unique_id,)))
        (got,) = result.entries
        return got

    async def content(self, wanted: DocumentEntry, repository: str = REPOSITORY) -> bytes:
        """Retrieve one document."""
        async with self.repository.retrieve(DocumentRequest(repository, wanted.unique_id)) as document:
            assert document.header.mime_type == wanted.mime_type
            return b"".join([chunk async for chunk in document.chunks])


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Peers]:
    contract = load_contract()
    async with SoapClient(contract) as soap:
        registry = DocumentRegistry(soap, Peer(name="java-registry", url=f"{url}/xds/registry"))
        repository = Peer(name="java-repository", url=f"{url}/xds/repository")
        yield Peers(soap, registry, DocumentRepository(soap, contract, repository, REPOSITORY))


@pytest.fixture
async def peers(java_url: str) -> AsyncIterator[Peers]:
    async with calling(java_url) as peers:
        yield peers


@pytest.mark.parametrize("content", [*SMALL.values(), LARGE], ids=[*SMALL, "50-MB"])
async def test_a_document_comes_back_byte_for_byte(peers: Peers, content: bytes) -> None:
    wanted = entry(hash=None, size=None)
    await peers.publish((wanted, content))
    got = await peers.found(wanted)
    assert (got.hash, got.size) == (sha1(content), len(content))
    assert await peers.content(wanted) == content


async def test_a_document_of_unknown_size_arrives_whole(peers: Peers) -> None:
    wanted = entry(hash=None, size=None)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, 5_000_000, 99_999):
            yield LARGE[at : min(at + 99_999, 5_000_000)]

    body = write_provide_and_register(submission(wanted), {wanted.entry_uuid: "1@source"})
    document = Attachment("1@source", wanted.mime_type, None, chunks())
    answer = await peers.soap.call(peers.repository.peer, "ITI-41", body, attachments=[document])
    assert read_registry_response(answer).status is ResponseStatus.SUCCESS
    assert await peers.content(wanted) == LARGE[:5_000_000]


async def test_several_documents_travel_in_one_message(peers: Peers) -> None:
    documents = [(entry(hash=None, size=None), content) for content in SMALL.values()]
    await peers.publish(*documents)
    requests = [DocumentRequest(REPOSITORY, wanted.unique_id) for wanted, _ in documents]
    async with peers.soap.open(peers.repository.peer, "ITI-43", write_retrieve_request(requests)) as reply:
        answer = read_retrieve_response(reply.body)
        parts = {part.content_id: b"".join([c async for c in part]) async for part in reply.parts()}
    assert answer.status is ResponseStatus.SUCCESS
    got = {}
    for document in answer.documents:
        assert isinstance(document.content, XopHref)
        got[document.header.document_unique_id] = parts[cid_of_href(document.content)]
    assert got == {wanted.unique_id: content for wanted, content in documents}


async def test_whole_and_streamed_answers_have_the_same_documents(peers: Peers) -> None:
    wanted = entry(hash=None, size=None)
    await peers.publish((wanted, SMALL["crlf-both-ends"]))
    request = write_retrieve_request([DocumentRequest(REPOSITORY, wanted.unique_id)])
    answer = read_retrieve_response(await peers.soap.call(peers.repository.peer, "ITI-43", request))
    assert [d.content for d in answer.documents] == [SMALL["crlf-both-ends"]]


@given(sent=document_entries())
@settings(max_examples=40, deadline=None)
async def test_every_attribute_survives_the_java_classes(java_url: str, sent: DocumentEntry) -> None:
    wanted = structs.replace(sent, entry_uuid=entry_uuid(), unique_id=unique_id())
    async with calling(java_url) as peers:
        await peers.publish((wanted, b"content"))
        assert await peers.found(wanted) == structs.replace(
            wanted,
            status=AvailabilityStatus.APPROVED,
            hash=sha1(b"content"),
            size=7,
            repository_unique_id=REPOSITORY,
        )


async def test_queries_find_by_patient_and_by_quoted_values(peers: Peers) -> None:
    patient = Cx("O'Neill & Søn", "2.999.1.1")
    first, second = entry(patient_id=patient), entry(patient_id=patient)
    await peers.publish((first, b"1"), (second, b"2"))
    await peers.publish((entry(patient_id=Cx("ONeill", "2.999.1.1")), b"3"))
    result = await peers.registry.query(FindDocuments(patient_id=patient))
    assert {e.unique_id for e in result.entries} == {first.unique_id, second.unique_id}
    nothing = await peers.registry.query(
        FindDocuments(patient_id=patient, status=(AvailabilityStatus.DEPRECATED,))
    )
    assert (nothing.status, nothing.entries) == (ResponseStatus.SUCCESS, ())


async def test_associations_come_back_as_they_were_sent(peers: Peers) -> None:
    replaced, wanted = entry_uuid(), entry()
    relation = link("urn:ihe:iti:2007:AssociationType:RPLC", wanted.entry_uuid, replaced)
    document = OutgoingDocument(wanted.entry_uuid, wanted.mime_type, b"x")
    await peers.repository.provide_and_register(submission(wanted, associations=[relation]), [document])
    result = await peers.registry.query(GetAssociations(uuids=(replaced,)))
    assert result.associations == (relation,)


async def test_a_refused_submission_is_a_failure_with_its_code(peers: Peers) -> None:
    wanted = entry()
    await peers.publish((wanted, b"first"))
    again = structs.replace(wanted, entry_uuid=entry_uuid())
    with pytest.raises(RegistryFailure) as caught:
        await peers.publish((again, b"second"))
    assert [e.code for e in caught.value.errors] == ["XDSDuplicateUniqueIdInRegistry"]
    result = await peers.registry.query(GetDocuments(entry_uuids=(again.entry_uuid,)))
    assert result.entries == ()
    assert await peers.content(wanted) == b"first"


async def test_a_failed_query_or_retrieve_is_a_failure_with_its_code(peers: Peers) -> None:
    with pytest.raises(RegistryFailure) as caught:
        await peers.registry.query(FindFolders(patient_id=Cx("P", "2.999.1.1")))
    assert [e.code for e in caught.value.errors] == ["XDSUnknownStoredQuery"]
    wanted = entry()
    for repository, code in ((REPOSITORY, "XDSDocumentUniqueIdError"), ("2.999.9", "XDSUnknownRepositoryId")):
        with pytest.raises(RegistryFailure) as caught:
            await peers.content(wanted, repository)
        assert [(e.code, e.location) for e in caught.value.errors] == [(code, wanted.unique_id)]


@pytest.mark.parametrize("transaction", ["ITI-18", "ITI-43"])
async def test_a_header_that_java_must_understand_is_a_fault(peers: Peers, transaction: str) -> None:
    peer, body = _request(peers, transaction)
    with pytest.raises(PeerFault) as caught:
        await peers.soap.call(peer, transaction, body, header_blocks=[UNKNOWN_HEADER])
    assert (caught.value.code, caught.value.peer) == ("MustUnderstand", peer.name)
    result = await peers.registry.query(GetDocuments(unique_ids=("2.999.404",)))
    assert result.entries == ()


def _request(peers: Peers, transaction: str) -> tuple[Peer, etree._Element]:
    if transaction == "ITI-43":
        return peers.repository.peer, write_retrieve_request([DocumentRequest(REPOSITORY, "2.999.404")])
    query = load_contract().build(
        "ITI-18",
        ResponseOption={"returnType": "LeafClass", "returnComposedObjects": True},
        AdhocQuery={"id": GetDocuments.query_id},
    )
    return peers.registry.peer, query


async def test_the_fault_of_an_mtom_request_comes_in_multipart_with_status_500(peers: Peers) -> None:
    transaction = load_contract()["ITI-43"]
    peer, body = _request(peers, "ITI-43")
    envelope = write_envelope(
        body, action=transaction.action, message_id="urn:uuid:1", header_blocks=[UNKNOWN_HEADER]
    )
    message = mtom_message(envelope, transaction.action)
    async with (
        aiohttp.ClientSession() as session,
        session.post(peer.url, data=message.start, headers={"Content-Type": message.content_type}) as answer,
    ):
        assert (answer.status, answer.content_type) == (500, "multipart/related")


async def test_a_crash_of_the_service_is_a_receiver_fault_of_unknown_outcome(
    peers: Peers, java_folder: Path
) -> None:
    store = java_folder / "store"
    store.rename(java_folder / "elsewhere")
    try:
        with pytest.raises(PeerFault) as caught:
            await peers.publish((entry(), b"content"))
    finally:
        (java_folder / "elsewhere").rename(store)
    assert caught.value.code == "Receiver"
    assert not caught.value.outcome_known


@given(content=st.binary(max_size=3000))
@settings(max_examples=40, deadline=None)
async def test_any_content_comes_back_byte_for_byte(java_url: str, content: bytes) -> None:
    async with calling(java_url) as peers:
        wanted = entry(hash=None, size=None)
        await peers.publish((wanted, content))
        assert await peers.content(wanted) == content
