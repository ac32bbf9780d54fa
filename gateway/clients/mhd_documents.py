"""Documents of an MHD server (ITI-68; IHE MHD 4.2.4 2:3.68), named as XDS names them.

A DocumentRequest leads to the DocumentReference with its uniqueId, and that to the document: by the URL of
its attachment, where the settings allow the host, or in the attachment itself. A server may give the document
as such or, at a Binary, as a resource. What comes is held against size and hash of the attachment.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import aiohttp
import orjson
from msgspec import structs

from gateway.clients.document_domain import UNKNOWN_REPOSITORY
from gateway.clients.fhir_server import FHIR_JSON, FhirClient, FhirRequest, FhirServer, Refused
from gateway.clients.mhd_exchange import MhdExchange, recorded
from gateway.clients.mhd_queries import MhdQueries
from gateway.clients.mhd_resources import Found
from gateway.clients.pieces import in_order
from gateway.clients.repository import Outcome, RetrievedDocument, WholeDocument
from gateway.fhir.datatypes import decode_base64, read_hash
from gateway.fhir.findings import Findings
from gateway.fhir.peer_resources import FoundDocument
from gateway.fhir.peer_shapes import shaped
from gateway.model import (
    AvailabilityStatus,
    DocumentHeader,
    DocumentRequest,
    RegistryError,
    RegistryFailure,
)
from gateway.model.errors import PeerError, PeerProtocolError
from gateway.model.oids import bare_oid
from gateway.model.query import GetDocuments

TRANSACTION: Final = "ITI-68"
_NOT_FOUND: Final = "XDSDocumentUniqueIdError"
_FAILED: Final = "XDSRepositoryError"
_GONE: Final = frozenset({404, 410})
_AT_ONCE: Final = 4
_FHIR_TYPES: Final = frozenset({FHIR_JSON, "application/json+fhir", "application/json"})


class MhdDocuments:
    """Documents of one server; `repository_unique_id` stands for it, `home` is put on what it gives."""

    def __init__(
        self,
        client: FhirClient,
        server: FhirServer,
        queries: MhdQueries,
        repository_unique_id: str,
        home: str | None = None,
    ) -> None:
        self._client = client
        self._server = server
        self._queries = queries
        self._repository = repository_unique_id
        self._home = home

    @asynccontextmanager
    async def retrieve(self, request: DocumentRequest) -> AsyncIterator[RetrievedDocument]:
        """One document as a stream; leaving the context early ends the answer.

        Raises PeerError, also from the stream where it is not what the attachment says, and RegistryFailure.
        """
        if bare_oid(request.repository_unique_id) != self._repository:
            raise self._refusal(UNKNOWN_REPOSITORY, "the server stands for no such repository", request)
        found = Found()
        wanted = GetDocuments(unique_ids=(request.document_unique_id,))
        documents = await self._queries.documents(wanted, found)
        if not documents:
            if found.errors:
                raise RegistryFailure(self._server.peer.name, TRANSACTION, tuple(found.errors))
            raise self._refusal(_NOT_FOUND, "the server has no such document", request)
        # a replaced version may have the same uniqueId
        document = min(documents, key=lambda each: each.entry.status is not AvailabilityStatus.APPROVED)
        header = DocumentHeader(
            repository_unique_id=request.repository_unique_id,
            document_unique_id=request.document_unique_id,
            mime_type=document.entry.mime_type,
            home_community_id=self._home,
        )
        exchange = MhdExchange(
            transaction=TRANSACTION,
            url=self._server.peer.url,
            patient=document.entry.patient_id,
            document=structs.replace(request, home_community_id=self._home),
        )
        with recorded(self._client.record, exchange):
            async with self._content(document, request) as chunks:
                yield RetrievedDocument(header, self._verified(document, chunks))

    async def retrieve_many(
        self, requests: Iterable[DocumentRequest], *, max_bytes: int
    ) -> AsyncGenerator[tuple[DocumentRequest, Outcome], None]:
        """Small documents, each whole: every request once, in order, with its own outcome.

        A document of more than `max_bytes` is a PeerProtocolError. Close it (`aclosing`) where it is left
        early.
        """

        async def one(request: DocumentRequest) -> tuple[DocumentRequest, Outcome]:
            try:
                return request, await self._whole(request, max_bytes)
            except (PeerError, RegistryFailure) as error:
                return request, error

        found = in_order((partial(one, request) for request in dict.fromkeys(requests)), _AT_ONCE)
        try:
            async for request, outcome in found:
                yield request, outcome
        finally:
            await found.aclose()

    async def _whole(self, request: DocumentRequest, max_bytes: int) -> WholeDocument:
        async with self.retrieve(request) as document:
            content = bytearray()
            async for chunk in document.chunks:
                content += chunk
                if len(content) > max_bytes:
                    raise self._broken(f"the document is larger than the {max_bytes} bytes that are taken")
            return WholeDocument(document.header, bytes(content))

    @asynccontextmanager
    async def _content(
        self, document: FoundDocument, request: DocumentRequest
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        attachment = document.attachment
        if attachment.get("data"):
            yield _once(self._decoded(attachment["data"]))
            return
        url = self._server.url_of(attachment["url"]) if attachment.get("url") else None
        if url is None:
            where = "at a host that the settings do not allow (allowed_hosts)"
            reason = f"the document is {where}" if attachment.get("url") else "the attachment has no URL"
            raise self._refusal(_FAILED, reason, request)
        mime_type = document.entry.mime_type
        asked = FhirRequest("GET", url, accept=f"{mime_type}, {FHIR_JSON};q=0.2, */*;q=0.1")
        try:
            async with self._client.open(self._server, TRANSACTION, asked) as answer:
                if _is_resource(answer, mime_type):
                    yield _once(await self._of_binary(answer, mime_type))
                else:
                    yield self._chunks(answer)
        except Refused as refusal:
            if refusal.status in _GONE:
                raise self._refusal(_NOT_FOUND, "the server does not have the document", request) from None
            text = f"the server refuses the document (HTTP {refusal.status})"
            raise self._refusal(_FAILED, text, request) from None

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise await self._client.broken(self._server, TRANSACTION, error) from error

    async def _of_binary(self, answer: aiohttp.ClientResponse, mime_type: str) -> bytes:
        """The document of a Binary resource, or the answer itself where it is another resource."""
        most = self._server.peer.max_answer_bytes
        body = bytearray()
        async for chunk in self._chunks(answer):
            body += chunk
            if len(body) > most:
                raise self._broken(f"the Binary has more than {most} bytes (max_answer_bytes)")
        try:
            binary = shaped(orjson.loads(body))
        except orjson.JSONDecodeError:
            binary = None
        if binary is not None and binary["resourceType"] == "Binary" and binary.get("data"):
            return self._decoded(binary["data"])
        if mime_type in _FHIR_TYPES:
            return bytes(body)
        raise self._broken("the answer is neither the document nor a Binary with it")

    def _decoded(self, data: str) -> bytes:
        content = decode_base64(data)
        if content is None:
            raise self._broken("the document is not base64")
        return content

    async def _verified(self, document: FoundDocument, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same bytes; where they are not those that the attachment describes, the end is an error."""
        expected = read_hash(document.attachment.get("hash"), Findings(), "")
        size = document.attachment.get("size")
        # both are 0 and of nothing for a document that is assembled when it is asked for (ITI TF-3 4.1.3)
        digest, length = hashlib.sha1(usedforsecurity=False), 0
        async for chunk in chunks:
            digest.update(chunk)
            length += len(chunk)
            yield chunk
        if size == 0:
            return
        if size is not None and length != size:
            raise self._broken(f"the document has {length} bytes, and {size} by its DocumentReference")
        if expected is not None and digest.hexdigest() != expected:
            raise self._broken("the document does not have the hash of its DocumentReference")

    def _refusal(self, code: str, text: str, request: DocumentRequest) -> RegistryFailure:
        error = RegistryError(code, text, location=request.document_unique_id)
        return RegistryFailure(self._server.peer.name, TRANSACTION, (error,))

    def _broken(self, detail: str) -> PeerProtocolError:
        return PeerProtocolError(self._server.peer.name, TRANSACTION, detail)


def _is_resource(answer: aiohttp.ClientResponse, mime_type: str) -> bool:
    """True where the answer may be a Binary resource, which a FHIR document is told from by its content."""
    if answer.content_type not in _FHIR_TYPES:
        return False
    return mime_type not in _FHIR_TYPES or "/Binary/" in str(answer.url)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
