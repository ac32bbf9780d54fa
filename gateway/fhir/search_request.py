"""What a search of ITI-67 needs to know, and what is known once it was understood."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from gateway.fhir.issues import Issue
from gateway.fhir.matching import Criterion
from gateway.fhir.search_sort import SortKey
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import Cx, DocumentEntry
from gateway.model.query import StoredQuery


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a search needs to know of the server.

    `patient_of` resolves `Patient/id` to the affinity domain's identifier, None where it is not known.
    `coarsest_time` is the number of digits of the least precise DTM in the registry: with 4 a document whose
    creation time is only a year is found by `ge` of a day in that year, at the price of larger answers;
    14 trusts the registry to hold seconds throughout.
    """

    terminology: Terminology
    base_url: str
    patient_of: Callable[[str], Cx | None]
    default_count: int = 100
    max_count: int = 1000
    status_required: bool = False
    coarsest_time: int = 4
    now: Callable[[], datetime] = _now


@dataclass(frozen=True, slots=True)
class DocumentSearch:
    """A search that was understood.

    `self_parameters` are the parameters that were used, defaults included; `warnings` say which were not.
    `impossible` is True where no document can match, so that nobody needs to be asked.
    """

    stored_queries: tuple[StoredQuery, ...]
    criteria: tuple[Criterion, ...]
    count: int
    sort: SortKey
    self_parameters: tuple[tuple[str, str], ...]
    base_url: str
    warnings: tuple[Issue, ...] = ()

    @property
    def impossible(self) -> bool:
        """True where no document can match."""
        return not self.stored_queries

    @property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Names and values that make the same search again."""
        return self.self_parameters

    @property
    def self_link(self) -> str:
        """URL of Bundle.link `self`."""
        return f"{self.base_url}/DocumentReference?{urlencode(self.self_parameters, quote_via=quote)}"

    def queries(self) -> tuple[StoredQuery, ...]:
        """What to ask the registry: one query, two where an identifier may be uniqueId or entryUUID.

        Their answers, taken together, hold every match and perhaps more.
        """
        return self.stored_queries

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the entry meets every parameter."""
        return all(criterion.matches(entry) for criterion in self.criteria)

    def sort_key(self, entry: DocumentEntry) -> tuple[object, ...]:
        """Key of a total order: `_sort`, then entryUUID."""
        return self.sort.of(entry)
