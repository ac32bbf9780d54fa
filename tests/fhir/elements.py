"""Every element of a resource as FHIR R4 defines it, each with a value, to see what becomes of it.

An element that a sample has is looked into, one that it lacks is added; of one that repeats a second is added.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.fhir.element_types import ElementType, Kind, TypeDefinition, type_of_model, type_of_resource

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Case:
    """An element: its steps in the resource, its name by resource and by data type, and values to try, since
    types and bindings take some and not others. `[+]` is one more of an element that is there."""

    path: Path
    name: str
    typed: str
    values: list[Any]


_TEXTS = (
    *("x", "https://x.example/x", "2020-01-01", "2020-01-01T00:00:00Z", "10:00:00", "eA=="),
    *("usual", "work", "home", "postal", "phone", "official", "final", "seealso", "male"),
)
_PRIMITIVES = {
    Kind.TEXT: list(_TEXTS),
    Kind.BOOLEAN: [True],
    Kind.INTEGER: [1],
    Kind.DECIMAL: [1.5],
    Kind.XHTML: ['<div xmlns="http://www.w3.org/1999/xhtml">x</div>'],
}
_COMPLEX = {
    "Address": {"city": "x"},
    "Annotation": {"text": "x"},
    "Attachment": {"contentType": "text/plain", "title": "x"},
    "CodeableConcept": {
        "coding": [{"system": "http://loinc.org", "code": "1-8", "display": "x"}],
        "text": "x",
    },
    "Coding": {"system": "http://loinc.org", "code": "1-8", "display": "x"},
    "ContactPoint": {"system": "phone", "value": "1"},
    "DocumentReferenceContent": {"attachment": {"contentType": "text/plain"}},
    "DocumentReferenceRelatesTo": {
        "code": "signs",
        "target": {"reference": "DocumentReference/7b0c6e0a-0000-4000-8000-0000000000bb"},
    },
    "Extension": {"url": "https://x.example", "valueBoolean": True},
    "HumanName": {"family": "x"},
    "Identifier": {"system": "urn:oid:2.999.99", "value": "x"},
    "ListEntry": {"item": {"display": "x"}},
    "Meta": {"tag": [{"system": "https://x.example", "code": "x"}]},
    "Narrative": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "OrganizationContact": {"name": {"text": "x"}},
    "PatientCommunication": {"language": {"text": "x"}},
    "PatientContact": {"name": {"text": "x"}},
    "PatientLink": {"other": {"display": "x"}, "type": "seealso"},
    "Period": {"start": "2020-01-01"},
    "PractitionerQualification": {"code": {"text": "x"}},
    "PractitionerRoleAvailableTime": {"allDay": True},
    "PractitionerRoleNotAvailable": {"description": "x"},
    "Reference": {"display": "x"},
}


def _values(element: ElementType) -> list[Any]:
    if element.kind is Kind.RESOURCE:
        return [{"resourceType": "Device", "id": "unreferenced"}]
    if element.is_primitive:
        return _PRIMITIVES[element.kind]
    name = type_of_model(element.model).name
    return [copy.deepcopy(_COMPLEX[name])] if name in _COMPLEX else []


def cases(resource: dict[str, Any]) -> Iterator[Case]:
    """Each element that can be added to a resource; extensions are not looked into."""
    kind = resource["resourceType"]
    yield from _inside(_definition(kind), resource, (), kind)


def _definition(kind: str) -> TypeDefinition:
    definition = type_of_resource(kind)
    assert definition is not None
    return definition


def _inside(definition: TypeDefinition, value: dict[str, Any], path: Path, name: str) -> Iterator[Case]:
    for attribute in sorted(definition.attributes - {"url"}):
        if attribute not in value:
            yield Case((*path, attribute), f"{name}.{attribute}", f"{definition.name}.{attribute}", ["x"])
    for element in definition.elements.values():
        here, full = (*path, element.name), f"{name}.{element.name}"
        typed = f"{definition.name}.{element.name}"
        present = value.get(element.name)
        if present is None:
            values = _values(element)
            yield Case(here, full, typed, [[v] for v in values] if element.repeats else values)
            continue
        items = present if element.repeats else [present]
        if element.repeats:
            yield Case((*here, len(items)), f"{full}[+]", f"{typed}[+]", _values(element))
        for number, item in enumerate(items):
            place = (*here, number) if element.repeats else here
            if element.kind is Kind.RESOURCE:
                kind = item["resourceType"]
                yield from _inside(_definition(kind), item, place, kind)
            elif not element.is_primitive and element.name != "extension":
                yield from _inside(type_of_model(element.model), item, place, full)


def with_value(resource: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of the resource with this element."""
    made = copy.deepcopy(resource)
    holder: Any = made
    for step in path[:-1]:
        holder = holder[step]
    if isinstance(path[-1], int):
        holder.append(copy.deepcopy(value))
    else:
        holder[path[-1]] = copy.deepcopy(value)
    return made


def present(resource: dict[str, Any]) -> Iterator[Case]:
    """Each element that a resource has, without those that only hold others."""
    kind = resource["resourceType"]
    yield from _leaves(_definition(kind), resource, (), kind)


def _leaves(definition: TypeDefinition, value: dict[str, Any], path: Path, name: str) -> Iterator[Case]:
    for element in definition.elements.values():
        held = value.get(element.name)
        if held is None:
            continue
        full, typed = f"{name}.{element.name}", f"{definition.name}.{element.name}"
        items = list(enumerate(held)) if element.repeats else [(None, held)]
        for number, item in items:
            place = (*path, element.name) if number is None else (*path, element.name, number)
            if element.kind is Kind.RESOURCE:
                kind = item["resourceType"]
                yield from _leaves(_definition(kind), item, place, kind)
            elif element.is_primitive:
                yield Case(place, full, typed, [item])
            elif element.name != "extension":
                yield from _leaves(type_of_model(element.model), item, place, full)


def without(resource: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy of the resource without this element, and without what is empty then."""
    made = copy.deepcopy(resource)
    holders: list[tuple[Any, str | int]] = []
    holder: Any = made
    for step in path:
        holders.append((holder, step))
        holder = holder[step]
    for owner, step in reversed(holders):
        del owner[step]
        if owner:
            break
    return made
