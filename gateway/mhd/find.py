"""Find Document References (ITI-67) and read by id, answered from Registry Stored Queries (ITI-18).

A page costs two SOAP calls whatever its size: the search, and one GetAssociations for the relations of its
entries (IHE MHD 4.2.4 2:3.67; ITI TF-2 3.18).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gateway.fhir.document_reference import document_reference_json, entry_uuid_of
from gateway.fhir.document_search import DocumentSearch, parse_document_search
from gateway.fhir.issues import fail
from gateway.mhd.search_pages import SearchPages, Writer
from gateway.model import Association, DocumentEntry, QueryResult
from gateway.model.codes import DOCUMENT_RELATIONS
from gateway.model.query import GetDocumentsAndAssociations


class Finder(SearchPages[DocumentEntry]):
    """The use case of ITI-67."""

    narrow_by = "type or creation"
    from_associations = "DocumentReference.relatesTo"

    async def read(self, logical_id: str) -> bytes:
        """Return one DocumentReference by its id, the UUID of its entryUUID. Raises OutcomeError 404."""
        unknown = fail(404, "not-found", "No DocumentReference with this id.", expression="DocumentReference")
        entry_uuid = entry_uuid_of(logical_id)
        if entry_uuid is None:
            raise unknown
        found = await self._registry.query(GetDocumentsAndAssociations(entry_uuids=(entry_uuid,)))
        entry = next((e for e in found.entries if e.entry_uuid == entry_uuid), None)
        if entry is None:
            raise unknown
        relations = [a for a in found.associations if _is_relation_of(a, entry.entry_uuid)]
        return document_reference_json(entry, self._write_context, relations)

    def _parse(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> DocumentSearch:
        return parse_document_search(parameters, self._search_context, strict=strict)

    def _found(self, result: QueryResult) -> Iterable[DocumentEntry]:
        return result.entries

    async def _writer(
        self, items: Sequence[DocumentEntry], associations: Sequence[Association]
    ) -> Writer[DocumentEntry]:
        own = {entry.entry_uuid for entry in items}
        relations: dict[str, list[Association]] = defaultdict(list)
        for association in associations:
            if association.source in own and _is_relation_of(association, association.source):
                relations[association.source].append(association)
        return Writer(
            lambda entry, context: document_reference_json(
                entry, context, relations.get(entry.entry_uuid, ())
            )
        )


def _is_relation_of(association: Association, entry_uuid: str) -> bool:
    return association.source == entry_uuid and association.type in DOCUMENT_RELATIONS
