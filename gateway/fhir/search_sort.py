"""Order of search results: `_sort` (FHIR R4 search 3.1.1.5.1). Absent values come last in both directions."""

from dataclasses import dataclass
from functools import total_ordering
from typing import Generic

from gateway.fhir.document_reference import resource_id
from gateway.fhir.matching import Elements, T
from gateway.fhir.search_table import ParameterTable
from gateway.fhir.search_values import SearchProblem, shown

Rules = tuple[tuple[str, bool], ...]
"""Parameter, and whether it is descending."""


@total_ordering
@dataclass(frozen=True, slots=True)
class _Backwards:
    value: str | int

    def __lt__(self, other: "_Backwards") -> bool:
        return other.value < self.value  # type: ignore[operator]  # keys of one rule have one type


@dataclass(frozen=True, slots=True)
class SortKey(Generic[T]):
    """An order of registry objects."""

    elements: Elements[T]
    rules: Rules

    def of(self, item: T) -> tuple[object, ...]:
        """Key of one object; entryUUID makes the order total, so that pages never overlap."""
        parts: list[object] = []
        for name, descending in self.rules:
            value = self._value(name, item)
            parts.append(value is None)
            if value is None:
                parts.append(0)
            else:
                parts.append(_Backwards(value) if descending else value)
        return (*parts, item.entry_uuid)

    def _value(self, name: str, item: T) -> str | int | None:
        if name in self.elements.intervals:
            interval = self.elements.intervals[name](item)
            return None if interval is None else interval.start
        if name in self.elements.codes:
            held = self.elements.codes[name](item)
            return min((f"{code.code} {code.scheme}" for code in held), default=None)
        return item.status.value if name == "status" else resource_id(item)


def read_sort(value: str, table: ParameterTable) -> Rules:
    """Read `_sort`, for example `-creation,type`. Raises SearchProblem for a name it does not take."""
    rules: list[tuple[str, bool]] = []
    for part in value.split(","):
        name = part.strip().removeprefix("-")
        if not table.can_sort_by(name):
            raise SearchProblem(
                "not-supported",
                f"_sort: {shown(name) or 'nothing'} cannot be sorted by; "
                f"use {', '.join(table.sortable_names())}.",
            )
        rules.append((name, part.strip().startswith("-")))
    return tuple(rules)
