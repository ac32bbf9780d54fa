"""The resource types that manifests and reports give: how a search of each is understood, what it looks at,
what comes along, and how a resource is found again by its id.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final, Protocol, TypeVar

from gateway.fhir.datatypes import Json
from gateway.fhir.found_study import FoundStudy
from gateway.fhir.held import HeldResource
from gateway.fhir.held_search import parse_held_search
from gateway.fhir.imaging_selections import BASIC, SELECTION, is_selection
from gateway.fhir.issues import fail
from gateway.fhir.matching import Registered
from gateway.fhir.report_parameters import READ_ONLY, REPORT_TABLES
from gateway.fhir.search_request import Search
from gateway.fhir.search_table import ParameterTable
from gateway.fhir.selection_parameters import SELECTION_PARAMETERS
from gateway.fhir.study_search import (
    FoundPart,
    endpoints_of,
    parse_endpoint_search,
    parse_imaging_study_search,
)
from gateway.imaging.found import StudyNames
from gateway.imaging.patient_imaging import BOTH, PatientImaging, Wanted
from gateway.imaging.shelf import Shelf
from gateway.model.releases import FhirRelease
from gateway.security.report_ids import NotOurs as NotOfReport
from gateway.security.report_ids import ReportIds
from gateway.security.study_ids import NotOurs as NotOfStudy
from gateway.security.study_ids import StudyDocument, StudyOwner


class Identified(Registered, Protocol):
    """What a search finds: something with the id of its resource."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Identified)
_REPORTS: Final = Wanted(manifests=False)
_MANIFESTS: Final = Wanted(reports=False)
_JOINED: Final = frozenset({"DiagnosticReport", "Composition", "ServiceRequest", "Provenance"})
"""Types whose resources lead to what manifests say."""


class ResourceKind(Protocol[T]):
    """One type. `wanted` are the documents that its searches open."""

    @property
    def name(self) -> str:
        """FHIR resource type."""

    @property
    def wanted(self) -> Wanted:
        """Which documents a search opens."""

    def parse(self, parameters: Any, ctx: Any, *, strict: bool = False) -> Search[T]:
        """Understand a search. Raises OutcomeError 400."""

    def items(self, shelf: Shelf) -> Iterable[T]:
        """What a search looks at."""

    def resource(self, shelf: Shelf, item: T) -> Json:
        """The resource of an item."""

    async def read(self, patients: PatientImaging, shelf: Shelf, resource_id: str) -> Json | None:
        """One resource by its id; None where there is none."""


@dataclass(frozen=True, slots=True)
class Identities:
    """What ids stand for. `own_home` is the own community where there are others."""

    names: StudyNames
    reports: ReportIds
    own_home: str | None = None

    async def open_study(self, patients: PatientImaging, shelf: Shelf, kind: str, resource_id: str) -> bool:
        """Put what is known of the patient of a study on the shelf; False for an id of another sort."""
        try:
            owner = await self.names.owner(kind, resource_id)
        except NotOfStudy:
            return False
        if isinstance(owner, StudyDocument):
            shelf.asked = owner
            owner = await self._owner_of(patients, owner.document)
        if owner is None:
            raise fail(
                404,
                "not-found",
                f"This {kind} is not known any more. Search for it with patient or patient.identifier.",
                expression=kind,
            )
        wanted = _MANIFESTS if kind == "Endpoint" else BOTH
        where = self._where(owner.home_community_id)
        await shelf.add(await patients.of_patient(owner.patient_id, wanted, where))
        return True

    async def open_report(
        self, patients: PatientImaging, shelf: Shelf, resource_id: str, *, joined: bool = False
    ) -> bool:
        """Put the document of a resource on the shelf; with `joined`, the manifests of its patient too."""
        try:
            entry = await patients.document(self.reports.read(resource_id))
        except NotOfReport:
            return False
        if entry is None:
            return False
        if joined and entry.patient_id is not None:
            where = self._where(entry.home_community_id)
            await shelf.add(await patients.of_patient(entry.patient_id, _MANIFESTS, where))
        await shelf.add(await patients.report(entry))
        return True

    async def _owner_of(self, patients: PatientImaging, document: str) -> StudyOwner | None:
        entry = await patients.document(document)
        if entry is None or entry.patient_id is None:
            return None
        return StudyOwner(entry.patient_id, entry.home_community_id)

    def _where(self, home_community_id: str | None) -> tuple[str, ...]:
        """The one community to ask, since the id says which."""
        home = home_community_id or self.own_home
        return () if home is None else (home,)


# --- ImagingStudy and Endpoint ----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StudyKind:
    """ImagingStudy."""

    identities: Identities
    zone: tzinfo
    name: str = "ImagingStudy"
    wanted: Wanted = BOTH

    def parse(self, parameters: Any, ctx: Any, *, strict: bool = False) -> Search[FoundStudy]:
        """See `ResourceKind`."""
        return parse_imaging_study_search(parameters, ctx, zone=self.zone, strict=strict)

    def items(self, shelf: Shelf) -> Iterable[FoundStudy]:
        """The studies."""
        return tuple(shelf.found)

    def resource(self, shelf: Shelf, item: FoundStudy) -> Json:
        """See `ResourceKind`."""
        return shelf.resources(item, self.name)[0]

    async def read(self, patients: PatientImaging, shelf: Shelf, resource_id: str) -> Json | None:
        """See `ResourceKind`."""
        found = await self.identities.open_study(patients, shelf, self.name, resource_id)
        if not found and not await self.identities.open_report(patients, shelf, resource_id, joined=True):
            return None
        study = shelf.study(resource_id)
        if study is not None:
            return self.resource(shelf, study)
        return next((h.resource for h in shelf.held(self.name) if h.id == resource_id), None)


@dataclass(frozen=True, slots=True)
class EndpointKind:
    """Endpoint."""

    identities: Identities
    name: str = "Endpoint"
    wanted: Wanted = _MANIFESTS

    def parse(self, parameters: Any, ctx: Any, *, strict: bool = False) -> Search[FoundPart]:
        """See `ResourceKind`."""
        return parse_endpoint_search(parameters, ctx, strict=strict)

    def items(self, shelf: Shelf) -> Iterable[FoundPart]:
        """The endpoints of all studies."""
        return (part for study in shelf.found for part in endpoints_of(study))

    def resource(self, shelf: Shelf, item: FoundPart) -> Json:
        """See `ResourceKind`."""
        return next(r for r in shelf.resources(item.found, self.name) if r["id"] == item.id)

    async def read(self, patients: PatientImaging, shelf: Shelf, resource_id: str) -> Json | None:
        """See `ResourceKind`."""
        if not await self.identities.open_study(patients, shelf, self.name, resource_id):
            return None
        made = (r for study in shelf.found for r in shelf.resources(study, self.name))
        return next((r for r in made if r["id"] == resource_id), None)


# --- what documents hold ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class HeldKind:
    """A type whose resources stand in reports, and perhaps are made of manifests too.

    `held` is their type in R4 where that is another one, and `is_one` tells them from others of it.
    """

    name: str
    table: ParameterTable
    identities: Identities
    zone: tzinfo
    held: str | None = None
    is_one: Callable[[Json], bool] | None = None

    @property
    def wanted(self) -> Wanted:
        """See `ResourceKind`."""
        return BOTH if self.name in _JOINED else _REPORTS

    def parse(self, parameters: Any, ctx: Any, *, strict: bool = False) -> Search[HeldResource]:
        """See `ResourceKind`."""
        return parse_held_search(self.table, parameters, ctx, zone=self.zone, strict=strict)

    def items(self, shelf: Shelf) -> Iterable[HeldResource]:
        """The resources of the type."""
        found = shelf.held(self.held or self.name)
        return found if self.is_one is None else [h for h in found if self.is_one(h.resource)]

    def resource(self, shelf: Shelf, item: HeldResource) -> Json:
        """See `ResourceKind`."""
        return item.resource

    async def read(self, patients: PatientImaging, shelf: Shelf, resource_id: str) -> Json | None:
        """See `ResourceKind`."""
        joined = self.name in _JOINED
        if not await self.identities.open_report(patients, shelf, resource_id, joined=joined) and not (
            joined and await self.identities.open_study(patients, shelf, self.name, resource_id)
        ):
            return None
        found = _named(shelf, self.held or self.name, resource_id)
        return found if found is None or self.is_one is None or self.is_one(found) else None


def _named(shelf: Shelf, kind: str, resource_id: str) -> Json | None:
    return shelf.referenced(f"{kind}/{resource_id}")


def kinds(
    identities: Identities, zone: tzinfo, release: FhirRelease = FhirRelease.R4
) -> Mapping[str, ResourceKind[Any]]:
    """The types that can be searched. `zone` is that of days and times without zone."""
    held = [HeldKind(name, table, identities, zone) for name, table in REPORT_TABLES.items()]
    if release is FhirRelease.R5:
        held = [replace(kind, is_one=_is_plain) if kind.name == BASIC else kind for kind in held]
        held.append(HeldKind(SELECTION, SELECTION_PARAMETERS, identities, zone, BASIC, is_selection))
    made: tuple[ResourceKind[Any], ...] = (
        StudyKind(identities, zone),
        EndpointKind(identities),
        *held,
    )
    return {kind.name: kind for kind in made}


def _is_plain(basic: Json) -> bool:
    return not is_selection(basic)


@dataclass(frozen=True, slots=True)
class ResourceReader:
    """Reads of types that are not searched."""

    identities: Identities
    patients: PatientImaging
    shelf: Callable[[], Shelf]

    async def read(self, kind: str, resource_id: str) -> Json:
        """One resource by its id. Raises OutcomeError 404, PeerError and RegistryFailure."""
        shelf = self.shelf()
        if await self.identities.open_report(self.patients, shelf, resource_id):
            found = _named(shelf, kind, resource_id)
            if found is not None:
                return found
        raise fail(404, "not-found", f"No {kind} with this id.", expression=kind)


__all__ = ["READ_ONLY", "Identities", "ResourceKind", "ResourceReader", "kinds"]
