"""Find Document References (ITI-67) and read by id, answered from Registry Stored Queries (ITI-18).

A page costs two SOAP calls whatever its size: the search, and one GetAssociations for the relations of its
entries. The matches of a search that does not fit one page are kept as a snapshot, so that the following
pages are consistent; where the snapshot is gone the search is run again and continued after the last entry
that the client has seen (IHE MHD 4.2.4 2:3.67; ITI TF-2 3.18).
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

import orjson

from gateway.clients.registry import DocumentRegistry
from gateway.correlation.snapshots import SnapshotStore
from gateway.fhir.document_reference import WriteContext, document_reference_json, entry_uuid_of
from gateway.fhir.document_search import DocumentSearch, SearchContext, parse_document_search
from gateway.fhir.issues import Issue, fail
from gateway.fhir.outcome import issues_of_warnings, means_no_match
from gateway.fhir.searchset import write_searchset
from gateway.model import Association, DocumentEntry, RegistryFailure
from gateway.model.codes import DOCUMENT_RELATIONS
from gateway.model.errors import PeerError
from gateway.model.query import GetAssociations, GetDocumentsAndAssociations
from gateway.security.document_urls import NotOurs, PageKey, PageTokens

_WRITTEN_AT_ONCE = 20
_MATCHED_AT_ONCE = 100
"""Entries handled before other requests get their turn: about 1 ms of work."""


@dataclass(frozen=True, slots=True)
class FindLimits:
    """`max_results` matches are kept at most; a snapshot lives `snapshot_lifetime` seconds."""

    max_results: int
    snapshot_lifetime: float


@dataclass(frozen=True, slots=True)
class _Matches:
    entries: Sequence[DocumentEntry]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """A part of `total` matches, from `offset`; `snapshot` is where the rest is kept.

    `shape` are the parameters of the request that the link to the next page repeats.
    """

    entries: Sequence[DocumentEntry]
    total: int
    offset: int
    snapshot: str | None
    shape: tuple[tuple[str, str], ...]


class Finder:
    """The use case of ITI-67."""

    def __init__(
        self,
        registry: DocumentRegistry,
        *,
        snapshots: SnapshotStore,
        pages: PageTokens,
        search_context: SearchContext,
        write_context: WriteContext,
        limits: FindLimits,
    ) -> None:
        self._registry = registry
        self._snapshots = snapshots
        self._pages = pages
        self._search_context = search_context
        self._write_context = write_context
        self._limits = limits

    async def search(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> bytes:
        """Run a search and return its first page as a searchset Bundle.

        `parameters` are decoded names and values of URL and form. Raises OutcomeError for parameters that
        cannot be met, RegistryFailure and PeerError for what the registry says.
        """
        search = parse_document_search(parameters, self._search_context, strict=strict)
        matches = await self._run(search)
        entries, count = matches.entries, search.count
        snapshot = None
        if 0 < count < len(entries):
            snapshot = await self._snapshots.put(
                _digest(search), entries, count, self._limits.snapshot_lifetime
            )
        page = _Page(entries[:count], len(entries), 0, snapshot, _shape(parameters))
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
        search = parse_document_search(key.parameters, self._search_context)
        if key.snapshot:
            held = await self._snapshots.page(key.snapshot, key.offset, key.count)
            if held is not None:
                total = self._snapshots.total(key.snapshot) or 0
                page = _Page(held, total, key.offset, key.snapshot, _shape(parameters))
                return await self._write_page(search, page, search.warnings)
        return await self._page_without_snapshot(search, key, _shape(parameters))

    async def read(self, logical_id: str) -> bytes:
        """Return one DocumentReference by its id, the UUID of its entryUUID. Raises OutcomeError 404."""
        unknown = fail(404, "not-found", "No DocumentReference with this id.", expression="DocumentReference")
        entry_uuid = entry_uuid_of(logical_id)
        if entry_uuid is None:
            raise unknown
        found = await self._registry.query(GetDocumentsAndAssociations(entry_uuids=(entry_uuid,)))
        entry = next((e for e in found.entries if e.entry_uuid == entry_uuid), None)
        if entry is None:
            raise unknown
        relations = [a for a in found.associations if _is_relation_of(a, entry.entry_uuid)]
        return document_reference_json(entry, self._write_context, relations)

    async def _run(self, search: DocumentSearch) -> _Matches:
        if search.impossible:
            return _Matches((), ())
        unique: dict[str, DocumentEntry] = {}
        issues: list[Issue] = []
        for query in search.queries():
            try:
                result = await self._registry.query(query)
            except RegistryFailure as failure:
                if means_no_match(failure):
                    continue
                raise
            issues.extend(issues_of_warnings(result.errors))
            for entry in result.entries:
                unique.setdefault(entry.entry_uuid, entry)
        matching: list[DocumentEntry] = []
        for number, entry in enumerate(unique.values(), 1):
            if search.matches(entry):
                matching.append(entry)
            if number % _MATCHED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(matching) > self._limits.max_results:
            raise fail(
                400,
                "too-costly",
                f"The search has {len(matching)} matches; at most {self._limits.max_results} are kept. "
                "Narrow it, for example by type or creation.",
            )
        matching.sort(key=search.sort.of)
        return _Matches(matching, tuple(issues))

    async def _page_without_snapshot(
        self, search: DocumentSearch, key: PageKey, shape: tuple[tuple[str, str], ...]
    ) -> bytes:
        """The search once more, continued after the entry that ended the client's last page."""
        matches = await self._run(search)
        entries = matches.entries
        position = next(
            (i + 1 for i, entry in enumerate(entries) if entry.entry_uuid == key.anchor), key.offset
        )
        page = _Page(entries[position : position + key.count], len(entries), position, None, shape)
        return await self._write_page(search, page, (*search.warnings, *matches.issues))

    async def _write_page(
        self,
        search: DocumentSearch,
        page: _Page,
        issues: Iterable[Issue],
    ) -> bytes:
        entries = page.entries
        relations, relation_issues = await self._relations(entries)
        losses: list[Issue] = []
        context = replace(self._write_context, warn=losses.append)
        resources: list[tuple[str, bytes]] = []
        base = f"{self._write_context.base_url}/DocumentReference/"
        for number, entry in enumerate(entries, 1):
            resource = document_reference_json(entry, context, relations.get(entry.entry_uuid, ()))
            resources.append((base + entry.entry_uuid.removeprefix("urn:uuid:"), resource))
            if number % _WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        return write_searchset(
            entries=resources,
            total=page.total,
            links=self._links(search, page),
            issues=(*issues, *relation_issues, *losses),
        )

    async def _relations(
        self, entries: Sequence[DocumentEntry]
    ) -> tuple[Mapping[str, Sequence[Association]], tuple[Issue, ...]]:
        if not entries:
            return {}, ()
        try:
            found = await self._registry.query(GetAssociations(uuids=tuple(e.entry_uuid for e in entries)))
        except (PeerError, RegistryFailure) as error:
            return {}, (
                Issue(
                    "warning",
                    "incomplete",
                    f"{error.peer} did not give the associations of these documents, so relatesTo is "
                    "missing. Read a document by id to see its relations.",
                    expression="DocumentReference.relatesTo",
                ),
            )
        own = {entry.entry_uuid for entry in entries}
        grouped: dict[str, list[Association]] = defaultdict(list)
        for association in found.associations:
            if association.source in own and _is_relation_of(association, association.source):
                grouped[association.source].append(association)
        return grouped, issues_of_warnings(found.errors)

    def _links(self, search: DocumentSearch, page: _Page) -> dict[str, str]:
        links = {"self": search.self_link}
        end = page.offset + len(page.entries)
        if page.entries and end < page.total:
            key = PageKey(
                parameters=search.parameters,
                snapshot=page.snapshot,
                offset=end,
                count=search.count,
                anchor=page.entries[-1].entry_uuid,
            )
            query = urlencode([("_page", self._pages.write(key)), *page.shape], quote_via=quote)
            links["next"] = f"{self._write_context.base_url}/DocumentReference?{query}"
        return links


def _shape(parameters: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in parameters if name in ("_format", "_pretty"))


def _is_relation_of(association: Association, entry_uuid: str) -> bool:
    return association.source == entry_uuid and association.type in DOCUMENT_RELATIONS


def _digest(search: DocumentSearch) -> str:
    return hashlib.sha256(orjson.dumps(search.self_parameters)).hexdigest()
