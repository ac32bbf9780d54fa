"""Reads FHIR JSON that need not be valid: what is of another type than FHIR says is reported and left out.

A finding names the rule and the element, never its value. Of one rule no more than a few places are kept,
so that a document of many deviations does not make a report of many.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.model.imaging import Finding, Severity

PLACES_PER_RULE: Final = 5
"""Findings of one rule that are kept one by one."""


class Collector:
    """Findings in order. `rules` gives severity and text of each rule by its name."""

    def __init__(self, rules: Mapping[str, tuple[Severity, str]]) -> None:
        self._rules = rules
        self._kept: list[tuple[str, str]] = []
        self._counts: Counter[str] = Counter()

    def report(self, rule: str, place: str) -> None:
        """Keep a finding, or count it where its rule has been reported often enough."""
        self._counts[rule] += 1
        if self._counts[rule] <= PLACES_PER_RULE:
            self._kept.append((rule, place))

    def findings(self) -> tuple[Finding, ...]:
        """All findings; the first of a rule that was met more often than is kept says how often."""
        more = {rule: n - PLACES_PER_RULE for rule, n in self._counts.items() if n > PLACES_PER_RULE}
        return tuple(self._finding(rule, place, more.pop(rule, 0)) for rule, place in self._kept)

    def _finding(self, rule: str, place: str, further: int) -> Finding:
        severity, text = self._rules[rule]
        if further:
            text = f"{text} ({further} more places than are listed.)"
        return Finding(rule=rule, place=place, text=text, severity=severity)


@dataclass(frozen=True, slots=True)
class Element:
    """An object of FHIR JSON at a FHIRPath."""

    value: Json
    path: str
    found: Collector

    def report(self, rule: str, name: str = "") -> None:
        """Report a deviation of this element or of its child `name`."""
        self.found.report(rule, f"{self.path}.{name}" if name else self.path)

    def text(self, name: str) -> str | None:
        """A string that is not blank, without blanks at its ends."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return value.strip() or None
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.report("text-as-number", name)
            return str(value)
        self.report("wrong-type", name)
        return None

    def number(self, name: str) -> int | None:
        """A whole number of at least 0 as FHIR has it, that is below 2^31."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:
            self.report("number-as-text", name)
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.report("wrong-type", name)
            return None
        if not 0 <= value < 2**31:
            self.report("number-invalid", name)
            return None
        return value

    def one(self, name: str) -> "Element | None":
        """A single object; of a list the first one."""
        value = self.value.get(name)
        if isinstance(value, list):
            self.report("list-as-one", name)
            value = next((item for item in value if isinstance(item, dict)), None)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.report("wrong-type", name)
            return None
        return Element(value, f"{self.path}.{name}", self.found)

    def many(self, name: str) -> "Iterator[Element]":
        """The objects of a list; a single object counts as a list of one."""
        value = self.value.get(name)
        if isinstance(value, dict):
            self.report("one-as-list", name)
            value = [value]
        if value is None:
            return
        if not isinstance(value, list):
            self.report("wrong-type", name)
            return
        for number, item in enumerate(value):
            path = f"{self.path}.{name}[{number}]"
            if isinstance(item, dict):
                yield Element(item, path, self.found)
            else:
                self.found.report("wrong-type", path)

    def texts(self, name: str) -> Iterator[str]:
        """The strings of a list that are not blank; a single string counts as a list of one."""
        value = self.value.get(name)
        if isinstance(value, str):
            self.report("one-as-list", name)
            value = [value]
        if value is None:
            return
        if not isinstance(value, list):
            self.report("wrong-type", name)
            return
        for number, item in enumerate(value):
            if isinstance(item, str):
                if item.strip():
                    yield item.strip()
            elif item is not None:
                self.found.report("wrong-type", f"{self.path}.{name}[{number}]")

    def extension(self, *urls: str) -> "Element | None":
        """The first extension with one of `urls`."""
        return next(self.extensions(*urls), None)

    def extensions(self, *urls: str) -> "Iterator[Element]":
        """Extensions with one of `urls`."""
        return (one for one in self.many("extension") if one.value.get("url") in urls)
