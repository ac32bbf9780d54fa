"""The transactions as SOAP handlers: ITI-18, ITI-42, ITI-57, ITI-61 and ITI-62 of the registry, ITI-41,
ITI-43 and ITI-86 of the repository (ITI TF-2 3.18, 3.41 to 3.43, 3.57, 3.61, 3.62, 3.86).

Parsing, validation, database and the building of answers run on threads; the event loop only moves bytes.
"""

import asyncio
import functools
import sqlite3
import threading
from collections.abc import Callable, Mapping

import structlog
from lxml.etree import _Element

from gateway.affinity.domain import Domain
from gateway.affinity.errors import Refusal, Refused, refused
from gateway.affinity.file_chunks import FileReader
from gateway.affinity.registry import failed_query
from gateway.affinity.repository import Content, OnDemandDocument, StoredDocument
from gateway.ebxml.errors import MetadataError, StoredQueryError
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.removal import read_remove_documents, read_remove_objects
from gateway.ebxml.responses import write_registry_response
from gateway.ebxml.retrieve import (
    RetrieveAnswer,
    RetrievedDocument,
    XopHref,
    read_retrieve_request,
    write_retrieve_response,
)
from gateway.ebxml.stored_queries import read_query
from gateway.ebxml.submissions import read_provide_and_register, read_submit_objects
from gateway.model import RegistryError, RegistryResponse, ResponseStatus
from gateway.soap.contract import Contract
from gateway.soap.mtom import cid_of_href, href_of_cid
from gateway.soap.outgoing import Attachment
from gateway.soap.schemas import SchemaInvalid
from gateway.soap.server import Handler, SoapReply, SoapRequest, SpooledPart

log = structlog.get_logger()


class Transactions:
    """Handlers over one domain."""

    def __init__(self, domain: Domain, contract: Contract, files: FileReader) -> None:
        self._domain = domain
        self._contract = contract
        # the compiled schema keeps the findings of its last validation
        self._validating = threading.Lock()
        self._files = files

    @property
    def of_registry(self) -> Mapping[str, Handler]:
        """Handlers by transaction id."""
        return {
            "ITI-18": self.query,
            "ITI-42": self.register,
            "ITI-57": self.update,
            "ITI-61": self.register_on_demand,
            "ITI-62": self.delete,
        }

    @property
    def of_repository(self) -> Mapping[str, Handler]:
        """Handlers by transaction id."""
        return {"ITI-41": self.provide, "ITI-43": self.retrieve, "ITI-86": self.remove}

    async def query(self, request: SoapRequest) -> SoapReply:
        """Registry Stored Query."""
        answer = functools.partial(self._answer_query, request.body)
        return SoapReply(await asyncio.wrap_future(self._domain.database.read(answer)))

    async def register(self, request: SoapRequest) -> SoapReply:
        """Register Document Set-b."""

        def work() -> None:
            self._validate(request.body, Refusal.REGISTRY_METADATA)
            submission = read_submit_objects(request.body)
            self._domain.registry.register(self._domain.registry.prepare(submission))

        return await self._submit(work, Refusal.REGISTRY)

    async def register_on_demand(self, request: SoapRequest) -> SoapReply:
        """Register On-Demand Document Entry."""

        def work() -> None:
            self._validate(request.body, Refusal.REGISTRY_METADATA)
            submission = read_submit_objects(request.body)
            registry = self._domain.registry
            registry.register(registry.prepare(submission, on_demand=True))

        return await self._submit(work, Refusal.REGISTRY)

    async def update(self, request: SoapRequest) -> SoapReply:
        """Update Document Set."""

        def work() -> None:
            self._validate(request.body, Refusal.REGISTRY_METADATA)
            self._domain.registry.update(read_submit_objects(request.body))

        return await self._submit(work, Refusal.REGISTRY)

    async def delete(self, request: SoapRequest) -> SoapReply:
        """Delete Document Set."""

        def work() -> None:
            self._validate(request.body, Refusal.INVALID_REQUEST)
            self._domain.registry.delete(read_remove_objects(request.body))

        return await self._submit(work, Refusal.REGISTRY)

    async def remove(self, request: SoapRequest) -> SoapReply:
        """Remove Documents."""

        def work() -> None:
            self._validate(request.body, Refusal.INVALID_REQUEST)
            self._domain.repository.remove(read_remove_documents(request.body))

        return await self._submit(work, Refusal.REMOVE_DOCUMENTS)

    async def provide(self, request: SoapRequest) -> SoapReply:
        """Provide and Register Document Set-b."""

        def work() -> None:
            self._validate(request.body, Refusal.REPOSITORY_METADATA)
            provided = read_provide_and_register(request.body)
            contents = {
                uuid: _content(content, request.attachments) for uuid, content in provided.documents.items()
            }
            self._domain.repository.provide(provided.submission, contents)

        return await self._submit(work, Refusal.REPOSITORY)

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """Retrieve Document Set; the documents flow from their files when the answer is sent."""
        find = functools.partial(self._find_documents, request.body)
        found, errors = await asyncio.wrap_future(self._domain.database.read(find))
        if any(isinstance(document, OnDemandDocument) for document in found):
            # outside of the query, since it may write
            assemble = functools.partial(self._assemble, found, errors)
            loop = asyncio.get_running_loop()
            documents, errors = await loop.run_in_executor(self._domain.submissions, assemble)
        else:
            documents = tuple(document for document in found if isinstance(document, StoredDocument))
        return SoapReply(
            _retrieve_answer(documents, errors),
            tuple(
                Attachment(
                    content_id=_content_id(position),
                    content_type=document.header.mime_type,
                    size=document.size,
                    source=document.content
                    if isinstance(document.content, bytes)
                    else functools.partial(self._files.chunks, document.content),
                )
                for position, document in enumerate(documents)
            ),
        )

    async def _submit(self, work: Callable[[], None], storage_failure: Refusal) -> SoapReply:
        def answer() -> _Element:
            try:
                work()
            except MetadataError as error:
                return _failure(RegistryError(error.code, error.context))
            except Refused as error:
                return _failure(*error.errors)
            except (OSError, sqlite3.Error) as error:
                log.error("affinity.storage_failed", error=type(error).__name__)
                return _failure(RegistryError(storage_failure, "the storage failed, nothing was stored"))
            return write_registry_response(RegistryResponse(ResponseStatus.SUCCESS))

        loop = asyncio.get_running_loop()
        return SoapReply(await loop.run_in_executor(self._domain.submissions, answer))

    def _answer_query(self, body: _Element, connection: sqlite3.Connection) -> _Element:
        try:
            self._validate(body, Refusal.REGISTRY)
            query, return_type = read_query(body)
            result = self._domain.registry.answer(connection, query, return_type)
        except StoredQueryError as error:
            result = failed_query(RegistryError(error.code, error.context))
        except Refused as error:
            result = failed_query(*error.errors)
        return write_query_response(result)

    def _find_documents(
        self, body: _Element, connection: sqlite3.Connection
    ) -> tuple[tuple[StoredDocument | OnDemandDocument, ...], tuple[RegistryError, ...]]:
        try:
            self._validate(body, Refusal.REPOSITORY)
            return self._domain.repository.find(connection, read_retrieve_request(body))
        except MetadataError as error:
            return (), (RegistryError(error.code, error.context),)
        except Refused as error:
            return (), error.errors

    def _assemble(
        self, found: tuple[StoredDocument | OnDemandDocument, ...], errors: tuple[RegistryError, ...]
    ) -> tuple[tuple[StoredDocument, ...], tuple[RegistryError, ...]]:
        """The documents with those made that are made on demand, and the errors with those of making them."""
        documents: list[StoredDocument] = []
        failed: list[RegistryError] = []
        for each in found:
            if isinstance(each, StoredDocument):
                documents.append(each)
                continue
            location = each.request.document_unique_id
            try:
                documents.append(self._domain.repository.assemble(each))
            except Refused as error:
                failed.extend(RegistryError(e.code, e.context, e.severity, location) for e in error.errors)
            except (OSError, sqlite3.Error) as error:
                log.error("affinity.storage_failed", error=type(error).__name__)
                context = "the storage failed, the document was not assembled"
                failed.append(RegistryError(Refusal.REPOSITORY, context, location=location))
        return tuple(documents), (*errors, *failed)

    def _validate(self, body: _Element, code: Refusal) -> None:
        try:
            with self._validating:
                self._contract.validate(body)
        except SchemaInvalid as error:
            raise Refused(*(RegistryError(code, line) for line in error.errors)) from None


def _retrieve_answer(documents: tuple[StoredDocument, ...], errors: tuple[RegistryError, ...]) -> _Element:
    if errors:
        status = ResponseStatus.PARTIAL if documents else ResponseStatus.FAILURE
    else:
        status = ResponseStatus.SUCCESS
    return write_retrieve_response(
        RetrieveAnswer(
            status,
            errors,
            tuple(
                RetrievedDocument(document.header, XopHref(href_of_cid(_content_id(position))))
                for position, document in enumerate(documents)
            ),
        )
    )


def _content(content: XopHref | bytes, attachments: Mapping[str, SpooledPart]) -> Content:
    if isinstance(content, bytes):
        return Content.of(content)
    part = attachments.get(cid_of_href(content))
    if part is None:
        raise refused(Refusal.MISSING_DOCUMENT, "a Document names a part that the message does not have")
    return Content(part.sha1, part.size, part.source)


def _content_id(position: int) -> str:
    return f"document{position}@affinity"


def _failure(*errors: RegistryError) -> _Element:
    return write_registry_response(RegistryResponse(ResponseStatus.FAILURE, errors))
