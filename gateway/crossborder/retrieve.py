"""Cross Gateway Retrieve of the Responding Gateway (ITI-39; ITI TF-2 3.39.4.1.3): answered by the
repositories of the own community.

The answer begins with what became of each document, so the documents wait in files until the last of them
has come; the room for them is bounded.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from msgspec import structs

from gateway.clients.repository import DocumentSets
from gateway.crossborder.own_community import OwnCommunity
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.retrieve import (
    RetrieveAnswer,
    RetrievedDocument,
    XopHref,
    read_retrieve_request,
    write_retrieve_response,
)
from gateway.model import (
    DocumentHeader,
    DocumentRequest,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
)
from gateway.model.errors import PeerBusy, PeerError
from gateway.model.oids import bare_oid
from gateway.soap.mtom import href_of_cid
from gateway.soap.outgoing import Attachment
from gateway.soap.server import SoapReply, SoapRequest
from gateway.soap.spool import RequestSpool, SpooledPart, SpoolFull

UNKNOWN_REPOSITORY: Final = "XDSUnknownRepositoryId"
NOT_FOUND: Final = "XDSDocumentUniqueIdError"
_NOT_FOUND: Final = frozenset({NOT_FOUND, "XDSMissingDocument"})
_AT_ONCE: Final = 4
_IN_MEMORY: Final = 64 * 1024

Outcome = tuple[DocumentHeader, SpooledPart] | RegistryError

log = structlog.get_logger()


class CrossGatewayRetrieve:
    """The handler over the repositories, by their repositoryUniqueId."""

    def __init__(self, community: OwnCommunity, repositories: Mapping[str, DocumentSets]) -> None:
        self._community = community
        self._repositories = dict(repositories)

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """Each document with its homeCommunityId; PartialSuccess where some are not there."""
        with self._community.answering(request):
            try:
                asked = tuple(dict.fromkeys(read_retrieve_request(request.body)))
            except MetadataError as error:
                return _reply((self._community.error(error.code, error.context),))
            places = asyncio.Semaphore(_AT_ONCE)

            async def one(wanted: DocumentRequest) -> Outcome:
                async with places:
                    return await self._one(wanted, request.spool)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(wanted)) for wanted in asked]
        return _reply([task.result() for task in tasks])

    async def _one(self, wanted: DocumentRequest, spool: RequestSpool) -> Outcome:
        if refusal := self._community.refusal(wanted.home_community_id, "a DocumentRequest"):
            return refusal
        repository = self._repositories.get(bare_oid(wanted.repository_unique_id))
        if repository is None:
            return self._error(UNKNOWN_REPOSITORY, "the community has no such repository", wanted)
        try:
            async with repository.retrieve(structs.replace(wanted, home_community_id=None)) as document:
                header = structs.replace(document.header, home_community_id=self._community.home)
                part = await spool.keep("", header.mime_type, document.chunks, _IN_MEMORY)
                return header, part
        except RegistryFailure as failure:
            if any(error.code.rpartition(":")[2] in _NOT_FOUND for error in failure.errors):
                return self._error(NOT_FOUND, "the repository has no such document", wanted)
            return self._error("XDSRepositoryError", "the repository refuses the document", wanted)
        except SpoolFull:
            log.warning("responding_gateway.out_of_room")
            return self._error(
                "XDSRepositoryOutOfResources", "too many documents at once; ask for fewer per request", wanted
            )
        except PeerError as error:
            log.warning("responding_gateway.repository_failed", error=type(error).__name__)
            busy = isinstance(error, PeerBusy)
            return self._error(
                "XDSRepositoryBusy" if busy else "XDSRepositoryError",
                "the repository is busy" if busy else "the repository gives no usable answer",
                wanted,
            )

    def _error(self, code: str, text: str, wanted: DocumentRequest) -> RegistryError:
        # the location is the community's, so that the text has to say which document it is about
        return self._community.error(code, f"{wanted.document_unique_id}: {text}")


def _reply(outcomes: tuple[Outcome, ...] | list[Outcome]) -> SoapReply:
    errors = tuple(outcome for outcome in outcomes if isinstance(outcome, RegistryError))
    documents: list[RetrievedDocument] = []
    attachments: list[Attachment] = []
    for outcome in outcomes:
        if isinstance(outcome, RegistryError):
            continue
        header, part = outcome
        content_id = f"document{len(documents)}@gateway"
        documents.append(RetrievedDocument(header, XopHref(href_of_cid(content_id))))
        attachments.append(Attachment(content_id, header.mime_type, part.size, part.chunks))
    status = ResponseStatus.SUCCESS
    if errors:
        status = ResponseStatus.PARTIAL if documents else ResponseStatus.FAILURE
    answer = RetrieveAnswer(status, errors, tuple(documents))
    return SoapReply(write_retrieve_response(answer), tuple(attachments))
