"""What a search of ITI-66 and ITI-67 needs to know, and what is known once it was understood."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Generic, Self
from urllib.parse import quote, urlencode

from gateway.fhir.imaging_includes import Step
from gateway.fhir.issues import Issue
from gateway.fhir.matching import Criterion, Elements, T
from gateway.fhir.resource_view import WHOLE, View
from gateway.fhir.search_dates import Interval
from gateway.fhir.search_includes import Inclusion
from gateway.fhir.search_sort import Rules, SortKey
from gateway.fhir.search_table import ParameterTable
from gateway.fhir.target_communities import OwnCommunityAlone, ReachedCommunities
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import AvailabilityStatus, Cx
from gateway.model.query import StoredQuery

OWN_COMMUNITY: Final = OwnCommunityAlone()


def _now() -> datetime:
    return datetime.now(UTC)


LateCriterion = Callable[[Callable[[T], Interval | None]], Criterion[T]]
"""A criterion of a time that the caller of the search looks up: made when it is known where to read it."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a search needs to know of the server.

    `patient_of` resolves `Patient/id` to the affinity domain's identifier, None where it is not known.
    `coarsest_time` is the number of digits of the least precise DTM in the registry: with 4 a document whose
    creation time is only a year is found by `ge` of a day in that year, at the price of larger answers;
    14 trusts the registry to hold seconds throughout. `communities` are those that a search reaches.
    `nobody` says why no patient is meant by what the search names; it then finds nothing.
    """

    terminology: Terminology
    base_url: str
    patient_of: Callable[[str], Cx | None]
    default_count: int = 100
    max_count: int = 1000
    status_required: bool = False
    coarsest_time: int = 4
    now: Callable[[], datetime] = _now
    communities: ReachedCommunities = OWN_COMMUNITY
    nobody: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Searchable(Generic[T]):
    """A resource type that can be searched.

    `statuses` are the codes of the parameter `status` with what they ask for, None for a status that no
    object has; `status_system` is their system. `order` is the order of results where `_sort` is not sent.
    `late` are date parameters whose value is not in the object: it is that of the SubmissionSet which brought
    it.
    """

    table: ParameterTable
    elements: Elements[T]
    statuses: Mapping[str, AvailabilityStatus | None]
    status_system: str
    order: Rules
    late: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Search(Generic[T]):
    """A search of one resource type that was understood.

    `self_parameters` are the parameters that were used, defaults included; `warnings` say which were not.
    `late` are criteria that wait for the submission times, see `knowing`. `queries_of_patient` find every
    match too where `stored_queries` name objects by their ids and a registry refuses that, since some of them
    are of another patient.
    """

    resource: str
    stored_queries: tuple[StoredQuery, ...]
    criteria: tuple[Criterion[T], ...]
    count: int
    sort: SortKey[T]
    self_parameters: tuple[tuple[str, str], ...]
    base_url: str
    warnings: tuple[Issue, ...] = ()
    queries_of_patient: tuple[StoredQuery, ...] = ()
    late: tuple[LateCriterion[T], ...] = ()
    late_names: frozenset[str] = frozenset()
    view: View = WHOLE
    includes: frozenset[Inclusion] = frozenset()
    steps: tuple[Step, ...] = ()

    @property
    def needs_submission_times(self) -> bool:
        """True where matches cannot be told or sorted without the SubmissionSets that brought the objects."""
        return bool(self.late) or any(name in self.late_names for name, _ in self.sort.rules)

    def knowing(self, times: Mapping[str, Interval]) -> Self:
        """The same search, which knows when objects were submitted, by entryUUID."""

        def read(item: T) -> Interval | None:
            return times.get(item.entry_uuid)

        intervals = {**self.sort.elements.intervals, **dict.fromkeys(self.late_names, read)}
        return replace(
            self,
            criteria=(*self.criteria, *(criterion(read) for criterion in self.late)),
            sort=replace(self.sort, elements=replace(self.sort.elements, intervals=intervals)),
        )

    @property
    def impossible(self) -> bool:
        """True where nothing can match, so that nobody needs to be asked."""
        return not self.stored_queries

    @property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Names and values that make the same search again."""
        return self.self_parameters

    @property
    def url(self) -> str:
        """Where the search is made, without parameters; one without resource type is made at the base."""
        return f"{self.base_url}/{self.resource}" if self.resource else self.base_url

    @property
    def self_link(self) -> str:
        """URL of Bundle.link `self`."""
        # lists stay readable, and readers of links that split at commas before they decode understand them
        return f"{self.url}?{urlencode(self.self_parameters, quote_via=quote, safe=',')}"

    def queries(self) -> tuple[StoredQuery, ...]:
        """What to ask the registry: mostly one query, more where ITI-18 cannot say it in one.

        Their answers, taken together, hold every match and perhaps more.
        """
        return self.stored_queries

    def matches(self, item: T) -> bool:
        """True where the object meets every parameter."""
        return all(criterion.matches(item) for criterion in self.criteria)

    def sort_key(self, item: T) -> tuple[object, ...]:
        """Key of a total order: `_sort`, then entryUUID."""
        return self.sort.of(item)
