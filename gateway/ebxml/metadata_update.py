"""What a submission of ITI-57 asks for, read from its associations (ITI TF-2 3.57.4.1.3; ITI TF-3 4.2.2).

A SubmitObjectsRequest has no verb. A HasMember with the slot PreviousVersion asks for a new version of a
DocumentEntry, UpdateAvailabilityStatus for another status of a registered object, SubmitAssociation for a
new Association between registered objects.
"""

from collections.abc import Callable

from msgspec import Struct, structs

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.object_reader import read_status
from gateway.model import Association, AvailabilityStatus, DocumentEntry, Submission, SubmissionSet, codes

_OPERATION = "XDSMetadataUpdateOperationError"
_STATUS = {status.value.rpartition(":")[2].lower() for status in AvailabilityStatus}


class EntryVersion(Struct, frozen=True, kw_only=True):
    """A new version of a DocumentEntry, whose logicalID names what is updated.

    `member` is the HasMember that asks for it. `previous_version` is what its author has seen, as it was
    written. `propagate` carries the associations of the previous version over to the new one.
    """

    member: Association
    entry: DocumentEntry
    previous_version: str
    propagate: bool = True


class StatusChange(Struct, frozen=True, kw_only=True):
    """Another availabilityStatus for the registered object `target`, if it has `original` now."""

    request: Association
    target: str
    original: AvailabilityStatus
    new: AvailabilityStatus


class MetadataUpdate(Struct, frozen=True, kw_only=True):
    """Everything that one submission asks for. `associations` are new ones between registered objects,
    each with the SubmitAssociation that asks for it."""

    submission_set: SubmissionSet
    versions: tuple[EntryVersion, ...] = ()
    status_changes: tuple[StatusChange, ...] = ()
    associations: tuple[tuple[Association, Association], ...] = ()


def read_update(submission: Submission) -> MetadataUpdate:
    """The operations of a submission.

    Raises MetadataError (XDSMetadataUpdateOperationError) for what is none of them: Folders, entries
    without PreviousVersion, associations that no SubmitAssociation holds, and an empty request.
    """
    of_set = submission.submission_set.entry_uuid
    entries = {entry.entry_uuid: entry for entry in submission.entries}
    given = {association.entry_uuid: association for association in submission.associations}
    if submission.folders:
        raise _refused("a Folder is part of the update, and only versions of DocumentEntries are taken")
    versions: list[EntryVersion] = []
    changes: list[StatusChange] = []
    submitted: list[tuple[Association, Association]] = []
    for association in submission.associations:
        if association.source != of_set:
            continue
        if association.type == codes.UPDATE_AVAILABILITY_STATUS:
            changes.append(_status_change(association))
        elif association.type == codes.SUBMIT_ASSOCIATION:
            target = given.get(association.target)
            if target is None:
                raise _refused(f"{_name(association)}: SubmitAssociation must end at one of the request")
            submitted.append((association, target))
        elif association.type == codes.HAS_MEMBER and association.target in entries:
            versions.append(_version(association, entries[association.target]))
        elif association.type != codes.HAS_MEMBER or association.target not in given:
            raise _refused(f"{_name(association)}: its type and target ask for nothing that an update does")
    _check_all_used(submission, versions, submitted)
    if not (versions or changes or submitted):
        raise _refused("the request has no operation of a metadata update")
    return MetadataUpdate(
        submission_set=submission.submission_set,
        versions=tuple(versions),
        status_changes=tuple(changes),
        associations=tuple(submitted),
    )


def _check_all_used(
    submission: Submission,
    versions: list[EntryVersion],
    submitted: list[tuple[Association, Association]],
) -> None:
    counted = [version.entry.entry_uuid for version in versions]
    for entry in submission.entries:
        if counted.count(entry.entry_uuid) != 1:
            raise _refused(
                f"DocumentEntry {entry.entry_uuid}: one HasMember from the SubmissionSet with the slot "
                f"{codes.SLOT_PREVIOUS_VERSION} is needed"
            )
    used = {target.entry_uuid for _, target in submitted}
    for association in submission.associations:
        if association.source != submission.submission_set.entry_uuid and association.entry_uuid not in used:
            raise _refused(f"{_name(association)}: no SubmitAssociation of the SubmissionSet ends at it")


def _version(association: Association, entry: DocumentEntry) -> EntryVersion:
    previous = _slot(association, codes.SLOT_PREVIOUS_VERSION)
    if previous is None:
        raise _refused(
            f"{_name(association)}: the slot {codes.SLOT_PREVIOUS_VERSION} is missing; new documents are "
            "registered by ITI-42"
        )
    propagation = (_slot(association, codes.SLOT_ASSOCIATION_PROPAGATION) or "yes").lower()
    if propagation not in ("yes", "no"):
        raise _refused(
            f"{_name(association)}: the slot {codes.SLOT_ASSOCIATION_PROPAGATION} must be yes or no"
        )
    return EntryVersion(
        member=association, entry=entry, previous_version=previous, propagate=propagation == "yes"
    )


def _status_change(association: Association) -> StatusChange:
    return StatusChange(
        request=association,
        target=association.target,
        original=_status(association, codes.SLOT_ORIGINAL_STATUS),
        new=_status(association, codes.SLOT_NEW_STATUS),
    )


def _status(association: Association, slot: str) -> AvailabilityStatus:
    text = _slot(association, slot)
    if text is None or text.rpartition(":")[2].lower() not in _STATUS:
        raise _refused(f"{_name(association)}: the slot {slot} must be Approved or Deprecated, as a URN")
    return read_status(text)


def _slot(association: Association, name: str) -> str | None:
    return next((values[0] for slot, values in association.extra if slot == name and values), None)


def _name(association: Association) -> str:
    return f"Association {association.entry_uuid}"


def _refused(context: str) -> MetadataError:
    return MetadataError(_OPERATION, context)


def submission_of(update: MetadataUpdate) -> Submission:
    """The submission that asks for an update: `read_update` of it is the update."""
    return Submission(
        submission_set=update.submission_set,
        entries=tuple(version.entry for version in update.versions),
        associations=(
            *(_member(version) for version in update.versions),
            *(_request(change) for change in update.status_changes),
            *(association for pair in update.associations for association in pair),
        ),
    )


def _member(version: EntryVersion) -> Association:
    return structs.replace(
        version.member,
        extra=_with_slots(
            version.member,
            (codes.SLOT_PREVIOUS_VERSION, version.previous_version),
            (codes.SLOT_ASSOCIATION_PROPAGATION, "yes" if version.propagate else "no"),
        ),
    )


def _request(change: StatusChange) -> Association:
    return structs.replace(
        change.request,
        type=codes.UPDATE_AVAILABILITY_STATUS,
        target=change.target,
        extra=_with_slots(
            change.request,
            (codes.SLOT_ORIGINAL_STATUS, change.original.value),
            (codes.SLOT_NEW_STATUS, change.new.value),
        ),
    )


def _with_slots(association: Association, *slots: tuple[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = {name for name, _ in slots}
    return (
        *((name, values) for name, values in association.extra if name not in names),
        *((name, (value,)) for name, value in slots),
    )


def entry_version(
    of_set: SubmissionSet, entry: DocumentEntry, previous_version: str, mint: Callable[[], str]
) -> EntryVersion:
    """The version that asks for `entry`, as a member of a new SubmissionSet. `mint` gives entryUUIDs."""
    member = Association(
        entry_uuid=mint(),
        type=codes.HAS_MEMBER,
        source=of_set.entry_uuid,
        target=entry.entry_uuid,
        submission_set_status="Original",
    )
    return EntryVersion(member=member, entry=entry, previous_version=previous_version)


def status_change(
    of_set: SubmissionSet,
    target: str,
    original: AvailabilityStatus,
    new: AvailabilityStatus,
    mint: Callable[[], str],
) -> StatusChange:
    """The request for another status of the object `target`. `mint` gives entryUUIDs."""
    request = Association(
        entry_uuid=mint(),
        type=codes.UPDATE_AVAILABILITY_STATUS,
        source=of_set.entry_uuid,
        target=target,
    )
    return StatusChange(request=request, target=target, original=original, new=new)
