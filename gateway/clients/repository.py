"""Document Repository as a peer: Provide and Register (ITI-41), Retrieve Document Set (ITI-43) and Remove
Documents (ITI-86).

`DocumentSets` also retrieves from Responding Gateways of other communities (ITI-39), whose messages are the
same.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from lxml.etree import _Element

from gateway.clients.changes import change
from gateway.clients.document_sets import assign, errors_of, refusal, refusals
from gateway.clients.pieces import in_order, pieces_of
from gateway.clients.quirks import RepositoryQuirks
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.removal import write_remove_documents
from gateway.ebxml.retrieve import RetrieveAnswer, XopHref, read_retrieve_response
from gateway.ebxml.submissions import write_provide_and_register
from gateway.model import (
    DocumentHeader,
    DocumentRequest,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    Submission,
)
from gateway.model.errors import PeerError, PeerProtocolError
from gateway.model.oids import bare_oid
from gateway.security.access import about
from gateway.soap.client import Attachment, Part, Peer, SoapClient, StreamedReply
from gateway.soap.contract import Contract
from gateway.soap.mtom import cid_of_href

_NO_SUCH_DOCUMENT = frozenset({"XDSDocumentUniqueIdError", "XDSMissingDocument"})


@dataclass(frozen=True, slots=True)
class OutgoingDocument:
    """Bytes of one DocumentEntry of a submission, or a function that gives them in pieces, `size` in all.

    `sha1` in lower-case hex where it is known.
    """

    entry_uuid: str
    mime_type: str
    content: bytes | Callable[[], AsyncIterable[bytes]]
    size: int | None = None
    sha1: str | None = None

    @property
    def length(self) -> int:
        """Number of bytes."""
        if isinstance(self.content, bytes):
            return len(self.content)
        if self.size is None:
            raise ValueError("the size of a document that comes in pieces has to be known")
        return self.size


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One document on its way: its header, and its bytes as they come from the peer's socket."""

    header: DocumentHeader
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class WholeDocument:
    """One small document, whole, and what the peer said about it: warnings, as a rule."""

    header: DocumentHeader
    content: bytes
    errors: tuple[RegistryError, ...] = ()


Outcome = WholeDocument | RegistryFailure | PeerError
"""Of one document among several: the document, the peer's refusal of it, or why there is no answer."""


class DocumentSets:
    """Retrieves of documents from one peer. They change nothing, so they are repeated where that may help.

    `accept` sees each answer before it is used, and gives it back, changed or not, or raises PeerError.
    """

    def __init__(
        self,
        soap: SoapClient,
        contract: Contract,
        peer: Peer,
        quirks: RepositoryQuirks | None = None,
        *,
        transaction: str = "ITI-43",
        accept: Callable[[RetrieveAnswer], RetrieveAnswer] | None = None,
    ) -> None:
        self._soap = soap
        self._contract = contract
        self._quirks = quirks or RepositoryQuirks()
        self._transaction = transaction
        self._accept = accept
        self.peer = peer

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.peer.name

    @asynccontextmanager
    async def retrieve(self, request: DocumentRequest) -> AsyncIterator[RetrievedDocument]:
        """Retrieve one document as a stream. Leaving the context early cancels the peer's answer.

        Raises RegistryFailure with the peer's errors where it holds no such document, PeerProtocolError
        where it answers neither document nor error.
        """
        async with self._open([request]) as reply:
            answer = self._read(reply)
            document = assign([request], answer.documents).get(request)
            if document is None:
                raise refusal(request, answer, (), self.peer.name, self._transaction)
            if isinstance(document.content, bytes):
                yield RetrievedDocument(document.header, _once(document.content))
            else:
                yield RetrievedDocument(document.header, self._part(reply, document.content))

    async def retrieve_many(
        self, requests: Iterable[DocumentRequest], *, max_bytes: int
    ) -> AsyncGenerator[tuple[DocumentRequest, Outcome], None]:
        """Retrieve small documents, each whole in memory, a few per request and a few requests at a time.

        Gives every request once, in order, with its own outcome: what fails for one document or for one
        request does not end the others. A document of more than `max_bytes` is a PeerProtocolError. Not
        more than `documents_per_request * pieces_at_once` documents are held here. Close it (`aclosing`)
        where it is left early.
        """
        sets = pieces_of(dict.fromkeys(requests), self._quirks.documents_per_request)
        calls = (partial(self._retrieve_set, asked, max_bytes) for asked in sets)
        found = in_order(calls, self._quirks.at_once(self.peer.max_in_flight))
        try:
            async for outcomes in found:
                for request, outcome in outcomes.items():
                    yield request, outcome
        finally:
            await found.aclose()

    async def _retrieve_set(
        self, asked: Sequence[DocumentRequest], max_bytes: int
    ) -> dict[DocumentRequest, Outcome]:
        """Outcomes of the documents of one request; after one that is too large the rest is asked again."""
        outcomes: dict[DocumentRequest, Outcome] = {}
        left = list(asked)
        while left:
            try:
                await self._retrieve_some(left, max_bytes, outcomes)
            except PeerError as error:
                outcomes |= dict.fromkeys((r for r in left if r not in outcomes), error)
            left = [request for request in left if request not in outcomes]
        return {request: outcomes[request] for request in asked}

    async def _retrieve_some(
        self, asked: Sequence[DocumentRequest], max_bytes: int, outcomes: dict[DocumentRequest, Outcome]
    ) -> None:
        """Add what one request gives; it settles one of `asked` at least."""
        async with self._open(asked) as reply:
            answer = self._read(reply)
            documents = assign(asked, answer.documents)
            outcomes |= refusals(asked, documents, answer, self.peer.name, self._transaction)
            awaited: dict[str, tuple[DocumentRequest, WholeDocument]] = {}
            for request, document in documents.items():
                errors = errors_of(request, answer.errors, asked)
                if isinstance(document.content, XopHref):
                    start = WholeDocument(document.header, b"", errors)
                    awaited[cid_of_href(document.content)] = request, start
                else:
                    whole = WholeDocument(document.header, document.content, errors)
                    outcomes[request] = self._bounded(whole, max_bytes)
            async for part in reply.parts():
                content = await _start_of(part, max_bytes)
                if part.content_id in awaited:
                    request, start = awaited.pop(part.content_id)
                    outcomes[request] = self._bounded(replace(start, content=content), max_bytes)
                elif len(content) > max_bytes:
                    raise self._broken("the answer holds a large part that was not asked for")
                if len(content) > max_bytes:
                    return

    def _bounded(self, document: WholeDocument, max_bytes: int) -> Outcome:
        if len(document.content) > max_bytes:
            return self._broken(f"the document is larger than the {max_bytes} bytes that are taken")
        return document

    def _open(self, requests: Iterable[DocumentRequest]) -> AbstractAsyncContextManager[StreamedReply]:
        return self._soap.open(self.peer, self._transaction, self._request(requests), retry=True)

    def _request(self, requests: Iterable[DocumentRequest]) -> _Element:
        return self._contract.build(self._transaction, DocumentRequest=[self._fields(r) for r in requests])

    def _fields(self, request: DocumentRequest) -> dict[str, str]:
        fields = {
            "RepositoryUniqueId": request.repository_unique_id,
            "DocumentUniqueId": request.document_unique_id,
        }
        if home := request.home_community_id:
            fields["HomeCommunityId"] = home if self._quirks.home_urns else bare_oid(home)
        return fields

    def _read(self, reply: StreamedReply) -> RetrieveAnswer:
        try:
            answer = read_retrieve_response(reply.body)
        except MetadataError as error:
            raise self._broken(error.context) from None
        return answer if self._accept is None else self._accept(answer)

    async def _part(self, reply: StreamedReply, href: XopHref) -> AsyncIterator[bytes]:
        wanted = cid_of_href(href)
        async for part in reply.parts():
            if part.content_id == wanted:
                async for chunk in part:
                    yield chunk
                return
        raise self._broken("the answer names an attachment that it lacks")

    def _broken(self, detail: str) -> PeerProtocolError:
        return PeerProtocolError(self.peer.name, self._transaction, detail)


class DocumentRepository(DocumentSets):
    """One repository."""

    def __init__(
        self,
        soap: SoapClient,
        contract: Contract,
        peer: Peer,
        unique_id: str,
        quirks: RepositoryQuirks | None = None,
    ) -> None:
        super().__init__(soap, contract, peer, quirks)
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
                size=document.length,
                source=document.content,
            )
            for document in documents
        ]
        body = write_provide_and_register(submission, content_ids)
        with about(submission.submission_set.patient_id):
            return await change(self._soap, self.peer, "ITI-41", body, attachments)

    async def remove(self, requests: Iterable[DocumentRequest]) -> RegistryResponse:
        """Remove Documents (ITI-86), all or none; see `change`."""
        return await change(self._soap, self.peer, "ITI-86", write_remove_documents(requests))

    async def holds(self, request: DocumentRequest) -> bool:
        """True where the repository answers with the document, which is not read to its end.

        Raises PeerError, and RegistryFailure for refusals that do not say that it has no such document.
        """
        try:
            async with self.retrieve(request):
                return True
        except RegistryFailure as failure:
            if any(error.code in _NO_SUCH_DOCUMENT for error in failure.errors):
                return False
            raise


async def _start_of(part: Part, most: int) -> bytes:
    """The content; where it is larger than `most`, a start that is larger too."""
    content = bytearray()
    async for chunk in part:
        content += chunk
        if len(content) > most:
            break
    return bytes(content)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
