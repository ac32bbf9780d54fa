"""What the registry and manifests say to a search of documents (ITI-67 over ITI-18; IHE RAD MADO 0.1.0).

What is independent is asked at once: the search itself, what an `identifier` is related to, and the manifests
whose entries do not say what is asked. Their answers are taken together, so that no document is found or lost
for what else there is.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.clients.pieces import all_of
from gateway.fhir.imaging_document_search import ImagingDocumentSearch
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import issues_of_warnings
from gateway.imaging.offered_manifests import OfferedManifests
from gateway.model import DocumentEntry, QueryResult, RegistryFailure
from gateway.model.errors import PeerError, PeerUnsupported
from gateway.model.query import StoredQuery

AskAll = Callable[[ImagingDocumentSearch], Awaitable[list[QueryResult]]]
Ask = Callable[[StoredQuery], Awaitable[QueryResult | None]]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Documents, of which at least those that match are among, and warnings about what was not asked."""

    entries: Sequence[DocumentEntry]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """The answers to some of the queries; `failure` is why there are none."""

    answers: Sequence[QueryResult] = ()
    failure: PeerError | RegistryFailure | None = None

    @property
    def entries(self) -> list[DocumentEntry]:
        return [entry for answer in self.answers for entry in answer.entries]


class DocumentCandidates:
    """Asks for the documents of searches: `ask_all` what a search asks by itself, `ask` one more query."""

    def __init__(self, ask_all: AskAll, ask: Ask, manifests: OfferedManifests) -> None:
        self._ask_all = ask_all
        self._ask = ask
        self._manifests = manifests

    async def of(self, search: ImagingDocumentSearch) -> Candidates:
        """The candidates, each manifest in both formats. Raises PeerError and RegistryFailure."""
        listing = partial(self._listed, search)
        calls = [partial(self._direct, search), partial(self._related, search)]
        direct, related, *listed = await all_of([*calls, *([] if search.reserve else [listing])], 3)
        if search.reserve and not direct.entries:
            listed = [await listing()]
        if related.failure is not None and not direct.entries and not _is_unsupported(related.failure):
            raise related.failure
        originals = _Part() if search.queries_of_manifests else await self._originals(search, direct.entries)
        parts = (direct, related, originals, *listed)
        issues = [*_not_asked(direct), *_not_asked(related)]
        issues += (i for part in parts for answer in part.answers for i in issues_of_warnings(answer.errors))
        entries: Sequence[DocumentEntry] = _each_once(parts)
        if search.asked and (listed or not search.reserve):
            entries, missing = await self._manifests.understood(entries, search.has_to_read)
            issues += missing
        is_complete = bool(listed and search.queries_of_manifests) or not search.splits_pairs
        offered = await self._manifests.offered(entries, by_id=not is_complete)
        return Candidates(offered, tuple(dict.fromkeys(issues)))

    async def _direct(self, search: ImagingDocumentSearch) -> _Part:
        try:
            return _Part(await self._ask_all(search))
        except PeerUnsupported as error:
            if not search.told_by_manifests:
                raise
            return _Part(failure=error)

    async def _related(self, search: ImagingDocumentSearch) -> _Part:
        """What is related to an identifier: without it, the documents that have the identifier are right."""
        if search.query_of_related is None:
            return _Part()
        try:
            return _Part(_given(await self._ask(search.query_of_related)))
        except (PeerError, RegistryFailure) as error:
            return _Part(failure=error)

    async def _originals(self, search: ImagingDocumentSearch, found: Sequence[DocumentEntry]) -> _Part:
        """The documents of translations that are named by their entryUUIDs."""
        query = search.query_of_originals(found)
        return _Part() if query is None else _Part(_given(await self._ask(query)))

    async def _listed(self, search: ImagingDocumentSearch) -> _Part:
        answers = [await self._ask(query) for query in search.queries_of_manifests]
        return _Part([answer for answer in answers if answer is not None])


def _given(answer: QueryResult | None) -> tuple[QueryResult, ...]:
    return () if answer is None else (answer,)


def _each_once(parts: Iterable[_Part]) -> tuple[DocumentEntry, ...]:
    unique: dict[str, DocumentEntry] = {}
    for part in parts:
        for entry in part.entries:
            unique.setdefault(entry.entry_uuid, entry)
    return tuple(unique.values())


def _is_unsupported(failure: PeerError | RegistryFailure) -> bool:
    return isinstance(failure, PeerUnsupported)


def _not_asked(part: _Part) -> tuple[Issue, ...]:
    if part.failure is None:
        return ()
    text = (
        f"{part.failure.peer} did not say which documents name the study or number as related, so of those "
        "only manifests were searched"
    )
    if isinstance(part.failure, PeerUnsupported):
        text += f": {part.failure.detail}"
    return (Issue("warning", "incomplete", f"{text}."),)
