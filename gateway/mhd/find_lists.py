"""Find Document Lists (ITI-66), answered from Registry Stored Queries (ITI-18).

A page costs the search and one GetAssociations for the members of its Lists, whatever its size, and a
GetFolders where a SubmissionSet brought more than documents (IHE MHD 4.2.4 2:3.66; ITI TF-3 4.2.2).
"""

from collections.abc import Iterable, Sequence

from gateway.fhir.list_elements import RegistryList
from gateway.fhir.list_search import ListSearch, parse_list_search
from gateway.fhir.search_request import SearchContext
from gateway.mhd.page_writers import MEMBERS, Writer, list_writer
from gateway.mhd.search_pages import SearchPages
from gateway.model import Association, QueryResult


class ListFinder(SearchPages[RegistryList]):
    """The use case of ITI-66."""

    narrow_by = "code or date"
    from_associations = MEMBERS

    def _parse(
        self, parameters: Sequence[tuple[str, str]], context: SearchContext, *, strict: bool = False
    ) -> ListSearch:
        return parse_list_search(parameters, context, strict=strict)

    def _found(self, result: QueryResult) -> Iterable[RegistryList]:
        yield from result.submission_sets
        yield from result.folders

    async def _writer(
        self, items: Sequence[RegistryList], associations: Sequence[Association]
    ) -> Writer[RegistryList]:
        return await list_writer(self._registry, items, associations)
