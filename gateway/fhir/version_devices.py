"""What differs between FHIR R4 and R5 in Device."""

from collections.abc import Iterable
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.version_rules import Lost, Shape, renamed_elements

_NAME_TYPES: Final = {"manufacturer-name": "registered-name"}
_OTHER_NAMES: Final = frozenset({"udi-label-name", "other"})
_MODEL_NAME, _OWN_NAME = "model-name", "user-friendly-name"


def device_names_up(given: Json, made: Json, lost: Lost) -> None:
    """name for deviceName; the name of a model is modelNumber, as R5 has no such name."""
    names: list[Json] = []
    if "modelNumber" in given:
        made["modelNumber"] = given["modelNumber"]
    for item in given.get("deviceName") or ():
        kind = item.get("type")
        if kind == _MODEL_NAME:
            if made.setdefault("modelNumber", item.get("name")) != item.get("name"):
                lost("deviceName (of the model, beside modelNumber)")
            continue
        if kind in _OTHER_NAMES:
            lost(f"deviceName ({kind} instead of {_OWN_NAME})")
        known = _OWN_NAME if kind in _OTHER_NAMES else _NAME_TYPES.get(kind, kind)
        names.append(_without_none({"value": item.get("name"), "type": known}))
    if names:
        made["name"] = names


def device_names_down(given: Json, made: Json, lost: Lost) -> None:
    """deviceName for name; which of them is to be displayed is lost."""
    back = {new: old for old, new in _NAME_TYPES.items()}
    if "modelNumber" in given:
        made["modelNumber"] = given["modelNumber"]
    names = [
        _without_none({"name": item.get("value"), "type": back.get(str(item.get("type")), item.get("type"))})
        for item in given.get("name") or ()
    ]
    if any("display" in item for item in given.get("name") or ()):
        lost("name.display")
    if names:
        made["deviceName"] = names


def _without_none(item: Json) -> Json:
    return {name: value for name, value in item.items() if value is not None}


def _properties_up(items: Iterable[Json], _: Lost) -> Any:
    """R5 has one property for each value."""
    made: list[Json] = []
    for item in items:
        head = {n: v for n, v in item.items() if n not in ("valueQuantity", "valueCode")}
        made += [{**head, "valueQuantity": value} for value in item.get("valueQuantity") or ()]
        made += [{**head, "valueCodeableConcept": value} for value in item.get("valueCode") or ()]
    return made or None


def _properties_down(items: Iterable[Json], lost: Lost) -> Any:
    """Values of one type are one property again."""
    made: list[Json] = []
    names = {"valueQuantity": "valueQuantity", "valueCodeableConcept": "valueCode"}
    for item in items:
        new = next((name for name in names if name in item), None)
        if new is None:
            lost("value of another type")
            continue
        if not made or made[-1].get("type") != item.get("type"):
            made.append({name: value for name, value in item.items() if not name.startswith("value")})
        made[-1].setdefault(names[new], []).append(item[new])
    return made or None


def _complete_carriers(items: Iterable[Json], lost: Lost) -> Any:
    """A carrier without identifier or issuer is none in R5."""
    complete = [item for item in items if "deviceIdentifier" in item and "issuer" in item]
    if len(complete) < len(list(items)):
        lost("without deviceIdentifier or issuer")
    return complete or None


def _device_status(status: str, lost: Lost) -> str | None:
    if status == "unknown":
        lost("unknown")
        return None
    return status


def _versions_down(items: Iterable[Json], lost: Lost) -> Any:
    if any("installDate" in item for item in items):
        lost("installDate")
    return [{name: value for name, value in item.items() if name != "installDate"} for item in items]


PROPERTIES = Shape(_properties_up, _properties_down)
CARRIERS = Shape(up=_complete_carriers)
DEVICE_STATUS = Shape(up=_device_status)
VERSIONS = Shape(down=_versions_down)


def _conforms_down(items: Iterable[Json], lost: Lost) -> Any:
    if any("category" in item for item in items):
        lost("category")
    kept = [{name: value for name, value in item.items() if name != "category"} for item in items]
    return _SPECIALIZATION.down(kept, lost)


_SPECIALIZATION: Final = renamed_elements({"systemType": "specification"})
CONFORMS = Shape(_SPECIALIZATION.up, _conforms_down)
