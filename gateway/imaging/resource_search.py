"""Searches and reads of the resources that manifests and reports of a patient give (HL7 Europe Imaging
Report, resource access; IHE RAD MADO).

A search costs one query of the registry, whatever it asks for and however many documents there are; documents
that are not known yet are fetched besides. A page that follows is the same search again, continued after the
resource that ended the page before it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic
from urllib.parse import quote, urlencode

import orjson

from gateway.crossborder.named_patients import AS_NAMED, NamedPatients
from gateway.fhir.datatypes import Json
from gateway.fhir.document_ids import read_provenance_id
from gateway.fhir.issues import Issue, fail
from gateway.fhir.search_request import Search, SearchContext
from gateway.fhir.searchset import write_searchset
from gateway.imaging.included import along_with
from gateway.imaging.patient_imaging import BOTH, PatientImaging
from gateway.imaging.resource_kinds import ResourceKind, T
from gateway.imaging.shelf import Shelf, ShelfServices
from gateway.mhd.document_provenances import DocumentProvenances
from gateway.model.query import FindDocuments, GetDocumentsAndAssociations
from gateway.security.access import require_types
from gateway.security.document_urls import NotOurs as NoPageLink
from gateway.security.document_urls import PageKey, PageTokens

_AT_ONCE: Final = 20
_SHAPE: Final = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class ImagingServices:
    """What searches of every type use."""

    patients: PatientImaging
    shelf: ShelfServices
    provenances: DocumentProvenances
    search_context: SearchContext
    max_results: int
    named_patients: NamedPatients = AS_NAMED


@dataclass(frozen=True, slots=True)
class _Page(Generic[T]):
    """A part of `total` matches, from `start`; `shape` is what the link to the next page repeats."""

    items: Sequence[T]
    start: int
    total: int
    issues: tuple[Issue, ...]
    shape: tuple[tuple[str, str], ...]


class ResourceSearch(Generic[T]):
    """Searches and reads of one resource type."""

    def __init__(self, kind: ResourceKind[T], services: ImagingServices, pages: PageTokens) -> None:
        self._kind = kind
        self._services = services
        self._pages = pages

    async def search(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> bytes:
        """The first page of a search as a searchset Bundle.

        Raises OutcomeError, PeerError and RegistryFailure.
        """
        services = self._services
        named, context = await services.named_patients.known(parameters, services.search_context)
        search = self._kind.parse(named, context, strict=strict)
        return await self._page(search, None, _shape(parameters))

    async def page(self, token: str, parameters: Sequence[tuple[str, str]] = ()) -> bytes:
        """The page that a `next` link names. Raises OutcomeError 404 for a link that is not ours."""
        try:
            key = self._pages.read(token)
        except NoPageLink:
            raise fail(
                404, "not-found", "The page link is not one of this server. Start the search again."
            ) from None
        search = self._kind.parse(key.parameters, self._services.search_context)
        return await self._page(search, key, _shape(parameters))

    async def read(self, resource_id: str) -> bytes:
        """One resource by its id. Raises OutcomeError 404, PeerError and RegistryFailure."""
        if self._kind.name == "Provenance" and read_provenance_id(resource_id) is not None:
            return orjson.dumps(await self._services.provenances.read(resource_id))
        shelf = Shelf(self._services.shelf)
        resource = await self._kind.read(self._services.patients, shelf, resource_id)
        if resource is None:
            raise fail(404, "not-found", f"No {self._kind.name} with this id.", expression=self._kind.name)
        return orjson.dumps(resource)

    async def _page(
        self, search: Search[T], key: PageKey | None, shape: tuple[tuple[str, str], ...]
    ) -> bytes:
        shelf = Shelf(self._services.shelf)
        issues: list[Issue] = list(search.warnings)
        for query in search.queries():
            if isinstance(query, FindDocuments):
                # what comes along may be of manifests where the matches are of reports
                wanted = BOTH if search.steps else self._kind.wanted
                found = await self._services.patients.found_by(query, wanted)
                await shelf.add(found)
                issues += found.issues
            elif isinstance(query, GetDocumentsAndAssociations):
                shelf.hold(await self._services.provenances.found_by(query))
        matching = await self._matching(search, shelf)
        start, count = self._start(matching, key), search.count if key is None else key.count
        page = _Page(
            matching[start : start + count], start, len(matching), tuple(dict.fromkeys(issues)), shape
        )
        return await self._written(search, shelf, page)

    async def _matching(self, search: Search[T], shelf: Shelf) -> list[T]:
        matching: list[T] = []
        for number, item in enumerate(self._kind.items(shelf), 1):
            if search.matches(item):
                matching.append(item)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(matching) > self._services.max_results:
            raise fail(
                400,
                "too-costly",
                f"The search has {len(matching)} matches; at most {self._services.max_results} are given. "
                "Narrow it, for example by a date.",
            )
        return sorted(matching, key=search.sort_key)

    def _start(self, matching: Sequence[T], key: PageKey | None) -> int:
        if key is None:
            return 0
        ids = [item.id for item in matching]
        return ids.index(key.anchor) + 1 if key.anchor in ids else key.offset

    async def _written(self, search: Search[T], shelf: Shelf, page: "_Page[T]") -> bytes:
        matches: list[Json] = []
        for number, item in enumerate(page.items, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            matches.append(self._kind.resource(shelf, item))
        included = list(along_with(shelf, matches, search.steps)) if search.steps else []
        require_types(dict.fromkeys(resource["resourceType"] for resource in included))
        return write_searchset(
            entries=[self._entry(search, resource) for resource in matches],
            included=[self._entry(search, resource) for resource in included],
            total=page.total,
            links=self._links(search, page),
            issues=page.issues,
        )

    def _entry(self, search: Search[T], resource: Json) -> tuple[str, bytes]:
        return self._url(resource), search.view.apply(orjson.dumps(resource))

    def _links(self, search: Search[T], page: "_Page[T]") -> dict[str, str]:
        links = {"self": search.self_link}
        end = page.start + len(page.items)
        if page.items and end < page.total:
            key = PageKey(
                parameters=search.parameters,
                offset=end,
                count=search.count,
                anchor=page.items[-1].id,
            )
            query = urlencode([("_page", self._pages.write(key)), *page.shape], quote_via=quote)
            links["next"] = f"{search.url}?{query}"
        return links

    def _url(self, resource: Json) -> str:
        return f"{self._services.search_context.base_url}/{resource['resourceType']}/{resource['id']}"


def _shape(parameters: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in parameters if name in _SHAPE)
