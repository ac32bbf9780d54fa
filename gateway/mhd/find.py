"""Find Document References (ITI-67) and read by id, answered from Registry Stored Queries (ITI-18).

A page costs two SOAP calls whatever its size: the search, and one GetAssociations for the relations of its
entries. `date` and `_lastUpdated` need a third, GetSubmissionSets (IHE MHD 4.2.4 2:3.67; ITI TF-2 3.18). What
is asked of imaging costs one more, since entries of older sources do not say it, and the manifests of those.
"""

from collections.abc import Iterable, Mapping, Sequence

from gateway.fhir.document_ids import made_as, read_document_id
from gateway.fhir.document_search import DocumentSearch
from gateway.fhir.imaging_document_search import ImagingDocumentSearch, parse_imaging_document_search
from gateway.fhir.imaging_documents import imaging_document_json
from gateway.fhir.issues import Issue, fail
from gateway.fhir.search_request import Search
from gateway.mhd.current_version import named, with_current_versions
from gateway.mhd.page_writers import RELATIONS, Writer, document_writer, is_relation_of
from gateway.mhd.search_pages import Matches, SearchPages
from gateway.mhd.submissions import submission_times
from gateway.model import Association, DocumentEntry, QueryResult
from gateway.model.query import FindDocuments, GetDocumentsAndAssociations, StoredQuery


class Finder(SearchPages[DocumentEntry]):
    """The use case of ITI-67."""

    narrow_by = "type or creation"
    from_associations = RELATIONS

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

    def _parse(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> DocumentSearch:
        return parse_imaging_document_search(parameters, self._search_context, strict=strict)

    async def _completed(self, parameters: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        return await self._known_patients.completed(parameters)

    async def _candidates(self, search: Search[DocumentEntry]) -> Matches[DocumentEntry]:
        """What the registry says, with what manifests say in its place, each manifest in both formats."""
        answers: Sequence[QueryResult] = await self._answers(search)
        read = False
        issues: tuple[Issue, ...] = ()
        if isinstance(search, ImagingDocumentSearch):
            answers, read = await self._imaging_answers(search, answers)
        found = self._each_once(answers)
        entries: Sequence[DocumentEntry] = found.items
        if isinstance(search, ImagingDocumentSearch) and read:
            entries, issues = await self._manifests.understood(entries, search.has_to_read)
        by_id = not any(isinstance(query, FindDocuments) for query in search.stored_queries)
        return Matches(await self._manifests.offered(entries, by_id=by_id), (*found.issues, *issues))

    async def _imaging_answers(
        self, search: ImagingDocumentSearch, answers: Sequence[QueryResult]
    ) -> tuple[Sequence[QueryResult], bool]:
        """The answers with those that only imaging asks for; true where manifests may have to be read."""
        further = list(answers)
        if search.query_of_related is not None and not any(answer.entries for answer in further):
            further += await self._all_of((search.query_of_related,))
        read = bool(search.asked) and not (search.reserve and any(answer.entries for answer in further))
        if read:
            further += await self._all_of(search.queries_of_manifests)
        return further, read

    async def _all_of(self, queries: Sequence[StoredQuery]) -> list[QueryResult]:
        answers = [await self._ask(query) for query in queries]
        return [answer for answer in answers if answer is not None]

    def _found(self, result: QueryResult) -> Iterable[DocumentEntry]:
        return result.entries

    async def _submission_times(self, items: Sequence[DocumentEntry]) -> Mapping[str, str]:
        return await submission_times(self._registry, items)

    async def _writer(
        self, items: Sequence[DocumentEntry], associations: Sequence[Association]
    ) -> Writer[DocumentEntry]:
        return document_writer(items, associations)
