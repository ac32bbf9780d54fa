"""Order of search results: `_sort` (FHIR R4 search 3.1.1.5.1). Absent values come last in both directions."""

from dataclasses import dataclass
from functools import total_ordering

from gateway.fhir.matching import CODES, INTERVALS
from gateway.fhir.search_parameters import BY_NAME, sortable_names
from gateway.fhir.search_values import SearchProblem, shown
from gateway.model.metadata import DocumentEntry

_LATEST_FIRST = (("creation", True),)


@total_ordering
@dataclass(frozen=True, slots=True)
class _Backwards:
    value: str | int

    def __lt__(self, other: "_Backwards") -> bool:
        return other.value < self.value  # type: ignore[operator]  # keys of one rule have one type


@dataclass(frozen=True, slots=True)
class SortKey:
    """Rules as (parameter, descending); by default the latest creation time first."""

    rules: tuple[tuple[str, bool], ...] = _LATEST_FIRST

    def of(self, entry: DocumentEntry) -> tuple[object, ...]:
        """Key of one entry; entryUUID makes the order total, so that pages never overlap."""
        parts: list[object] = []
        for name, descending in self.rules:
            value = _value(name, entry)
            parts.append(value is None)
            if value is None:
                parts.append(0)
            else:
                parts.append(_Backwards(value) if descending else value)
        return (*parts, entry.entry_uuid)


def read_sort(value: str) -> SortKey:
    """Read `_sort`, for example `-creation,type`. Raises SearchProblem for a name it does not take."""
    rules: list[tuple[str, bool]] = []
    for part in value.split(","):
        name = part.strip().removeprefix("-")
        parameter = BY_NAME.get(name)
        if parameter is None or not parameter.sortable:
            raise SearchProblem(
                "not-supported",
                f"_sort: {shown(name) or 'nothing'} cannot be sorted by; use {', '.join(sortable_names())}.",
            )
        rules.append((name, part.strip().startswith("-")))
    return SortKey(tuple(rules))


def _value(name: str, entry: DocumentEntry) -> str | int | None:
    if name in INTERVALS:
        interval = INTERVALS[name](entry)
        return None if interval is None else interval.start
    if name in CODES:
        return min((f"{code.code} {code.scheme}" for code in CODES[name](entry)), default=None)
    return entry.status.value if name == "status" else entry.entry_uuid
