"""Scopes with a query, of documents (SMART App Launch 2.2, finer-grained scopes):
`system/DocumentReference.rs?category=http://loinc.org|18748-4`.

They are joined to each search and looked at again at each read, retrieval and publish: what they leave out
is decided document by document, as by the policy of a site, which decides besides. A query with a parameter
that is not in `_LIMITED_BY`, with a modifier or with a backslash (of an escape), grants nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import parse_qsl

from msgspec import Struct

from gateway.model import Code, DocumentEntry
from gateway.security.policy import Asked, Matter, Policy
from gateway.security.policy_rules import Form

Level = Literal["system", "patient"]
# a backslash escapes what follows it: to take its comma for one between codes would make a scope wider
_TOKEN = re.compile(r"(?:[^|\\]+\|)?[^|\\]+")
_MOST: Final = 20


def _one(code: Code | None) -> tuple[Code, ...]:
    return () if code is None else (code,)


_LIMITED_BY: Final[Mapping[str, Callable[[DocumentEntry], Sequence[Code]]]] = {
    "type": lambda entry: _one(entry.type_code),
    "category": lambda entry: _one(entry.class_code),
    "format": lambda entry: _one(entry.format_code),
    "facility": lambda entry: _one(entry.facility_type),
    "setting": lambda entry: _one(entry.practice_setting),
    "security-label": lambda entry: entry.confidentiality,
    "event": lambda entry: entry.event_codes,
}
"""Search parameters of DocumentReference that are codes of a DocumentEntry."""


class Limit(Struct, frozen=True):
    """A scope with a query: letters of SMART v2 for documents that meet all conditions, each of which is the
    name of a search parameter and the codes of which a document has to bear one."""

    level: Level
    letters: frozenset[str]
    conditions: tuple[tuple[str, frozenset[str]], ...]

    def within(self, other: "Limit") -> bool:
        """True where the other one grants the same or more."""
        return (
            self.level == other.level
            and self.letters <= other.letters
            and self.conditions == other.conditions
        )

    def fits(self, entry: DocumentEntry, form: Form) -> bool:
        """Whether a document meets all conditions. `form` brings codes into one form."""
        return all(
            not {form(code) for code in codes}.isdisjoint(
                form(text)
                for code in _LIMITED_BY[name](entry)
                for text in (code.code, f"{code.scheme}|{code.code}")
            )
            for name, codes in self.conditions
        )


def read_limit(level: Level, letters: str, query: str) -> Limit | None:
    """A query of a scope; None for one that is not understood."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST, errors="strict"
        )
    except ValueError:
        return None
    conditions = []
    for name, value in pairs:
        codes = value.split(",")
        if name not in _LIMITED_BY or not all(map(_TOKEN.fullmatch, codes)):
            return None
        conditions.append((name, frozenset(codes)))
    # without conditions it would be one that limits nothing
    if not conditions or not letters:
        return None
    return Limit(level, frozenset(letters), tuple(sorted(conditions, key=str)))


class LimitedTo:
    """A policy: the documents of one of the limits, of which `besides` permits what it permits."""

    def __init__(self, limits: Iterable[Limit], form: Form, besides: Policy | None) -> None:
        self._limits = tuple(limits)
        self._form = form
        self._besides = besides

    async def permits(self, asked: Asked, matters: Sequence[Matter]) -> Sequence[bool]:
        """See `Policy`. What is no document (SubmissionSets, Folders) is not limited."""
        own = [
            matter.entry is None or any(limit.fits(matter.entry, self._form) for limit in self._limits)
            for matter in matters
        ]
        if self._besides is None:
            return own
        theirs = await self._besides.permits(asked, matters)
        if len(theirs) != len(own):
            raise ValueError("not one decision for each matter")
        return [a and b for a, b in zip(own, theirs, strict=True)]
