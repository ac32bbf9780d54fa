"""The repository client against what repositories answer, over real sockets (ITI-41, ITI-43)."""

import base64
from contextlib import asynccontextmanager

import pytest

from gateway.clients.repository import DocumentRepository, OutgoingDocument
from gateway.model import DocumentEntry, DocumentRequest, RegistryFailure, Submission, SubmissionSet
from gateway.model.codes import NS_RS, NS_XDS
from gateway.model.errors import PeerProtocolError
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.soap.wire import (
    RELATED,
    answering,
    document_part,
    envelope,
    http,
    include,
    raw_peer,
    related,
    root_part,
)

CONTENT = b"\r\ncontent\x00\r\n"
ASKED = DocumentRequest("2.999.1", "2.999.2.1", "urn:oid:2.999.3")
SOAP = "application/soap+xml; charset=UTF-8"
STATUS = {
    "Success": "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success",
    "Failure": "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure",
    "PartialSuccess": "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess",
}


def document(unique_id: str, content: str, *, repository="2.999.1", home="") -> str:
    return (
        f"<DocumentResponse>{home}<RepositoryUniqueId>{repository}</RepositoryUniqueId>"
        f"<DocumentUniqueId>{unique_id}</DocumentUniqueId><mimeType>text/plain</mimeType>"
        f"<Document>{content}</Document></DocumentResponse>"
    )


def error(code: str, location: str, severity="Error") -> str:
    return (
        f'<rs:RegistryError errorCode="{code}" codeContext="why" location="{location}"'
        f' severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:{severity}"/>'
    )


def response(status: str, *errors: str) -> str:
    listed = f"<rs:RegistryErrorList>{''.join(errors)}</rs:RegistryErrorList>" if errors else ""
    return f'<rs:RegistryResponse xmlns:rs="{NS_RS}" status="{STATUS[status]}">{listed}</rs:RegistryResponse>'


def retrieved(status: str, *documents: str, errors=()) -> str:
    return envelope(
        f'<RetrieveDocumentSetResponse xmlns="{NS_XDS}">{response(status, *errors)}{"".join(documents)}'
        "</RetrieveDocumentSetResponse>"
    )


def packaged(xml: str, **parts: bytes) -> bytes:
    named = (document_part(content, f"{name}@peer") for name, content in parts.items())
    return http(related(root_part(xml), *named), RELATED)


@asynccontextmanager
async def repository(answer: bytes):
    async with raw_peer(answering(answer)) as peer, SoapClient(load_contract()) as soap:
        yield DocumentRepository(soap, load_contract(), Peer(name="repo", url=peer.url), "2.999.1"), peer


async def fetch(answer: bytes, asked: DocumentRequest = ASKED):
    async with repository(answer) as (client, _), client.retrieve(asked) as got:
        return got.header, b"".join([chunk async for chunk in got.chunks])


ONE = include("cid:a@peer")


async def test_the_request_names_document_repository_and_community_as_they_were_given():
    answer = packaged(retrieved("Success", document("2.999.2.1", ONE)), a=CONTENT)
    async with repository(answer) as (client, peer):
        async with client.retrieve(ASKED):
            pass
        sent = peer.requests[0].body
    for text in (b">2.999.1<", b">2.999.2.1<", b">urn:oid:2.999.3<"):
        assert sent.count(text) == 1


@pytest.mark.parametrize(
    "returned",
    ["2.999.2.1", "urn:oid:2.999.2.1", "URN:OID:2.999.2.1", "&lt;2.999.2.1&gt;", " 2.999.2.1\n"],
)
async def test_a_unique_id_is_known_with_prefix_brackets_and_blanks(returned):
    answer = packaged(retrieved("Success", document(returned, ONE)), a=CONTENT)
    assert (await fetch(answer))[1] == CONTENT


async def test_a_repository_id_may_come_with_its_prefix_and_a_community_empty():
    listed = document("2.999.2.1", ONE, repository="urn:oid:2.999.1", home="<HomeCommunityId/>")
    header, content = await fetch(packaged(retrieved("Success", listed), a=CONTENT))
    assert (header.repository_unique_id, header.home_community_id) == ("2.999.1", None)
    assert content == CONTENT


async def test_the_same_id_goes_before_one_that_is_alike():
    lower, upper = document("2.999^a", include("cid:a@peer")), document("2.999^A", include("cid:b@peer"))
    answer = packaged(retrieved("Success", lower, upper), a=b"lower", b=b"upper")
    assert (await fetch(answer, DocumentRequest("2.999.1", "2.999^A")))[1] == b"upper"
    assert (await fetch(answer, DocumentRequest("2.999.1", "2.999^a")))[1] == b"lower"


async def test_the_document_is_found_among_others_whatever_the_order_of_responses_and_parts():
    others = document("2.999.2.9", include("cid:b@peer")), document("2.999.2.1", ONE)
    answer = packaged(retrieved("Success", *others), b=b"another", a=CONTENT)
    assert (await fetch(answer))[1] == CONTENT


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
@pytest.mark.parametrize("multipart", [True, False])
async def test_inline_content_is_decoded(content, multipart):
    xml = retrieved("Success", document("2.999.2.1", f"\n {base64.b64encode(content).decode()}\n"))
    answer = packaged(xml) if multipart else http(xml.encode(), SOAP)
    assert (await fetch(answer))[1] == content


async def test_a_partial_success_with_the_document_is_the_document():
    xml = retrieved(
        "PartialSuccess",
        document("2.999.2.1", ONE),
        errors=[error("XDSDocumentUniqueIdError", "2.999.2.9")],
    )
    assert (await fetch(packaged(xml, a=CONTENT)))[1] == CONTENT


async def test_a_partial_success_without_the_document_is_a_failure_with_the_peers_errors():
    xml = retrieved(
        "PartialSuccess",
        document("2.999.2.9", ONE),
        errors=[error("XDSDocumentUniqueIdError", "2.999.2.1")],
    )
    with pytest.raises(RegistryFailure) as caught:
        await fetch(packaged(xml, a=CONTENT))
    assert [(e.code, e.location) for e in caught.value.errors] == [("XDSDocumentUniqueIdError", "2.999.2.1")]


REFUSED = [error("XDSUnknownRepositoryId", "2.999.2.1")]


@pytest.mark.parametrize(
    "xml",
    [retrieved("Failure", errors=REFUSED), envelope(response("Failure", *REFUSED))],
    ids=["as defined", "a RegistryResponse alone"],
)
async def test_a_failure_is_raised_with_the_peers_errors_and_is_not_repeated(xml):
    async with repository(http(xml.encode(), SOAP)) as (client, peer):
        with pytest.raises(RegistryFailure) as caught:
            async with client.retrieve(ASKED):
                pass
        assert len(peer.requests) == 1
    assert [e.code for e in caught.value.errors] == ["XDSUnknownRepositoryId"]


@pytest.mark.parametrize(
    "xml",
    [
        retrieved("Success"),
        retrieved("Success", document("2.999.2.9", "eA==")),
        retrieved("Success", errors=[error("XDSRepositoryBusy", "", "Warning")]),
    ],
    ids=["nothing", "another document", "a warning only"],
)
async def test_success_without_the_document_is_an_error(xml):
    with pytest.raises(PeerProtocolError, match="neither the document nor an error"):
        await fetch(http(xml.encode(), SOAP))


@pytest.mark.parametrize(
    "item",
    [
        "<DocumentResponse><RepositoryUniqueId>2.999.1</RepositoryUniqueId></DocumentResponse>",
        document("2.999.2.1", "no base64!"),
        document("", "eA=="),
    ],
    ids=["no Document", "not base64", "no uniqueId"],
)
async def test_a_broken_document_response_is_a_protocol_error(item):
    with pytest.raises(PeerProtocolError):
        await fetch(http(retrieved("Success", item).encode(), SOAP))


async def test_an_attachment_that_is_missing_ends_the_stream_with_an_error():
    answer = packaged(retrieved("Success", document("2.999.2.1", ONE)), b=b"another")
    with pytest.raises(PeerProtocolError):
        await fetch(answer)


ENTRY = "urn:uuid:00000000-0000-4000-8000-000000000001"
SUBMISSION = Submission(
    submission_set=SubmissionSet(
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000002",
        unique_id="2.999.4",
        source_id="2.999.5",
        submission_time="2024",
    ),
    entries=(DocumentEntry(entry_uuid=ENTRY, unique_id="2.999.2.1", mime_type="text/plain"),),
)


async def provide(answer: str):
    async with repository(http(envelope(answer).encode(), SOAP)) as (client, peer):
        try:
            return await client.provide_and_register(
                SUBMISSION, [OutgoingDocument(ENTRY, "text/plain", CONTENT)]
            )
        finally:
            assert len(peer.requests) == 1
            assert peer.requests[0].body.count(CONTENT) == 1


async def test_warnings_of_a_stored_submission_are_returned():
    stored = await provide(response("Success", error("XDSExtraMetadataNotSaved", "", "Warning")))
    assert [e.code for e in stored.errors] == ["XDSExtraMetadataNotSaved"]


@pytest.mark.parametrize("status", ["Failure", "PartialSuccess"])
async def test_a_refused_submission_is_a_failure_and_is_not_repeated(status):
    with pytest.raises(RegistryFailure) as caught:
        await provide(response(status, error("XDSRepositoryBusy", "")))
    assert [e.code for e in caught.value.errors] == ["XDSRepositoryBusy"]


async def test_an_answer_of_another_transaction_is_a_protocol_error():
    with pytest.raises(PeerProtocolError) as caught:
        await provide(
            f'<RetrieveDocumentSetResponse xmlns="{NS_XDS}">{response("Success")}</RetrieveDocumentSetResponse>'
        )
    assert not caught.value.outcome_known
