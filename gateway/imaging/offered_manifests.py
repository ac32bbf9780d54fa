"""Manifests as searches of documents offer them: in both formats, and with what their entries leave out
(IHE RAD MADO 0.1.0; XDS-I.b entries of older sources).
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing

from gateway.clients.community import Queries
from gateway.fhir.imaging_documents import is_paired_by_study, manifest_format, with_twins
from gateway.fhir.issues import Issue
from gateway.fhir.manifest_metadata import searchable
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.imaging.accessions import AS_STATED, Accessions
from gateway.imaging.manifests import Manifests, WantedManifest
from gateway.imaging.studies import missing_manifest, unplaced_manifests
from gateway.model import Association, DocumentEntry, RegistryFailure, codes
from gateway.model.errors import PeerUnsupported
from gateway.model.imaging import ReadManifest
from gateway.model.metadata import Cx
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    OWN_COMMUNITY,
    FindDocumentsByReferenceId,
    GetAssociations,
    GetDocuments,
)


class OfferedManifests:
    """What is offered of the documents that a search has found."""

    def __init__(
        self,
        registry: Queries,
        manifests: Manifests,
        accessions: Accessions = AS_STATED,
        *,
        twins: bool,
    ) -> None:
        """`twins` offers each manifest in the format too that it is not registered in."""
        self._registry = registry
        self._accessions = accessions
        self._manifests = manifests
        self._twins = twins

    async def offered(
        self, entries: Sequence[DocumentEntry], *, by_id: bool = False
    ) -> tuple[DocumentEntry, ...]:
        """The entries, each manifest in both formats. Raises PeerError and RegistryFailure.

        With `by_id` they were named one by one, or narrowed by what the formats of one manifest need not
        share, so that the other of a registered pair may not be among them and is asked for. Entries that are
        no manifests cost nothing.
        """
        found = [entry for entry in entries if manifest_format(entry) is not None]
        if not found or not self._twins:
            return tuple(entries)
        beside = await self._siblings(found) if by_id else ()
        unnamed = tuple(entry.entry_uuid for entry in found if not is_paired_by_study(entry))
        # of one format alone nothing can be joined, unless the other one was not asked for
        if not unnamed or not (by_id or len({manifest_format(entry) for entry in found}) > 1):
            return with_twins(entries, (), beside)
        relations = (await self._registry.query(GetAssociations(uuids=unnamed))).associations
        if by_id:
            beside = (*beside, *await self._related(found, relations))
        return with_twins(entries, relations, beside)

    async def _related(
        self, manifests: Sequence[DocumentEntry], relations: Sequence[Association]
    ) -> tuple[DocumentEntry, ...]:
        """What the manifests transform, or are transformed into."""
        joining = (r for r in relations if r.type in (codes.XFRM, codes.XFRM_RPLC))
        known = {entry.entry_uuid for entry in manifests}
        others = {uuid for relation in joining for uuid in (relation.source, relation.target)} - known
        if not others:
            return ()
        return (await self._registry.query(GetDocuments(entry_uuids=tuple(sorted(others))))).entries

    async def _siblings(self, manifests: Sequence[DocumentEntry]) -> tuple[DocumentEntry, ...]:
        """Other manifests of the same studies, with one query for each patient and community."""
        studies: dict[tuple[Cx, str], set[str]] = {}
        for entry in manifests:
            for reference in entry.reference_ids:
                if reference.type == codes.REFERENCE_STUDY and entry.patient_id is not None:
                    home = entry.home_community_id or OWN_COMMUNITY
                    studies.setdefault((entry.patient_id, home), set()).add(reference.id)
        found: dict[str, DocumentEntry] = {}
        for (patient, home), uids in studies.items():
            query = FindDocumentsByReferenceId(
                patient_id=patient,
                home=home,
                status=ANY_STATUS,
                format_code=MANIFEST_FORMATS,
                document_type=ANY_DOCUMENT,
                reference_ids=(tuple(f"{uid}^^^^{codes.REFERENCE_STUDY}" for uid in sorted(uids)),),
            )
            try:
                result = await self._registry.query(query)
            except (RegistryFailure, PeerUnsupported):
                # a registry without the Reference ID option: what stands alone is offered in both formats
                continue
            found |= {entry.entry_uuid: entry for entry in result.entries}
        for entry in manifests:
            found.pop(entry.entry_uuid, None)
        return tuple(found.values())

    async def understood(
        self, entries: Sequence[DocumentEntry], has_to_read: Callable[[DocumentEntry], bool]
    ) -> tuple[tuple[DocumentEntry, ...], tuple[Issue, ...]]:
        """The entries with what their manifests say of what a search asks, and warnings about the others.

        Only the manifests that have to be read are, each once, in batches.
        """
        unread = {entry.entry_uuid: entry for entry in entries if has_to_read(entry)}
        read, issues = await self._read(unread.values())
        return tuple(read.get(entry.entry_uuid, entry) for entry in entries), issues

    async def _read(
        self, entries: Iterable[DocumentEntry]
    ) -> tuple[dict[str, DocumentEntry], tuple[Issue, ...]]:
        by_uuid = {entry.entry_uuid: entry for entry in entries}
        wanted = [w for entry in by_uuid.values() if (w := WantedManifest.of(entry)) is not None]
        issues = [unplaced_manifests(len(by_uuid) - len(wanted))] if len(wanted) < len(by_uuid) else []
        read: dict[str, DocumentEntry] = {}
        async with aclosing(self._manifests.many(wanted)) as found:
            async for item, outcome in found:
                entry = by_uuid[item.key.entry_uuid]
                if isinstance(outcome, ReadManifest):
                    read[entry.entry_uuid] = searchable(
                        entry, self._accessions.completed(outcome.manifest, entry)
                    )
                else:
                    issues.append(missing_manifest(outcome))
        return read, tuple(dict.fromkeys(issues))
