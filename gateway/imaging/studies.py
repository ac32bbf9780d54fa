"""The imaging studies of a patient, from the manifests that the registry holds (eu-imaging: ImagingStudy
search over XDS-I.b).

One query finds the manifests, those not yet known are fetched in batches, and everything else is filtered
here, since a registry of legacy entries cannot. Manifests of one study in one community become one study:
series and locations are put together, and each series remembers the manifest that grants it.
"""

from collections.abc import Iterable, Sequence
from contextlib import aclosing

import structlog
from msgspec import Struct
from msgspec.structs import replace as changed

from gateway.clients.community import Queries
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import issues_of_warnings, means_no_match
from gateway.imaging.accessions import AS_STATED, Accessions
from gateway.imaging.fetched_documents import UnknownRepository
from gateway.imaging.manifests import ManifestError, Manifests, WantedManifest
from gateway.model import DocumentEntry, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.imaging import ReadManifest, RetrieveLocation, Series, Study
from gateway.model.metadata import Code, Cx
from gateway.model.query import ANY_DOCUMENT, APPROVED, FindDocuments
from gateway.security.study_urls import StudyKey

log = structlog.get_logger()


class StudySource(Struct, frozen=True):
    """A manifest that lists (a part of) a study, and its entry in the registry."""

    key: StudyKey
    entry: DocumentEntry


class KnownStudy(Struct, frozen=True):
    """A study of one community. `sources` are its manifests, the latest first.

    `granted` names by Series Instance UID the source that lists the series. `utc_offset` holds for the times
    of the study that have none of their own.
    """

    study: Study
    home_community_id: str | None
    sources: tuple[StudySource, ...]
    granted: dict[str, int]
    utc_offset: str | None = None

    @property
    def entry_uuid(self) -> str:
        """That of the latest manifest."""
        return self.sources[0].entry.entry_uuid

    def source_of(self, series_instance_uid: str) -> StudySource:
        """The manifest that lists a series."""
        return self.sources[self.granted.get(series_instance_uid, 0)]


class PatientStudies(Struct, frozen=True):
    """What was found, and warnings about what was not."""

    studies: tuple[KnownStudy, ...]
    issues: tuple[Issue, ...] = ()


class StudyFinder:
    """Finds the studies of a patient."""

    def __init__(
        self,
        registry: Queries,
        manifests: Manifests,
        manifest_formats: Sequence[Code],
        accessions: Accessions = AS_STATED,
    ) -> None:
        """`manifest_formats` are the formatCodes that manifests are registered under."""
        self._registry = registry
        self._manifests = manifests
        self._formats = tuple(manifest_formats)
        self._accessions = accessions

    async def of_patient(self, patient: Cx) -> PatientStudies:
        """Every study of a patient. Raises the same as `found_by`."""
        return await self.found_by(
            FindDocuments(
                patient_id=patient, status=APPROVED, format_code=self._formats, document_type=ANY_DOCUMENT
            )
        )

    async def found_by(self, query: FindDocuments) -> PatientStudies:
        """The studies whose manifests a query finds. Raises PeerError and RegistryFailure of the registry.

        A manifest that cannot be had is a warning, since the others are still right.
        """
        try:
            found = await self._registry.query(query)
        except RegistryFailure as failure:
            if means_no_match(failure):
                return PatientStudies(())
            raise
        studies, issues = await self.of_entries(found.entries)
        return PatientStudies(studies, (*issues_of_warnings(found.errors), *issues))

    async def of_entries(
        self, entries: Iterable[DocumentEntry]
    ) -> tuple[tuple[KnownStudy, ...], tuple[Issue, ...]]:
        """The studies that the manifests of these entries list."""
        by_uuid = {entry.entry_uuid: entry for entry in entries}
        wanted = [w for entry in by_uuid.values() if (w := WantedManifest.of(entry)) is not None]
        issues = [unplaced_manifests(len(by_uuid) - len(wanted))] if len(wanted) < len(by_uuid) else []
        read: list[tuple[StudySource, ReadManifest]] = []
        async with aclosing(self._manifests.many(wanted)) as found:
            async for item, outcome in found:
                entry = by_uuid[item.key.entry_uuid]
                if isinstance(outcome, ReadManifest):
                    uid = outcome.manifest.study.study_instance_uid
                    key = changed(item.key, study_instance_uid=uid)
                    manifest = self._accessions.completed(outcome.manifest, entry)
                    read.append((StudySource(key, entry), changed(outcome, manifest=manifest)))
                else:
                    issues.append(missing_manifest(outcome))
        return merged(read), tuple(dict.fromkeys(issues))


def merged(read: Iterable[tuple[StudySource, ReadManifest]]) -> tuple[KnownStudy, ...]:
    """One study for each community and Study Instance UID, in the order of the latest manifest first."""
    groups: dict[tuple[str | None, str], list[tuple[StudySource, ReadManifest]]] = {}
    for source, manifest in sorted(read, key=_age, reverse=True):
        key = (source.key.home_community_id, source.key.study_instance_uid)
        groups.setdefault(key, []).append((source, manifest))
    return tuple(_put_together(home, group) for (home, _), group in groups.items())


def _age(item: tuple[StudySource, ReadManifest]) -> tuple[str, str]:
    entry = item[0].entry
    # a manifest in DICOM says more than its own translation of the same time
    return entry.creation_time or "", "1" if entry.mime_type == "application/dicom" else "0"


def _put_together(home: str | None, group: Sequence[tuple[StudySource, ReadManifest]]) -> KnownStudy:
    study = group[0][1].manifest.study
    series = {s.series_instance_uid: s for s in study.series}
    granted = dict.fromkeys(series, 0)
    for number, (_, read) in enumerate(group[1:], 1):
        other = read.manifest.study
        if other.series and _differs(study, other):
            log.warning("study.manifests_differ", manifests=len(group))
        for each in other.series:
            uid = each.series_instance_uid
            if uid in series:
                series[uid] = _with_locations(series[uid], each.locations)
            else:
                series[uid], granted[uid] = each, number
    merged_study = changed(study, series=tuple(series.values())) if len(group) > 1 else study
    offset = group[0][1].manifest.utc_offset
    return KnownStudy(merged_study, home, tuple(source for source, _ in group), granted, offset)


def _differs(one: Study, other: Study) -> bool:
    return {i.sop_instance_uid for s in one.series for i in s.instances} != {
        i.sop_instance_uid for s in other.series for i in s.instances
    }


def _with_locations(series: Series, more: Sequence[RetrieveLocation]) -> Series:
    known = tuple(dict.fromkeys((*series.locations, *more)))
    return changed(series, locations=known)


def missing_manifest(problem: PeerError | RegistryFailure | ManifestError | UnknownRepository) -> Issue:
    """Warning that a manifest could not be had."""
    if isinstance(problem, PeerError | RegistryFailure):
        text = f"{problem.peer} ({problem.transaction}) did not give a manifest"
    elif isinstance(problem, UnknownRepository):
        text = f"a manifest lies where this gateway does not reach: {problem}"
    else:
        text = f"a manifest cannot be used: {problem}"
    return Issue("warning", "incomplete", f"{text[0].upper()}{text[1:]}. Its study is missing here.")


def unplaced_manifests(count: int) -> Issue:
    """Warning that manifests lie nobody says where."""
    return Issue(
        "warning",
        "incomplete",
        f"The registry does not say which repository holds {count} manifests. Their studies are missing.",
    )
