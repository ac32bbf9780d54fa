"""The 14 stored queries as searches of an MHD server (ITI TF-2 3.18.4.1.2.3.7; IHE MHD 4.2.4 2:3.66, 2:3.67).

Only what every Document Responder has to support is asked: by patient, by identifier, by id. Queries that
start from an object and ask for what is connected with it read the metadata of its patient and follow the
members of Lists and relatesTo there.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from gateway.clients.mhd_resources import Found, MhdResources
from gateway.clients.pieces import pieces_of
from gateway.clients.stored_query_filter import (
    finds_document,
    finds_folder,
    finds_submission_set,
    has_type,
    is_content,
)
from gateway.fhir.lists import FOLDER, SUBMISSION_SET
from gateway.fhir.peer_ids import id_of_entry_uuid, uuid_of_unique_id
from gateway.fhir.peer_record import associations_of
from gateway.fhir.peer_resources import FoundDocument
from gateway.fhir.peer_search import (
    DOCUMENTS,
    LISTS,
    by_identifiers,
    by_ids,
    documents_of,
    lists_of,
    patient_parameter,
)
from gateway.fhir.terminology import Terminology
from gateway.model import (
    Association,
    AvailabilityStatus,
    Cx,
    DocumentEntry,
    Folder,
    QueryResult,
    RegistryFailure,
    ResponseStatus,
    Severity,
    SubmissionSet,
)
from gateway.model.codes import HAS_MEMBER
from gateway.model.errors import PeerUnsupported
from gateway.model.query import (
    FindDocuments,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetFolders,
    GetFoldersForDocument,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
    StoredQuery,
)

_PER_SEARCH: Final = 50
"""Ids that one search names."""
_WITH_VERSIONS: Final = 2
_OBJECTS: Final = ("entries", "submission_sets", "folders", "associations")


class MhdQueries:
    """Stored queries to one server. `home` is put on what it finds, None for a server without community."""

    def __init__(self, resources: MhdResources, terminology: Terminology, home: str | None = None) -> None:
        self._resources = resources
        self._terminology = terminology
        self._home = home

    async def run(self, query: StoredQuery) -> QueryResult:
        """Raises PeerError, PeerUnsupported for what the server cannot answer, and RegistryFailure."""
        if isinstance(query, GetDocuments | GetDocumentsAndAssociations) and query.logical_ids:
            # without versions every object is the first and only one of itself
            query = replace(query, entry_uuids=query.logical_ids, logical_ids=())
        found = Found()
        result = await self._answer(query, found)
        if query.metadata_level == _WITH_VERSIONS:
            entries = (replace(e, logical_id=e.entry_uuid, version="1") for e in result.entries)
            result = replace(result, entries=tuple(entries))
        if query.association_status and AvailabilityStatus.APPROVED not in query.association_status:
            result = replace(result, associations=())
        failed = any(error.severity is Severity.ERROR for error in found.errors)
        if failed and result.empty:
            raise RegistryFailure(self._resources.name, "ITI-67", tuple(found.errors))
        objects: dict[str, Any] = {
            name: tuple(replace(item, home_community_id=self._home) for item in getattr(result, name))
            for name in _OBJECTS
        }
        status = ResponseStatus.PARTIAL if failed else ResponseStatus.SUCCESS
        return QueryResult(status=status, errors=tuple(found.errors), **objects)

    async def _answer(self, query: StoredQuery, found: Found) -> QueryResult:
        match query:
            case FindDocuments():
                patient = patient_parameter(query.patient_id, self._terminology)
                search = documents_of(patient, self._terminology, query)
                await self._resources.search(search, found, query.patient_id)
                return _result(entries=[e for e in _entries(found.documents) if finds_document(query, e)])
            case FindSubmissionSets():
                await self._lists(query.patient_id, SUBMISSION_SET, found)
                return _result(submission_sets=[s for s in _sets(found) if finds_submission_set(query, s)])
            case FindFolders():
                await self._lists(query.patient_id, FOLDER, found)
                return _result(folders=[f for f in _folders(found) if finds_folder(query, f)])
            case GetAll():
                return await self._everything(query, found)
            case GetDocuments():
                return _result(entries=_entries(await self.documents(query, found)))
            case GetFolders():
                await self._named_lists(query.entry_uuids, query.unique_ids, found)
                return _result(folders=_folders(found))
            case GetAssociations():
                return _result(associations=await self._touching(query.uuids, found))
            case GetDocumentsAndAssociations():
                entries = _entries(await self.documents(query, found))
                uuids = [entry.entry_uuid for entry in entries]
                return _result(entries=entries, associations=await self._touching(uuids, found))
            case GetSubmissionSets():
                return await self._submission_sets(query, found)
            case GetSubmissionSetAndContents() | GetFolderAndContents():
                return await self._contents(query, found)
            case GetFoldersForDocument():
                return await self._folders_for(query, found)
            case GetRelatedDocuments():
                return await self._related(query, found)
        raise PeerUnsupported(self._resources.name, "ITI-67", "FHIR has no such query")

    # --- what a query starts from ---------------------------------------------------------------------------
    async def documents(
        self, query: GetDocuments | GetDocumentsAndAssociations, found: Found
    ) -> list[FoundDocument]:
        """DocumentReferences by entryUUIDs or uniqueIds; the ids may stand in them, or be made of theirs."""
        wanted = set(query.unique_ids)
        for piece in pieces_of(query.unique_ids, _PER_SEARCH):
            await self._resources.search(by_identifiers(DOCUMENTS, piece, self._terminology), found)
        missing = wanted - {document.entry.unique_id for document in found.documents}
        uuids = [*query.entry_uuids, *filter(None, map(uuid_of_unique_id, missing))]
        await self._by_uuid(DOCUMENTS, uuids, found)
        return [
            document
            for document in found.documents
            if document.entry.unique_id in wanted or document.entry.entry_uuid in uuids
        ]

    async def _named_lists(self, entry_uuids: Sequence[str], unique_ids: Sequence[str], found: Found) -> None:
        for piece in pieces_of(unique_ids, _PER_SEARCH):
            await self._resources.search(by_identifiers(LISTS, piece, self._terminology), found)
        missing = set(unique_ids) - {each.item.unique_id for each in found.lists}
        uuids = [*entry_uuids, *filter(None, map(uuid_of_unique_id, missing))]
        await self._by_uuid(LISTS, uuids, found)
        found.lists[:] = [
            each for each in found.lists if each.item.unique_id in unique_ids or each.item.entry_uuid in uuids
        ]

    async def _by_uuid(self, resource: str, uuids: Iterable[str], found: Found) -> None:
        """Add the resources with these entryUUIDs: by identifier, else by the id that each stands for."""
        ids = {uuid: id_of_entry_uuid(uuid) for uuid in dict.fromkeys(uuids)}
        named = [uuid for uuid, resource_id in ids.items() if resource_id is None]
        for piece in pieces_of(named, _PER_SEARCH):
            await self._resources.search(by_identifiers(resource, piece, self._terminology), found)
        held = {document.entry.entry_uuid for document in found.documents}
        held |= {each.item.entry_uuid for each in found.lists}
        left = [ids[uuid] or uuid.removeprefix("urn:uuid:") for uuid in ids if uuid not in held]
        for piece in pieces_of(left, _PER_SEARCH):
            await self._resources.search(by_ids(resource, piece), found)

    async def _lists(self, patient: Cx, kind: str, found: Found) -> None:
        search = lists_of(patient_parameter(patient, self._terminology), kind)
        await self._resources.search(search, found, patient)

    async def _record(self, patient: Cx, found: Found, *, lists: bool = True) -> None:
        """Add all that the server has of a patient."""
        search = documents_of(patient_parameter(patient, self._terminology), self._terminology)
        await self._resources.search(search, found, patient)
        if lists:
            for kind in (SUBMISSION_SET, FOLDER):
                await self._lists(patient, kind, found)

    # --- queries --------------------------------------------------------------------------------------------
    async def _everything(self, query: GetAll, found: Found) -> QueryResult:
        await self._record(query.patient_id, found)
        result = _result(
            entries=[
                entry
                for entry in _entries(found.documents)
                if entry.status in query.entry_status and is_content(query, entry)
            ],
            submission_sets=[s for s in _sets(found) if s.status in query.submission_set_status],
            folders=[f for f in _folders(found) if f.status in query.folder_status],
        )
        uuids = {entry.entry_uuid for entry in result.entries}
        uuids |= {item.entry_uuid for item in result.submission_sets}
        uuids |= {item.entry_uuid for item in result.folders}
        return replace(result, associations=_of_ends(associations_of(found.documents, found.lists), uuids))

    async def _touching(self, uuids: Sequence[str], found: Found) -> list[Association]:
        """Associations that start or end at one of the objects."""
        await self.objects(uuids, found)
        for patient in _patients(found):
            await self._record(patient, found)
        return list(_of_ends(associations_of(found.documents, found.lists), set(uuids)))

    async def objects(self, uuids: Sequence[str], found: Found) -> None:
        """Add the objects, of whatever kind they are."""
        await self._by_uuid(DOCUMENTS, uuids, found)
        held = {document.entry.entry_uuid for document in found.documents}
        await self._by_uuid(LISTS, [uuid for uuid in uuids if uuid not in held], found)

    async def _submission_sets(self, query: GetSubmissionSets, found: Found) -> QueryResult:
        wanted = set(query.uuids)
        touching = await self._touching(query.uuids, found)
        by_uuid = {s.entry_uuid: s for s in _sets(found)}
        members = [a for a in touching if a.target in wanted and a.source in by_uuid]
        sources = dict.fromkeys(a.source for a in members)
        return _result(submission_sets=[by_uuid[uuid] for uuid in sources], associations=members)

    async def _contents(
        self, query: GetSubmissionSetAndContents | GetFolderAndContents, found: Found
    ) -> QueryResult:
        whole = isinstance(query, GetSubmissionSetAndContents)
        await self._named_lists(_one(query.entry_uuid), _one(query.unique_id), found)
        found.lists[:] = [each for each in found.lists if isinstance(each.item, SubmissionSet) == whole]
        holders = list(found.lists)
        for resource in (DOCUMENTS, LISTS) if whole else (DOCUMENTS,):
            ids = [key[1] for holder in holders for key in holder.members if key[0] == resource]
            for piece in pieces_of(dict.fromkeys(ids), _PER_SEARCH):
                await self._resources.search(by_ids(resource, piece), found)
        members = {key for holder in holders for key in holder.members}
        documents = [d for d in found.documents if d.key in members and is_content(query, d.entry)]
        lists = [each for each in found.lists if each in holders or each.key in members]
        associations = associations_of(documents, lists)
        if not whole:
            associations = tuple(a for a in associations if a.type == HAS_MEMBER)
        return _result(
            entries=_entries(documents),
            submission_sets=[each.item for each in lists if isinstance(each.item, SubmissionSet)],
            folders=[each.item for each in lists if isinstance(each.item, Folder)],
            associations=associations,
        )

    async def _start(
        self, query: GetFoldersForDocument | GetRelatedDocuments, found: Found
    ) -> list[FoundDocument]:
        names = GetDocuments(entry_uuids=_one(query.entry_uuid), unique_ids=_one(query.unique_id))
        return await self.documents(names, found)

    async def _folders_for(self, query: GetFoldersForDocument, found: Found) -> QueryResult:
        keys = {document.key for document in await self._start(query, found)}
        for patient in _patients(found):
            await self._lists(patient, FOLDER, found)
        holding = [each for each in found.lists if keys.intersection(each.members)]
        return _result(folders=[each.item for each in holding if isinstance(each.item, Folder)])

    async def _related(self, query: GetRelatedDocuments, found: Found) -> QueryResult:
        start = {document.entry.entry_uuid for document in await self._start(query, found)}
        for patient in _patients(found):
            await self._record(patient, found, lists=False)
        by_uuid = {
            entry.entry_uuid: entry
            for entry in _entries(found.documents)
            if entry.entry_uuid in start or has_type(query.document_type, entry)
        }
        associations = [
            a
            for a in _of_ends(associations_of(found.documents, ()), start)
            if a.type in query.association_types and a.source in by_uuid and a.target in by_uuid
        ]
        linked = {end for a in associations for end in (a.source, a.target)}
        return _result(
            entries=[entry for uuid, entry in by_uuid.items() if uuid in linked], associations=associations
        )


def _result(
    *,
    entries: Iterable[DocumentEntry] = (),
    submission_sets: Iterable[SubmissionSet] = (),
    folders: Iterable[Folder] = (),
    associations: Iterable[Association] = (),
) -> QueryResult:
    return QueryResult(
        status=ResponseStatus.SUCCESS,
        entries=tuple(entries),
        submission_sets=tuple(submission_sets),
        folders=tuple(folders),
        associations=tuple(associations),
    )


def _entries(documents: Iterable[FoundDocument]) -> list[DocumentEntry]:
    return [document.entry for document in documents]


def _sets(found: Found) -> list[SubmissionSet]:
    return [each.item for each in found.lists if isinstance(each.item, SubmissionSet)]


def _folders(found: Found) -> list[Folder]:
    return [each.item for each in found.lists if isinstance(each.item, Folder)]


def _patients(found: Found) -> list[Cx]:
    """Of all that has been found, each once."""
    items: list[DocumentEntry | SubmissionSet | Folder] = [d.entry for d in found.documents]
    items += [each.item for each in found.lists]
    return list(dict.fromkeys(item.patient_id for item in items if item.patient_id is not None))


def _of_ends(associations: Iterable[Association], uuids: Iterable[str]) -> tuple[Association, ...]:
    ends = set(uuids)
    return tuple(a for a in associations if a.source in ends or a.target in ends)


def _one(value: str | None) -> tuple[str, ...]:
    return (value,) if value else ()
