"""Resources that come along with the matches of a search: references are followed in both directions (FHIR R4
search 3.1.1.5.5), over what is on the shelf of the request.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.held import reference_of, values_at
from gateway.fhir.imaging_includes import ELEMENTS, Step, targets_of
from gateway.imaging.shelf import Shelf

_OF_PATIENT: Final = frozenset({"patient", "subject"})
_ROLE: Final = "PractitionerRole"


def along_with(shelf: Shelf, matches: Iterable[Json], steps: Sequence[Step]) -> Iterator[Json]:
    """What the steps bring along with the matches, each resource once; no match is among it."""
    waiting = list(matches)
    seen = {_literal(resource) for resource in waiting}
    following = steps
    while waiting:
        reached = [r for step in following for resource in waiting for r in _step(shelf, resource, step)]
        waiting = []
        for resource in reached:
            literal = _literal(resource)
            if literal not in seen:
                seen.add(literal)
                waiting.append(resource)
        yield from waiting
        following = [step for step in steps if step.iterates]


def _literal(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _step(shelf: Shelf, resource: Json, step: Step) -> Iterator[Json]:
    if step.is_reverse:
        if step.target in (None, resource["resourceType"]):
            yield from _referring(shelf, resource, step)
    elif step.source == resource["resourceType"]:
        for found in _followed(shelf, resource, step):
            if step.target in (None, found["resourceType"]):
                yield found


def _followed(shelf: Shelf, resource: Json, step: Step) -> Iterator[Json]:
    """What the references of a parameter name; of a role, who has it and where, too."""
    literals = list(_references(resource, step))
    if not literals and step.parameter in _OF_PATIENT:
        # nothing in it names the patient whose document it is from
        yield from shelf.patients()
    for literal in literals:
        found = shelf.referenced(literal)
        if found is None:
            continue
        yield found
        if found["resourceType"] == _ROLE and step.target is None:
            for name in ("practitioner", "organization"):
                inner = reference_of(found.get(name))
                person = shelf.referenced(inner) if inner is not None else None
                if person is not None:
                    yield person


def _references(resource: Json, step: Step) -> Iterator[str]:
    for value in values_at(resource, ELEMENTS[step.source, step.parameter]):
        literal = reference_of(value)
        if literal is not None:
            yield literal


def _referring(shelf: Shelf, resource: Json, step: Step) -> Iterator[Json]:
    literal = _literal(resource)
    possible = targets_of(step.source, step.parameter)
    if "*" not in possible and resource["resourceType"] not in possible:
        return
    for candidate in shelf.current(step.source):
        if literal in _references(candidate, step):
            yield candidate
