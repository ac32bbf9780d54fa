"""Document Registry as a peer: Registry Stored Query (ITI-18), changes of its metadata (ITI-57, 61, 62).

`StoredQueries` also asks Responding Gateways of other communities (ITI-38), whose messages are the same.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from msgspec import structs

from gateway.clients.changes import change
from gateway.clients.large_results import LargeResults
from gateway.clients.query_quirks import adapted, addressed, as_meant, lacks_query
from gateway.clients.quirks import RegistryQuirks
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.metadata_update import MetadataUpdate, submission_of
from gateway.ebxml.query_response import QueryResponseReader
from gateway.ebxml.removal import write_remove_objects
from gateway.ebxml.stored_queries import ReturnType, write_query
from gateway.ebxml.submissions import write_submit_objects
from gateway.model import (
    QueryResult,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    ResponseStatus,
    Severity,
    Submission,
)
from gateway.model.errors import PeerProtocolError
from gateway.model.query import FindDocumentsByReferenceId, StoredQuery
from gateway.security.access import about, check_query, only_visible
from gateway.soap.client import Peer, SoapClient

_ENTRIES_PER_STEP = 10
"""Objects read before other requests get their turn: about 1 ms of work."""
_EMPTY_PAUSE = 0.5
_NO_REFERENCE_IDS: Final = RegistryError(
    "XDSRegistryError",
    "the registry cannot find documents by related things, and none of the patient's documents names any",
    Severity.WARNING,
)

log = structlog.get_logger()


class StoredQueries:
    """Stored queries to one peer. They change nothing, so they are repeated when the connection fails.

    `accept` sees each answer before it is used, and gives it back, changed or not, or raises PeerError.
    """

    def __init__(
        self,
        soap: SoapClient,
        peer: Peer,
        quirks: RegistryQuirks | None = None,
        *,
        transaction: str = "ITI-18",
        accept: Callable[[QueryResult], QueryResult] | None = None,
    ) -> None:
        self._soap = soap
        self._quirks = quirks or RegistryQuirks()
        self._transaction = transaction
        self._accept = accept
        self._large = LargeResults(self._ask, self._quirks, peer, transaction)
        self.peer = peer

    async def query(self, query: StoredQuery) -> QueryResult:
        """Run one stored query, with as many requests as the registry needs for it.

        Objects come in the order of the registry, those of several requests once. A partial success is the
        objects and the errors. What the request may not see is not asked for and not given. Raises PeerError,
        RegistryFailure where the registry answers Failure, and OtherPatient.
        """
        check_query(query)
        with about(getattr(query, "patient_id", None)):
            found = await self._meant(query, self._quirks)
        return await only_visible(found)

    async def _meant(self, query: StoredQuery, quirks: RegistryQuirks) -> QueryResult:
        asked = adapted(query, quirks, self.peer.name)
        try:
            found = await self._large.run(asked)
        except RegistryFailure as failure:
            if not (isinstance(asked, FindDocumentsByReferenceId) and lacks_query(failure)):
                raise
            log.warning("registry.no_reference_id_query", peer=self.peer.name)
            return await self._by_all_documents(query, quirks)
        return as_meant(found, query, quirks)

    async def _by_all_documents(self, query: StoredQuery, quirks: RegistryQuirks) -> QueryResult:
        """The same of a registry that said not to know FindDocumentsByReferenceId."""
        filtering = quirks.model_copy(update={"reference_ids": "filter"})
        found = await self._large.run(adapted(query, filtering, self.peer.name))
        result = as_meant(found, query, filtering)
        if not found.entries or any(entry.reference_ids for entry in found.entries):
            return result
        return structs.replace(result, errors=(*result.errors, _NO_REFERENCE_IDS))

    async def _ask(self, query: StoredQuery, return_type: ReturnType) -> QueryResult:
        for _ in range(self._quirks.empty_retries):
            result = await self._ask_once(query, return_type)
            if result.errors or not result.empty:
                return result
            await asyncio.sleep(_EMPTY_PAUSE)
        return await self._ask_once(query, return_type)

    async def _ask_once(self, query: StoredQuery, return_type: ReturnType) -> QueryResult:
        request = write_query(addressed(query, self._quirks), return_type, self._quirks.style)
        answer = await self._soap.call(self.peer, self._transaction, request, retry=True)
        try:
            reader = QueryResponseReader(answer, consume=True)
            while not reader.read_some(_ENTRIES_PER_STEP):  # noqa: ASYNC110 - gives way, waits for nothing
                await asyncio.sleep(0)
            result = reader.result()
        except MetadataError as error:
            raise PeerProtocolError(self.peer.name, self._transaction, error.context) from None
        if self._accept is not None:
            result = self._accept(result)
        if result.status is ResponseStatus.FAILURE:
            raise RegistryFailure(self.peer.name, self._transaction, result.errors)
        return result


class DocumentRegistry(StoredQueries):
    """One registry. Its changes are never repeated here."""

    async def update(self, wanted: MetadataUpdate) -> RegistryResponse:
        """Update Document Set (ITI-57); see `change`."""
        return await change(self._soap, self.peer, "ITI-57", write_submit_objects(submission_of(wanted)))

    async def register_on_demand(self, submission: Submission) -> RegistryResponse:
        """Register On-Demand Document Entry (ITI-61); see `change`."""
        return await change(self._soap, self.peer, "ITI-61", write_submit_objects(submission))

    async def delete(self, entry_uuids: Iterable[str]) -> RegistryResponse:
        """Delete Document Set (ITI-62) of the objects with these ids; see `change`."""
        return await change(self._soap, self.peer, "ITI-62", write_remove_objects(entry_uuids))
