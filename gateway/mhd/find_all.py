"""Search over documents and Lists at once: `search-system`, which Document Responders of IHE MHD 4.2.4 have.

It costs what the two searches cost, which are made at once, and one GetAssociations for the page (ITI TF-2
3.18).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct

from gateway.clients.pieces import both
from gateway.correlation.snapshots import SnapshotStore
from gateway.correlation.store import CorrelationStore
from gateway.fhir.document_reference import WriteContext
from gateway.fhir.list_elements import RegistryList
from gateway.fhir.list_search import ListSearch
from gateway.fhir.search_all import Item, SearchOfAll, parse_search_of_all, read_types
from gateway.fhir.search_request import Search, SearchContext
from gateway.mhd.document_candidates import DocumentCandidates
from gateway.mhd.page_writers import MEMBERS, RELATIONS, Writer, document_writer, list_writer
from gateway.mhd.search_pages import Matches, SearchPages, SearchServices, Snapshots
from gateway.mhd.submissions import submission_times
from gateway.model import Association, DocumentEntry, QueryResult, SubmissionSet
from gateway.security.document_urls import PageTokens


class Held(Struct, frozen=True, gc=False):
    """An object in a snapshot: one of both."""

    document: DocumentEntry | None = None
    list: RegistryList | None = None


class MixedSnapshots:
    """Snapshots of documents and Lists together; the methods are those of `SnapshotStore`."""

    def __init__(self, store: CorrelationStore) -> None:
        self._held = SnapshotStore[Held](store, Held)

    async def put(
        self, search_digest: str, entries: Sequence[Item], page_size: int, lifetime: float
    ) -> str | None:
        """Store the objects and return the id of the snapshot; None where it could not be stored."""
        held = [Held(document=i) if isinstance(i, DocumentEntry) else Held(list=i) for i in entries]
        return await self._held.put(search_digest, held, page_size, lifetime)

    async def page(self, snapshot: str, offset: int, count: int) -> tuple[Item, ...] | None:
        """Up to `count` objects from `offset` on; None where the snapshot is gone."""
        page = await self._held.page(snapshot, offset, count)
        if page is None:
            return None
        return tuple(item for held in page for item in (held.document, held.list) if item is not None)

    def total(self, snapshot: str) -> int | None:
        """How many objects a snapshot has."""
        return self._held.total(snapshot)


class AllFinder(SearchPages[Item]):
    """The use case of a search at the base."""

    narrow_by = "_type or date"
    from_associations = f"{RELATIONS} | {MEMBERS}"

    def __init__(self, services: SearchServices, *, snapshots: Snapshots[Item], pages: PageTokens) -> None:
        super().__init__(services, snapshots=snapshots, pages=pages)
        self._documents = DocumentCandidates(self._answers, self._ask, services.manifests)

    def types(self, parameters: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """The types that are searched. Raises OutcomeError 400."""
        return read_types(parameters)

    def _parse(
        self, parameters: Sequence[tuple[str, str]], context: SearchContext, *, strict: bool = False
    ) -> Search[Item]:
        return parse_search_of_all(parameters, context, strict=strict)

    async def _completed(self, parameters: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        return await self._known_patients.completed(parameters)

    async def _candidates(self, search: Search[Item]) -> Matches[Item]:
        assert isinstance(search, SearchOfAll)
        documents, lists = await both(
            partial(self._documents.of, search.documents), partial(self._lists, search.lists)
        )
        return Matches((*documents.entries, *lists.items), (*documents.issues, *lists.issues))

    async def _lists(self, search: ListSearch) -> Matches[Item]:
        return self._each_once(await self._answers(search))

    def _found(self, result: QueryResult) -> Iterable[Item]:
        # a SubmissionSet may come with its documents, which are asked for by themselves
        yield from result.submission_sets
        yield from result.folders

    async def _submission_times(self, items: Sequence[Item]) -> Mapping[str, str]:
        documents = [item for item in items if isinstance(item, DocumentEntry)]
        times = await submission_times(self._registry, documents)
        for item in items:
            if not isinstance(item, DocumentEntry):
                time = item.submission_time if isinstance(item, SubmissionSet) else item.last_update_time
                times[item.entry_uuid] = time or ""
        return times

    async def _writer(self, items: Sequence[Item], associations: Sequence[Association]) -> Writer[Item]:
        documents = [item for item in items if isinstance(item, DocumentEntry)]
        lists = [item for item in items if not isinstance(item, DocumentEntry)]
        of_documents = document_writer(documents, associations)
        of_lists = await list_writer(self._registry, lists, associations)

        def write(item: Item, context: WriteContext) -> bytes:
            if isinstance(item, DocumentEntry):
                return of_documents.write(item, context)
            return of_lists.write(item, context)

        return Writer(write, of_lists.issues)
