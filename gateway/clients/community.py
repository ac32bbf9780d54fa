"""What another community can be asked for, whatever it speaks: XCA and XCA-I (`RespondingGateway`) or not.

Queries, documents and images of one community have the same form as those of the own registry, repositories
and imaging sources, so that what is behind makes no difference to who asks.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.clients.repository import Outcome, RetrievedDocument
from gateway.model import DocumentRequest, QueryResult
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.query import StoredQuery


class Queries(Protocol):
    """Something that answers stored queries: a registry, a community, or several of them as one."""

    async def query(self, query: StoredQuery) -> QueryResult:
        """Objects in the order of the answer. A partial success is the objects and the errors.

        Raises PeerError, and RegistryFailure where nothing but errors is answered.
        """


class Documents(Protocol):
    """Something that gives documents: a repository or a community."""

    @property
    def name(self) -> str:
        """Its name in the settings, for errors and logs."""

    def retrieve(self, request: DocumentRequest) -> AbstractAsyncContextManager[RetrievedDocument]:
        """One document as a stream; leaving the context early ends the answer.

        Raises PeerError, and RegistryFailure where there is no such document.
        """

    def retrieve_many(
        self, requests: Iterable[DocumentRequest], *, max_bytes: int
    ) -> AsyncGenerator[tuple[DocumentRequest, Outcome], None]:
        """Small documents, each whole: every request once, in order, with its own outcome."""


class Community(Queries, Documents, Protocol):
    """Another community.

    Every object and document that it gives carries one of its homeCommunityIds (`urn:oid:...`); an answer
    with another one is a PeerProtocolError. Of patients it knows its own identifiers, and those of the
    `assigning_authorities` of its settings: who asks has to use them. That it does not know a patient is an
    empty answer and no error. Requests may name the community or none.
    """

    @property
    def home_community_id(self) -> str:
        """The first of its homeCommunityIds."""

    def images(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[ImagePart | ImageError]]:
        """Images, as `ImageLeg.retrieve`. Raises PeerUnsupported where it gives none."""


class DocumentPlaces:
    """Where documents are: in the repositories of the own community, or in another community."""

    def __init__(
        self,
        repositories: Mapping[str, Documents],
        community: Callable[[str], Documents | None] = lambda home: None,
        is_own: Callable[[str | None], bool] = lambda home: True,
    ) -> None:
        """`repositories` by repositoryUniqueId; `community` gives that with a homeCommunityId."""
        self._repositories = dict(repositories)
        self._community = community
        self._is_own = is_own

    def of(self, home_community_id: str | None, repository_unique_id: str | None) -> Documents | None:
        """Who gives the documents of a repository; None where nothing leads there."""
        if not self._is_own(home_community_id):
            return None if home_community_id is None else self._community(home_community_id)
        return self._repositories.get(repository_unique_id or "")

    def repository_of(self, home_community_id: str | None, named: str | None) -> str | None:
        """The repositoryUniqueId of a document whose registry may not have `named` it.

        Some leave it out; where the own community has but one repository there is no doubt.
        """
        if named is None and self._is_own(home_community_id) and len(self._repositories) == 1:
            return next(iter(self._repositories))
        return named
