"""Update Document Set: new versions, other status, new associations (ITI-57; ITI TF-2 3.57.4.1.3).

A new version ends the previous one, which is deprecated and answered only where every version is asked for.
What describes the bytes of a document (hash, size, media type, repository) is the same in all its versions.
Everything here runs inside one write of the database: a refusal undoes all of it.
"""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime

from msgspec import structs

from gateway.affinity import objects
from gateway.affinity.errors import Refusal, Refused
from gateway.affinity.identifiers import mint
from gateway.affinity.objects import RegistryObject
from gateway.affinity.registration import package_duplicates, touch_folder
from gateway.ebxml.metadata_update import EntryVersion, MetadataUpdate, StatusChange, submission_of
from gateway.model import (
    Association,
    AvailabilityStatus,
    Cx,
    DocumentEntry,
    Folder,
    RegistryError,
    SubmissionSet,
)
from gateway.model.codes import DOCUMENT_RELATIONS, HAS_MEMBER, REPLACEMENTS
from gateway.model.dtm import to_dtm

_APPROVED, _DEPRECATED = AvailabilityStatus.APPROVED, AvailabilityStatus.DEPRECATED

_OF_THE_BYTES: tuple[tuple[str, Callable[[DocumentEntry], object]], ...] = (
    ("hash", lambda e: (e.hash or "").lower()),
    ("size", lambda e: e.size),
    ("mimeType", lambda e: e.mime_type),
    ("repositoryUniqueId", lambda e: e.repository_unique_id),
)


def update(connection: sqlite3.Connection, wanted: MetadataUpdate, now: datetime) -> None:
    """Carry out an update that is valid by itself and whose ids are resolved. Raises Refused."""
    changes = _Changes(connection, wanted.submission_set.patient_id)
    errors = [*package_duplicates(connection, submission_of(wanted)), *changes.errors(wanted)]
    if errors:
        raise Refused(*errors)
    moment = to_dtm(now)
    of_set = wanted.submission_set
    objects.insert_submission_set(connection, structs.replace(of_set, status=_APPROVED))
    for version in wanted.versions:
        changes.new_version(version, of_set, moment)
    for change in wanted.status_changes:
        changes.change_status(change)
    for trigger, association in wanted.associations:
        changes.add_association(association, moment)
        objects.insert_association(connection, structs.replace(trigger, status=_APPROVED))


class _Changes:
    """The operations of one update on the registry's content; `patient` is that of its SubmissionSet."""

    def __init__(self, connection: sqlite3.Connection, patient: Cx | None) -> None:
        self._connection = connection
        self._patient = patient

    def errors(self, wanted: MetadataUpdate) -> Iterator[RegistryError]:
        """What the registry's content has against it."""
        for version in wanted.versions:
            yield from self._version_errors(version)
        for change in wanted.status_changes:
            yield from self._status_errors(change)
        for _, association in wanted.associations:
            yield from self._association_errors(association)

    def _version_errors(self, version: EntryVersion) -> Iterator[RegistryError]:
        entry = version.entry
        if entry.logical_id is None or entry.logical_id == entry.entry_uuid:
            yield _error(
                Refusal.METADATA_UPDATE,
                entry,
                "lid must be the logicalID of the entry that is updated, and id another one",
            )
            return
        found = objects.latest_version(self._connection, entry.logical_id)
        if found is None:
            yield _error(
                Refusal.METADATA_UPDATE, entry, f"no DocumentEntry has the logicalID {entry.logical_id}"
            )
            return
        previous, number = found
        if version.previous_version != str(number):
            yield _error(
                Refusal.METADATA_VERSION,
                entry,
                f"PreviousVersion is {version.previous_version}, the latest version is {number}",
            )
        if previous.status is not _APPROVED:
            yield _error(Refusal.METADATA_UPDATE, entry, "the latest version is deprecated; approve it first")
        if previous.unique_id != entry.unique_id:
            yield _error(Refusal.METADATA_IDENTIFIER, entry, "uniqueId is not that of the previous version")
        if previous.object_type != entry.object_type:
            yield _error(Refusal.OBJECT_TYPE, entry, "objectType is not that of the previous version")
        for name, read in _OF_THE_BYTES:
            if read(previous) != read(entry):
                yield _error(Refusal.METADATA_UPDATE, entry, f"{name} is not that of the previous version")
        if (
            previous.patient_id != entry.patient_id
            and version.propagate
            and self._to_propagate(previous.entry_uuid)
        ):
            yield _error(
                Refusal.PATIENT_ID_RECONCILIATION,
                entry,
                "associations of the previous version lead to objects of its patient; ask for no propagation",
            )

    def _status_errors(self, change: StatusChange) -> Iterator[RegistryError]:
        name = f"Association {change.request.entry_uuid}"
        target = objects.object_by_uuid(self._connection, change.target)
        if target is None:
            yield RegistryError(
                Refusal.UNRESOLVED_REFERENCE, f"{name}: {change.target} is no object of the registry"
            )
            return
        if isinstance(target, SubmissionSet):
            yield RegistryError(
                Refusal.METADATA_UPDATE, f"{name}: the status of a SubmissionSet is always Approved"
            )
            return
        if not isinstance(target, Association) and target.patient_id != self._patient:
            yield RegistryError(
                Refusal.PATIENT_ID_RECONCILIATION,
                f"{name}: {change.target} must be of the same patient as the SubmissionSet",
            )
        if isinstance(target, DocumentEntry) and not objects.is_latest(self._connection, change.target):
            yield RegistryError(
                Refusal.METADATA_VERSION, f"{name}: {change.target} is not the latest version of its entry"
            )
        if target.status is not change.original:
            yield RegistryError(
                Refusal.METADATA_UPDATE, f"{name}: the status of {change.target} is not OriginalStatus"
            )
        elif change.new is change.original:
            yield RegistryError(
                Refusal.METADATA_UPDATE, f"{name}: NewStatus is the status that {change.target} has"
            )

    def _association_errors(self, association: Association) -> Iterator[RegistryError]:
        name = f"Association {association.entry_uuid}"
        kinds = (Folder,) if association.type == HAS_MEMBER else (DocumentEntry,)
        if association.type in REPLACEMENTS or (
            association.type != HAS_MEMBER and association.type not in DOCUMENT_RELATIONS
        ):
            yield RegistryError(
                Refusal.METADATA_UPDATE,
                f"{name}: its type relates no registered objects; a replacement comes with its document",
            )
            return
        for end, uuid, wanted in (
            ("sourceObject", association.source, kinds),
            ("targetObject", association.target, (DocumentEntry,)),
        ):
            found = objects.object_by_uuid(self._connection, uuid)
            if not isinstance(found, wanted):
                yield RegistryError(
                    Refusal.UNRESOLVED_REFERENCE,
                    f"{name}: {end} is no {wanted[0].__name__} of the registry",
                )
                continue
            if found.status is not _APPROVED:
                yield RegistryError(Refusal.DEPRECATED_DOCUMENT, f"{name}: {end} {uuid} is deprecated")
            if found.patient_id != self._patient:
                yield RegistryError(
                    Refusal.PATIENT_ID_RECONCILIATION,
                    f"{name}: {end} must be of the same patient as the SubmissionSet",
                )

    def new_version(self, version: EntryVersion, of_set: SubmissionSet, moment: str) -> None:
        """Store a version, end the previous one and carry its associations over where that is asked for."""
        found = objects.latest_version(self._connection, version.entry.logical_id or "")
        assert found is not None  # checked before
        previous, number = found
        objects.end_version(self._connection, structs.replace(previous, status=_DEPRECATED))
        entry = version.entry
        objects.insert_entry(
            self._connection,
            structs.replace(
                entry,
                status=_APPROVED,
                version=str(number + 1),
                hash=entry.hash.lower() if entry.hash else None,
            ),
        )
        objects.insert_association(self._connection, structs.replace(version.member, status=_APPROVED))
        if version.propagate:
            for association in self._to_propagate(previous.entry_uuid):
                self._carry_over(association, previous.entry_uuid, entry.entry_uuid, of_set, moment)

    def _to_propagate(self, uuid: str) -> list[Association]:
        """Memberships in Folders and relations to documents; those of SubmissionSets say what was once."""
        return [
            association
            for association in objects.associations_touching(self._connection, uuid)
            if association.status is _APPROVED
            and (
                association.type in DOCUMENT_RELATIONS
                or (
                    association.type == HAS_MEMBER
                    and objects.folder_by_uuid(self._connection, association.source) is not None
                )
            )
        ]

    def _carry_over(
        self, association: Association, old: str, new: str, of_set: SubmissionSet, moment: str
    ) -> None:
        objects.update_association_status(self._connection, structs.replace(association, status=_DEPRECATED))
        added = structs.replace(
            association,
            entry_uuid=mint(),
            source=new if association.source == old else association.source,
            target=new if association.target == old else association.target,
        )
        objects.insert_association(self._connection, added)
        if added.type == HAS_MEMBER:
            self._hold(of_set, added)
            touch_folder(self._connection, added.source, moment)

    def _hold(self, of_set: SubmissionSet, association: Association) -> None:
        member = Association(
            entry_uuid=mint(), type=HAS_MEMBER, source=of_set.entry_uuid, target=association.entry_uuid
        )
        objects.insert_association(self._connection, member)

    def change_status(self, change: StatusChange) -> None:
        """Write the new status, and the association that asked for it: when and by whom it was changed."""
        target: RegistryObject | None = objects.object_by_uuid(self._connection, change.target)
        match target:
            case DocumentEntry():
                objects.update_entry_status(self._connection, structs.replace(target, status=change.new))
            case Folder():
                objects.update_folder_status(self._connection, structs.replace(target, status=change.new))
            case Association():
                objects.update_association_status(
                    self._connection, structs.replace(target, status=change.new)
                )
        objects.insert_association(self._connection, structs.replace(change.request, status=_APPROVED))

    def add_association(self, association: Association, moment: str) -> None:
        """Store an Association between registered objects."""
        objects.insert_association(self._connection, structs.replace(association, status=_APPROVED))
        if association.type == HAS_MEMBER:
            touch_folder(self._connection, association.source, moment)


def _error(code: Refusal, entry: DocumentEntry, rule: str) -> RegistryError:
    return RegistryError(code, f"DocumentEntry {entry.entry_uuid}: {rule}")
