"""Resource in FHIR JSON -> FHIR XML (FHIR R4 2.6.1, which R5 has too)."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from lxml import etree

from gateway.fhir.datatypes import Json
from gateway.fhir.element_types import (
    ElementType,
    Kind,
    TypeDefinition,
    extension_type,
    type_of_model,
    type_of_resource,
)
from gateway.model.releases import FhirRelease
from gateway.safe_xml import parse_xml

FHIR_NAMESPACE: Final = "http://hl7.org/fhir"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'

_SPECIAL: Final = re.compile('[&<>"\x00-\x1f\ufffe\uffff]')
_ESCAPES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


def write_xml(resource: Json, *, pretty: bool = False, release: FhirRelease = FhirRelease.R4) -> bytes:
    """The resource as an XML document in UTF-8.

    Characters that XML cannot carry become U+FFFD. Raises ValueError for what the release of FHIR does not
    define, which a checked resource does not have.
    """
    out = [_DECLARATION]
    _Writer(out, pretty, release).resource(resource, 0, f' xmlns="{FHIR_NAMESPACE}"')
    return "".join(out).encode()


class _Writer:
    def __init__(self, out: list[str], pretty: bool, release: FhirRelease) -> None:
        self._write = out.append
        self._pretty = pretty
        self._release = release

    def _indent(self, depth: int) -> str:
        return "\n" + "  " * depth if self._pretty else ""

    def resource(self, resource: Json, depth: int, namespace: str = "") -> None:
        """The element that bears the name of the resource type."""
        name = resource.get("resourceType")
        definition = type_of_resource(name, self._release) if isinstance(name, str) else None
        if definition is None:
            raise ValueError(f"not a resource of FHIR {self._release.name}")
        properties = {key: value for key, value in resource.items() if key != "resourceType"}
        self._object(definition.name, properties, definition, depth, namespace)

    def _object(
        self, name: str, value: Json, definition: TypeDefinition, depth: int, attributes: str = ""
    ) -> None:
        names = {key.removeprefix("_") for key in value}
        for attribute in definition.attributes & names:
            attributes += f' {attribute}="{_escape(value[attribute])}"'
            names.remove(attribute)
        indent = self._indent(depth)
        if not names:
            self._write(f"{indent}<{name}{attributes}/>")
            return
        self._write(f"{indent}<{name}{attributes}>")
        for element in _in_order(names, definition, self._release):
            if element.is_primitive:
                self._primitives(element, value.get(element.name), value.get(f"_{element.name}"), depth + 1)
            else:
                item = value[element.name]
                for one in item if element.repeats else (item,):
                    self._complex(element, one, depth + 1)
        self._write(f"{indent}</{name}>")

    def _complex(self, element: ElementType, value: Json, depth: int) -> None:
        if element.kind is Kind.COMPLEX:
            self._object(element.name, value, type_of_model(element.model), depth)
            return
        indent = self._indent(depth)
        self._write(f"{indent}<{element.name}>")
        self.resource(value, depth + 1)
        self._write(f"{indent}</{element.name}>")

    def _primitives(self, element: ElementType, value: Any, extra: Any, depth: int) -> None:
        if not element.repeats:
            self._primitive(element, value, extra, depth)
            return
        values: Sequence[Any] = value or ()
        extras: Sequence[Any] = extra or ()
        for number in range(max(len(values), len(extras))):
            self._primitive(
                element,
                values[number] if number < len(values) else None,
                extras[number] if number < len(extras) else None,
                depth,
            )

    def _primitive(self, element: ElementType, value: Any, extra: Json | None, depth: int) -> None:
        indent = self._indent(depth)
        if element.kind is Kind.XHTML:
            # it is part of the document, so it has to be well-formed by itself
            self._write(indent + etree.tostring(parse_xml(value.encode()), encoding="unicode"))
            return
        attributes = ""
        if extra and "id" in extra:
            attributes = f' id="{_escape(extra["id"])}"'
        if value is not None:
            attributes += f' value="{_escape(_text(value))}"'
        extensions = extra.get("extension") if extra else None
        if not extensions:
            self._write(f"{indent}<{element.name}{attributes}/>")
            return
        self._write(f"{indent}<{element.name}{attributes}>")
        for extension in extensions:
            self._object("extension", extension, extension_type(self._release), depth + 1)
        self._write(f"{indent}</{element.name}>")


def _in_order(names: set[str], definition: TypeDefinition, release: FhirRelease) -> Iterator[ElementType]:
    try:
        elements = [definition.elements[name] for name in names]
    except KeyError:
        raise ValueError(
            f"{definition.name} has an element that FHIR {release.name} does not define"
        ) from None
    elements.sort(key=lambda element: element.position)
    return iter(elements)


def _text(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _escape(text: str) -> str:
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)
