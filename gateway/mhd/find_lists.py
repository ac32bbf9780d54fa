"""Find Document Lists (ITI-66), answered from Registry Stored Queries (ITI-18).

A page costs the search and one GetAssociations for the members of its Lists, whatever its size. What a
SubmissionSet brought besides documents can be a Folder or an association, which GetFolders tells apart: a
third call for a page that has such members (IHE MHD 4.2.4 2:3.66; ITI TF-3 4.2.2).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import orjson

from gateway.fhir.document_reference import WriteContext
from gateway.fhir.issues import Issue
from gateway.fhir.list_elements import RegistryList
from gateway.fhir.list_search import ListSearch, parse_list_search
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.outcome import issues_of_warnings
from gateway.mhd.members import DOCUMENT, LIST, members_of, memberships
from gateway.mhd.search_pages import SearchPages, Writer
from gateway.model import Association, Folder, QueryResult, RegistryFailure, SubmissionSet
from gateway.model.errors import PeerError
from gateway.model.query import GetFolders


class ListFinder(SearchPages[RegistryList]):
    """The use case of ITI-66."""

    narrow_by = "code or date"
    from_associations = "List.entry"

    def _parse(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> ListSearch:
        return parse_list_search(parameters, self._search_context, strict=strict)

    def _found(self, result: QueryResult) -> Iterable[RegistryList]:
        yield from result.submission_sets
        yield from result.folders

    async def _writer(
        self, items: Sequence[RegistryList], associations: Sequence[Association]
    ) -> Writer[RegistryList]:
        own = {item.entry_uuid: item for item in items}
        by_owner: dict[str, list[Association]] = defaultdict(list)
        for association in memberships(associations):
            if association.source in own:
                by_owner[association.source].append(association)
        kinds = {uuid: LIST for uuid, item in own.items() if isinstance(item, Folder)}
        unknown: dict[str, None] = {}
        no_resources = {association.entry_uuid for association in associations}
        for owner, members in by_owner.items():
            for member in members:
                # the slot is required of documents in a SubmissionSet and has no meaning for other members
                if isinstance(own[owner], Folder) or member.submission_set_status is not None:
                    kinds[member.target] = DOCUMENT
                elif member.target not in kinds and member.target not in no_resources:
                    unknown[member.target] = None
        folders, issues = await self._folders_among(tuple(uuid for uuid in unknown if uuid not in kinds))
        kinds |= dict.fromkeys(folders, LIST)

        def write(item: RegistryList, context: WriteContext) -> bytes:
            members = members_of(item.entry_uuid, by_owner.get(item.entry_uuid, ()), kinds)
            if isinstance(item, SubmissionSet):
                return orjson.dumps(write_submission_set_list(item, members, context))
            return orjson.dumps(write_folder_list(item, members, context))

        return Writer(write, issues)

    async def _folders_among(self, uuids: tuple[str, ...]) -> tuple[Iterable[str], tuple[Issue, ...]]:
        """Those of `uuids` that are Folders."""
        if not uuids:
            return (), ()
        try:
            found = await self._registry.query(GetFolders(entry_uuids=uuids))
        except (PeerError, RegistryFailure) as error:
            return (), (self._missing(error),)
        return (folder.entry_uuid for folder in found.folders), issues_of_warnings(found.errors)
