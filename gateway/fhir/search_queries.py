"""What a search of ITI-67 asks of the registry: FindDocuments, FindDocumentsByReferenceId or GetDocuments
(ITI TF-2 3.18.4.1.2.3.7).

Of what is asked with AND, a slot that takes one OR list gets the shortest one; the filter applies the others.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.fhir.matching import IdentifierToken
from gateway.fhir.search_dates import Limits
from gateway.model.metadata import AvailabilityStatus, Code, Cx
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    FindDocumentsByReferenceId,
    GetDocuments,
    StoredQuery,
)

_SINGLE_SLOTS = {
    "category": "class_code",
    "type": "type_code",
    "setting": "practice_setting",
    "facility": "facility_type",
    "format": "format_code",
}
_REPEATED_SLOTS = {"event": "event_codes", "security-label": "confidentiality"}


@dataclass(slots=True)
class Asked:
    """OR lists that narrow the query; lists of one parameter are AND.

    `codes` by search parameter; `authors` and `references` are LIKE patterns; `sources` are sourceIds.
    """

    codes: dict[str, list[tuple[Code, ...]]] = field(default_factory=lambda: defaultdict(list))
    authors: list[tuple[str, ...]] = field(default_factory=list)
    references: list[tuple[str, ...]] = field(default_factory=list)
    sources: list[tuple[str, ...]] = field(default_factory=list)


def find_documents(
    patient: Cx, statuses: Iterable[AvailabilityStatus], asked: Asked, limits: Mapping[str, Limits]
) -> FindDocuments:
    """The query for the documents of a patient. `limits` are those of `creation` and `period`."""
    creation, period = limits["creation"], limits["period"]
    content: dict[str, Any] = {
        "patient_id": patient,
        "status": tuple(s for s in ANY_STATUS if s in statuses),
        "document_type": ANY_DOCUMENT,
        "author_person": shortest(asked.authors),
        "creation_time_from": creation.start_from,
        "creation_time_to": creation.start_to,
        "service_start_time_from": period.start_from,
        "service_start_time_to": period.start_to,
        "service_stop_time_from": period.stop_from,
        "service_stop_time_to": period.stop_to,
    }
    content |= {slot: shortest(asked.codes[name]) for name, slot in _SINGLE_SLOTS.items()}
    content |= {slot: tuple(asked.codes[name]) for name, slot in _REPEATED_SLOTS.items()}
    if asked.references:
        return FindDocumentsByReferenceId(reference_ids=tuple(asked.references), **content)
    return FindDocuments(**content)


def get_documents(groups: Iterable[Sequence[IdentifierToken]]) -> tuple[StoredQuery, ...] | None:
    """GetDocuments for one of the OR lists of identifiers; None where none of them is enough to ask with.

    There are two queries where both uniqueIds and entryUUIDs are asked for, which one cannot hold.
    """
    named = named_objects(groups)
    if named is None:
        return None
    queries: list[StoredQuery] = []
    if named.entry_uuids:
        queries.append(GetDocuments(entry_uuids=named.entry_uuids))
    if named.unique_ids:
        queries.append(GetDocuments(unique_ids=named.unique_ids))
    return tuple(queries)


@dataclass(frozen=True, slots=True)
class NamedObjects:
    """What to ask Get queries for: objects that have one of the ids."""

    entry_uuids: tuple[str, ...]
    unique_ids: tuple[str, ...]


def named_objects(groups: Iterable[Sequence[IdentifierToken]]) -> NamedObjects | None:
    """The ids of the first OR list that names objects by itself; None where none does."""
    for tokens in groups:
        if any(token.extension is not None for token in tokens):
            continue
        return NamedObjects(
            tuple(dict.fromkeys(t.entry_uuid for t in tokens if t.entry_uuid is not None)),
            tuple(dict.fromkeys(t.unique_id for t in tokens if t.unique_id is not None)),
        )
    return None


def shortest(groups: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The OR list that narrows a slot for one of them; empty where there is none."""
    return min(groups, key=len, default=())
