"""Parts of a resource: `_summary` and `_elements` (FHIR R4 search 3.1.1.5.8 and 3.1.1.5.9).

A part is still a valid resource: what FHIR requires stays, and so does each contained resource that something
in it refers to. It is tagged SUBSETTED and claims no profile, whose elements it may lack.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.held import is_choice
from gateway.fhir.resource_shapes import SHAPES
from gateway.fhir.search_values import SearchProblem
from gateway.model import codes

_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})
SUBSETTED: Final = MappingProxyType({"system": codes.OBSERVATION_VALUE_SYSTEM, "code": "SUBSETTED"})


class Summary(StrEnum):
    """Values of `_summary`."""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class View:
    """How much of each resource is given. `elements` are those asked for, by resource type."""

    summary: Summary = Summary.FALSE
    elements: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """True where nothing is left out of any resource."""
        return self.summary in (Summary.FALSE, Summary.COUNT) and not self.elements

    def apply(self, resource: bytes) -> bytes:
        """The part of a resource that this view shows; both as JSON."""
        if self.is_whole:
            return resource
        content: Json = orjson.loads(resource)
        kept = self._kept(content["resourceType"])
        if kept is None or (self.summary is Summary.DATA and not self.elements and "text" not in content):
            return resource
        return orjson.dumps(_part(content, kept, self._inside(content)))

    def _kept(self, resource_type: str) -> frozenset[str] | None:
        shape = SHAPES.get(resource_type)
        if shape is None:
            return None
        if self.summary is Summary.TRUE:
            return shape.summary | shape.mandatory
        if self.summary is Summary.TEXT:
            return shape.mandatory | {"text"}
        asked = self.elements.get(resource_type)
        kept = shape.names if asked is None else asked | shape.mandatory
        if self.summary is Summary.DATA:
            return kept - {"text"}
        return None if asked is None else kept

    def _inside(self, content: Json) -> Mapping[str, frozenset[str]]:
        return SHAPES[content["resourceType"]].inside if self.summary is Summary.TRUE else {}


WHOLE: Final = View()


def read_summary(value: str) -> Summary:
    """Read `_summary`. Raises SearchProblem."""
    try:
        return Summary(value)
    except ValueError:
        raise SearchProblem("value", f"_summary: give one of {', '.join(Summary)}.") from None


def read_elements(value: str, resource_types: Iterable[str]) -> tuple[dict[str, frozenset[str]], list[str]]:
    """Read `_elements`: the elements by resource type, and the names that are no elements of one.

    A name without type is of each of `resource_types`; `List.title` is of Lists alone. Names are those of
    elements at the root, as FHIR says; a choice of types has its name without type (`effective`).
    """
    found: dict[str, set[str]] = {}
    unknown: list[str] = []
    for part in filter(None, (text.strip() for text in value.split(","))):
        kind, _, name = part.rpartition(".")
        types = [t for t in ([kind] if kind else resource_types) if t in SHAPES]
        named = {t: {held for held in SHAPES[t].names if _is_named(held, name)} for t in types}
        if not any(named.values()):
            unknown.append(part)
        for resource_type, names in named.items():
            if names:
                found.setdefault(resource_type, set()).update(names)
    return {resource_type: frozenset(names) for resource_type, names in found.items()}, unknown


def _is_named(element: str, name: str) -> bool:
    return element == name or is_choice(element, name)


def read_view(parameters: Iterable[tuple[str, str]], resource_type: str) -> View:
    """The part that `_summary` or `_elements` of a read by id ask for. Raises SearchProblem."""
    summary, elements, unknown = Summary.FALSE, dict[str, frozenset[str]](), list[str]()
    for name, value in parameters:
        if name == "_summary":
            summary = read_summary(value)
        elif name == "_elements":
            elements, unknown = read_elements(value, [resource_type])
    if summary is Summary.COUNT:
        raise SearchProblem("value", "_summary: count is for searches.")
    if unknown or (elements and summary in (Summary.TRUE, Summary.TEXT)):
        raise SearchProblem(
            "value", f"_elements: name elements at the root of {resource_type}, and no _summary with them."
        )
    return View(summary, elements)


def _part(content: Json, kept: frozenset[str], inside: Mapping[str, frozenset[str]]) -> Json:
    part: Json = {}
    for name, value in content.items():
        if name in inside:
            value = _inner(value, inside[name])  # noqa: PLW2901
        if (name.removeprefix("_") in kept or name in _ALWAYS) and value:
            part[name] = value
    part.pop("contained", None)
    contained = _referred(part, content.get("contained", ()))
    meta = {name: value for name, value in content.get("meta", {}).items() if name != "profile"}
    head = {"resourceType": content["resourceType"], "id": content["id"]}
    head["meta"] = {**meta, "tag": [*meta.get("tag", ()), dict(SUBSETTED)]}
    return head | ({"contained": contained} if contained else {}) | {**part, **head}


def _inner(value: Any, kept: frozenset[str]) -> Any:
    """A backbone element, or each of a list of them, with some of its elements."""
    if isinstance(value, list):
        return [_inner(item, kept) for item in value]
    return {name: item for name, item in value.items() if name.removeprefix("_") in kept}


def _referred(part: Json, contained: Iterable[Json]) -> list[Json]:
    """The contained resources that `part` refers to, directly or through one of them."""
    held = {f"#{resource['id']}": resource for resource in contained}
    found: dict[str, Json] = {}
    waiting = list(_references(part))
    while waiting:
        name = waiting.pop()
        if name in held and name not in found:
            found[name] = held[name]
            waiting.extend(_references(held[name]))
    return [resource for name, resource in held.items() if name in found]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield reference
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
