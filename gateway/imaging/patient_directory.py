"""Patients that documents tell of: who an identifier of the affinity domain stands for, and who is called so.

The entries of a patient's documents say it (sourcePatientInfo); where none does, manifests and reports are
opened. By names and birth those are found of whom this gateway has stored or seen a document.
"""

from collections.abc import Callable, Iterable

import structlog
from msgspec import Struct

from gateway.clients.community import Queries
from gateway.correlation.patient_names import PatientIndex
from gateway.fhir.datatypes import Json, write_cx, write_date_time
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import means_no_match
from gateway.fhir.patient_search import Candidates
from gateway.fhir.patient_view import known_domain_key, search_keys, write_domain_patient
from gateway.fhir.terminology import Terminology
from gateway.imaging.patient_imaging import PatientImaging
from gateway.imaging.said_patients import said_by_documents, said_by_metadata
from gateway.model import Cx, DocumentEntry, RegistryFailure
from gateway.model.query import FindSubmissionSets

log = structlog.get_logger()


class KnownPatient(Struct, frozen=True):
    """A Patient, and warnings about what could not be had. `is_known`: something was submitted."""

    resource: Json
    is_known: bool
    issues: tuple[Issue, ...] = ()


class PatientNotes:
    """Notes the patients of documents that were stored or found."""

    def __init__(self, index: PatientIndex, terminology: Terminology) -> None:
        self._index = index
        self._terminology = terminology

    async def of_entries(self, entries: Iterable[DocumentEntry]) -> None:
        """Note who these documents are about. What cannot be noted is not."""
        by_patient: dict[Cx, list[DocumentEntry]] = {}
        for entry in entries:
            if entry.patient_id is not None:
                by_patient.setdefault(entry.patient_id, []).append(entry)
        for patient, listed in by_patient.items():
            for said in said_by_metadata(listed, self._terminology) or [{}]:
                await self.of_patient(patient, said)

    async def of_patient(self, patient: Cx, resource: Json) -> None:
        """Note who a patient is."""
        own = [*resource.get("identifier", ()), write_cx(patient, self._terminology)]
        await self._index.note(patient, search_keys({**resource, "identifier": own}, self._terminology))

    async def under(self, keys: Iterable[str]) -> frozenset[Cx] | None:
        """Patients under one of the keys; None where there are more than are kept."""
        return await self._index.under(keys)


class PatientDirectory:
    """Patients by identifier, and by what they are called."""

    def __init__(
        self,
        registry: Queries,
        patients: PatientImaging,
        notes: PatientNotes,
        terminology: Terminology,
        id_of: Callable[[Cx], str | None],
    ) -> None:
        """`id_of` gives the logical id of a Patient, None where there is none."""
        self._registry = registry
        self._patients = patients
        self._notes = notes
        self._terminology = terminology
        self._id_of = id_of

    async def of(self, patient: Cx, *, with_time: bool = False) -> KnownPatient | None:
        """A patient by their identifier in the affinity domain; None where that cannot have an id.

        With `with_time` it says when something was submitted last, which takes one query more. Raises
        PeerError and RegistryFailure.
        """
        logical_id = self._id_of(patient)
        if logical_id is None:
            return None
        found = await self._patients.entries_of(patient)
        said = said_by_metadata(found.entries, self._terminology)
        issues = found.issues
        if found.entries and not said:
            opened = await self._patients.opened(found.entries)
            said, issues = said_by_documents(opened, self._terminology), (*issues, *opened.issues)
        resource, differing = write_domain_patient(patient, logical_id, said, self._terminology)
        if differing:
            log.warning("patient.sources_differ", elements=list(differing))
        if said:
            await self._notes.of_patient(patient, resource)
        times = () if found.entries and not with_time else await self._submitted(patient)
        last = write_date_time(max(times, default=None)) if with_time else None
        if last and "T" in last:
            resource["meta"] = {"lastUpdated": last}
        return KnownPatient(resource, bool(found.entries or times), issues)

    async def meant(self, groups: Iterable[Candidates]) -> frozenset[Cx] | None:
        """Patients that may be meant: among each of the groups; None where there are too many."""
        found: frozenset[Cx] | None = None
        for group in groups:
            held = await self._notes.under(group.keys)
            if held is not None:
                whole = held.union(group.patients)
                found = whole if found is None else found & whole
        return found

    async def has_domain(self, domain: str) -> bool:
        """True where a patient has an identifier in a domain, an OID or a URI."""
        held = await self._notes.under((known_domain_key(domain),))
        return held is None or bool(held)

    async def _submitted(self, patient: Cx) -> tuple[str, ...]:
        """When something was submitted for a patient, who may have Folders alone."""
        try:
            # of all objects SubmissionSets are the smallest
            found = await self._registry.query(FindSubmissionSets(patient_id=patient))
        except RegistryFailure as failure:
            if means_no_match(failure):
                return ()
            raise
        return tuple(each.submission_time for each in found.submission_sets)
