"""SubmissionSets that hold documents or Folders, and when they were submitted (ITI TF-2 3.18.4.1.2.3.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.clients.community import Queries
from gateway.fhir.matching import Registered
from gateway.fhir.outcome import means_several_patients
from gateway.mhd.registered import registered
from gateway.model import Association, DocumentEntry, RegistryFailure, SubmissionSet
from gateway.model.codes import HAS_MEMBER
from gateway.model.query import ANY_STATUS, FindSubmissionSets, GetAssociations, GetSubmissionSets

_REFERENCE = "Reference"


@dataclass(frozen=True, slots=True)
class Submissions:
    """SubmissionSets, and the associations to what they hold."""

    submission_sets: Sequence[SubmissionSet]
    associations: Sequence[Association]


NONE: Final = Submissions((), ())


async def submissions_of(registry: Queries, members: Sequence[Registered]) -> Submissions:
    """SubmissionSets of the members' patients that hold them. Raises PeerError, RegistryFailure.

    It is one query. A SubmissionSet may refer to documents of another patient; where that makes a registry
    refuse the answer, the SubmissionSets of the patient and the associations are asked for instead.
    """
    if not members:
        return Submissions((), ())
    uuids = tuple(member.entry_uuid for member in members)
    patients = {member.patient_id: None for member in members if member.patient_id is not None}
    try:
        found = await registry.query(GetSubmissionSets(uuids=uuids))
        submission_sets, associations = found.submission_sets, found.associations
    except RegistryFailure as failure:
        if not means_several_patients(failure):
            raise
        associations = (await registry.query(GetAssociations(uuids=uuids))).associations
        holders = {a.source for a in associations if a.type == HAS_MEMBER and a.target in set(uuids)}
        submission_sets = ()
        for patient in patients:
            of_patient = await registry.query(FindSubmissionSets(patient_id=patient, status=ANY_STATUS))
            submission_sets += tuple(s for s in of_patient.submission_sets if s.entry_uuid in holders)
    return Submissions([s for s in submission_sets if s.patient_id in patients], associations)


async def submissions_by_document(
    registry: Queries, entries: Sequence[DocumentEntry]
) -> dict[str, SubmissionSet]:
    """The SubmissionSet that brought each document, by entryUUID. Raises PeerError, RegistryFailure."""
    originals = {registered(entry).entry_uuid: registered(entry) for entry in entries}
    return brought_by(await submissions_of(registry, tuple(originals.values())), entries)


def brought_by(found: Submissions, entries: Sequence[DocumentEntry]) -> dict[str, SubmissionSet]:
    """The SubmissionSet that brought each document, by entryUUID.

    A document may later be referred to by other SubmissionSets; the one that brought it counts, and for a
    translation that of its original.
    """
    sets = {held.entry_uuid: held for held in found.submission_sets}
    brought = {
        a.target: sets[a.source]
        for a in found.associations
        if a.type == HAS_MEMBER and a.source in sets and a.submission_set_status != _REFERENCE
    }
    by_entry = ((entry.entry_uuid, registered(entry).entry_uuid) for entry in entries)
    return {entry: brought[known] for entry, known in by_entry if known in brought}


async def submission_times(registry: Queries, entries: Sequence[DocumentEntry]) -> dict[str, str]:
    """DTM of the submission of each document by entryUUID. Raises PeerError, RegistryFailure."""
    brought = await submissions_by_document(registry, entries)
    return {uuid: held.submission_time for uuid, held in brought.items()}
