"""Responding Gateway of another community as a peer: Cross Gateway Query (ITI-38), Cross Gateway Retrieve
(ITI-39) and Cross Gateway Retrieve Imaging Document Set (RAD-75).

Every request names the community, and every answer has to (`home_rules`).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec import structs

from gateway.clients.home_rules import HomeRules
from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.quirks import CommunityQuirks
from gateway.clients.registry import StoredQueries
from gateway.clients.repository import DocumentSets, Outcome, RetrievedDocument
from gateway.model import (
    DocumentRequest,
    QueryResult,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
    Severity,
)
from gateway.model.errors import PeerUnsupported
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.query import StoredQuery
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import Contract

_UNKNOWN_PATIENT: Final = "XDSUnknownPatientId"


@dataclass(frozen=True, slots=True)
class CommunityPeers:
    """Where a community answers: None where it has no such gateway."""

    query: Peer
    retrieve: Peer
    images: Peer | None = None


class RespondingGateway:
    """The gateways of one community. `home_community_id` is `urn:oid:...`."""

    def __init__(
        self,
        soap: SoapClient,
        contract: Contract,
        peers: CommunityPeers,
        home_community_id: str,
        *,
        further_homes: Iterable[str] = (),
        quirks: CommunityQuirks | None = None,
    ) -> None:
        known = quirks or CommunityQuirks()
        rules = HomeRules(
            peers.query.name, home_community_id, frozenset(further_homes), known.missing_home == "assume"
        )
        self.home_community_id = home_community_id
        self._queries = StoredQueries(
            soap,
            peers.query,
            known.query,
            transaction="ITI-38",
            accept=partial(rules.of_query, "ITI-38"),
        )
        self._documents = DocumentSets(
            soap,
            contract,
            peers.retrieve,
            known.retrieve,
            transaction="ITI-39",
            accept=partial(rules.of_retrieve, "ITI-39"),
        )
        self._images: ImagingDocumentSource | None = None
        if peers.images is not None:
            self._images = ImagingDocumentSource(
                soap,
                peers.images,
                quirks=known.images,
                transaction="RAD-75",
                accept=partial(rules.of_retrieve, "RAD-75"),
            )
        self._homes = {home_community_id, *further_homes}

    @property
    def name(self) -> str:
        """The name of the community in the settings."""
        return self._queries.peer.name

    async def query(self, query: StoredQuery) -> QueryResult:
        """One stored query to this community alone, as `StoredQueries.query`.

        That it does not know the patient is an empty answer and no error (ITI TF-2 3.18.4.1.3, Initiating
        Gateway). Raises PeerError, and RegistryFailure where it answers Failure for another reason.
        """
        addressed = structs.replace(query, home=self._home(query.home), target_communities=())
        try:
            found = await self._queries.query(addressed)
        except RegistryFailure as failure:
            if all(error.code == _UNKNOWN_PATIENT for error in _errors(failure.errors)) and failure.errors:
                return QueryResult(status=ResponseStatus.SUCCESS)
            raise
        left = tuple(error for error in found.errors if error.code != _UNKNOWN_PATIENT)
        status = found.status
        if status is ResponseStatus.PARTIAL and not _errors(left):
            status = ResponseStatus.SUCCESS
        return structs.replace(found, errors=left, status=status)

    def retrieve(self, request: DocumentRequest) -> AbstractAsyncContextManager[RetrievedDocument]:
        """One document as a stream, as `DocumentSets.retrieve`."""
        return self._documents.retrieve(self._addressed(request))

    def retrieve_many(
        self, requests: Iterable[DocumentRequest], *, max_bytes: int
    ) -> AsyncGenerator[tuple[DocumentRequest, Outcome], None]:
        """Small documents, each whole, as `DocumentSets.retrieve_many`; the requests with their community."""
        return self._documents.retrieve_many(map(self._addressed, requests), max_bytes=max_bytes)

    def images(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[ImagePart | ImageError]]:
        """Images of its sources, as `ImagingDocumentSource.retrieve`.

        Raises PeerUnsupported where the settings say that it has none.
        """
        if self._images is None:
            raise PeerUnsupported(self.name, "RAD-75", "its settings have no images_url")
        named = [
            structs.replace(series, home_community_id=self._home(series.home_community_id))
            for series in wanted
        ]
        return self._images.retrieve(named, transfer_syntaxes)

    def _addressed(self, request: DocumentRequest) -> DocumentRequest:
        return structs.replace(request, home_community_id=self._home(request.home_community_id))

    def _home(self, named: str | None) -> str:
        """The community that a request is for. A request for another one is a mistake of the caller."""
        if named is None:
            return self.home_community_id
        if named not in self._homes:
            raise ValueError("the request is for another community")
        return named


def _errors(errors: Iterable[RegistryError]) -> list[RegistryError]:
    return [error for error in errors if error.severity is Severity.ERROR]
