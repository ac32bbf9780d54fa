"""Reads by id of what ITI-65 stored besides documents, so that every Location of its answer resolves."""

import orjson

from gateway.clients.community import Queries
from gateway.fhir.document_reference import WriteContext, entry_uuid_of, resource_id
from gateway.fhir.issues import fail
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.mhd.members import DOCUMENT, LIST, members_of
from gateway.model.query import ANY_DOCUMENT, GetFolderAndContents, GetSubmissionSetAndContents


class Reader:
    """Reads of List."""

    def __init__(self, registry: Queries, context: WriteContext) -> None:
        self._registry = registry
        self._context = context

    async def read_list(self, logical_id: str) -> bytes:
        """A SubmissionSet or Folder as List, with its members. Raises OutcomeError 404."""
        unknown = fail(404, "not-found", "No List with this id.", expression="List")
        entry_uuid = entry_uuid_of(logical_id)
        if entry_uuid is None:
            raise unknown
        found = await self._registry.query(
            GetSubmissionSetAndContents(entry_uuid=entry_uuid, document_type=ANY_DOCUMENT)
        )
        for submission_set in found.submission_sets:
            if submission_set.entry_uuid == entry_uuid:
                kinds = {a.target: DOCUMENT for a in found.associations if a.submission_set_status}
                kinds |= {e.entry_uuid: DOCUMENT for e in found.entries}
                kinds |= {f.entry_uuid: LIST for f in found.folders}
                ids = {e.entry_uuid: resource_id(e) for e in found.entries}
                members = members_of(entry_uuid, found.associations, kinds, ids)
                return orjson.dumps(write_submission_set_list(submission_set, members, self._context))
        found = await self._registry.query(
            GetFolderAndContents(entry_uuid=entry_uuid, document_type=ANY_DOCUMENT)
        )
        for folder in found.folders:
            if folder.entry_uuid == entry_uuid:
                kinds = {e.entry_uuid: DOCUMENT for e in found.entries}
                ids = {e.entry_uuid: resource_id(e) for e in found.entries}
                members = members_of(entry_uuid, found.associations, kinds, ids)
                return orjson.dumps(write_folder_list(folder, members, self._context))
        raise unknown
