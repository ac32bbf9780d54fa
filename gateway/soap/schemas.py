"""Validation of message bodies against the schemas of `wsdl/xsd` with libxml2.

Error texts name the place and the rule. They never quote the message, because texts reach logs and a message
holds patient data.
"""

import copy
import re
from itertools import islice
from pathlib import Path
from typing import Any, Final

from lxml import etree
from lxml.etree import _Element

from gateway.model.codes import NS_XDS, NS_XOP

_DOCUMENT: Final = f"{{{NS_XDS}}}Document"
_INCLUDE: Final = f"{{{NS_XOP}}}Include"
_MAX_ERRORS: Final = 20

_PLACE: Final = re.compile(r"Element '[^']*'(?:, attribute '[^']*')?(?=: )")
_FACET: Final = re.compile(r"^\[facet '(\w+)'\]")
_TYPE: Final = re.compile(r"is not a valid value of the (?:\w+ )*type '([^']+)'\.?\Z")
_NAMES_ONLY: Final = frozenset(
    {
        "SCHEMAV_CVC_ELT_1",  # no such element
        "SCHEMAV_CVC_ELT_2",  # abstract element
        "SCHEMAV_CVC_TYPE_2",  # abstract type
        "SCHEMAV_CVC_COMPLEX_TYPE_2_1",  # must be empty
        "SCHEMAV_CVC_COMPLEX_TYPE_2_2",  # only text allowed
        "SCHEMAV_CVC_COMPLEX_TYPE_2_3",  # no text allowed
        "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1",  # attribute not allowed
        "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2",
        "SCHEMAV_CVC_COMPLEX_TYPE_4",  # attribute missing
        "SCHEMAV_ELEMENT_CONTENT",  # element not expected, or missing
    }
)
"""libxml2 texts made of element and attribute names alone."""


class SchemaInvalid(ValueError):
    """A message body that the schemas do not allow; `errors` has one line per finding."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class MessageSchema:
    """The compiled schemas: whatever a transaction's message may hold."""

    def __init__(self, path: Path) -> None:
        self._schema = etree.XMLSchema(etree.parse(path))

    def validate(self, body: _Element) -> None:
        """Raise SchemaInvalid unless the body element is valid.

        An xop:Include that is the only content of a Document stands for base64 content (XOP section 3).
        """
        if next(body.iter(_INCLUDE), None) is not None:
            body = _without_includes(body)
        if self._schema.validate(body):
            return
        log: Any = self._schema.error_log
        found = islice(log, _MAX_ERRORS)
        lines = dict.fromkeys(_describe(entry.line, entry.type_name, entry.message) for entry in found)
        raise SchemaInvalid(tuple(lines) or ("the message breaks its schema",))


def _without_includes(body: _Element) -> _Element:
    whole = copy.deepcopy(body)
    for include in list(whole.iter(_INCLUDE)):
        document = include.getparent()
        if document is not None and document.tag == _DOCUMENT and len(document) == 1:
            text = (document.text or "") + (include.tail or "")
            if not text.strip():
                document.remove(include)
    return whole


def _describe(line: int, rule: str, message: str) -> str:
    if rule in _NAMES_ONLY:
        return f"line {line}: {message}"
    place = _PLACE.match(message)
    where = place[0] if place else "the message"
    rest = message[place.end() + 2 :] if place else message
    if facet := _FACET.match(rest):
        return f"line {line}: {where}: the value breaks the facet {facet[1]}"
    if wrong := _TYPE.search(rest):
        return f"line {line}: {where}: the value is not of type {wrong[1]}"
    return f"line {line}: {where}: breaks the schema rule {rule.removeprefix('SCHEMAV_').lower()}"
