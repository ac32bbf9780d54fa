"""Members of SubmissionSets and Folders, as List.entry names them (ITI TF-3 4.2.2)."""

from collections.abc import Iterable, Iterator, Mapping

from gateway.fhir.document_reference import logical_id
from gateway.model.codes import HAS_MEMBER
from gateway.model.metadata import Association, AvailabilityStatus

DOCUMENT = "DocumentReference"
LIST = "List"


def memberships(associations: Iterable[Association]) -> Iterator[Association]:
    """The HasMember associations that hold; a metadata update deprecates those that it ends."""
    return (a for a in associations if a.type == HAS_MEMBER and a.status is AvailabilityStatus.APPROVED)


def members_of(
    owner: str,
    associations: Iterable[Association],
    kinds: Mapping[str, str],
    ids: Mapping[str, str] | None = None,
) -> tuple[tuple[str, str], ...]:
    """Resource type and id of each member, in the order of the registry.

    `kinds` are the resource types of members by entryUUID; what has none (an association that a
    SubmissionSet brought) is no resource. `ids` are the FHIR ids of members where they are known; the
    entryUUID of a version is one too.
    """
    known = ids or {}
    return tuple(
        (kinds[a.target], known.get(a.target) or logical_id(a.target))
        for a in memberships(associations)
        if a.source == owner and a.target in kinds
    )
