"""Provenance of documents: read, and found by the document (IHE mXDE; HL7 Europe Imaging Report
1.0.0-ballot).

It costs two queries (ITI TF-2 3.18), whatever the number of documents: the documents with their associations,
and the SubmissionSets that brought them. Manifests that are offered in two formats cost what a read of them
does.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gateway.clients.community import Queries
from gateway.fhir.datatypes import Json
from gateway.fhir.document_ids import read_provenance_id
from gateway.fhir.document_provenance import hold_document_provenance
from gateway.fhir.held import HeldResource
from gateway.fhir.issues import fail
from gateway.fhir.terminology import Terminology
from gateway.imaging.offered_manifests import OfferedManifests
from gateway.mhd.current_version import with_current_versions
from gateway.mhd.page_writers import is_relation_of
from gateway.mhd.submissions import submissions_by_document
from gateway.model import Association, DocumentEntry, SubmissionSet
from gateway.model.query import GetDocumentsAndAssociations


class DocumentProvenances:
    """Makes them of what the registry says."""

    def __init__(self, registry: Queries, manifests: OfferedManifests, terminology: Terminology) -> None:
        self._registry = registry
        self._manifests = manifests
        self._terminology = terminology

    async def read(self, fhir_id: str) -> Json:
        """One Provenance by its id. Raises OutcomeError 404, PeerError and RegistryFailure."""
        wanted = read_provenance_id(fhir_id)
        query = GetDocumentsAndAssociations(entry_uuids=(wanted.entry_uuid,) if wanted is not None else ())
        found = await self.found_by(query) if wanted is not None else []
        for held in found:
            if held.id == fhir_id:
                return held.resource
        raise fail(404, "not-found", "No Provenance with this id.", expression="Provenance")

    async def found_by(self, query: GetDocumentsAndAssociations) -> list[HeldResource]:
        """Those of the documents that a query by lasting ids names, and perhaps of their other formats.

        Raises PeerError and RegistryFailure.
        """
        found = await with_current_versions(self._registry, query, await self._registry.query(query))
        if not found.entries:
            return []
        entries = await self._manifests.offered(found.entries, by_id=True)
        brought = await submissions_by_document(self._registry, entries)
        return provenances(entries, brought, found.associations, self._terminology)


def provenances(
    entries: Sequence[DocumentEntry],
    brought: Mapping[str, SubmissionSet],
    associations: Iterable[Association],
    terminology: Terminology,
) -> list[HeldResource]:
    """Provenance of each document whose SubmissionSet is known, by entryUUID in `brought`."""
    relations: dict[str, list[Association]] = defaultdict(list)
    for association in associations:
        if is_relation_of(association, association.source):
            relations[association.source].append(association)
    return [
        hold_document_provenance(e, brought[e.entry_uuid], relations.get(e.entry_uuid, ()), terminology)
        for e in entries
        if e.entry_uuid in brought
    ]
