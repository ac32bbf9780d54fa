"""Find Document References (ITI-67) and read by id, answered from Registry Stored Queries (ITI-18).

A page costs two SOAP calls whatever its size: the search, and one GetAssociations for the relations of its
entries. `date` and `_lastUpdated` need a third, GetSubmissionSets (IHE MHD 4.2.4 2:3.67; ITI TF-2 3.18).
"""

from collections.abc import Iterable, Mapping, Sequence

from gateway.fhir.document_reference import document_reference_json, entry_uuid_of
from gateway.fhir.document_search import DocumentSearch, parse_document_search
from gateway.fhir.issues import fail
from gateway.mhd.current_version import named, with_current_versions
from gateway.mhd.page_writers import RELATIONS, Writer, document_writer, is_relation_of
from gateway.mhd.search_pages import SearchPages
from gateway.mhd.submissions import submission_times
from gateway.model import Association, DocumentEntry, QueryResult
from gateway.model.query import GetDocumentsAndAssociations


class Finder(SearchPages[DocumentEntry]):
    """The use case of ITI-67."""

    narrow_by = "type or creation"
    from_associations = RELATIONS

    async def read(self, logical_id: str) -> bytes:
        """Return one DocumentReference by its id: the current version of the metadata.

        The entryUUID of that version names it too. Raises OutcomeError 404.
        """
        unknown = fail(404, "not-found", "No DocumentReference with this id.", expression="DocumentReference")
        entry_uuid = entry_uuid_of(logical_id)
        if entry_uuid is None:
            raise unknown
        query = GetDocumentsAndAssociations(entry_uuids=(entry_uuid,))
        found = await with_current_versions(self._registry, query, await self._registry.query(query))
        entry = named(found.entries, entry_uuid)
        if entry is None:
            raise unknown
        relations = [a for a in found.associations if is_relation_of(a, entry.entry_uuid)]
        return document_reference_json(entry, self._write_context, relations)

    def _parse(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> DocumentSearch:
        return parse_document_search(parameters, self._search_context, strict=strict)

    def _found(self, result: QueryResult) -> Iterable[DocumentEntry]:
        return result.entries

    async def _submission_times(self, items: Sequence[DocumentEntry]) -> Mapping[str, str]:
        return await submission_times(self._registry, items)

    async def _writer(
        self, items: Sequence[DocumentEntry], associations: Sequence[Association]
    ) -> Writer[DocumentEntry]:
        return document_writer(items, associations)
