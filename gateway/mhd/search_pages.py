"""Searches and their pages for any resource type (ITI-66, ITI-67) over Registry Stored Queries (ITI-18).

The matches of a search that does not fit one page are kept as a snapshot, so that the following pages are
consistent; where the snapshot is gone the search is run again and continued after the last match that the
client has seen (IHE MHD 4.2.4 2:3.66 and 2:3.67; ITI TF-2 3.18).
"""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

import orjson

from gateway.clients.community import Queries
from gateway.crossborder.named_patients import AS_NAMED, NamedPatients
from gateway.fhir.document_reference import WriteContext, resource_id
from gateway.fhir.issues import Issue, fail
from gateway.fhir.matching import Registered
from gateway.fhir.outcome import issues_of_warnings, means_no_match, means_several_patients
from gateway.fhir.search_dates import dtm_interval
from gateway.fhir.search_request import Search, SearchContext
from gateway.fhir.searchset import write_searchset
from gateway.imaging.known_patients import KnownPatients
from gateway.imaging.offered_manifests import OfferedManifests
from gateway.imaging.patient_imaging import Note
from gateway.mhd.current_version import with_current_versions
from gateway.mhd.includes import Includer
from gateway.mhd.page_writers import Writer, missing
from gateway.mhd.registered import registered_uuids
from gateway.model import Association, DocumentEntry, QueryResult, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.query import GetAssociations, GetDocuments, StoredQuery
from gateway.security.access import shows_only_visible
from gateway.security.document_urls import NotOurs, PageKey, PageTokens

T = TypeVar("T", bound=Registered)

_WRITTEN_AT_ONCE = 20
_MATCHED_AT_ONCE = 100
"""Objects handled before other requests get their turn: about 1 ms of work."""


@dataclass(frozen=True, slots=True)
class FindLimits:
    """`max_results` matches are kept at most; a snapshot lives `snapshot_lifetime` seconds."""

    max_results: int
    snapshot_lifetime: float


@dataclass(frozen=True, slots=True)
class SearchServices:
    """What searches of every type use."""

    registry: Queries
    search_context: SearchContext
    write_context: WriteContext
    limits: FindLimits
    includer: Includer
    manifests: OfferedManifests
    known_patients: KnownPatients
    note: Note
    named_patients: NamedPatients = AS_NAMED


@dataclass(frozen=True, slots=True)
class Matches(Generic[T]):
    """Objects, and what the registry warned of with them."""

    items: Sequence[T]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class _Page(Generic[T]):
    """A part of `total` matches, from `offset`; `snapshot` is where the rest is kept.

    `shape` are the parameters of the request that the link to the next page repeats.
    """

    items: Sequence[T]
    total: int
    offset: int
    snapshot: str | None
    shape: tuple[tuple[str, str], ...]


class Snapshots(Protocol[T]):
    """What `SnapshotStore` does."""

    async def put(
        self, search_digest: str, entries: Sequence[T], page_size: int, lifetime: float
    ) -> str | None: ...
    async def page(self, snapshot: str, offset: int, count: int) -> tuple[T, ...] | None: ...
    def total(self, snapshot: str) -> int | None: ...


class SearchPages(ABC, Generic[T]):
    """The searches of one resource type."""

    narrow_by: ClassVar[str]
    """Parameters that a client with too many matches may add."""
    from_associations: ClassVar[str]
    """FHIRPath of what the associations of a page are asked for."""

    def __init__(self, services: SearchServices, *, snapshots: Snapshots[T], pages: PageTokens) -> None:
        self._registry = services.registry
        self._snapshots = snapshots
        self._pages = pages
        self._search_context = services.search_context
        self._write_context = services.write_context
        self._limits = services.limits
        self._includer = services.includer
        self._manifests = services.manifests
        self._known_patients = services.known_patients
        self._named_patients = services.named_patients
        self._note = services.note

    @abstractmethod
    def _parse(
        self, parameters: Sequence[tuple[str, str]], context: SearchContext, *, strict: bool = False
    ) -> Search[T]:
        """Understand a search. Raises OutcomeError."""

    @abstractmethod
    def _found(self, result: QueryResult) -> Iterable[T]:
        """The objects of the type that is searched."""

    @abstractmethod
    async def _writer(self, items: Sequence[T], associations: Sequence[Association]) -> Writer[T]:
        """What writes `items`; `associations` are those that touch one of them."""

    async def _completed(self, parameters: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """The parameters with what is known without the client's saying it. Raises OutcomeError."""
        return parameters

    async def _submission_times(self, items: Sequence[T]) -> Mapping[str, str]:
        """DTM of the submission of objects by entryUUID, for those that do not say it themselves."""
        return {}

    async def search(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> bytes:
        """Run a search and return its first page as a searchset Bundle.

        `parameters` are decoded names and values of URL and form. Raises OutcomeError for parameters that
        cannot be met, RegistryFailure and PeerError for what the registry says.
        """
        named, context = await self._named_patients.known(parameters, self._search_context)
        search = self._parse(await self._completed(named), context, strict=strict)
        matches = await self._run(search)
        items, count = matches.items, search.count
        snapshot = None
        if 0 < count < len(items):
            snapshot = await self._snapshots.put(
                _digest(search), items, count, self._limits.snapshot_lifetime
            )
        page = _Page(items[:count], len(items), 0, snapshot, _shape(parameters))
        return await self._write_page(search, page, (*search.warnings, *matches.issues))

    async def page(self, token: str, parameters: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the page that a `next` link names. Raises OutcomeError 404 for a link that is not ours.

        `parameters` are those of the link; the following link has the same shape.
        """
        try:
            key = self._pages.read(token)
        except NotOurs:
            raise fail(
                404, "not-found", "The page link is not one of this server. Start the search again."
            ) from None
        search = self._parse(key.parameters, self._search_context)
        # what is kept of a search was found for whoever made it, which may be another client
        if key.snapshot and shows_only_visible(search.queries()):
            held = await self._snapshots.page(key.snapshot, key.offset, key.count)
            if held is not None:
                total = self._snapshots.total(key.snapshot) or 0
                page = _Page(held, total, key.offset, key.snapshot, _shape(parameters))
                return await self._write_page(search, page, search.warnings)
        return await self._page_without_snapshot(search, key, _shape(parameters))

    async def _run(self, search: Search[T]) -> Matches[T]:
        candidates = await self._candidates(search)
        matching = await _matching(search, candidates.items)
        if search.needs_submission_times:
            times = await self._submission_times(matching)
            held = ((uuid, dtm_interval(time)) for uuid, time in times.items())
            search = search.knowing({uuid: interval for uuid, interval in held if interval is not None})
            matching = await _matching(search, matching)
        if len(matching) > self._limits.max_results:
            raise fail(
                400,
                "too-costly",
                f"The search has {len(matching)} matches; at most {self._limits.max_results} are kept. "
                f"Narrow it, for example by {self.narrow_by}.",
            )
        matching.sort(key=search.sort_key)
        return Matches(matching, candidates.issues)

    async def _candidates(self, search: Search[T]) -> "Matches[T]":
        """What the registry says to the queries of a search: at least what matches it."""
        return self._each_once(await self._answers(search))

    def _each_once(self, answers: Iterable[QueryResult]) -> "Matches[T]":
        unique: dict[str, T] = {}
        issues: list[Issue] = []
        for result in answers:
            issues.extend(issues_of_warnings(result.errors))
            for item in self._found(result):
                unique.setdefault(item.entry_uuid, item)
        return Matches(tuple(unique.values()), tuple(issues))

    async def _answers(self, search: Search[Any]) -> list[QueryResult]:
        """What the registry says to the queries of a search."""
        try:
            answers = [await self._ask(query) for query in search.queries()]
        except RegistryFailure as failure:
            if not (search.queries_of_patient and means_several_patients(failure)):
                raise
            answers = [await self._ask(query) for query in search.queries_of_patient]
        return [answer for answer in answers if answer is not None]

    async def _ask(self, query: StoredQuery) -> QueryResult | None:
        """The answer, of documents the current versions; None where an error says that nothing matches."""
        try:
            result = await self._registry.query(query)
        except RegistryFailure as failure:
            if means_no_match(failure):
                return None
            raise
        if isinstance(query, GetDocuments) and query.entry_uuids:
            return await with_current_versions(self._registry, query, result)
        return result

    async def _page_without_snapshot(
        self, search: Search[T], key: PageKey, shape: tuple[tuple[str, str], ...]
    ) -> bytes:
        """The search once more, continued after the match that ended the client's last page."""
        matches = await self._run(search)
        items = matches.items
        position = next((i + 1 for i, item in enumerate(items) if item.entry_uuid == key.anchor), key.offset)
        page = _Page(items[position : position + key.count], len(items), position, None, shape)
        return await self._write_page(search, page, (*search.warnings, *matches.issues))

    async def _write_page(self, search: Search[T], page: _Page[T], issues: Iterable[Issue]) -> bytes:
        associations, association_issues = await self._associations(page.items)
        writer = await self._writer(page.items, associations)
        losses: list[Issue] = []
        context = replace(self._write_context, warn=losses.append)
        resources: list[tuple[str, bytes]] = []
        base = f"{self._write_context.base_url}/"
        for number, item in enumerate(page.items, 1):
            url = f"{base}{self._type_of(item)}/{resource_id(item)}"
            resources.append((url, search.view.apply(writer.write(item, context))))
            if number % _WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        included, include_issues = await self._includer.along_with(
            page.items, associations, search.includes, context
        )
        return write_searchset(
            entries=resources,
            included=[(url, search.view.apply(resource)) for url, resource in included],
            total=page.total,
            links=self._links(search, page),
            issues=(*issues, *association_issues, *writer.issues, *include_issues, *losses),
        )

    @staticmethod
    def _type_of(item: T) -> str:
        """The resource type of an object."""
        return "DocumentReference" if isinstance(item, DocumentEntry) else "List"

    async def _associations(self, items: Sequence[T]) -> tuple[Sequence[Association], tuple[Issue, ...]]:
        """The associations of a page, with one query; where that fails the page is written without."""
        if not items:
            return (), ()
        try:
            found = await self._registry.query(GetAssociations(uuids=registered_uuids(items)))
        except (PeerError, RegistryFailure) as error:
            return (), (missing(error, self.from_associations),)
        return found.associations, issues_of_warnings(found.errors)

    def _links(self, search: Search[T], page: _Page[T]) -> dict[str, str]:
        links = {"self": search.self_link}
        end = page.offset + len(page.items)
        if page.items and end < page.total:
            key = PageKey(
                parameters=search.parameters,
                snapshot=page.snapshot,
                offset=end,
                count=search.count,
                anchor=page.items[-1].entry_uuid,
            )
            query = urlencode([("_page", self._pages.write(key)), *page.shape], quote_via=quote)
            links["next"] = f"{search.url}?{query}"
        return links


async def _matching(search: Search[T], items: Sequence[T]) -> list[T]:
    matching: list[T] = []
    for number, item in enumerate(items, 1):
        if search.matches(item):
            matching.append(item)
        if number % _MATCHED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return matching


def _shape(parameters: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in parameters if name in ("_format", "_pretty"))


def _digest(search: Search[T]) -> str:
    return hashlib.sha256(orjson.dumps([search.resource, search.self_parameters])).hexdigest()
