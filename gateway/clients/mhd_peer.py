"""An MHD server in the place of a registry and a repository (IHE MHD 4.2.4 ITI-66, ITI-67, ITI-68,
ITI-65): the own
domain, or another community."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from gateway.clients.fhir_server import FhirClient, FhirServer
from gateway.clients.image_leg import ImageLeg
from gateway.clients.mhd_documents import MhdDocuments
from gateway.clients.mhd_publish import MhdPublisher
from gateway.clients.mhd_queries import MhdQueries
from gateway.clients.mhd_resources import MhdResources, MhdRules
from gateway.clients.repository import Outcome, OutgoingDocument, RetrievedDocument
from gateway.fhir.peer_resources import PeerReader, with_any_system
from gateway.fhir.terminology import Terminology
from gateway.model import DocumentRequest, QueryResult, RegistryResponse, Submission
from gateway.model.errors import PeerUnsupported
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.oids import oid_of_url
from gateway.model.query import StoredQuery
from gateway.security.access import check_query, only_visible


class MhdPeer:
    """One server."""

    def __init__(
        self,
        client: FhirClient,
        server: FhirServer,
        terminology: Terminology,
        *,
        repository_unique_id: str | None = None,
        rules: MhdRules | None = None,
        images: ImageLeg | None = None,
    ) -> None:
        """`rules.homes` are its homeCommunityIds; `images` gives its images, None where it has none."""
        known = rules or MhdRules()
        self.unique_id = repository_unique_id or oid_of_url(server.peer.url)
        self._server = server
        self._images = images
        self._home = next(iter(known.homes), None)
        self._homes = frozenset(known.homes)
        reader = PeerReader(terminology, server.peer.url, self.unique_id)
        resources = MhdResources(client, server, reader, known)
        tables = with_any_system(terminology)
        self._queries = MhdQueries(resources, tables, self._home)
        self._publisher = MhdPublisher(client, server, self._queries, resources, tables)
        self._documents = MhdDocuments(client, server, self._queries, self.unique_id, self._home)

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._server.peer.name

    @property
    def home_community_id(self) -> str:
        """The first of its homeCommunityIds; empty where it has none."""
        return self._home or ""

    async def query(self, query: StoredQuery) -> QueryResult:
        """One stored query. Raises PeerError, PeerUnsupported where FHIR has no such query, RegistryFailure,
        and OtherPatient."""
        self._check_home(query.home)
        check_query(query)
        return await only_visible(await self._queries.run(query))

    def retrieve(self, request: DocumentRequest) -> AbstractAsyncContextManager[RetrievedDocument]:
        """One document as a stream, as `MhdDocuments.retrieve`."""
        self._check_home(request.home_community_id)
        return self._documents.retrieve(request)

    def retrieve_many(
        self, requests: Iterable[DocumentRequest], *, max_bytes: int
    ) -> AsyncGenerator[tuple[DocumentRequest, Outcome], None]:
        """Small documents, each whole, as `MhdDocuments.retrieve_many`."""
        return self._documents.retrieve_many(requests, max_bytes=max_bytes)

    def images(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[ImagePart | ImageError]]:
        """Images by WADO-RS, as `ImageLeg.retrieve`. Raises PeerUnsupported where the settings have none."""
        if self._images is None:
            raise PeerUnsupported(self.name, "RAD-107", "its settings have no dicomweb_url")
        return self._images.retrieve(wanted, transfer_syntaxes)

    @property
    def archive(self) -> ImageLeg | None:
        """What has its images; None where the settings have none."""
        return self._images

    async def provide_and_register(
        self, submission: Submission, documents: Sequence[OutgoingDocument]
    ) -> RegistryResponse:
        """Publish documents by ITI-65, as `MhdPublisher.provide_and_register`."""
        return await self._publisher.provide_and_register(submission, documents)

    def _check_home(self, home: str | None) -> None:
        """A request for another community is a mistake of the caller."""
        if home is not None and home not in self._homes:
            raise ValueError("the request is for another community")
