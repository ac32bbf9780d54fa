"""ImagingSelection of FHIR R5 as R4 has it: a Basic with one extension that holds its elements
(HL7 Europe Imaging Report 1.0.0-ballot: ImagingSelectionEuImaging; cross-version extensions of FHIR 5.0).
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.model import codes

SELECTION: Final = "ImagingSelection"
_EXTENSION: Final = codes.EXT_R5 + SELECTION
_NATIVE: Final = frozenset(
    {"id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension",
     "identifier", "subject", "code"}
)  # fmt: skip
"""Elements that Basic has itself."""
_Inner = Mapping[str, "str | _Inner"]
_REGION: Final[_Inner] = {"regionType": "valueCode", "coordinate": "valueDecimal"}
_ELEMENTS: Final[_Inner] = MappingProxyType(
    {
        "status": "valueCode",
        "issued": "valueInstant",
        "performer": {"function": "valueCodeableConcept", "actor": "valueReference"},
        "basedOn": "valueReference",
        "category": "valueCodeableConcept",
        "studyUid": "valueId",
        "derivedFrom": "valueReference",
        "endpoint": "valueReference",
        "seriesUid": "valueId",
        "seriesNumber": "valueUnsignedInt",
        "frameOfReferenceUid": "valueId",
        "bodySite": {"concept": "valueCodeableConcept", "reference": "valueReference"},
        "focus": "valueReference",
        "instance": {
            "uid": "valueId",
            "number": "valueUnsignedInt",
            "sopClass": "valueCoding",
            "subset": "valueString",
            "imageRegion2D": _REGION,
            "imageRegion3D": _REGION,
        },
    }
)
"""Elements of ImagingSelection with the type that each has as extension, or its own elements."""


def selection_as_basic(selection: Json, lost: Callable[[str], None]) -> Json:
    """The Basic of an ImagingSelection; `lost` is told the elements that have no place in it."""
    basic: Json = {"resourceType": "Basic"}
    basic |= {name: value for name, value in selection.items() if name in _NATIVE}
    inner = list(_extensions(selection, _ELEMENTS))
    for name in selection.keys() - _NATIVE - _ELEMENTS.keys() - {"resourceType"}:
        lost(f"{SELECTION}.{name}")
    basic["extension"] = [*selection.get("extension", ()), {"url": _EXTENSION, "extension": inner}]
    return basic


def _extensions(held: Json, elements: _Inner) -> Iterator[Json]:
    for name, kind in elements.items():
        value = held.get(name)
        for item in value if isinstance(value, list) else () if value is None else (value,):
            yield {"url": name, **_valued(item, kind)}


def _valued(value: Any, kind: "str | _Inner") -> Json:
    if isinstance(kind, str):
        return {kind: value}
    return {"extension": list(_extensions(value, kind)) if isinstance(value, dict) else []}
