"""Results that a registry does not give at once: XDSTooManyResults, and more ids than it takes (ITI-18).

ITI-18 has no paging. A Find query that has too many results is asked for ids alone (returnType ObjectRef),
and the objects then in pieces by Get queries; where even the ids are too many, one time span of the query is
halved until they are not (ITI TF-2 3.18.4.1.2.5, 3.18.4.1.2.6).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from msgspec import structs

from gateway.clients.pieces import all_of, pieces_of
from gateway.clients.quirks import RegistryQuirks
from gateway.ebxml.stored_queries import ReturnType
from gateway.model import ObjectRef, QueryResult, RegistryError, RegistryFailure, ResponseStatus, Severity
from gateway.model.dtm import dtm_start, to_dtm
from gateway.model.query import (
    FindDocuments,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetFolders,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
    StoredQuery,
)
from gateway.soap.client import Peer

TOO_MANY: Final = "XDSTooManyResults"
_MOST_WINDOWS: Final = 200
_SPANS: Final[Mapping[type[StoredQuery], Sequence[str]]] = {
    FindDocuments: ("creation_time", "service_start_time", "service_stop_time"),
    FindSubmissionSets: ("submission_time",),
    FindFolders: ("last_update_time",),
}
_IDS: Final[Mapping[type[StoredQuery], Sequence[str]]] = {
    GetDocuments: ("entry_uuids", "unique_ids"),
    GetFolders: ("entry_uuids", "unique_ids"),
    GetDocumentsAndAssociations: ("entry_uuids", "unique_ids"),
    GetAssociations: ("uuids",),
    GetSubmissionSets: ("uuids",),
}
_COMPOSED: Final = (GetAll, GetSubmissionSetAndContents, GetFolderAndContents, GetRelatedDocuments)

Ask = Callable[[StoredQuery, ReturnType], Awaitable[QueryResult]]
"""Sends one query. Raises RegistryFailure where the registry answers Failure."""


class LargeResults:
    """Queries of one registry, each answered as a whole."""

    def __init__(self, ask: Ask, quirks: RegistryQuirks, peer: Peer, transaction: str = "ITI-18") -> None:
        self._ask = ask
        self._transaction = transaction
        self._quirks = quirks
        self._peer = peer

    async def run(self, query: StoredQuery) -> QueryResult:
        """Objects in the order of the registry, none twice. Raises RegistryFailure.

        A registry that gave some of too many results and no way to the others is answered with those and its
        errors.
        """
        if isinstance(query, tuple(_SPANS)):
            return await self._find(query)
        if type(query) in _IDS:
            return await self._get(query, self._quirks.ids_per_query)
        if isinstance(query, _COMPOSED):
            return await self._composed(query)
        return await self._ask(query, "LeafClass")

    async def _find(self, query: StoredQuery) -> QueryResult:
        if self._quirks.object_refs == "always":
            return await self._by_refs(query, None)
        first = await self._outcome(query, "LeafClass")
        if not has_too_many(first) or self._quirks.object_refs == "never":
            return _given(first)
        return await self._by_refs(query, first)

    async def _by_refs(self, query: StoredQuery, first: QueryResult | RegistryFailure | None) -> QueryResult:
        """The ids, in as many windows of time as it takes, and then the objects."""
        refs: dict[ObjectRef, None] = {}
        errors: list[RegistryError] = []
        windows = [query]
        for _ in range(_MOST_WINDOWS):
            window = windows.pop()
            found = await self._outcome(window, "ObjectRef")
            if has_too_many(found):
                halves = halved(window)
                if halves is None:
                    return _given(first or found)
                windows += reversed(halves)
            else:
                # a registry that cannot give ids has still said that there is too much
                result = _given(first if first and isinstance(found, RegistryFailure) else found)
                refs |= dict.fromkeys(result.object_refs)
                errors += result.errors
            if not windows:
                return await self._objects(query, list(refs), errors)
        return _given(first or found)

    async def _objects(
        self, query: StoredQuery, refs: Sequence[ObjectRef], errors: Sequence[RegistryError]
    ) -> QueryResult:
        size = min(self._quirks.objects_per_query, self._quirks.ids_per_query)
        calls = [
            call for home, ids in self._by_home(query, refs) for call in self._calls(query, ids, home, size)
        ]
        result = _merged(await all_of(calls, self._quirks.at_once(self._peer.max_in_flight)), errors)
        return _in_order(result, [ref.id for ref in refs])

    async def _composed(self, query: StoredQuery) -> QueryResult:
        """A query for objects of every kind, whose ids do not tell which is of which."""
        first = await self._outcome(query, "LeafClass")
        if not has_too_many(first) or self._quirks.object_refs == "never":
            return _given(first)
        found = await self._outcome(query, "ObjectRef")
        if has_too_many(found) or isinstance(found, RegistryFailure):
            return _given(first)
        refs = list(dict.fromkeys(found.object_refs))
        size = min(self._quirks.objects_per_query, self._quirks.ids_per_query)
        calls = [
            partial(self._get, _get_query(kind, piece, query, home), size)
            for home, ids in self._by_home(query, refs)
            for kind in (GetDocuments, GetFolders, GetAssociations, GetSubmissionSets)
            for piece in pieces_of(ids, size)
        ]
        parts = await all_of(calls, self._quirks.at_once(self._peer.max_in_flight))
        return _in_order(_merged(parts, found.errors), [ref.id for ref in refs])

    def _by_home(
        self, query: StoredQuery, refs: Sequence[ObjectRef]
    ) -> Iterable[tuple[str | None, Sequence[str]]]:
        """Ids by the community to ask for them. Raises RegistryFailure where they are too many to fetch."""
        if len(refs) > self._quirks.max_objects:
            text = f"{len(refs)} objects match; at most {self._quirks.max_objects} are fetched"
            raise RegistryFailure(self._peer.name, self._transaction, (RegistryError(TOO_MANY, text),))
        homes: dict[str | None, list[str]] = {}
        for ref in refs:
            homes.setdefault(ref.home_community_id or query.home, []).append(ref.id)
        return homes.items()

    def _calls(
        self, query: StoredQuery, ids: Sequence[str], home: str | None, size: int
    ) -> Iterable[Callable[[], Awaitable[QueryResult]]]:
        if isinstance(query, FindSubmissionSets):
            # no query gives several SubmissionSets by their own ids
            for uuid in ids:
                whole = GetSubmissionSetAndContents(entry_uuid=uuid, **_shared(query, home))
                yield partial(self._composed, whole)
            return
        kind = GetFolders if isinstance(query, FindFolders) else GetDocuments
        for piece in pieces_of(ids, size):
            yield partial(self._get, _get_query(kind, piece, query, home), size)

    async def _get(self, query: StoredQuery, size: int) -> QueryResult:
        """A Get query in pieces of `size` ids; a piece that has too many results is halved."""
        field, ids = _ids_of(query)
        if len(ids) > size:
            pieces = (
                structs.replace(query, **{field: piece}) for piece in pieces_of(dict.fromkeys(ids), size)
            )
            calls = [partial(self._get, piece, size) for piece in pieces]
            return _merged(await all_of(calls, self._quirks.at_once(self._peer.max_in_flight)))
        found = await self._outcome(query, "LeafClass")
        if has_too_many(found) and len(ids) > 1:
            return await self._get(query, (len(ids) + 1) // 2)
        return _given(found)

    async def _outcome(self, query: StoredQuery, return_type: ReturnType) -> QueryResult | RegistryFailure:
        try:
            return await self._ask(query, return_type)
        except RegistryFailure as failure:
            return failure


def has_too_many(outcome: QueryResult | RegistryFailure) -> bool:
    """True where the registry says that it has more than it gives."""
    return any(e.code.rpartition(":")[2].lower() == TOO_MANY.lower() for e in outcome.errors)


def halved(query: StoredQuery) -> tuple[StoredQuery, StoredQuery] | None:
    """The same query for the first and for the second half of a time span that it limits.

    None where it limits none, and where a second is left. A limit that is not given stays so: what lies
    beyond the time of now belongs to the second half.
    """
    fields = next(names for kind, names in _SPANS.items() if isinstance(query, kind))
    for field in fields:
        start, end = getattr(query, f"{field}_from"), getattr(query, f"{field}_to")
        if not (start or end):
            continue
        first = dtm_start(start) if start else datetime(1900, 1, 1, tzinfo=UTC)
        last = dtm_start(end) if end else datetime.now(UTC)
        half = first + timedelta(seconds=int((last - first).total_seconds()) // 2)
        if half > first:
            middle = to_dtm(half)
            return structs.replace(query, **{f"{field}_to": middle}), structs.replace(
                query, **{f"{field}_from": middle}
            )
    return None


def _shared(query: StoredQuery, home: str | None) -> dict[str, Any]:
    """What queries for the objects of `query` have in common with it."""
    fields = {name: getattr(query, name) for name in StoredQuery.__struct_fields__}
    return {**fields, "home": home}


def _get_query(
    kind: type[StoredQuery], ids: tuple[str, ...], query: StoredQuery, home: str | None
) -> StoredQuery:
    fields: dict[str, Any] = {_IDS[kind][0]: ids, **_shared(query, home)}
    return kind(**fields)


def _ids_of(query: StoredQuery) -> tuple[str, tuple[str, ...]]:
    for field in _IDS[type(query)]:
        if ids := getattr(query, field):
            return field, ids
    return _IDS[type(query)][0], ()


def _given(outcome: QueryResult | RegistryFailure) -> QueryResult:
    if isinstance(outcome, RegistryFailure):
        raise outcome
    return outcome


def _merged(results: Iterable[QueryResult], errors: Iterable[RegistryError] = ()) -> QueryResult:
    """One answer of several, each object and each error once."""
    parts: dict[str, dict[Any, Any]] = {
        name: {} for name in ("entries", "submission_sets", "folders", "associations", "object_refs")
    }
    said = dict.fromkeys(errors)
    for result in results:
        said |= dict.fromkeys(result.errors)
        for name, held in parts.items():
            for item in getattr(result, name):
                held.setdefault(getattr(item, "entry_uuid", item), item)
    failed = any(error.severity is Severity.ERROR for error in said)
    return QueryResult(
        status=ResponseStatus.PARTIAL if failed else ResponseStatus.SUCCESS,
        errors=tuple(said),
        **{name: tuple(held.values()) for name, held in parts.items()},
    )


def _in_order(result: QueryResult, ids: Sequence[str]) -> QueryResult:
    """The objects that have one of the ids, in their order, with a warning where some are missing."""
    places = {uuid: place for place, uuid in enumerate(ids)}
    kept = {
        name: tuple(
            sorted(
                (item for item in getattr(result, name) if item.entry_uuid in places),
                key=lambda item: places[item.entry_uuid],
            )
        )
        for name in ("entries", "submission_sets", "folders", "associations")
    }
    missing = len(places) - sum(map(len, kept.values()))
    errors = result.errors
    if missing:
        text = f"{missing} of {len(places)} objects that match could not be had"
        errors = (*errors, RegistryError("XDSRegistryError", text, Severity.WARNING))
    return QueryResult(status=result.status, errors=errors, **kept)
