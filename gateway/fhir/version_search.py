"""Search parameters of FHIR R5 as R4 has them: what they look at is R4, whatever the client speaks."""

import re
from typing import Final

from gateway.fhir.imaging_selections import BASIC, NATIVE, SELECTION
from gateway.fhir.version_names import canonical_in_r4
from gateway.fhir.version_rules import Kept, Native
from gateway.fhir.versions import DIFFERENCES

_DOCUMENT: Final = "DocumentReference"
_REFERENCES: Final = re.compile(rf"(?<![^/,]){SELECTION}(?=/)")
_PATHS: Final = re.compile(rf"(?<![^:]){SELECTION}(?![^:])")
_DOCUMENTS: Final = re.compile(rf"(?:https?://[^,|]*/)?{_DOCUMENT}/")
_INCLUDES: Final = ("_include", "_revinclude")


def in_r4(name: str, value: str, resource_type: str = "") -> tuple[str, str]:
    """A search parameter of R5 as R4 has it: elements of `_elements`, references to selections of images, and
    code systems of HL7 Europe.

    `resource_type` is what is searched or read, empty for all types.
    """
    if name == "_elements":
        asked = (part.strip() for part in value.split(","))
        found = (element for part in asked for element in _elements(part, resource_type))
        return name, ",".join(dict.fromkeys(found))
    if name == "related" and _DOCUMENTS.match(value):
        # HL7 Europe means relatesto in R5
        return "relatesto", value
    if "hl7.eu" in value:
        value = ",".join(canonical_in_r4(part) for part in value.split(","))
    if SELECTION in value:
        pattern = _PATHS if name.partition(":")[0] in _INCLUDES else _REFERENCES
        value = pattern.sub(BASIC, value)
    return name, value


def _elements(asked: str, resource_type: str) -> tuple[str, ...]:
    """What R4 has an element at the root in, which may be more than was asked for."""
    kind, _, name = asked.rpartition(".")
    if kind or resource_type:
        prefix = {SELECTION: BASIC}.get(kind, kind)
        found = _of_type(kind or resource_type, name)
        return tuple(f"{prefix}.{one}" for one in found) if prefix else found
    # of all types, documents alone differ in the elements of their root
    found = _of_type(_DOCUMENT, name)
    named = tuple(one if one == name else f"{_DOCUMENT}.{one}" for one in found)
    return named or (name,)


def _of_type(kind: str, name: str) -> tuple[str, ...]:
    if kind == SELECTION:
        return (name if name in NATIVE else "extension",)
    found: list[str] = []
    differences = DIFFERENCES.get(kind)
    for rule in differences.rules if differences is not None else ():
        if name in rule.r5:
            found += ("extension",) if isinstance(rule, Native) else rule.r4
        elif name == "extension" and isinstance(rule, Kept):
            found += rule.r4
    if differences is None or name not in differences.claimed_r5:
        found.insert(0, name)
    if (kind, name) == (_DOCUMENT, "extension"):
        # identifiers and patients that R4 has in the context
        found.append("context")
    return tuple(dict.fromkeys(found))
