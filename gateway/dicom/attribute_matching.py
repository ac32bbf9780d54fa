"""Matching of attributes (DICOM PS3.4 C.2.2.2; PS3.18 8.3.4.1): single values, lists of UIDs and of several
values, wildcards, ranges of dates and times, sequences, and universal matching.

Names of persons are compared without regard to case, everything else with it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.dicom.json_model import Item, text_values
from gateway.dicom.search_attributes import TEXTS, Attribute, Path
from gateway.model.oids import is_oid

Condition = Callable[[str], bool]

_DATE: Final = re.compile(r"\d{8}")
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?")
_RANGE: Final = re.compile(r"([\d.]*)-([\d.]*)")
_LISTED: Final = frozenset({"UI", "CS"})
"""Their values have no comma, so that one separates values there; a backslash does everywhere."""
_LONGEST: Final = 1024


class BadKey(ValueError):
    """A value that cannot be matched; the text names the rule and not the value."""


@dataclass
class Matcher:
    """The keys of one dataset: an item matches when each of its attributes does.

    One item of a sequence has to match all keys that are given for the sequence.
    """

    _conditions: dict[str, list[Condition]] = field(default_factory=dict)
    _sequences: "dict[str, Matcher]" = field(default_factory=dict)

    def add(self, path: Path, values: Iterable[str]) -> None:
        """Add a key with its values, one of which has to match. Raises BadKey."""
        first, *rest = path
        if rest:
            self._sequences.setdefault(first.name, Matcher()).add(tuple(rest), values)
            return
        if first.vr == "SQ":
            raise BadKey(f"it is a sequence: name one of its attributes, as {first.keyword}.Keyword")
        conditions = [condition for value in values for condition in _conditions(first, value)]
        # an empty value is universal matching
        if conditions:
            self._conditions[first.name] = conditions

    def matches(self, item: Item) -> bool:
        """True where the dataset is as asked."""
        for name, conditions in self._conditions.items():
            found = text_values(item, name)
            if not any(condition(value) for value in found for condition in conditions):
                return False
        for name, matcher in self._sequences.items():
            if not matcher.universal and not any(map(matcher.matches, item.get(name, {}).get("Value", ()))):
                return False
        return True

    @property
    def universal(self) -> bool:
        """True where everything matches."""
        return not self._conditions and all(m.universal for m in self._sequences.values())


def values_of(attribute: Attribute, text: str) -> list[str]:
    """The single values of a list."""
    return [v for v in re.split(r"[\\,]" if attribute.vr in _LISTED else r"\\", text) if v.strip()]


def _conditions(attribute: Attribute, text: str) -> list[Condition]:
    if len(text) > _LONGEST * (16 if attribute.vr == "UI" else 1):
        raise BadKey("it is too long")
    return [_condition(attribute, value.strip(" \0")) for value in values_of(attribute, text)]


def _condition(attribute: Attribute, value: str) -> Condition:
    if attribute.vr in _BY_KIND:
        return _BY_KIND[attribute.vr](value)
    if attribute.vr not in TEXTS:
        raise BadKey("it cannot be matched")
    if attribute.vr == "PN":
        value = value.rstrip("^").casefold()
        pattern = _wildcards(value)
        return lambda found: pattern.fullmatch(found.rstrip("^").casefold()) is not None
    pattern = _wildcards(value)
    return lambda found: pattern.fullmatch(found) is not None


def _uid(value: str) -> Condition:
    if not is_oid(value):
        raise BadKey("give a UID, or several separated by commas")
    return lambda found: found == value


def _number(value: str) -> Condition:
    if not re.fullmatch(r"[+-]?\d{1,12}", value, re.ASCII):
        raise BadKey("give an integer")
    wanted = str(int(value))
    return lambda found: found == wanted


def _date(value: str) -> Condition:
    def bound(text: str) -> str:
        if not _DATE.fullmatch(text) or not ("01" <= text[4:6] <= "12" and "01" <= text[6:] <= "31"):
            raise BadKey("give YYYYMMDD, YYYYMMDD-, -YYYYMMDD or YYYYMMDD-YYYYMMDD")
        return text

    start, end = _bounds(value, bound)
    return lambda found: (start is None or start <= found) and (end is None or found <= end)


def _time(value: str) -> Condition:
    def bound(text: str) -> str:
        if not _TIME.fullmatch(text):
            raise BadKey("give HHMMSS, or a range as HHMMSS-HHMMSS; minutes and seconds may be left out")
        return text

    start, end = _bounds(value, bound)

    def matches(found: str) -> bool:
        # a time that is given to the minute is that whole minute, at either end
        first, last = _filled(found, "0"), _filled(found, "9")
        return (start is None or _filled(start, "0") <= last) and (end is None or first <= _filled(end, "9"))

    return matches


def _filled(time: str, digit: str) -> str:
    return time.replace(".", "").ljust(12, digit)


def _bounds(value: str, bound: Callable[[str], str]) -> tuple[str | None, str | None]:
    between = _RANGE.fullmatch(value)
    if between is None:
        one = bound(value)
        return one, one
    start, end = between.groups()
    if not start and not end:
        raise BadKey("a range has a start, an end or both")
    return bound(start) if start else None, bound(end) if end else None


def _wildcards(value: str) -> re.Pattern[str]:
    """`*` stands for any text, `?` for one character."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", value))
    if not others:
        return re.compile(first, re.DOTALL)
    # each part is taken where it is found first, so that many stars cost no more than one
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(f"{first}{between}.*{others[-1]}", re.DOTALL)


_BY_KIND: Final[Mapping[str, Callable[[str], Condition]]] = {
    "UI": _uid,
    "IS": _number,
    "DA": _date,
    "TM": _time,
}
