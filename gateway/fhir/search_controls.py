"""Parameters that shape the answer of a search and select nothing (FHIR R4 search 3.1.1.5): `_count`,
`_sort`, `_summary`, `_elements`, `_include`, `_revinclude`, `_total`; `_format` and `_pretty` are read
elsewhere.
"""

from collections.abc import Callable

from gateway.fhir.imaging_includes import FOLLOWED, Step, imaging_paths, read_steps
from gateway.fhir.resource_view import Summary, View, read_elements, read_summary
from gateway.fhir.search_includes import Inclusion, paths, read_include
from gateway.fhir.search_sort import Rules, read_sort
from gateway.fhir.search_table import ParameterTable
from gateway.fhir.search_values import SearchProblem, shown

_TOTALS = frozenset({"none", "estimate", "accurate"})
_INCLUDES = frozenset({"_include", "_revinclude"})
_AGAIN = frozenset({"iterate", "recurse"})
"""The modifier, and its name in earlier releases."""


class SearchControls:
    """Collects the parameters with `add`. `used` are those that have an effect, for Bundle.link `self`."""

    def __init__(self, table: ParameterTable, order: Rules, leave_out: Callable[[str], None]) -> None:
        """`order` is that of results without `_sort`; `leave_out` is told what is not done, and may raise."""
        self._table = table
        self._leave_out = leave_out
        self._count: int | None = None
        self._summary: Summary | None = None
        self._elements: dict[str, frozenset[str]] = {}
        self._includes: frozenset[Inclusion] = frozenset()
        self._steps: tuple[Step, ...] = ()
        self._is_sorted = False
        self.sort = order
        self.used: list[tuple[str, str]] = []

    def add(self, name: str, value: str) -> None:
        """Take one parameter. Raises SearchProblem."""
        control, _, modifier = name.partition(":")
        if modifier and not (self._follows_references and (control in _INCLUDES and modifier in _AGAIN)):
            self._leave_out(f"{shown(name)} is not supported, {control} is")
            return
        match control:
            case "_count":
                self._read_count(value)
            case "_summary":
                self._read_summary(value)
            case "_elements":
                self._read_elements(value)
            case "_include" | "_revinclude":
                self._read_include(name, value.strip())
            case "_sort":
                self._read_sort(value)
            case "_total":
                if value not in _TOTALS:
                    raise SearchProblem(
                        "value", "_total: give none, estimate or accurate; it is always exact."
                    )
                self.used.append((name, value))

    def page_size(self, default: int, most: int) -> int:
        """Matches on a page; 0 where only their number is asked for."""
        if self._summary is Summary.COUNT:
            return 0
        return min(default if self._count is None else self._count, most)

    def view(self) -> View:
        """How much of each resource is given."""
        return View(self._summary or Summary.FALSE, self._elements)

    def includes(self) -> frozenset[Inclusion]:
        """What comes along with the matches."""
        if (self._includes or self._steps) and self._summary is Summary.TEXT:
            self._leave_out("_include and _revinclude cannot be combined with _summary=text")
            self.used = [pair for pair in self.used if pair[0].partition(":")[0] not in _INCLUDES]
            self._includes, self._steps = frozenset(), ()
        return self._includes

    def steps(self) -> tuple[Step, ...]:
        """What comes along with resources that documents hold; to be asked after `includes`."""
        return tuple(dict.fromkeys(self._steps))

    def _read_count(self, value: str) -> None:
        if self._count is not None or not (value.isascii() and value.isdigit()):
            raise SearchProblem("value", "_count: give one whole number, 0 or more.")
        # more digits than any limit has, and fewer than are slow to read
        self._count = int(value.lstrip("0")[:12] or "0")

    def _read_summary(self, value: str) -> None:
        summary = read_summary(value)
        if self._summary is not None and summary is not self._summary:
            raise SearchProblem("value", "_summary: give one value.")
        if self._elements and summary in (Summary.TRUE, Summary.TEXT):
            raise SearchProblem("value", "_summary: it cannot be combined with _elements.")
        if self._summary is None:
            self.used.append(("_summary", value))
        self._summary = summary

    def _read_elements(self, value: str) -> None:
        if self._summary in (Summary.TRUE, Summary.TEXT):
            raise SearchProblem("value", "_elements: it cannot be combined with _summary.")
        found, unknown = read_elements(value, self._table.resource_types)
        if unknown:
            names = ", ".join(map(shown, unknown))
            self._leave_out(f"_elements: {names} is no element at the root of what is searched")
        for resource_type, names_found in found.items():
            self._elements[resource_type] = self._elements.get(resource_type, frozenset()) | names_found
        if found:
            known = [part for part in map(str.strip, value.split(",")) if part and part not in unknown]
            self.used.append(("_elements", ",".join(known)))

    @property
    def _follows_references(self) -> bool:
        """True for resources that documents hold: their references are followed, not what XDS relates."""
        return self._table.resource_types[0] in FOLLOWED

    def _read_include(self, name: str, value: str) -> None:
        control, _, modifier = name.partition(":")
        # what stands for the type in R4, where that has not got it
        resource = self._table.resource_types[0] if self._follows_references else self._table.resource
        brought: frozenset[Inclusion] = frozenset()
        steps: tuple[Step, ...] = ()
        if self._follows_references:
            steps = read_steps(control, value, resource, iterates=bool(modifier))
        else:
            brought = read_include(control, value, resource)
        if not brought and not steps:
            known = (imaging_paths if self._follows_references else paths)(control, resource)
            self._leave_out(f"{name}: {shown(value)} is not supported; use {', '.join(known) or 'none'}")
            return
        self._includes |= brought
        self._steps += steps
        self.used.append((name, value))

    def _read_sort(self, value: str) -> None:
        try:
            rules = read_sort(value, self._table)
        except SearchProblem as problem:
            self._leave_out(problem.issue.diagnostics.rstrip("."))
        else:
            self.sort = (*self.sort, *rules) if self._is_sorted else rules
            self._is_sorted = True
            self.used.append(("_sort", value))
