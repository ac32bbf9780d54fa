"""Document Repository as a peer: Provide and Register (ITI-41) and Retrieve Document Set (ITI-43)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.responses import read_registry_response
from gateway.ebxml.retrieve import RetrieveAnswer, XopHref, read_retrieve_response
from gateway.ebxml.submissions import write_provide_and_register
from gateway.model import (
    DocumentHeader,
    DocumentRequest,
    RegistryFailure,
    RegistryResponse,
    ResponseStatus,
    Severity,
    Submission,
)
from gateway.model.errors import PeerProtocolError
from gateway.soap.client import Attachment, Peer, SoapClient, StreamedReply
from gateway.soap.contract import Contract
from gateway.soap.mtom import cid_of_href


@dataclass(frozen=True, slots=True)
class OutgoingDocument:
    """Bytes of one DocumentEntry of a submission."""

    entry_uuid: str
    mime_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One document on its way: its header, and its bytes as they come from the peer's socket."""

    header: DocumentHeader
    chunks: AsyncIterator[bytes]


class DocumentRepository:
    """One repository."""

    def __init__(self, soap: SoapClient, contract: Contract, peer: Peer, unique_id: str) -> None:
        self._soap = soap
        self._contract = contract
        self.peer = peer
        self.unique_id = unique_id

    async def provide_and_register(
        self, submission: Submission, documents: Sequence[OutgoingDocument]
    ) -> RegistryResponse:
        """Submit once, never repeated here: only the caller can tell whether a repeat is safe.

        Returns Success with the peer's warnings. Raises RegistryFailure where nothing was stored, and
        PeerError (whose `outcome_known` says whether it may have been).
        """
        content_ids: Mapping[str, str] = {
            document.entry_uuid: f"{document.entry_uuid.removeprefix('urn:uuid:')}@gateway"
            for document in documents
        }
        attachments = [
            Attachment(
                content_id=content_ids[document.entry_uuid],
                content_type=document.mime_type,
                size=len(document.content),
                source=document.content,
            )
            for document in documents
        ]
        answer = await self._soap.call(
            self.peer,
            "ITI-41",
            write_provide_and_register(submission, content_ids),
            attachments=attachments,
        )
        try:
            response = read_registry_response(answer)
        except MetadataError as error:
            raise PeerProtocolError(self.peer.name, "ITI-41", error.context) from None
        if response.status is not ResponseStatus.SUCCESS:
            raise RegistryFailure(self.peer.name, "ITI-41", response.errors)
        return response

    @asynccontextmanager
    async def retrieve(self, request: DocumentRequest) -> AsyncIterator[RetrievedDocument]:
        """Retrieve one document as a stream. Leaving the context early cancels the peer's answer.

        Raises RegistryFailure with the peer's errors where it holds no such document, PeerProtocolError
        where it answers neither document nor error.
        """
        body = self._contract.build("ITI-43", DocumentRequest=[_request_fields(request)])
        async with self._soap.open(self.peer, "ITI-43", body, retry=True) as reply:
            try:
                answer = read_retrieve_response(reply.body)
            except MetadataError as error:
                raise PeerProtocolError(self.peer.name, "ITI-43", error.context) from None
            header, content = self._pick(answer, request)
            if isinstance(content, bytes):
                yield RetrievedDocument(header, _once(content))
            else:
                yield RetrievedDocument(header, self._part(reply, content))

    def _pick(
        self, answer: RetrieveAnswer, request: DocumentRequest
    ) -> tuple[DocumentHeader, XopHref | bytes]:
        """The DocumentResponse of the request; peers may send others with it, in any order."""
        for same in (_exactly, _alike):
            for document in answer.documents:
                if same(document.header.document_unique_id, request.document_unique_id):
                    return document.header, document.content
        failed = any(error.severity is Severity.ERROR for error in answer.errors)
        if failed or answer.status is ResponseStatus.FAILURE:
            raise RegistryFailure(self.peer.name, "ITI-43", answer.errors)
        raise PeerProtocolError(
            self.peer.name, "ITI-43", "the answer holds neither the document nor an error"
        )

    async def _part(self, reply: StreamedReply, href: XopHref) -> AsyncIterator[bytes]:
        wanted = cid_of_href(href)
        async for part in reply.parts():
            if part.content_id == wanted:
                async for chunk in part:
                    yield chunk
                return
        raise PeerProtocolError(self.peer.name, "ITI-43", "the answer names an attachment that it lacks")


def _request_fields(request: DocumentRequest) -> dict[str, str]:
    fields = {
        "RepositoryUniqueId": request.repository_unique_id,
        "DocumentUniqueId": request.document_unique_id,
    }
    if request.home_community_id:
        fields["HomeCommunityId"] = request.home_community_id
    return fields


def _exactly(returned: str, asked: str) -> bool:
    return returned == asked


def _alike(returned: str, asked: str) -> bool:
    """Peers return a uniqueId with or without URN prefix and brackets; compare what is left."""
    return _bare(returned) == _bare(asked)


def _bare(unique_id: str) -> str:
    text = unique_id.strip().strip("<>{}").lower()
    for prefix in ("urn:oid:", "urn:uuid:"):
        text = text.removeprefix(prefix)
    return text


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
