"""Resources of other servers brought into the shape that FHIR R4 gives them, before they are read.

Servers answer single objects where FHIR has a list, numbers as text, and elements of other types. What can be
read otherwise is; what cannot is left out, element by element, so that the rest of the resource is of use.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.fhir.datatypes import Json

TEXT: Final = "text"
NUMBER: Final = "number"
FLAG: Final = "flag"
NAME: Final = "name"
"""HumanNames of a person, or the name of an organization."""

_CODING: Final = {"system": TEXT, "code": TEXT, "display": TEXT}
_CONCEPT: Final = {"coding": [_CODING], "text": TEXT}
_IDENTIFIER: Final = {"use": TEXT, "type": _CONCEPT, "system": TEXT, "value": TEXT}
_REFERENCE: Final[dict[str, Any]] = {"reference": TEXT, "identifier": _IDENTIFIER, "display": TEXT}
_VALUES: Final = {
    "valueOid": TEXT,
    "valueIdentifier": _IDENTIFIER,
    "valueCodeableConcept": _CONCEPT,
    "valueReference": _REFERENCE,
}
_EXTENSION: Final = {"url": TEXT, **_VALUES}
_HUMAN_NAME: Final = {
    "use": TEXT,
    "text": TEXT,
    "family": TEXT,
    "given": [TEXT],
    "prefix": [TEXT],
    "suffix": [TEXT],
}
_TELECOM: Final = {"system": TEXT, "value": TEXT, "use": TEXT}
_ADDRESS: Final = {
    "text": TEXT,
    "line": [TEXT],
    "city": TEXT,
    "state": TEXT,
    "postalCode": TEXT,
    "country": TEXT,
}
_CONTAINED: Final = {
    "resourceType": TEXT,
    "id": TEXT,
    "identifier": [_IDENTIFIER],
    "name": NAME,
    "deviceName": [{"name": TEXT}],
    "telecom": [_TELECOM],
    "address": [_ADDRESS],
    "gender": TEXT,
    "birthDate": TEXT,
    "practitioner": _REFERENCE,
    "organization": _REFERENCE,
    "code": [_CONCEPT],
    "specialty": [_CONCEPT],
}
_META: Final = {"profile": [TEXT], "versionId": TEXT, "lastUpdated": TEXT}
_COMMON: Final = {
    "resourceType": TEXT,
    "id": TEXT,
    "meta": _META,
    "contained": [_CONTAINED],
    "extension": [_EXTENSION],
    "identifier": [_IDENTIFIER],
    "status": TEXT,
    "subject": _REFERENCE,
}
_DOCUMENT_REFERENCE: Final = {
    **_COMMON,
    "masterIdentifier": _IDENTIFIER,
    "type": _CONCEPT,
    "category": [_CONCEPT],
    "author": [_REFERENCE],
    "authenticator": _REFERENCE,
    "relatesTo": [{"code": TEXT, "target": _REFERENCE}],
    "description": TEXT,
    "securityLabel": [_CONCEPT],
    "content": [
        {
            "attachment": {
                "contentType": TEXT,
                "language": TEXT,
                "data": TEXT,
                "url": TEXT,
                "size": NUMBER,
                "hash": TEXT,
                "title": TEXT,
                "creation": TEXT,
            },
            "format": _CODING,
        }
    ],
    "context": {
        "encounter": [_REFERENCE],
        "event": [_CONCEPT],
        "period": {"start": TEXT, "end": TEXT},
        "facilityType": _CONCEPT,
        "practiceSetting": _CONCEPT,
        "sourcePatientInfo": _REFERENCE,
        "related": [_REFERENCE],
    },
}
_LIST: Final = {
    **_COMMON,
    "code": _CONCEPT,
    "title": TEXT,
    "date": TEXT,
    "source": {**_REFERENCE, "extension": [_EXTENSION]},
    "note": [{"text": TEXT}],
    "entry": [{"item": _REFERENCE}],
}
_SHAPES: Final[Mapping[str, dict[str, Any]]] = {
    "DocumentReference": _DOCUMENT_REFERENCE,
    "List": _LIST,
    "Patient": {
        "resourceType": TEXT,
        "id": TEXT,
        "meta": {"versionId": TEXT, "lastUpdated": TEXT},
        "extension": [{"url": TEXT, "valueString": TEXT}],
        "identifier": [_IDENTIFIER],
        "active": FLAG,
        "name": [_HUMAN_NAME],
        "telecom": [_TELECOM],
        "gender": TEXT,
        "birthDate": TEXT,
        "deceasedBoolean": FLAG,
        "deceasedDateTime": TEXT,
        "address": [{"use": TEXT, **_ADDRESS}],
        "maritalStatus": _CONCEPT,
        "communication": [{"language": _CONCEPT, "preferred": FLAG}],
        "link": [{"other": _REFERENCE, "type": TEXT}],
    },
    "Parameters": {"resourceType": TEXT, "parameter": [{"name": TEXT, **_VALUES}]},
    "OperationOutcome": {
        "resourceType": TEXT,
        "issue": [{"severity": TEXT, "code": TEXT, "details": _CONCEPT, "diagnostics": TEXT}],
    },
    "Binary": {"resourceType": TEXT, "contentType": TEXT, "data": TEXT},
}


def shaped(resource: object) -> Json | None:
    """What of a resource of a known type has a place there; None for anything else."""
    if not isinstance(resource, dict):
        return None
    kind = resource.get("resourceType")
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    found = None if shape is None else _fit(resource, shape)
    return found if isinstance(found, dict) else None


def _fit(value: Any, shape: Any) -> Any:
    """The value as `shape` has it, None where there is nothing left of it."""
    if shape == TEXT:
        return _text(value)
    if shape == FLAG:
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if shape == NUMBER:
        return _number(value)
    if shape == NAME:
        return _text(value) if isinstance(value, str) else _fit(value, [_HUMAN_NAME])
    if isinstance(shape, list):
        items = value if isinstance(value, list) else [value]
        return [item for each in items if (item := _fit(each, shape[0])) is not None] or None
    if isinstance(value, list):
        # a list where FHIR has one: the first of them
        value = next((item for item in value if isinstance(item, dict)), None)
    if not isinstance(value, dict):
        return None
    found = {name: item for name in shape if (item := _fit(value.get(name), shape[name])) is not None}
    return found or None


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value) if len(value) < 20 else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
