"""Where the values of ITI-66 parameters stand in a SubmissionSet or Folder (IHE MHD 4.2.4 2:3.66.4.1.2).

`source.*` looks at every author of a SubmissionSet, as $XDSSubmissionSetAuthorPerson does, although
List.source has place for one person only. A Folder has neither author nor sourceId.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.fhir.lists import FOLDER, SUBMISSION_SET
from gateway.fhir.matching import Elements, persons_of
from gateway.fhir.search_dates import Interval, dtm_interval
from gateway.model.metadata import Code, Folder, Person, SubmissionSet

RegistryList = SubmissionSet | Folder
"""What a List stands for."""

BOTH_KINDS: Final = (SUBMISSION_SET, FOLDER)


def kind_of(item: RegistryList) -> str:
    """The code of List.code."""
    return SUBMISSION_SET if isinstance(item, SubmissionSet) else FOLDER


def _codes(item: RegistryList) -> tuple[Code, ...]:
    if isinstance(item, Folder):
        return item.code_list
    return () if item.content_type is None else (item.content_type,)


def _date(item: RegistryList) -> Interval | None:
    return dtm_interval(item.submission_time if isinstance(item, SubmissionSet) else item.last_update_time)


def _persons(item: RegistryList) -> Iterable[Person]:
    return persons_of(item.authors) if isinstance(item, SubmissionSet) else ()


LIST_ELEMENTS: Final[Elements[RegistryList]] = Elements(
    codes=MappingProxyType({"designationType": _codes}),
    intervals=MappingProxyType({"date": _date, "_lastUpdated": _date}),
    persons=_persons,
)


@dataclass(frozen=True, slots=True)
class IsOfKind:
    """`code`, all of them taken together."""

    kinds: frozenset[str]

    def matches(self, item: RegistryList) -> bool:
        """True where the List is of one of the kinds."""
        return kind_of(item) in self.kinds


@dataclass(frozen=True, slots=True)
class HasSource:
    """`sourceId`."""

    source_ids: tuple[str, ...]

    def matches(self, item: RegistryList) -> bool:
        """True for a SubmissionSet of one of the sources."""
        return isinstance(item, SubmissionSet) and item.source_id in self.source_ids
