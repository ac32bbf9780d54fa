"""Registering a submission: what the registry's content demands, and what it changes (ITI TF-2 3.42.4.1.3,
and 3.61.4.1.3 for On-Demand entries).

Everything here runs inside one write of the database: a refusal undoes all of it.
"""

import sqlite3
from collections.abc import Iterator
from datetime import datetime

from msgspec import structs

from gateway.affinity import objects
from gateway.affinity.errors import Refusal, Refused
from gateway.affinity.identifiers import mint
from gateway.affinity.metadata_rules import REFERENCE
from gateway.model import (
    Association,
    AvailabilityStatus,
    DocumentEntry,
    Folder,
    RegistryError,
    Submission,
)
from gateway.model.codes import APND, DOCUMENT_RELATIONS, HAS_MEMBER, IS_SNAPSHOT_OF, REPLACEMENTS, XFRM
from gateway.model.dtm import to_dtm

_CHILDREN = (APND, XFRM)


def register(connection: sqlite3.Connection, submission: Submission, now: datetime) -> None:
    """Add a submission that is valid by itself and whose ids are resolved. Raises Refused."""
    held = _Held(connection, submission)
    errors = [*duplicates(connection, submission), *held.reference_errors()]
    if errors:
        raise Refused(*errors)
    moment = to_dtm(now)
    replacements = [a for a in submission.associations if a.type in REPLACEMENTS]
    # before the new objects come, so that a child that the same submission brings stays approved
    for replacement in replacements:
        _deprecate_with_children(connection, replacement.target)
    _insert(connection, submission, moment)
    for uuid in held.folders_to_touch():
        touch_folder(connection, uuid, moment)
    for replacement in replacements:
        _join_folders(connection, submission, replacement, moment)


def _insert(connection: sqlite3.Connection, submission: Submission, moment: str) -> None:
    approved = AvailabilityStatus.APPROVED
    objects.insert_submission_set(connection, structs.replace(submission.submission_set, status=approved))
    for entry in submission.entries:
        objects.insert_entry(
            connection,
            structs.replace(
                entry,
                status=approved,
                hash=entry.hash.lower() if entry.hash else None,
                # a new entry is its own first version; others come by a metadata update
                logical_id=None,
                version=None,
            ),
        )
    for folder in submission.folders:
        objects.insert_folder(connection, structs.replace(folder, status=approved, last_update_time=moment))
    for association in submission.associations:
        objects.insert_association(connection, structs.replace(association, status=approved))


def duplicates(connection: sqlite3.Connection, submission: Submission) -> Iterator[RegistryError]:
    """uniqueIds and entryUUIDs that the registry has. A DocumentEntry may repeat a uniqueId with its hash."""
    yield from package_duplicates(connection, submission)
    for entry in submission.entries:
        yield from _entry_duplicates(connection, entry)


def package_duplicates(connection: sqlite3.Connection, submission: Submission) -> Iterator[RegistryError]:
    """uniqueIds of SubmissionSet and Folders, and entryUUIDs of whatever kind, that the registry has."""
    for unique_id in (submission.submission_set.unique_id, *(f.unique_id for f in submission.folders)):
        if _holds_package(connection, unique_id) or objects.entries_by_unique_id(connection, unique_id):
            yield RegistryError(Refusal.DUPLICATE_UNIQUE_ID, f"uniqueId {unique_id} is registered")
    for uuid in (
        submission.submission_set.entry_uuid,
        *(entry.entry_uuid for entry in submission.entries),
        *(folder.entry_uuid for folder in submission.folders),
        *(association.entry_uuid for association in submission.associations),
    ):
        if objects.is_registered(connection, uuid):
            yield RegistryError(Refusal.REGISTRY_METADATA, f"entryUUID {uuid} is registered")


def _entry_duplicates(connection: sqlite3.Connection, entry: DocumentEntry) -> Iterator[RegistryError]:
    if _holds_package(connection, entry.unique_id):
        yield RegistryError(Refusal.DUPLICATE_UNIQUE_ID, f"uniqueId {entry.unique_id} is registered")
    for registered in objects.entries_by_unique_id(connection, entry.unique_id):
        if entry.on_demand or registered.on_demand:
            yield RegistryError(Refusal.DUPLICATE_UNIQUE_ID, f"uniqueId {entry.unique_id} is registered")
        elif registered.hash != (entry.hash or "").lower():
            yield RegistryError(
                Refusal.NON_IDENTICAL_HASH, f"uniqueId {entry.unique_id} is registered with another hash"
            )
        elif registered.size != entry.size:
            yield RegistryError(
                Refusal.NON_IDENTICAL_SIZE, f"uniqueId {entry.unique_id} is registered with another size"
            )


def _holds_package(connection: sqlite3.Connection, unique_id: str) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM submission_set WHERE unique_id = :u)"
        " OR EXISTS (SELECT 1 FROM folder WHERE unique_id = :u)",
        {"u": unique_id},
    ).fetchone()
    return bool(row[0])


class _Held:
    """The objects that a submission's associations name: of the submission, or registered before."""

    def __init__(self, connection: sqlite3.Connection, submission: Submission) -> None:
        self._connection = connection
        self._submission = submission
        self._patient = submission.submission_set.patient_id
        self._new_entries = {entry.entry_uuid: entry for entry in submission.entries}
        self._new_folders = {folder.entry_uuid: folder for folder in submission.folders}
        self._new_associations = {a.entry_uuid for a in submission.associations}

    def folders_to_touch(self) -> list[str]:
        """Folders registered before that get a member."""
        return list(
            dict.fromkeys(
                a.source
                for a in self._submission.associations
                if a.type == HAS_MEMBER
                and a.source != self._submission.submission_set.entry_uuid
                and a.source not in self._new_folders
            )
        )

    def reference_errors(self) -> Iterator[RegistryError]:
        """What is wrong with the ends of associations."""
        for association in self._submission.associations:
            if association.type in DOCUMENT_RELATIONS:
                yield from self._relation_errors(association)
            elif association.source == self._submission.submission_set.entry_uuid:
                yield from self._member_errors(association)
            else:
                yield from self._folder_member_errors(association)

    def _entry(self, uuid: str) -> DocumentEntry | None:
        return self._new_entries.get(uuid) or objects.entry_by_uuid(self._connection, uuid)

    def _folder(self, uuid: str) -> Folder | None:
        return self._new_folders.get(uuid) or objects.folder_by_uuid(self._connection, uuid)

    def _relation_errors(self, association: Association) -> Iterator[RegistryError]:
        name = _name(association)
        target = self._entry(association.target)
        if target is None:
            yield _unresolved(name, "targetObject", "DocumentEntry")
            return
        if association.type in REPLACEMENTS and association.target in self._new_entries:
            yield RegistryError(
                Refusal.UNRESOLVED_REFERENCE,
                f"{name}: targetObject of a replacement must be registered before its replacement",
            )
        if target.patient_id != self._patient:
            yield _other_patient(name, "targetObject")
        yield from self._deprecated_errors(association, target)
        source = self._new_entries[association.source]
        kinds = (source.on_demand, target.on_demand)
        if kinds != ((False, True) if association.type == IS_SNAPSHOT_OF else (target.on_demand,) * 2):
            yield RegistryError(
                Refusal.REGISTRY_METADATA,
                f"{name}: IsSnapshotOf relates a stable document to an On-Demand one, other types two "
                "documents of one kind",
            )

    def _member_errors(self, association: Association) -> Iterator[RegistryError]:
        name = _name(association)
        if association.target in (*self._new_entries, *self._new_folders, *self._new_associations):
            return
        entry = objects.entry_by_uuid(self._connection, association.target)
        if entry is None:
            yield _unresolved(name, "targetObject", "DocumentEntry")
            return
        if association.submission_set_status != REFERENCE:
            yield RegistryError(
                Refusal.REGISTRY_METADATA,
                f"{name}: SubmissionSetStatus must be Reference for a DocumentEntry registered before",
            )
        # its patient may be another one: a mother's result is filed with the child's submission
        yield from self._deprecated_errors(association, entry)

    def _folder_member_errors(self, association: Association) -> Iterator[RegistryError]:
        name = _name(association)
        folder = self._folder(association.source)
        entry = self._entry(association.target)
        if folder is None:
            yield _unresolved(name, "sourceObject", "Folder")
        elif folder.patient_id != self._patient:
            yield _other_patient(name, "sourceObject")
        if entry is None:
            yield _unresolved(name, "targetObject", "DocumentEntry")
        else:
            if entry.patient_id != self._patient:
                yield _other_patient(name, "targetObject")
            yield from self._deprecated_errors(association, entry)

    def _deprecated_errors(self, association: Association, target: DocumentEntry) -> Iterator[RegistryError]:
        """An Association of whatever type cannot end at a deprecated document (ITI TF-3 Table 4.2.4.1-2)."""
        if association.target not in self._new_entries and target.status is not AvailabilityStatus.APPROVED:
            yield RegistryError(
                Refusal.DEPRECATED_DOCUMENT,
                f"{_name(association)}: targetObject {association.target} is deprecated",
            )


def _name(association: Association) -> str:
    return f"Association {association.entry_uuid}"


def _unresolved(name: str, end: str, kind: str) -> RegistryError:
    return RegistryError(
        Refusal.UNRESOLVED_REFERENCE,
        f"{name}: {end} is no {kind} of the submission or of the registry",
    )


def _other_patient(name: str, end: str) -> RegistryError:
    return RegistryError(
        Refusal.PATIENT_ID_DOES_NOT_MATCH,
        f"{name}: {end} must be of the same patient as the SubmissionSet",
    )


def _deprecate_with_children(connection: sqlite3.Connection, uuid: str) -> None:
    """A replaced DocumentEntry takes its addenda and transformations with it, and theirs."""
    waiting = [uuid]
    seen: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        entry = objects.entry_by_uuid(connection, current)
        if entry is None:
            continue
        if entry.status is AvailabilityStatus.APPROVED:
            objects.update_entry_status(
                connection, structs.replace(entry, status=AvailabilityStatus.DEPRECATED)
            )
        for kind in _CHILDREN:
            waiting.extend(a.source for a in objects.associations_to(connection, current, kind))


def touch_folder(connection: sqlite3.Connection, uuid: str, moment: str) -> None:
    """Set the lastUpdateTime of a registered Folder whose content has changed."""
    folder = objects.folder_by_uuid(connection, uuid)
    if folder is not None:
        objects.update_folder_time(connection, structs.replace(folder, last_update_time=moment))


def _join_folders(
    connection: sqlite3.Connection, submission: Submission, replacement: Association, moment: str
) -> None:
    """The new document goes into every Folder of the old one, as a member of its SubmissionSet."""
    held_by = {a.source for a in objects.associations_to(connection, replacement.source, HAS_MEMBER)}
    for membership in objects.associations_to(connection, replacement.target, HAS_MEMBER):
        if membership.status is not AvailabilityStatus.APPROVED:
            continue
        if membership.source in held_by or objects.folder_by_uuid(connection, membership.source) is None:
            continue
        held_by.add(membership.source)
        added = Association(
            entry_uuid=mint(), type=HAS_MEMBER, source=membership.source, target=replacement.source
        )
        objects.insert_association(connection, added)
        objects.insert_association(
            connection,
            Association(
                entry_uuid=mint(),
                type=HAS_MEMBER,
                source=submission.submission_set.entry_uuid,
                target=added.entry_uuid,
            ),
        )
        touch_folder(connection, membership.source, moment)
