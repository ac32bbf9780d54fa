"""Documents of a retrieve, fetched into files until the last of them has come (ITI-43, ITI-39).

The answer begins with what became of each document, so it cannot begin before; the room for the files is
bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog

from gateway.clients.document_domain import UNKNOWN_REPOSITORY, DocumentSource
from gateway.model import DocumentHeader, DocumentRequest, RegistryFailure
from gateway.model.errors import PeerBusy, PeerError
from gateway.model.oids import bare_oid
from gateway.model.query import GetDocuments
from gateway.security.access import is_limited
from gateway.soap.spool import RequestSpool, SpooledPart, SpoolFull

NOT_FOUND: Final = "XDSDocumentUniqueIdError"
FAILED: Final = "XDSRepositoryError"
BUSY: Final = "XDSRepositoryBusy"
_NOT_FOUND: Final = frozenset({NOT_FOUND, "XDSMissingDocument"})
_ROUTING: Final = {
    UNKNOWN_REPOSITORY: "there is no such repository",
    "XDSUnknownCommunity": "the community is not known there",
    "XDSUnavailableCommunity": "the community does not answer",
}
_AT_ONCE: Final = 4
_IN_MEMORY: Final = 64 * 1024

T = TypeVar("T")

log = structlog.get_logger()


class NotFetched(Exception):
    """A document is not given: the code, and a text without anything of the peer's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


async def fetch(
    source: DocumentSource, wanted: DocumentRequest, spool: RequestSpool
) -> tuple[DocumentHeader, SpooledPart]:
    """One document, whole, in `spool`. Raises NotFetched."""
    try:
        await _check(source, wanted)
        async with source.retrieve(wanted) as document:
            part = await spool.keep("", document.header.mime_type, document.chunks, _IN_MEMORY)
            return document.header, part
    except RegistryFailure as failure:
        codes = {error.code.rpartition(":")[2] for error in failure.errors}
        for code, text in _ROUTING.items():
            if code in codes:
                raise NotFetched(code, text) from None
        if codes & _NOT_FOUND:
            raise NotFetched(NOT_FOUND, "the repository has no such document") from None
        raise NotFetched(FAILED, "the repository refuses the document") from None
    except SpoolFull:
        log.warning("documents.out_of_room")
        text = "too many documents at once; ask for fewer per request"
        raise NotFetched("XDSRepositoryOutOfResources", text) from None
    except PeerError as error:
        log.warning("documents.not_retrieved", error=type(error).__name__)
        if isinstance(error, PeerBusy):
            raise NotFetched(BUSY, "the repository is busy") from None
        raise NotFetched(FAILED, "the repository gives no usable answer") from None


async def _check(source: DocumentSource, wanted: DocumentRequest) -> None:
    """Raise NotFetched for a document that who asks may not have: the registry says whose and what it is."""
    if not is_limited():
        return
    found = await source.query(GetDocuments(unique_ids=(wanted.document_unique_id,)))
    places = {bare_oid(entry.repository_unique_id or "") for entry in found.entries}
    if bare_oid(wanted.repository_unique_id) not in places:
        raise NotFetched(NOT_FOUND, "there is no such document for who asks")


async def of_each(
    asked: Sequence[DocumentRequest], fetch_one: Callable[[DocumentRequest], Awaitable[T]]
) -> list[T]:
    """What `fetch_one` gives for each document, a few at a time, in the order of `asked`."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(wanted: DocumentRequest) -> T:
        async with places:
            return await fetch_one(wanted)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(wanted)) for wanted in asked]
    return [task.result() for task in tasks]
