"""Resource in FHIR XML -> the same in FHIR JSON, read strictly (FHIR R4 2.6.1).

What FHIR XML does not allow is refused and named: other namespaces, unknown elements and attributes, an
element twice where FHIR has it once, a wrong order, text beside the elements. Contents of the types are
checked afterwards, alike for both formats.
"""

import copy
import re
from typing import Any, Final

import orjson
from lxml import etree
from lxml.etree import _Element

from gateway.fhir.datatypes import Json
from gateway.fhir.element_types import (
    ElementType,
    Kind,
    TypeDefinition,
    extension_type,
    type_of_model,
    type_of_resource,
)
from gateway.fhir.findings import Findings
from gateway.fhir.issues import OutcomeError, fail
from gateway.fhir.strict_json import MAX_DEPTH
from gateway.fhir.xml_writer import FHIR_NAMESPACE
from gateway.model.releases import FhirRelease
from gateway.safe_xml import MalformedXml, UnsafeXml, parse_xml

_MAX_MARKUP: Final = 2_000_000
"""Tags and attributes of a document. The parser needs some 100 bytes for each, whatever its own size."""
_MAX_ERRORS: Final = 100
_LONGEST_NAME: Final = 64
_RELEASE_ABOVE: Final = 64 * 1024
_TAG: Final = f"{{{FHIR_NAMESPACE}}}"
_DIV: Final = "{http://www.w3.org/1999/xhtml}div"
_SCHEMA_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"

_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,63})(?:\.\d{1,64})?(?:[eE][-+]?\d{1,3})?", re.ASCII)


def read_xml(raw: bytes, release: FhirRelease = FhirRelease.R4) -> Json:
    """The resource that `raw` holds, as FHIR JSON. Raises OutcomeError 400 with everything that is wrong."""
    if raw.count(b"<") + raw.count(b"=") > _MAX_MARKUP:
        raise fail(400, "too-costly", f"The body has more than {_MAX_MARKUP} tags and attributes.")
    try:
        # huge: a document of more than 10 MB is one attribute value
        root = parse_xml(raw, huge=True, charset="utf-8")
    except UnsafeXml:
        raise fail(400, "structure", "The XML has a document type declaration, which FHIR forbids.") from None
    except MalformedXml as error:
        raise fail(400, "structure", f"The body is not XML in UTF-8: {error}.") from None
    findings = Findings()
    if _SCHEMA_LOCATION in root.attrib:
        del root.attrib[_SCHEMA_LOCATION]
    read = _Reader(findings, release).resource(root, _local_name(root), 1)
    findings.raise_errors(400)
    assert read is not None
    return read


def _local_name(element: _Element) -> str:
    return str(element.tag).rpartition("}")[2][:_LONGEST_NAME]


class _Reader:
    def __init__(self, findings: Findings, release: FhirRelease) -> None:
        self._findings = findings
        self._release = release

    def _error(self, path: str, code: str, text: str) -> None:
        self._findings.error(path, code, text)
        if len(self._findings.errors) >= _MAX_ERRORS:
            raise OutcomeError(400, self._findings.errors)

    def resource(self, element: _Element, path: str, depth: int) -> Json | None:
        """The resource whose type is the name of the element."""
        name = self._fhir_name(element, path)
        if name is None:
            return None
        definition = type_of_resource(name, self._release)
        if definition is None:
            self._error(path, "structure", f"This is not a resource that FHIR {self._release.name} defines.")
            return None
        return {"resourceType": name} | self._object(element, definition, path, depth)

    def _object(self, element: _Element, definition: TypeDefinition, path: str, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise fail(400, "too-long", f"The body is nested deeper than {MAX_DEPTH} levels.")
        self._no_text(element, path)
        read: Json = {}
        for attribute, text in _attributes(element):
            if attribute not in definition.attributes:
                self._unknown_attribute(attribute, path)
            elif self._not_empty(text, f"{path}.{attribute}"):
                read[attribute] = text
        last = -1
        for child in element:
            name = self._fhir_name(child, path)
            if name is None:
                continue
            known = definition.elements.get(name)
            if known is None:
                self._error(f"{path}.{name}", "structure", f"{definition.name} has no such element here.")
                continue
            if not self._in_place(known, last, f"{path}.{name}"):
                continue
            last = known.position
            self._child(child, known, read, path, depth)
        if not read and not len(element):
            self._error(path, "structure", "An element must not be empty.")
        return read

    def _in_place(self, known: ElementType, last: int, path: str) -> bool:
        if known.position == last and not known.repeats:
            self._error(path, "structure", "FHIR allows this element once.")
        elif known.position < last:
            self._error(path, "structure", "The element comes too late; FHIR XML has a fixed order.")
        else:
            return True
        return False

    def _child(self, child: _Element, known: ElementType, read: Json, path: str, depth: int) -> None:
        name = known.name
        place = f"{path}.{name}"
        if known.repeats:
            held = read.get(name) or read.get(f"_{name}") or ()
            place = f"{place}[{len(held)}]"
        value: Any
        extra: Json | None = None
        if known.kind is Kind.COMPLEX:
            value = self._object(child, type_of_model(known.model), place, depth + 1)
        elif known.kind is Kind.RESOURCE:
            value = self._inner_resource(child, place, depth)
        elif known.kind is Kind.XHTML:
            value = self._xhtml(child, place)
        else:
            value, extra = self._primitive(child, known.kind, place, depth)
        if not known.repeats:
            if value is not None:
                read[name] = value
            if extra is not None:
                read[f"_{name}"] = extra
        elif known.is_primitive:
            _append_primitive(read, name, value, extra)
        elif value is not None:
            read.setdefault(name, []).append(value)

    def _inner_resource(self, element: _Element, path: str, depth: int) -> Json | None:
        self._no_text(element, path)
        for attribute, _ in _attributes(element):
            self._unknown_attribute(attribute, path)
        if len(element) != 1:
            self._error(path, "structure", "This element holds one resource.")
            return None
        return self.resource(element[0], path, depth + 1)

    def _primitive(self, element: _Element, kind: Kind, path: str, depth: int) -> tuple[Any, Json | None]:
        """The value, and id and extensions as the object that JSON has for them."""
        self._no_text(element, path)
        value: Any = None
        extra: Json = {}
        for attribute, text in _attributes(element):
            if attribute not in ("value", "id"):
                self._unknown_attribute(attribute, path)
            elif self._not_empty(text, path if attribute == "value" else f"{path}.id"):
                if attribute == "id":
                    extra["id"] = text
                else:
                    value = self._value(text, kind, path)
                    if len(text) > _RELEASE_ABOVE:
                        # a document: the tree need not hold it a second time
                        del element.attrib[attribute]
        for number, child in enumerate(element):
            name = self._fhir_name(child, path)
            place = f"{path}.{name}[{number}]"
            if name == "extension":
                extra.setdefault("extension", []).append(
                    self._object(child, extension_type(self._release), place, depth + 1)
                )
            elif name is not None:
                self._error(f"{path}.{name}", "structure", "An element with a value has only extensions.")
        if not element.attrib and not len(element) and value is None:
            self._error(path, "structure", "The element has neither value nor extension.")
        return value, extra or None

    def _xhtml(self, element: _Element, path: str) -> str | None:
        if element.tag != _DIV:
            self._error(path, "structure", "A narrative is a div in the namespace of XHTML.")
            return None
        alone = copy.deepcopy(element)
        alone.tail = None
        etree.cleanup_namespaces(alone)
        return etree.tostring(alone, encoding="unicode")

    def _value(self, text: str, kind: Kind, path: str) -> Any:
        if kind is Kind.TEXT:
            return text
        if kind is Kind.BOOLEAN and text in ("true", "false"):
            return text == "true"
        if kind is Kind.INTEGER and _INTEGER.fullmatch(text):
            return int(text)
        if kind is Kind.DECIMAL and _DECIMAL.fullmatch(text):
            # the number that the same digits are in JSON
            return orjson.loads(text)
        self._error(path, "value", f"The value is not of the FHIR type of this element ({kind.value}).")
        return None

    # --- rules of all elements --------------------------------------------------------------------------
    def _fhir_name(self, element: _Element, path: str) -> str | None:
        """Name of the element; None, and an error, where it is not in the namespace of FHIR."""
        tag = str(element.tag)
        if tag.startswith(_TAG) or tag == _DIV:
            return _local_name(element)
        name = _local_name(element)
        place = path if element.getparent() is None else f"{path}.{name}"
        self._error(place, "structure", f"The element {name} is not in the namespace {FHIR_NAMESPACE}.")
        return None

    def _no_text(self, element: _Element, path: str) -> None:
        texts = [element.text, *(child.tail for child in element)]
        if any(text is not None and not text.isspace() for text in texts):
            self._error(path, "structure", "FHIR XML has values in attributes; text is only in narratives.")

    def _not_empty(self, text: str, path: str) -> bool:
        if not text:
            self._error(path, "structure", "An attribute must not be empty.")
        return bool(text)

    def _unknown_attribute(self, attribute: str, path: str) -> None:
        name = attribute[:_LONGEST_NAME]
        self._error(path, "structure", f"The element has an attribute that FHIR does not define: {name}.")


def _attributes(element: _Element) -> list[tuple[str, str]]:
    return [(str(name), str(text)) for name, text in element.attrib.items()]


def _append_primitive(read: Json, name: str, value: Any, extra: Json | None) -> None:
    """Add an item to the arrays `name` and `_name`, which are of the same length where both are there."""
    extras = f"_{name}"
    count = max(len(read.get(name, ())), len(read.get(extras, ())))
    for key, item in ((name, value), (extras, extra)):
        if key in read:
            read[key].append(item)
        elif item is not None:
            read[key] = [*([None] * count), item]
