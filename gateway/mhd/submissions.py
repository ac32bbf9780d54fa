"""SubmissionSets that hold documents or Folders, and when they were submitted (ITI TF-2 3.18.4.1.2.3.7)."""

from collections.abc import Sequence
from dataclasses import dataclass

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


async def submission_times(registry: Queries, entries: Sequence[DocumentEntry]) -> dict[str, str]:
    """DTM of the submission of each document by entryUUID. Raises PeerError, RegistryFailure.

    A document may later be referred to by other SubmissionSets; the one that brought it counts, and for a
    translation that of its original.
    """
    originals = {registered(entry).entry_uuid: registered(entry) for entry in entries}
    found = await submissions_of(registry, tuple(originals.values()))
    times = {held.entry_uuid: held.submission_time for held in found.submission_sets}
    submitted = {
        a.target: times[a.source]
        for a in found.associations
        if a.type == HAS_MEMBER and a.source in times and a.submission_set_status != _REFERENCE
    }
    translated = ((e.entry_uuid, registered(e).entry_uuid) for e in entries if e.made_of is not None)
    return submitted | {made: submitted[of] for made, of in translated if of in submitted}
