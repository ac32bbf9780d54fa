"""What answers for documents: the own domain of the gateway, or another community, whatever it speaks.

`DocumentSource` is what a consumer needs of either, `DocumentDomain` what a
source of documents needs besides.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from msgspec import structs

from gateway.clients.community import Queries
from gateway.clients.registry import StoredQueries
from gateway.clients.repository import DocumentRepository, OutgoingDocument, RetrievedDocument
from gateway.model import (
    DocumentRequest,
    QueryResult,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    Submission,
)
from gateway.model.oids import bare_oid
from gateway.model.query import StoredQuery

UNKNOWN_REPOSITORY: Final = "XDSUnknownRepositoryId"


class DocumentSource(Queries, Protocol):
    """Finds and retrieves documents."""

    @property
    def name(self) -> str:
        """What errors and logs call it."""

    def retrieve(self, request: DocumentRequest) -> AbstractAsyncContextManager[RetrievedDocument]:
        """One document as a stream. Raises PeerError, and RegistryFailure where it is not given."""


class DocumentRecipient(Protocol):
    """Takes documents. `unique_id` is the repositoryUniqueId that they are found under."""

    unique_id: str

    async def provide_and_register(
        self, submission: Submission, documents: Sequence[OutgoingDocument]
    ) -> RegistryResponse:
        """Store a submission, all of it or nothing; sent once. Raises as `DocumentRepository`."""


class DocumentDomain(DocumentSource, DocumentRecipient, Protocol):
    """The own domain, which also takes documents."""


class XdsDomain:
    """A registry and its repositories (ITI-18, ITI-43, ITI-41)."""

    name = "registry"

    def __init__(
        self,
        registry: StoredQueries,
        repositories: Mapping[str, DocumentRepository],
        publish_to: DocumentRepository,
    ) -> None:
        """`repositories` by their repositoryUniqueId."""
        self._registry = registry
        self._repositories = dict(repositories)
        self._publish_to = publish_to
        self.unique_id = publish_to.unique_id

    async def query(self, query: StoredQuery) -> QueryResult:
        """Asks the registry, which knows of no communities."""
        return await self._registry.query(structs.replace(query, home=None, target_communities=()))

    @asynccontextmanager
    async def retrieve(self, request: DocumentRequest) -> AsyncIterator[RetrievedDocument]:
        """Asks the repository that the request names."""
        repository = self._repositories.get(bare_oid(request.repository_unique_id))
        if repository is None:
            unknown = RegistryError(UNKNOWN_REPOSITORY, "there is no repository of this repositoryUniqueId")
            raise RegistryFailure(self.name, "ITI-43", (unknown,))
        async with repository.retrieve(structs.replace(request, home_community_id=None)) as document:
            yield document

    async def provide_and_register(
        self, submission: Submission, documents: Sequence[OutgoingDocument]
    ) -> RegistryResponse:
        """Submits to the repository of the settings."""
        return await self._publish_to.provide_and_register(submission, documents)
