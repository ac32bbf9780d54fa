"""ImagingSelection of FHIR R5 as R4 has it: a Basic with one extension that holds its elements
(HL7 Europe Imaging Report 1.0.0-ballot: ImagingSelectionEuImaging; cross-version extensions of FHIR 5.0).

Read are the two shapes that the package of cross-version extensions has had: one extension with the elements
inside (0.0.1-snapshot-2, which the guide uses and which is written), and one extension for each element
(0.1.0), whose status is a modifier.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.model import codes
from gateway.model import imaging_codes as imaging

SELECTION: Final = "ImagingSelection"
BASIC: Final = "Basic"
_EXTENSION: Final = codes.EXT_R5 + SELECTION
_DOTTED: Final = f"{_EXTENSION}."
STAND_INS: Final = frozenset(
    {
        "http://hl7.org/fhir/4.0/StructureDefinition/R5-ImagingSelection-for-R4",
        "http://hl7.org/fhir/5.0/StructureDefinition/profile-ImagingSelection",
    }
)
"""Profiles of Basic for a selection, which R5 has no use for."""
_PROFILES: Final = STAND_INS.union(
    base + name
    for base in (imaging.EU_STRUCTURE, imaging.EU_R5_STRUCTURE)
    for name in (
        "ImagingSelectionEuImaging",
        "ImagingSelectionKeyImageEuImaging",
        "SrInstanceImagingSelectionEuImaging",
    )
)
NATIVE: Final = frozenset(
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
_LISTS: Final = frozenset(
    {"performer", "basedOn", "category", "derivedFrom", "endpoint", "focus", "instance", "subset",
     "imageRegion2D", "imageRegion3D", "coordinate"}
)  # fmt: skip
"""Those that may be there more than once."""
_Told = Callable[[str], None]


# --- R5 to R4 ---------------------------------------------------------------------------------------------
def selection_as_basic(selection: Json, lost: _Told) -> Json:
    """The Basic of an ImagingSelection; `lost` is told the elements that have no place in it."""
    basic: Json = {"resourceType": BASIC}
    basic |= {name: value for name, value in selection.items() if name in NATIVE}
    inner = list(_extensions(selection, _ELEMENTS))
    for name in selection.keys() - NATIVE - _ELEMENTS.keys() - {"resourceType"}:
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


# --- R4 to R5 ---------------------------------------------------------------------------------------------
def is_selection(basic: Json) -> bool:
    """True for a Basic that stands for an ImagingSelection, by its extensions or by its profile."""
    if any(_is_own(url) for url in map(_url, (*_listed(basic), *_listed(basic, "modifierExtension")))):
        return True
    meta = basic.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    return isinstance(profiles, list) and any(str(p).partition("|")[0] in _PROFILES for p in profiles)


def basic_as_selection(basic: Json, lost: _Told) -> Json:
    """The ImagingSelection that a Basic stands for; `lost` is told what has no place in it.

    One that does not say its status, as a valid one does, has the status `unknown`.
    """
    selection: Json = {"resourceType": SELECTION}
    selection |= {name: value for name, value in basic.items() if name in NATIVE}
    for name in basic.keys() - NATIVE - {"resourceType"}:
        lost(f"{BASIC}.{name}")
    found: Json = {"status": "unknown"}
    for name in ("extension", "modifierExtension"):
        listed = _listed(basic, name)
        others = [item for item in listed if not _is_own(_url(item))]
        selection.pop(name, None)
        if others:
            selection[name] = others
        for item in listed:
            url = _url(item)
            if url == _EXTENSION:
                found |= _elements(_listed(item), _ELEMENTS, lost)
            elif _is_own(url):
                found |= _elements([{**item, "url": url.removeprefix(_DOTTED)}], _SEPARATE, lost, found)
    return {**selection, **found}


_SEPARATE: Final[_Inner] = {**_ELEMENTS, "code": "valueCodeableConcept"}


def _elements(listed: list[Json], elements: _Inner, lost: _Told, before: Json | None = None) -> Json:
    """The elements that extensions hold, `before` those that others of the same resource hold."""
    made: Json = {}
    for item in listed:
        # a later edition of the extensions has the whole path in the inner URL
        name = _url(item).rpartition(".")[2]
        kind = elements.get(name)
        if kind is None:
            lost(f"{SELECTION} (extension {name[:40]})")
            continue
        value = item.get(kind) if isinstance(kind, str) else _elements(_listed(item), kind, lost)
        if value is None:
            continue
        if name in _LISTS:
            listed_before: list[Any] = made.get(name) or (before or {}).get(name) or []
            made[name] = [*listed_before, value]
        else:
            made[name] = value
    return made


def _listed(held: Json, name: str = "extension") -> list[Json]:
    found = held.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _url(extension: Json) -> str:
    url = extension.get("url")
    return url if isinstance(url, str) else ""


def _is_own(url: str) -> bool:
    return url == _EXTENSION or url.startswith(_DOTTED)
