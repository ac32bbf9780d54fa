"""JSON of a FHIR request, read strictly (FHIR R4 2.6.2): UTF-8, bounded depth, each property once, nothing
empty.

A property that comes twice is refused because systems differ in which one they take, so that what one of
them checked another would not store.
"""

import re
from typing import Any, Final

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.findings import Findings
from gateway.fhir.issues import fail

MAX_DEPTH: Final = 64
"""Objects and arrays within each other; a Bundle with contained resources needs about 15."""

MOST_MARKS: Final = 2_000_000
"""Commas and colons of a body: each property and each item of an array has one. A Bundle of two thousand
documents has a third of so many; what is full of the shortest properties takes many times its bytes."""

_SPACE = b" \t\r\n"
_LONGEST_TEXT: Final = 1 << 20
"""Characters of the longest FHIR string. A longer one is the base64 of a Binary, which is checked as such."""
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Control characters, which FHIR does not allow, and the two that XML cannot carry."""


def read_json(raw: bytes, root: str) -> Json:
    """The object that `raw` holds. `root` names it in the FHIRPath of a finding. Raises OutcomeError 400."""
    if raw.count(b",") + raw.count(b":") > MOST_MARKS:
        raise fail(413, "too-costly", "The body has more properties and items than a resource here can have.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise fail(
            400, "structure", f"The body is not JSON in UTF-8 (line {error.lineno}, column {error.colno})."
        ) from None
    if not isinstance(value, dict):
        raise fail(400, "structure", "The body is not a JSON object.")
    findings = Findings()
    properties = _check(value, root, 1, findings)
    findings.raise_errors(400)
    if properties != _count_properties(raw):
        raise fail(
            400, "structure", "An object of the body has the same property twice; FHIR allows it once."
        )
    return value


def _check(value: Any, path: str, depth: int, findings: Findings) -> int:
    """Number of properties in `value` and below; reports what FHIR does not allow anywhere."""
    if depth > MAX_DEPTH:
        raise fail(400, "too-long", f"The body is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, dict):
        if not value:
            findings.error(path, "structure", "An object must not be empty.")
        properties = len(value)
        for name, item in value.items():
            if item is None:
                findings.error(f"{path}.{name}", "structure", "null is allowed only inside arrays.")
            else:
                properties += _check_item(item, f"{path}.{name}", depth, findings)
        return properties
    if not value:
        findings.error(path, "structure", "An array must not be empty.")
    return sum(_check_item(item, f"{path}[{number}]", depth, findings) for number, item in enumerate(value))


def _check_item(item: Any, path: str, depth: int, findings: Findings) -> int:
    if isinstance(item, dict | list):
        return _check(item, path, depth + 1, findings)
    if isinstance(item, str):
        if not item:
            findings.error(path, "structure", "A string must not be empty.")
        elif len(item) <= _LONGEST_TEXT and _NOT_TEXT.search(item):
            findings.error(path, "value", "The text has a character that FHIR or XML cannot carry.")
    return 0


def _count_properties(raw: bytes) -> int:
    """Property names in a text known to be JSON: strings that a colon follows.

    Documents in base64 make most of a Bundle, and `find` skips them at the speed of memory.
    """
    count = 0
    find = raw.find
    start = find(b'"')
    while start >= 0:
        end = find(b'"', start + 1)
        while _is_escaped(raw, end):
            end = find(b'"', end + 1)
        after = end + 1
        while raw[after : after + 1] and raw[after] in _SPACE:
            after += 1
        count += raw[after : after + 1] == b":"
        start = find(b'"', after)
    return count


def _is_escaped(raw: bytes, quote: int) -> bool:
    backslashes = 0
    while raw[quote - 1 - backslashes] == 0x5C:
        backslashes += 1
    return backslashes % 2 == 1
