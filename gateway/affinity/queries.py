"""The 14 stored queries carried out on the database (ITI TF-2 3.18.4.1.2.3.7).

What comes out are rows, not objects: an ObjectRef answer needs ids only, and the bounds on an answer are
checked before anything is decoded.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from gateway.affinity.conditions import (
    Conditions,
    content_conditions,
    find_documents,
    find_folders,
    find_submission_sets,
    json_list,
)
from gateway.ebxml.errors import StoredQueryError
from gateway.model import AvailabilityStatus
from gateway.model.codes import HAS_MEMBER
from gateway.model.query import (
    APPROVED,
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


class PatientRow(NamedTuple):
    """A DocumentEntry, SubmissionSet or Folder."""

    uuid: str
    patient: str
    body: bytes
    logical_id: str | None = None
    version: int | None = None


class AssociationRow(NamedTuple):
    """An Association."""

    uuid: str
    source: str
    target: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _View:
    """What of the registry a query sees (ITI TF-2 3.18.4.1.2.3, Metadata Update).

    `association_status` are values of the column `approved`; None is any.
    """

    connection: sqlite3.Connection
    every_version: bool
    association_status: tuple[str, ...] | None

    @classmethod
    def of(cls, connection: sqlite3.Connection, query: StoredQuery) -> Self:
        every = query.metadata_level == 2
        wanted = query.association_status or (() if every else APPROVED)
        status = tuple(sorted({str(int(s is AvailabilityStatus.APPROVED)) for s in wanted}))
        return cls(connection, every, status or None)


@dataclass(slots=True)
class Found:
    """Rows of an answer, each kind in the order of registration."""

    entries: list[PatientRow] = field(default_factory=list)
    submission_sets: list[PatientRow] = field(default_factory=list)
    folders: list[PatientRow] = field(default_factory=list)
    associations: list[AssociationRow] = field(default_factory=list)

    def patient_rows(self) -> Iterator[PatientRow]:
        """The rows that carry a patient id."""
        yield from self.entries
        yield from self.submission_sets
        yield from self.folders

    def uuids(self) -> list[str]:
        """Ids of all objects, in the order of the answer."""
        return [row.uuid for row in self.patient_rows()] + [row.uuid for row in self.associations]


def carry_out(connection: sqlite3.Connection, query: StoredQuery) -> Found:
    """Find what `query` asks for. Raises StoredQueryError for a query that the registry does not have."""
    view = _View.of(connection, query)
    match query:
        case FindDocuments():
            return Found(entries=_rows(view, "document_entry", find_documents(query)))
        case FindSubmissionSets():
            return Found(submission_sets=_rows(view, "submission_set", find_submission_sets(query)))
        case FindFolders():
            return Found(folders=_rows(view, "folder", find_folders(query)))
        case GetAll():
            return _get_all(view, query)
        case GetDocuments():
            return Found(entries=_documents(view, query))
        case GetFolders():
            return Found(folders=_named(view, "folder", query.entry_uuids, query.unique_ids))
        case GetAssociations():
            return Found(associations=_touching(view, query.uuids))
        case GetDocumentsAndAssociations():
            entries = _documents(view, query)
            return Found(entries=entries, associations=_touching(view, _uuids(entries)))
        case GetSubmissionSets():
            return _get_submission_sets(view, query)
        case GetSubmissionSetAndContents():
            return _get_submission_set_and_contents(view, query)
        case GetFolderAndContents():
            return _get_folder_and_contents(view, query)
        case GetFoldersForDocument():
            return _get_folders_for_document(view, query)
        case GetRelatedDocuments():
            return _get_related_documents(view, query)
    raise StoredQueryError("XDSUnknownStoredQuery", "the registry does not have this stored query")


def _get_all(view: _View, query: GetAll) -> Found:
    of_entries = Conditions()
    of_entries.patient_and_status(query.patient_id, query.entry_status)
    content_conditions(of_entries, query.format_code, query.confidentiality, query.document_type)
    of_sets = Conditions()
    of_sets.patient_and_status(query.patient_id, query.submission_set_status)
    of_folders = Conditions()
    of_folders.patient_and_status(query.patient_id, query.folder_status)
    found = Found(
        _rows(view, "document_entry", of_entries),
        _rows(view, "submission_set", of_sets),
        _rows(view, "folder", of_folders),
    )
    # one end is enough: what a current document replaced is named even where it is not part of the answer
    found.associations = _touching(view, found.uuids())
    return found


def _get_submission_sets(view: _View, query: GetSubmissionSets) -> Found:
    members = _memberships(view, "target", query.uuids)
    submission_sets = _named(view, "submission_set", {row.source for row in members})
    held = _uuids(submission_sets)
    return Found(submission_sets=submission_sets, associations=[row for row in members if row.source in held])


def _get_submission_set_and_contents(view: _View, query: GetSubmissionSetAndContents) -> Found:
    submission_sets = _named(view, "submission_set", *_one(query.entry_uuid, query.unique_id))
    memberships = _memberships(view, "source", _uuids(submission_sets))
    members = {row.target for row in memberships}
    found = Found(_content(view, query, members), submission_sets, _named(view, "folder", members))
    # an Association that the SubmissionSet holds belongs to the answer whatever its ends are, and what it
    # brought is told by its membership where a newer version has taken its place
    ended = _ended_versions(view, members)
    found.associations = _among(
        view, found.uuids(), members | {row.uuid for row in memberships if row.target in ended}
    )
    return found


def _ended_versions(view: _View, uuids: Iterable[str]) -> set[str]:
    """Those of the entryUUIDs that are versions before the latest, where these are not answered."""
    if view.every_version:
        return set()
    rows = view.connection.execute(
        "SELECT uuid FROM document_entry WHERE latest = 0 AND uuid IN (SELECT value FROM json_each(?))",
        (json_list(uuids),),
    )
    return {uuid for (uuid,) in rows}


def _get_folder_and_contents(view: _View, query: GetFolderAndContents) -> Found:
    folders = _named(view, "folder", *_one(query.entry_uuid, query.unique_id))
    members = _memberships(view, "source", _uuids(folders))
    entries = _content(view, query, {row.target for row in members})
    held = _uuids(entries)
    return Found(
        entries=entries, folders=folders, associations=[row for row in members if row.target in held]
    )


def _get_folders_for_document(view: _View, query: GetFoldersForDocument) -> Found:
    entries = _named(view, "document_entry", *_one(query.entry_uuid, query.unique_id))
    holders = {row.source for row in _memberships(view, "target", _uuids(entries))}
    return Found(folders=_named(view, "folder", holders))


def _get_related_documents(view: _View, query: GetRelatedDocuments) -> Found:
    """The named document is part of the answer only where something is related to it."""
    start = _uuids(_named(view, "document_entry", *_one(query.entry_uuid, query.unique_id)))
    links = Conditions()
    links.one_of("type", query.association_types)
    touching = _touching(view, start, links)
    ends = {row.source for row in touching} | {row.target for row in touching}
    wanted = Conditions()
    wanted.one_of("uuid", ends)
    content_conditions(wanted, (), (), query.document_type)
    held = _uuids(_rows(view, "document_entry", wanted)) | start
    associations = [row for row in touching if row.source in held and row.target in held]
    linked = {row.source for row in associations} | {row.target for row in associations}
    return Found(
        entries=_named(view, "document_entry", linked),
        associations=associations,
    )


def _content(
    view: _View,
    query: GetSubmissionSetAndContents | GetFolderAndContents,
    members: Iterable[str],
) -> list[PatientRow]:
    conditions = Conditions()
    conditions.one_of("uuid", members)
    content_conditions(conditions, query.format_code, query.confidentiality, query.document_type)
    return _rows(view, "document_entry", conditions)


def _documents(view: _View, query: GetDocuments | GetDocumentsAndAssociations) -> list[PatientRow]:
    if query.logical_ids:
        conditions = Conditions()
        conditions.one_of("logical_id", query.logical_ids)
        return _rows(view, "document_entry", conditions)
    return _named(view, "document_entry", query.entry_uuids, query.unique_ids)


def _rows(view: _View, table: str, conditions: Conditions) -> list[PatientRow]:
    columns = "uuid, patient, body"
    if table == "document_entry":
        columns += ", logical_id, version"
        if not view.every_version:
            conditions.add("latest = 1")
    rows = view.connection.execute(
        f"SELECT {columns} FROM {table} o WHERE {conditions.text} ORDER BY seq",  # noqa: S608
        conditions.parameters,
    )
    return [PatientRow(*row) for row in rows]


def _named(view: _View, table: str, uuids: Iterable[str], unique_ids: Iterable[str] = ()) -> list[PatientRow]:
    conditions = Conditions()
    if wanted := list(unique_ids):
        conditions.one_of("unique_id", wanted)
    else:
        conditions.one_of("uuid", uuids)
    return _rows(view, table, conditions)


def _one(entry_uuid: str | None, unique_id: str | None) -> tuple[Sequence[str], Sequence[str]]:
    return (entry_uuid,) if entry_uuid else (), (unique_id,) if unique_id else ()


def _association_rows(view: _View, conditions: Conditions) -> list[AssociationRow]:
    if view.association_status is not None:
        conditions.add(f"approved IN ({', '.join(view.association_status)})")
    rows = view.connection.execute(
        "SELECT uuid, source, target, body FROM association o"  # noqa: S608
        f" WHERE {conditions.text} ORDER BY seq",
        conditions.parameters,
    )
    return [AssociationRow(*row) for row in rows]


def _memberships(view: _View, end: str, uuids: Iterable[str]) -> list[AssociationRow]:
    """HasMember associations that start (`source`) or end (`target`) at one of `uuids`."""
    conditions = Conditions()
    conditions.add("type = ?", HAS_MEMBER)
    conditions.one_of(end, uuids)
    return _association_rows(view, conditions)


def _touching(view: _View, uuids: Iterable[str], further: Conditions | None = None) -> list[AssociationRow]:
    """Associations with an end in `uuids`. A union, because each half of an OR has its own index."""
    ends = json_list(uuids)
    conditions = Conditions()
    conditions.add(
        "seq IN (SELECT seq FROM association WHERE source IN (SELECT value FROM json_each(?))"
        " UNION SELECT seq FROM association WHERE target IN (SELECT value FROM json_each(?)))",
        ends,
        ends,
    )
    if further is not None:
        conditions.add(further.text, *further.parameters)
    return _association_rows(view, conditions)


def _among(view: _View, uuids: list[str], also: Iterable[str]) -> list[AssociationRow]:
    """Associations whose both ends are in `uuids` or that are named by `also`, with their memberships."""
    within = Conditions()
    within.one_of("source", uuids)
    within.one_of("target", uuids)
    named = Conditions()
    named.one_of("uuid", also)
    found = {row.uuid for row in _association_rows(view, within)}
    found |= {row.uuid for row in _association_rows(view, named)}
    members_of = Conditions()
    members_of.one_of("source", uuids)
    members_of.one_of("target", found)
    found |= {row.uuid for row in _association_rows(view, members_of)}
    whole = Conditions()
    whole.one_of("uuid", found)
    return _association_rows(view, whole)


def _uuids(rows: Iterable[PatientRow]) -> set[str]:
    return {row.uuid for row in rows}
