"""What the documents of a patient say of imaging: studies of manifests, and reports.

One query of the registry finds the documents of both kinds, since the codes of manifests and of reports have
nothing in common that a stored query could ask for; which of them are opened is decided by their entries.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct

from gateway.clients.community import Queries
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import issues_of_warnings, means_no_match
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.imaging.reports import KnownReport, Reports
from gateway.imaging.studies import KnownStudy, StudyFinder
from gateway.mhd.current_version import named, with_current_versions
from gateway.model import AvailabilityStatus, DocumentEntry, RegistryFailure
from gateway.model.metadata import Code, Cx
from gateway.model.query import ANY_DOCUMENT, APPROVED, FindDocuments, GetDocuments

_FORMATS = frozenset(form.code for form in MANIFEST_FORMATS)


class Gathered(Struct, frozen=True):
    """What was found, and warnings about what was not. `entries` are those of all documents looked at."""

    studies: tuple[KnownStudy, ...] = ()
    reports: tuple[KnownReport, ...] = ()
    issues: tuple[Issue, ...] = ()
    entries: tuple[DocumentEntry, ...] = ()


class FoundEntries(Struct, frozen=True):
    """DocumentEntries of a patient, and warnings about others."""

    entries: tuple[DocumentEntry, ...] = ()
    issues: tuple[Issue, ...] = ()


Note = Callable[[Sequence[DocumentEntry]], Awaitable[None]]
"""Told of the entries that were found."""


class Wanted(Struct, frozen=True):
    """Which documents to open."""

    manifests: bool = True
    reports: bool = True


BOTH = Wanted()


class PatientImaging:
    """Opens the documents of patients."""

    def __init__(self, registry: Queries, studies: StudyFinder, reports: Reports, note: Note) -> None:
        self._registry = registry
        self._studies = studies
        self._reports = reports
        self._note = note

    async def of_patient(
        self, patient: Cx, wanted: Wanted = BOTH, communities: Sequence[str] = ()
    ) -> Gathered:
        """What the current documents of a patient hold, in all communities or in these.

        Raises the same as `found_by`.
        """
        formats = () if wanted.reports else MANIFEST_FORMATS
        return await self.found_by(_of_patient(patient, formats, communities), wanted)

    async def found_by(self, query: FindDocuments, wanted: Wanted = BOTH) -> Gathered:
        """What the documents that a query finds hold. Raises PeerError and RegistryFailure of the registry.

        A document that cannot be had is a warning, since the others are still right.
        """
        found = await self._found(query)
        opened = await self.opened(found.entries, wanted)
        issues = (*found.issues, *opened.issues)
        return Gathered(opened.studies, opened.reports, issues, found.entries)

    async def entries_of(self, patient: Cx) -> FoundEntries:
        """The current documents of a patient, unopened. Raises PeerError and RegistryFailure."""
        return await self._found(_of_patient(patient))

    async def _found(self, query: FindDocuments) -> FoundEntries:
        try:
            found = await self._registry.query(query)
        except RegistryFailure as failure:
            if means_no_match(failure):
                return FoundEntries()
            raise
        await self._note(found.entries)
        return FoundEntries(found.entries, issues_of_warnings(found.errors))

    async def document(self, entry_uuid: str) -> DocumentEntry | None:
        """The document with this lasting id, superseded or not. Raises PeerError and RegistryFailure."""
        query = GetDocuments(entry_uuids=(entry_uuid,))
        found = await with_current_versions(self._registry, query, await self._registry.query(query))
        return named(found.entries, entry_uuid)

    async def report(self, entry: DocumentEntry) -> Gathered:
        """What one document holds."""
        reports, issues = await self._reports.of_entries([entry])
        return Gathered(reports=reports, issues=issues)

    async def opened(self, entries: Iterable[DocumentEntry], wanted: Wanted = BOTH) -> Gathered:
        """What documents hold."""
        listed = tuple(entries)
        manifests = [e for e in listed if wanted.manifests and _is_manifest(e)]
        reports = listed if wanted.reports else ()
        (studies, missing), (known, lost) = await asyncio.gather(
            self._studies.of_entries(manifests), self._reports.of_entries(reports)
        )
        return Gathered(studies, known, (*missing, *lost))


def _of_patient(
    patient: Cx, formats: tuple[Code, ...] = (), communities: Sequence[str] = ()
) -> FindDocuments:
    return FindDocuments(
        patient_id=patient,
        status=APPROVED,
        format_code=formats,
        document_type=ANY_DOCUMENT,
        target_communities=tuple(communities),
    )


def _is_manifest(entry: DocumentEntry) -> bool:
    is_current = entry.status is AvailabilityStatus.APPROVED
    return is_current and entry.format_code is not None and entry.format_code.code in _FORMATS
