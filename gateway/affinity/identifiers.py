"""entryUUIDs of a submission: symbolic ids become minted ones, in every reference (ITI TF-3 4.1.5)."""

import re
import uuid
from collections import Counter
from collections.abc import Iterable

from msgspec import structs

from gateway.affinity.errors import Refusal, Refused
from gateway.model import RegistryError, Submission

_URN = "urn:uuid:"
_ENTRY_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def mint() -> str:
    """A new entryUUID."""
    return uuid.uuid4().urn


def is_symbolic(identifier: str) -> bool:
    """True for an id that has its meaning within the submission only."""
    return identifier[: len(_URN)].lower() != _URN


def resolve(submission: Submission) -> Submission:
    """The submission with an entryUUID for each id, UUIDs in lower case.

    Raises Refused where an id is used twice or is a wrong UUID (XDSRegistryMetadataError), and where a
    reference names no object of the submission (UnresolvedReferenceException).
    """
    given = [
        submission.submission_set.entry_uuid,
        *(value.entry_uuid for value in submission.entries),
        *(value.entry_uuid for value in submission.folders),
        *(value.entry_uuid for value in submission.associations),
    ]
    ends = [end for a in submission.associations for end in (a.source, a.target)]
    errors = [*_id_errors(given), *_reference_errors(given, ends)]
    if errors:
        raise Refused(*errors)
    names = {i: mint() if is_symbolic(i) else i.lower() for i in given}

    def of(identifier: str) -> str:
        return names.get(identifier) or identifier.lower()

    return structs.replace(
        submission,
        submission_set=structs.replace(
            submission.submission_set, entry_uuid=of(submission.submission_set.entry_uuid)
        ),
        entries=tuple(structs.replace(e, entry_uuid=of(e.entry_uuid)) for e in submission.entries),
        folders=tuple(structs.replace(f, entry_uuid=of(f.entry_uuid)) for f in submission.folders),
        associations=tuple(
            structs.replace(a, entry_uuid=of(a.entry_uuid), source=of(a.source), target=of(a.target))
            for a in submission.associations
        ),
    )


def _id_errors(given: Iterable[str]) -> list[RegistryError]:
    counts = Counter(i if is_symbolic(i) else i.lower() for i in given)
    errors = [
        RegistryError(Refusal.REGISTRY_METADATA, f"id {identifier} names {count} objects of the submission")
        for identifier, count in counts.items()
        if count > 1
    ]
    errors.extend(
        RegistryError(Refusal.REGISTRY_METADATA, f"id {identifier} is no UUID after urn:uuid:")
        for identifier in counts
        if not is_symbolic(identifier) and not _ENTRY_UUID.fullmatch(identifier)
    )
    return errors


def _reference_errors(given: Iterable[str], ends: Iterable[str]) -> list[RegistryError]:
    known = set(given)
    return [
        RegistryError(Refusal.UNRESOLVED_REFERENCE, f"{end} names no object of the submission")
        for end in dict.fromkeys(ends)
        if is_symbolic(end) and end not in known
    ]
