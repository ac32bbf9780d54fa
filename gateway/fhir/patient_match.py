"""How well a known Patient fits the one that `$match` describes (ITI-119; IHE PDQm 3.2.0 2:3.119; FHIR R4
Patient $match, whose grades these are).

Points are the sum of what agrees, of 100. What is said of both and differs speaks against a match; what only
one of them says does not. An identifier that both have weighs more than all else. Names, birth and sex alone
make nobody certain: others are called and born the same.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import product
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.fhir.datatypes import Json
from gateway.fhir.matching import folded
from gateway.fhir.patient_view import (
    addresses_of,
    disagreement,
    identifiers,
    maiden_names,
    names,
    telecoms,
)
from gateway.fhir.terminology import Terminology

CERTAIN_AT: Final = 90
_PROBABLE_AT: Final = 70
_POSSIBLE_AT: Final = 40
_BY_IDENTIFIER: Final = 95
_AGAINST: Final = 30
_PARTLY_BORN: Final = 15
_WEIGHTS: Final = {
    "family": 25,
    "given": 20,
    "birthDate": 30,
    "gender": 5,
    "telecom": 10,
    "address": 10,
    "mothersMaidenName": 10,
}
_DAY: Final = len("2000-01-01")


class Grade(StrEnum):
    """Codes of match-grade."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    NOT = "certainly-not"


class Fit(Struct, frozen=True):
    """Points (0 to 100), whether an identifier is the same, and whether something speaks against it."""

    points: int
    by_identifier: bool = False
    is_doubted: bool = False

    @property
    def grade(self) -> Grade:
        """The grade that one Patient has without regard to others."""
        if self.points >= CERTAIN_AT and not self.is_doubted:
            return Grade.CERTAIN
        if self.points >= _PROBABLE_AT:
            return Grade.PROBABLE
        return Grade.POSSIBLE if self.points >= _POSSIBLE_AT else Grade.NOT


class Graded(Struct, frozen=True):
    """A Patient with its fit. `source` is who tells of it, `grade` has regard to the others."""

    resource: Json
    source: str
    fit: Fit
    grade: Grade = Grade.NOT


def fit_of(wanted: Json, known: Json, terminology: Terminology, *, degree: int | None = None) -> Fit:
    """How well `known` fits. `degree` (0 to 100) is what a community says of its match (ITI-55)."""
    compared = dict(_compared(wanted, known))
    same, other = _identified(wanted, known, terminology)
    doubts = sum(1 for agrees in compared.values() if agrees is False) + (1 if other and not same else 0)
    points = min(100, sum(_weight(name, wanted, known) for name, agrees in compared.items() if agrees))
    if same:
        points = max(_BY_IDENTIFIER, points)
    if degree is not None:
        points = degree
    if doubts:
        points = max(0, min(points, CERTAIN_AT) - _AGAINST * doubts)
    return Fit(points, same, bool(doubts))


def _compared(wanted: Json, known: Json) -> Iterable[tuple[str, bool | None]]:
    """What both say, and whether it is the same; None where one of them says nothing."""
    for part in ("family", "given"):
        yield part, _overlap(*({folded(text) for text in names(p, part)} for p in (wanted, known)))
    yield "birthDate", _born(wanted.get("birthDate"), known.get("birthDate"))
    sexes = [p.get("gender") for p in (wanted, known)]
    yield "gender", sexes[0] == sexes[1] if all(sexes) and "unknown" not in sexes else None
    # people move, and have several numbers
    yield "telecom", _overlap(*({value for _, value in telecoms(p)} for p in (wanted, known))) or None
    pairs = product(addresses_of(wanted), addresses_of(known))
    yield "address", any(_same_address(*pair) for pair in pairs) or None
    maiden = ({folded(text) for text in maiden_names(p)} for p in (wanted, known))
    yield "mothersMaidenName", _overlap(*maiden)


def _overlap(one: set[str], other: set[str]) -> bool | None:
    return not one.isdisjoint(other) if one and other else None


def _born(one: object, other: object) -> bool | None:
    if not (isinstance(one, str) and isinstance(other, str) and one and other):
        return None
    length = min(len(one), len(other), _DAY)
    return one[:length] == other[:length]


def _same_address(one: Json, other: Json) -> bool:
    """The postal code with the city or a line, or the city with a line."""
    same = {
        part: _overlap(*({folded(str(text)) for text in _listed(a.get(part))} for a in (one, other)))
        for part in ("postalCode", "city", "line")
    }
    return sum(1 for agrees in same.values() if agrees) > 1 and False not in same.values()


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value] if value else []


def _weight(name: str, wanted: Json, known: Json) -> int:
    if name == "birthDate" and min(len(str(p.get(name, ""))) for p in (wanted, known)) < _DAY:
        return _PARTLY_BORN
    return _WEIGHTS[name]


def _identified(wanted: Json, known: Json, terminology: Terminology) -> tuple[bool, bool]:
    """Whether an identifier is the same, and whether one of a domain is another one."""
    asked, held = (set(identifiers(patient, terminology)) for patient in (wanted, known))
    common = {domain for domain, _ in asked} & {domain for domain, _ in held}
    same = asked & held
    return bool(same), bool(common - {domain for domain, _ in same})


# --- several of them --------------------------------------------------------------------------------------
def judged(found: Iterable[Graded], terminology: Terminology) -> list[Graded]:
    """The Patients with grades that have regard to each other, the best first, without who is not meant.

    Nobody is certain where several persons are, where a community has several matches, or where demographics
    alone tell and somebody else is alike. Two Patients are one person where they have an identifier in common
    and nothing tells them apart.
    """
    kept = [replace(one, grade=one.fit.grade) for one in found if one.fit.grade is not Grade.NOT]
    kept.sort(key=lambda one: (-one.fit.points, str(one.resource.get("id"))))
    persons: list[list[Graded]] = []
    for one in kept:
        same = [p for p in persons if any(_is_same(one, other, terminology) for other in p)]
        persons = [p for p in persons if p not in same] + [[one, *(other for p in same for other in p)]]
    certain = [p for p in persons if any(one.grade is Grade.CERTAIN for one in p)]
    is_one = len(certain) == 1 and not _is_rivalled(certain[0], persons)
    listed = [one.source for one in kept if one.source]
    ambiguous = {source for source in listed if listed.count(source) > 1}
    return [
        one if one.grade is not Grade.CERTAIN or (is_one and one.source not in ambiguous)
        else replace(one, grade=Grade.PROBABLE)
        for one in kept
    ]  # fmt: skip


def _is_rivalled(person: Sequence[Graded], persons: Iterable[Sequence[Graded]]) -> bool:
    """True where demographics alone make a person certain, and another may be meant as well."""
    if any(one.fit.by_identifier for one in person):
        return False
    others = (one for other in persons if other is not person for one in other)
    return any(one.grade in (Grade.CERTAIN, Grade.PROBABLE) for one in others)


def _is_same(one: Graded, other: Graded, terminology: Terminology) -> bool:
    if one.source and one.source == other.source:
        # two matches of a community are two patients, also where they look alike
        return False
    same, apart = _identified(one.resource, other.resource, terminology)
    return same and not apart and not disagreement(one.resource, other.resource)
