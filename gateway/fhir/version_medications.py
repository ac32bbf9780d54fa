"""What differs between FHIR R4 and R5 in what says which medication was ordered, given or taken."""

from collections.abc import Callable, Iterable
from typing import Any

from gateway.fhir.datatypes import Json
from gateway.fhir.version_rules import Lost, Shape


def _together(concept: str, reference: str, new: str) -> Callable[[Json, Json, Lost], None]:
    def up(given: Json, made: Json, _: Lost) -> None:
        for name, part in ((concept, "concept"), (reference, "reference")):
            if name in given:
                made[new] = {part: given[name]}

    return up


def _apart(concept: str, reference: str, new: str) -> Callable[[Json, Json, Lost], None]:
    def down(given: Json, made: Json, lost: Lost) -> None:
        held = given.get(new) or {}
        if "reference" in held:
            made[reference] = held["reference"]
            if "concept" in held:
                lost(f"{new}.concept")
        elif "concept" in held:
            made[concept] = held["concept"]

    return down


_MEDICATION = ("medicationCodeableConcept", "medicationReference", "medication")
_INGREDIENT = ("itemCodeableConcept", "itemReference", "item")
medication_up, medication_down = _together(*_MEDICATION), _apart(*_MEDICATION)
ingredient_up, ingredient_down = _together(*_INGREDIENT), _apart(*_INGREDIENT)


def as_needed_up(given: Json, made: Json, _: Lost) -> None:
    """What it is needed for says that it is taken as needed."""
    if "asNeededBoolean" in given:
        made["asNeeded"] = given["asNeededBoolean"]
    if "asNeededCodeableConcept" in given:
        made["asNeededFor"] = [given["asNeededCodeableConcept"]]


def as_needed_down(given: Json, made: Json, lost: Lost) -> None:
    """R4 has one of both."""
    needed = given.get("asNeededFor") or ()
    if len(needed) > 1:
        lost("asNeededFor (all but the first)")
    if needed:
        made["asNeededCodeableConcept"] = needed[0]
    elif "asNeeded" in given:
        made["asNeededBoolean"] = given["asNeeded"]


def _performers_down(items: Iterable[Json], lost: Lost) -> Any:
    made = []
    for item in items:
        actor = item.get("actor") or {}
        if "reference" in actor:
            made.append({**item, "actor": actor["reference"]})
        else:
            lost("actor.concept")
    return made or None


PERFORMERS = Shape(
    up=lambda items, _: [
        {**item, "actor": {"reference": item["actor"]}} if "actor" in item else item for item in items
    ],
    down=_performers_down,
)
"""In R5 the actor is a CodeableReference."""

_RECORDED = "recorded"


def _statement_up(status: str, lost: Lost) -> str:
    if status == "entered-in-error":
        return status
    lost(f"{status} instead of {_RECORDED}")
    return _RECORDED


def _statement_down(status: str, lost: Lost) -> str:
    if status == "entered-in-error":
        return status
    lost("unknown instead of the status")
    return "unknown"


STATEMENT_STATUS = Shape(_statement_up, _statement_down)
"""In R5 it is the status of the record, not of the medication."""
