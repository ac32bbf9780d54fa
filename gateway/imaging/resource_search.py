"""Searches and reads of ImagingStudy, ServiceRequest, Endpoint and Provenance (HL7 Europe Imaging Report,
resource access), answered from the manifests of a patient.

A search costs one query of the registry, whatever it asks for and however many studies there are; manifests
that are not known yet are fetched besides. A page that follows is the same search again, continued after the
resource that ended the page before it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.found_study import FoundStudy
from gateway.fhir.issues import Issue, fail
from gateway.fhir.matching import Registered
from gateway.fhir.search_includes import Inclusion
from gateway.fhir.search_request import Search, SearchContext
from gateway.fhir.searchset import write_searchset
from gateway.fhir.study_resources import (
    StudyContext,
    write_endpoints,
    write_orders,
    write_study,
    write_study_patient,
    write_study_provenance,
)
from gateway.fhir.study_search import (
    endpoints_of,
    orders_of,
    parse_endpoint_search,
    parse_imaging_study_search,
    parse_order_search,
    parse_provenance_search,
)
from gateway.fhir.terminology import Terminology
from gateway.imaging.found import StudyNames
from gateway.imaging.studies import KnownStudy, StudyFinder
from gateway.mhd.references import PatientReferences
from gateway.model import Cx
from gateway.model.imaging import RetrieveLocation
from gateway.model.query import FindDocuments
from gateway.security.document_urls import NotOurs as NoPageLink
from gateway.security.document_urls import PageKey, PageTokens
from gateway.security.study_ids import NotOurs

T = TypeVar("T", bound=Registered)
_AT_ONCE: Final = 20
_SHAPE: Final = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class Found:
    """A study and where it is known from."""

    study: FoundStudy
    known: KnownStudy


class StudyShelf:
    """The studies of one request, and the resources that are made of them."""

    def __init__(
        self, names: StudyNames, terminology: Terminology, patients: PatientReferences, zone: tzinfo | None
    ) -> None:
        self._names = names
        self._terminology = terminology
        self._patients = patients
        self._known: dict[str, KnownStudy] = {}
        self._context = StudyContext(
            terminology=terminology,
            patient_reference=patients.of,
            address_of=self._address,
            default_zone=zone,
        )
        self.found: list[FoundStudy] = []

    async def add(self, studies: Iterable[KnownStudy]) -> None:
        """Put studies on the shelf, so that their ids can be resolved later."""
        for known in studies:
            study = self._names.found(known)
            if study is not None and study.id not in self._known:
                self._known[study.id] = known
                self.found.append(study)
                await self._names.remember(study, known)

    def resources(self, study: FoundStudy, resource_type: str) -> list[Json]:
        """The resources of a type that a study gives."""
        if resource_type == "ImagingStudy":
            return [write_study(study, self._context)]
        if resource_type == "ServiceRequest":
            return write_orders(study, self._context)
        if resource_type == "Endpoint":
            return write_endpoints(study, self._context)
        if resource_type == "Patient":
            patient = study.patient_id and self._patient(study, study.patient_id)
            return [patient] if patient else []
        return [write_study_provenance(study, self._context, datetime.now(UTC).isoformat(timespec="seconds"))]

    def _address(self, study: FoundStudy, place: RetrieveLocation) -> str | None:
        return self._names.address(self._known[study.id], place)

    def _patient(self, study: FoundStudy, patient: Cx) -> Json | None:
        reference = self._patients.of(patient).get("reference")
        if not isinstance(reference, str):
            return None
        resource_id = reference.removeprefix("Patient/")
        return write_study_patient(patient, resource_id, self._terminology, study.study.patient)


@dataclass(frozen=True, slots=True)
class ResourceKind(Generic[T]):
    """A resource type: how its searches are understood, and what of a study they look at."""

    name: str
    parse: Callable[..., Search[T]]
    items: Callable[[FoundStudy], Iterable[T]]
    study_of: Callable[[T], FoundStudy]
    id_of: Callable[[T], str]


def _self(study: FoundStudy) -> tuple[FoundStudy]:
    return (study,)


def kinds(zone: tzinfo) -> Mapping[str, ResourceKind[Any]]:
    """The resource types of this module. `zone` is that of days and times without zone."""

    def parse_study(parameters: Any, ctx: SearchContext, *, strict: bool = False) -> Search[FoundStudy]:
        return parse_imaging_study_search(parameters, ctx, zone=zone, strict=strict)

    made: tuple[ResourceKind[Any], ...] = (
        ResourceKind("ImagingStudy", parse_study, _self, lambda s: s, lambda s: s.id),
        ResourceKind("ServiceRequest", parse_order_search, orders_of, lambda p: p.found, lambda p: p.id),
        ResourceKind("Endpoint", parse_endpoint_search, endpoints_of, lambda p: p.found, lambda p: p.id),
        ResourceKind("Provenance", parse_provenance_search, _self, lambda s: s, lambda s: s.provenance_id),
    )
    return {kind.name: kind for kind in made}


_INCLUDED: Final = {
    Inclusion.PATIENTS: "Patient",
    Inclusion.ENDPOINTS: "Endpoint",
    Inclusion.ORDERS: "ServiceRequest",
    Inclusion.PROVENANCES: "Provenance",
}


@dataclass(frozen=True, slots=True)
class ImagingServices:
    """What searches of every type use."""

    finder: StudyFinder
    names: StudyNames
    patients: PatientReferences
    search_context: SearchContext
    zone: tzinfo | None
    max_results: int

    def shelf(self) -> StudyShelf:
        """An empty shelf for one request."""
        return StudyShelf(self.names, self.search_context.terminology, self.patients, self.zone)


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
        search = self._kind.parse(parameters, self._services.search_context, strict=strict)
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
        unknown = fail(404, "not-found", f"No {self._kind.name} with this id.", expression=self._kind.name)
        try:
            identity = await self._services.names.identity(self._kind.name, resource_id)
        except NotOurs:
            raise unknown from None
        if identity is None:
            raise fail(
                404,
                "not-found",
                f"This {self._kind.name} is not known any more. Search for it with patient or "
                "patient.identifier.",
                expression=self._kind.name,
            )
        shelf = self._services.shelf()
        await shelf.add((await self._services.finder.of_patient(identity.patient_id)).studies)
        for study in shelf.found:
            for resource in shelf.resources(study, self._kind.name):
                if resource["id"] == resource_id:
                    return orjson.dumps(resource)
        raise unknown

    async def _page(
        self, search: Search[T], key: PageKey | None, shape: tuple[tuple[str, str], ...]
    ) -> bytes:
        shelf = self._services.shelf()
        issues: list[Issue] = list(search.warnings)
        for query in search.queries():
            if isinstance(query, FindDocuments):
                found = await self._services.finder.found_by(query)
                await shelf.add(found.studies)
                issues += found.issues
        matching = await self._matching(search, shelf)
        start, count = self._start(matching, key), search.count if key is None else key.count
        page = _Page(
            matching[start : start + count], start, len(matching), tuple(dict.fromkeys(issues)), shape
        )
        return await self._written(search, shelf, page)

    async def _matching(self, search: Search[T], shelf: StudyShelf) -> list[T]:
        matching: list[T] = []
        for number, study in enumerate(shelf.found, 1):
            matching += [item for item in self._kind.items(study) if search.matches(item)]
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(matching) > self._services.max_results:
            raise fail(
                400,
                "too-costly",
                f"The search has {len(matching)} matches; at most {self._services.max_results} are given. "
                "Narrow it, for example by started or modality.",
            )
        return sorted(matching, key=search.sort_key)

    def _start(self, matching: Sequence[T], key: PageKey | None) -> int:
        if key is None:
            return 0
        ids = [self._kind.id_of(item) for item in matching]
        return ids.index(key.anchor) + 1 if key.anchor in ids else key.offset

    async def _written(self, search: Search[T], shelf: StudyShelf, page: "_Page[T]") -> bytes:
        made: dict[str, dict[str, Json]] = {}
        entries: list[tuple[str, bytes]] = []
        for number, item in enumerate(page.items, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            study = self._kind.study_of(item)
            if study.id not in made:
                made[study.id] = {r["id"]: r for r in shelf.resources(study, self._kind.name)}
            resource = made[study.id][self._kind.id_of(item)]
            entries.append((self._url(resource), search.view.apply(orjson.dumps(resource))))
        included: dict[str, bytes] = {}
        for inclusion in search.includes:
            for item in page.items:
                for resource in shelf.resources(self._kind.study_of(item), _INCLUDED[inclusion]):
                    included.setdefault(self._url(resource), search.view.apply(orjson.dumps(resource)))
        return write_searchset(
            entries=entries,
            included=included.items(),
            total=page.total,
            links=self._links(search, page),
            issues=page.issues,
        )

    def _links(self, search: Search[T], page: "_Page[T]") -> dict[str, str]:
        links = {"self": search.self_link}
        end = page.start + len(page.items)
        if page.items and end < page.total:
            key = PageKey(
                parameters=search.parameters,
                offset=end,
                count=search.count,
                anchor=self._kind.id_of(page.items[-1]),
            )
            query = urlencode([("_page", self._pages.write(key)), *page.shape], quote_via=quote)
            links["next"] = f"{search.url}?{query}"
        return links

    def _url(self, resource: Json) -> str:
        return f"{self._services.search_context.base_url}/{resource['resourceType']}/{resource['id']}"


def _shape(parameters: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in parameters if name in _SHAPE)
