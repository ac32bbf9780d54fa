"""Who the patients of a search, of an id or of a description are, of every source that can say it: the
patient manager, documents, and other communities. What sources disagree about is never merged: what each says
is a Patient of its own.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import structlog
from msgspec import Struct

from gateway.crossborder.community_patients import CommunityPatients
from gateway.fhir.community_patient import query_of_patient, query_of_search, write_community_patient
from gateway.fhir.datatypes import Json
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.patient_match_input import MatchRequest, searches_of
from gateway.fhir.patient_search import Candidates, PatientSearch
from gateway.fhir.patient_view import EVERYBODY, disagreement
from gateway.fhir.terminology import Terminology
from gateway.imaging.patient_directory import PatientDirectory
from gateway.mhd.references import DOCUMENTS, PatientReferences
from gateway.model.errors import PeerError
from gateway.model.identity import PatientMatch, PatientQuery
from gateway.model.metadata import Cx
from gateway.security.access import bound_patient, require_patient
from gateway.security.subjects import about_patients

MOST_CANDIDATES: Final = 100
"""Patients whose documents are asked for in one search by names or birth."""
SEEN: Final = Issue(
    "information",
    "informational",
    "By anything but their identifier those patients are found of whom this server has stored or seen "
    "documents lately; by identifier every patient is.",
)
_DISAGREE: Final = Issue(
    "warning",
    "conflict",
    "The patient manager and documents disagree about who an identifier stands for; what each says is a "
    "Patient of its own.",
)
_UNOPENED: Final = Issue(
    "warning",
    "too-costly",
    "More patients may be meant than one search looks at the documents of, so only the patient manager was "
    "asked. Give the birthdate as well.",
)
_EVERYBODY: Final = Candidates(keys=frozenset({EVERYBODY}))

log = structlog.get_logger()


class Record(Struct, frozen=True):
    """A Patient as a source has it. `patient` is the identifier that it stands for, in the own domain where
    that is known; `home` is the community that tells of it, with the degree of its match (0 to 100)."""

    patient: Cx
    resource: Json
    home: str = ""
    degree: int | None = None


class Records(Struct, frozen=True):
    """Patients, each once, and warnings about others."""

    records: tuple[Record, ...] = ()
    issues: tuple[Issue, ...] = ()


class ManagedPatients(Protocol):
    """Patients as the patient manager has them, under the ids of this server."""

    async def found(
        self, searches: Iterable[Sequence[tuple[str, str]]]
    ) -> tuple[Mapping[Cx, Json], tuple[Issue, ...]]:
        """Those of searches by parameters of ITI-78, by identifier. Raises PeerError."""

    async def known_as(self, patients: Sequence[Cx]) -> Mapping[Cx, Json]:
        """Those who have one of these identifiers. Raises PeerError."""


class PatientRecords:
    """Finds them."""

    def __init__(
        self,
        directory: PatientDirectory,
        references: PatientReferences,
        communities: CommunityPatients,
        terminology: Terminology,
        managed: ManagedPatients | None = None,
        *,
        asks_all: bool = False,
    ) -> None:
        """With `asks_all` every community is asked where none is named."""
        self._directory = directory
        self._references = references
        self._communities = communities
        self._terminology = terminology
        self._managed = managed
        self._asks_all = asks_all

    # --- searches -----------------------------------------------------------------------------------------
    async def search(self, search: PatientSearch) -> Records:
        """Everybody whom a search means. Raises OutcomeError, OtherPatient, RegistryFailure and PeerError."""
        if search.ids is not None:
            asked = (self._of_id(logical_id, with_time=search.wants_time) for logical_id in search.ids)
            read = await asyncio.gather(*asked)
            records = [record for record in read if record is not None]
            return Records(tuple(record for record in records if search.matches(record.resource)))
        asks_own = self._asks_own(search.communities)
        own = await self._own(search) if asks_own else Records()
        there = await self._there(
            lambda: query_of_search(search.asked, self._terminology), search.communities, alone=not asks_own
        )
        kept = tuple(record for record in there.records if search.matches(record.resource))
        return Records((*own.records, *kept), (*own.issues, *there.issues))

    async def match(self, wanted: MatchRequest, communities: frozenset[str] | None) -> Records:
        """Everybody who may be the patient that is described. Raises the same."""
        asks_own = self._asks_own(communities)
        own = await self._own_alike(wanted) if asks_own else Records()
        there = await self._there(
            lambda: query_of_patient(wanted.patient, self._terminology), communities, alone=not asks_own
        )
        return Records((*own.records, *there.records), (*own.issues, *there.issues))

    # --- ids ----------------------------------------------------------------------------------------------
    async def read(self, logical_id: str) -> Record | None:
        """Who has an id of this server; None where nothing is known of them any more.

        Raises OtherPatient, RegistryFailure, PeerError, and OutcomeError 404 for an id of nobody.
        """
        if self._references.named(logical_id) is None:
            raise nobody()
        return await self._of_id(logical_id)

    async def _of_id(self, logical_id: str, *, with_time: bool = False) -> Record | None:
        named = self._references.named(logical_id)
        if named is None:
            return None
        patient, view = named
        if view not in ("", DOCUMENTS):
            return await self._of_community(patient, view, logical_id)
        require_patient(patient)
        away: PeerError | None = None
        if self._managed is not None and not view:
            try:
                found = await self._managed.known_as((patient,))
                if patient in found:
                    return Record(patient, found[patient])
            except PeerError as error:
                log.warning("patient.manager_failed", error=type(error).__name__)
                away = error
        documented = await self._documented((patient,), with_time=with_time)
        record = next(iter(documented.records), None)
        if record is None and away is not None:
            # whom only the manager knows is not gone because it does not answer
            raise away
        return None if record is None else self._as_view(record, view)

    async def _of_community(self, patient: Cx, home: str, logical_id: str) -> Record | None:
        here = await self._communities.here(patient, home)
        require_patient(here)
        match = await self._communities.known_as(patient, home)
        if match is None:
            return None
        return Record(here, write_community_patient(match, logical_id, self._terminology), home)

    def _as_view(self, record: Record, view: str) -> Record:
        """A Patient of documents where another source has the id of the patient."""
        logical_id = self._references.logical_id(record.patient, view)
        if not view or logical_id is None:
            return record
        return Record(record.patient, {**record.resource, "id": logical_id})

    # --- the own domain -----------------------------------------------------------------------------------
    async def _own(self, search: PatientSearch) -> Records:
        candidates = await self._candidates(search)
        if candidates is None and self._managed is None:
            raise _too_many()
        found = await self._documented(candidates or (), with_time=search.wants_time)
        kept = tuple(record for record in found.records if search.matches(record.resource))
        if self._managed is not None:
            issues = found.issues if candidates is not None else (_UNOPENED,)
            return await self._with_managed(Records(kept, issues), (search.asked,), search)
        by_identifier = any(group.patients for group in search.candidates)
        return Records(kept, found.issues if by_identifier else (SEEN, *found.issues))

    async def _own_alike(self, wanted: MatchRequest) -> Records:
        bound = bound_patient()
        meant: set[Cx] = set()
        for groups in wanted.alternatives:
            found = await self._directory.meant(groups)
            if found is None:
                raise _too_many()
            meant |= found
        if bound is not None:
            meant &= {bound}
        if len(meant) > MOST_CANDIDATES:
            raise _too_many()
        documented = await self._documented(tuple(meant))
        if self._managed is None:
            return documented
        return await self._with_managed(documented, searches_of(wanted.patient), None)

    async def _documented(self, patients: Sequence[Cx], *, with_time: bool = False) -> Records:
        """Patients as their documents say, without those of whom there are none."""
        asked = [self._directory.of(patient, with_time=with_time) for patient in patients]
        records: list[Record] = []
        issues: list[Issue] = []
        for patient, known in zip(patients, await asyncio.gather(*asked), strict=True):
            if known is not None and known.is_known:
                records.append(Record(patient, known.resource))
                issues += known.issues
        return Records(tuple(records), tuple(dict.fromkeys(issues)))

    async def _with_managed(
        self,
        documented: Records,
        searches: Iterable[Sequence[tuple[str, str]]],
        search: PatientSearch | None,
    ) -> Records:
        """What documents say, and what the manager says of the same searches; the manager first."""
        assert self._managed is not None
        try:
            managed, issues = await self._managed.found(searches)
            named = [record.patient for record in documented.records if record.patient not in managed]
            known: Mapping[Cx, Json] = {**await self._managed.known_as(named), **managed}
        except PeerError as error:
            return Records(documented.records, (SEEN, *documented.issues, _missing(error)))
        bound = bound_patient()
        # what is wrong with others is nobody's business who may not see them
        issues = issues if bound is None else ()
        found = {p: r for p, r in managed.items() if search is None or search.matches(r)}
        records = [Record(patient, resource) for patient, resource in found.items()]
        for record in documented.records:
            said = known.get(record.patient)
            if said is None:
                records.append(record)
                continue
            differs = bool(disagreement(said, record.resource))
            if differs or record.patient not in found:
                records.append(self._as_view(record, DOCUMENTS))
            issues = (*issues, _DISAGREE) if differs else issues
        kept = tuple(record for record in records if bound is None or record.patient == bound)
        return Records(kept, tuple(dict.fromkeys((*documented.issues, *issues))))

    async def _candidates(self, search: PatientSearch) -> tuple[Cx, ...] | None:
        """Whose documents to look at; None where they may be too many."""
        groups = search.candidates or (_EVERYBODY,)
        named = [patient for group in groups for patient in group.patients]
        found, bound = await self._directory.meant(groups), bound_patient()
        if bound is not None and (found is None or bound in found):
            return (bound,)
        if bound is not None:
            for patient in named:
                require_patient(patient)
            # that there are others is nobody's business who may not see them
            return ()
        about_patients(named)
        if found is None:
            found = await self._directory.meant((_EVERYBODY,))
        return None if found is None or len(found) > MOST_CANDIDATES else tuple(found)

    # --- other communities --------------------------------------------------------------------------------
    def _asks_own(self, communities: frozenset[str] | None) -> bool:
        return communities is None or not communities <= set(self._communities.homes())

    async def _there(
        self, query: Callable[[], PatientQuery], communities: frozenset[str] | None, *, alone: bool
    ) -> Records:
        """Patients of communities. Raises PeerError where they are asked `alone` and none says anything."""
        named = communities
        if named is None:
            named = frozenset(self._communities.homes()) if self._asks_all else frozenset()
        if not named:
            return Records()
        found = await self._communities.find(query(), sorted(named))
        if alone and found.failures and len(found.failures) == len(named):
            raise found.failures[0]
        records = await asyncio.gather(*(self._record(each.home, each.match) for each in found.patients))
        return Records(tuple(record for record in records if record is not None), found.issues)

    async def _record(self, home: str, match: PatientMatch) -> Record | None:
        logical_id = self._references.logical_id(match.identifier, home)
        if logical_id is None:
            log.warning("patient.no_id", home=home)
            return None
        resource = write_community_patient(match, logical_id, self._terminology)
        here = await self._communities.here(match.identifier, home, match.other_identifiers)
        return Record(here, resource, home, match.degree)


def nobody() -> OutcomeError:
    """For an id that was never given to anybody."""
    return fail(404, "not-found", "No Patient with this id.", expression="Patient")


def gone() -> OutcomeError:
    """For an id of somebody of whom nothing is known any more."""
    text = "Nothing is known any more of the Patient who had this id. Search by identifier."
    return fail(410, "deleted", text, expression="Patient")


def _too_many() -> OutcomeError:
    text = "More patients may be meant than one search looks at. Give the birthdate as well."
    return fail(400, "too-costly", text)


def _missing(error: PeerError) -> Issue:
    text = f"{error.peer} gives no usable answer ({error.transaction}); what it knows is missing here."
    return Issue("warning", "transient", text)
