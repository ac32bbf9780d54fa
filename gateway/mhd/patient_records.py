"""Who the patients of a search or of an id are, of every source that can say it. Sources that disagree are
never merged: what they say is two Patients.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.patient_search import Candidates, PatientSearch
from gateway.fhir.patient_view import EVERYBODY
from gateway.imaging.patient_directory import PatientDirectory
from gateway.mhd.references import PatientReferences
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
_EVERYBODY: Final = Candidates(keys=frozenset({EVERYBODY}))


class Record(Struct, frozen=True):
    """A Patient as a source has it; `patient` is the identifier that it stands for."""

    patient: Cx
    resource: Json


class Records(Struct, frozen=True):
    """Patients, each once, and warnings about others."""

    records: tuple[Record, ...] = ()
    issues: tuple[Issue, ...] = ()


class PatientRecords:
    """Finds them."""

    def __init__(self, directory: PatientDirectory, references: PatientReferences) -> None:
        self._directory = directory
        self._references = references

    async def search(self, search: PatientSearch) -> Records:
        """Everybody whom a search means. Raises OutcomeError, OtherPatient, RegistryFailure and PeerError."""
        if search.ids is not None:
            return await self._with_ids(search)
        found = await self._documented(await self._candidates(search), with_time=search.wants_time)
        kept = tuple(record for record in found.records if search.matches(record.resource))
        by_identifier = any(group.patients for group in search.candidates)
        return Records(kept, found.issues if by_identifier else (SEEN, *found.issues))

    async def read(self, logical_id: str) -> Record | None:
        """Who has an id of this server; None where nothing is known of them any more.

        Raises OtherPatient, RegistryFailure, PeerError, and OutcomeError 404 for an id of nobody.
        """
        patient = self._references.patient(logical_id)
        if patient is None:
            raise nobody()
        found = await self._documented((patient,))
        return next(iter(found.records), None)

    async def _with_ids(self, search: PatientSearch) -> Records:
        named = [self._references.resolve(logical_id) for logical_id in search.ids or ()]
        patients = tuple(dict.fromkeys(patient for patient in named if patient is not None))
        for patient in patients:
            require_patient(patient)
        found = await self._documented(patients, with_time=search.wants_time)
        kept = tuple(record for record in found.records if search.matches(record.resource))
        return Records(kept, found.issues)

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

    async def _candidates(self, search: PatientSearch) -> tuple[Cx, ...]:
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
        if found is None or len(found) > MOST_CANDIDATES:
            text = "More patients may be meant than one search looks at. Give the birthdate as well."
            raise OutcomeError(400, (Issue("error", "too-costly", text),))
        return tuple(found)


def nobody() -> OutcomeError:
    """For an id that was never given to anybody."""
    return fail(404, "not-found", "No Patient with this id.", expression="Patient")


def gone() -> OutcomeError:
    """For an id of somebody of whom nothing is known any more."""
    text = "Nothing is known any more of the Patient who had this id. Search by identifier."
    return fail(410, "deleted", text, expression="Patient")
