"""Find Document References (ITI-67) and read by id, answered from Registry Stored Queries (ITI-18).

A page costs two SOAP calls whatever its size: the search, and one GetAssociations for the relations of its
entries. `date` and `_lastUpdated` need a third, GetSubmissionSets (IHE MHD 4.2.4 2:3.67; ITI TF-2 3.18). What
is related to an identifier costs one more, and so does what is asked of imaging, since entries of older
sources do not say it, besides the manifests of those.
"""

from collections.abc import Iterable, Mapping, Sequence

from gateway.fhir.document_ids import made_as, read_document_id
from gateway.fhir.document_search import DocumentSearch
from gateway.fhir.imaging_document_search import ImagingDocumentSearch, parse_imaging_document_search
from gateway.fhir.imaging_documents import imaging_document_json
from gateway.fhir.issues import fail
from gateway.fhir.search_request import Search, SearchContext
from gateway.mhd.current_version import named, with_current_versions
from gateway.mhd.document_candidates import DocumentCandidates
from gateway.mhd.page_writers import RELATIONS, Writer, document_writer, is_relation_of
from gateway.mhd.relating_documents import with_relating_documents
from gateway.mhd.search_pages import Matches, SearchPages, SearchServices, Snapshots
from gateway.mhd.submissions import submission_times
from gateway.model import Association, DocumentEntry, QueryResult
from gateway.model.query import GetDocumentsAndAssociations
from gateway.security.document_urls import PageTokens


class Finder(SearchPages[DocumentEntry]):
    """The use case of ITI-67."""

    narrow_by = "type or creation"
    from_associations = RELATIONS

    def __init__(
        self, services: SearchServices, *, snapshots: Snapshots[DocumentEntry], pages: PageTokens
    ) -> None:
        super().__init__(services, snapshots=snapshots, pages=pages)
        self._documents = DocumentCandidates(self._answers, self._ask, services.manifests)

    async def read(self, logical_id: str) -> bytes:
        """Return one DocumentReference by its id: the current version of the metadata.

        The entryUUID of that version names it too. Raises OutcomeError 404.
        """
        unknown = fail(404, "not-found", "No DocumentReference with this id.", expression="DocumentReference")
        wanted = read_document_id(logical_id)
        if wanted is None:
            raise unknown
        query = GetDocumentsAndAssociations(entry_uuids=(wanted.entry_uuid,))
        found = await with_current_versions(self._registry, query, await self._registry.query(query))
        entry = named(found.entries, wanted.entry_uuid)
        if entry is None:
            raise unknown
        offered = await self._manifests.offered((entry,), by_id=True)
        for each in offered:
            if made_as(each) == wanted.made_as:
                relations = [a for a in found.associations if is_relation_of(a, each.entry_uuid)]
                return imaging_document_json(each, self._write_context, relations)
        raise unknown

    def _parse(
        self, parameters: Sequence[tuple[str, str]], context: SearchContext, *, strict: bool = False
    ) -> DocumentSearch:
        return parse_imaging_document_search(parameters, context, strict=strict)

    async def _completed(self, parameters: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        known = await self._known_patients.completed(parameters)
        return await with_relating_documents(self._registry, self._write_context.base_url, known)

    async def _candidates(self, search: Search[DocumentEntry]) -> Matches[DocumentEntry]:
        assert isinstance(search, ImagingDocumentSearch)
        found = await self._documents.of(search)
        await self._note(found.entries)
        return Matches(found.entries, found.issues)

    def _found(self, result: QueryResult) -> Iterable[DocumentEntry]:
        return result.entries

    async def _submission_times(self, items: Sequence[DocumentEntry]) -> Mapping[str, str]:
        return await submission_times(self._registry, items)

    async def _writer(
        self, items: Sequence[DocumentEntry], associations: Sequence[Association]
    ) -> Writer[DocumentEntry]:
        return document_writer(items, associations)
