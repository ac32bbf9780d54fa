"""FHIR validity of a received resource, of R4 or R5.

fhir.resources (its models of R5, and of R4B, which accept the same content as R4 for the resources of this
gateway) checks elements, cardinality and types. What it leaves out is checked here: strings taken for numbers
or objects, required code bindings, ids, the form of references, what extensions and telecoms need (ext-1,
cpt-2), and the rules for contained resources (dom-2 to dom-5, ref-1).
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import ValidationError

from gateway.fhir.datatypes import Json
from gateway.fhir.element_types import model_of_resource
from gateway.fhir.findings import Findings
from gateway.model.releases import FhirRelease

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(
    r"#[A-Za-z0-9\-.]{1,64}"
    r"|urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+"
    r"|https?://\S+"
    r"|[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_CHOICE = re.compile(r"(value|deceased|multipleBirth)[A-Z]\w*")

_INTEGER64: Final = ".size"
"""The end of the path of an element that is text in JSON of R5, and a number in the models."""
_GENDER: Final = {"gender": frozenset({"male", "female", "other", "unknown"})}
_BY_RESOURCE: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "Bundle": {
        "type": frozenset(
            {
                "document",
                "message",
                "transaction",
                "transaction-response",
                "batch",
                "batch-response",
                "history",
                "searchset",
                "collection",
            }
        ),
    },
    "List": {
        "status": frozenset({"current", "retired", "entered-in-error"}),
        "mode": frozenset({"working", "snapshot", "changes"}),
    },
    "DocumentReference": {
        "status": frozenset({"current", "superseded", "entered-in-error"}),
        "docStatus": frozenset({"preliminary", "final", "amended", "entered-in-error"}),
    },
    "Patient": _GENDER,
    "Practitioner": _GENDER,
    "RelatedPerson": _GENDER,
}
_IDENTIFIER: Final = {"use": frozenset({"usual", "official", "temp", "secondary", "old"})}
_BY_ELEMENT: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "request": {"method": frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})},
    "relatesTo": {"code": frozenset({"replaces", "transforms", "signs", "appends"})},
    "text": {"status": frozenset({"generated", "extensions", "additional", "empty"})},
    "identifier": _IDENTIFIER,
    "masterIdentifier": _IDENTIFIER,
    "valueIdentifier": _IDENTIFIER,
    "name": {"use": frozenset({"usual", "official", "temp", "nickname", "anonymous", "old", "maiden"})},
    "telecom": {
        "system": frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"}),
        "use": frozenset({"home", "work", "temp", "old", "mobile"}),
    },
    "address": {
        "use": frozenset({"home", "work", "temp", "old", "billing"}),
        "type": frozenset({"postal", "physical", "both"}),
    },
}


def is_resource_type(name: object, release: FhirRelease = FhirRelease.R4) -> bool:
    """True for the name of a FHIR resource."""
    return isinstance(name, str) and model_of_resource(name, release) is not None


def validate_resource(
    resource: Json, path: str, findings: Findings, release: FhirRelease = FhirRelease.R4
) -> None:
    """Report everything in which `resource` is not FHIR of the release. `path` is its FHIRPath."""
    before = len(findings.errors)
    known = _validate_contained_types(resource, path, findings, release)
    kind = resource["resourceType"]
    model_class = model_of_resource(kind, release) if isinstance(kind, str) else None
    try:
        if model_class is None:
            raise ValueError
        model = model_class.model_validate(known)
    except ValidationError as error:
        _report(error, resource, path, findings, release)
        return
    except (KeyError, ValueError, TypeError, AttributeError):
        findings.error(path, "structure", f"This is not a {kind} of FHIR {release.name}.")
        return
    _compare(model, known, path, findings, release)
    if len(findings.errors) > before:
        return
    _walk(resource, path, findings)
    _check_contained(resource, path, findings)


def _validate_contained_types(resource: Json, path: str, findings: Findings, release: FhirRelease) -> Json:
    """`resource` without contained resources of unknown type, for which the models raise a bare KeyError."""
    contained = resource.get("contained")
    if not isinstance(contained, list):
        return resource
    known = []
    for number, item in enumerate(contained):
        if isinstance(item, dict) and is_resource_type(item.get("resourceType"), release):
            known.append(item)
        else:
            findings.error(
                f"{path}.contained[{number}]",
                "structure",
                f"This is not a resource that FHIR {release.name} defines.",
            )
    return resource if len(known) == len(contained) else {**resource, "contained": known}


def _report(
    error: ValidationError, resource: Json, path: str, findings: Findings, release: FhirRelease
) -> None:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = _fhir_path(path, problem["loc"])
        match problem["type"]:
            case "missing" | "model_field_validation.missing":
                findings.error(place, "required", f"FHIR {release.name} requires this element.")
            case "extra_forbidden":
                findings.error(
                    place,
                    "structure",
                    f"{resource['resourceType']} has no such element here in FHIR {release.name}.",
                )
            case kind:
                findings.error(place, "value", f"The value is not of the FHIR type of this element ({kind}).")


def _fhir_path(path: str, location: tuple[int | str, ...]) -> str:
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "root":
            choice = _CHOICE.fullmatch(part)
            path += f".{choice[1] if choice else part}"
    return path


@lru_cache(maxsize=256)
def _attributes(model: type[FHIRAbstractModel]) -> Mapping[str, str]:
    """Attribute of a model for each element name in JSON."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


@lru_cache(maxsize=256)
def _required_primitives(model: type[FHIRAbstractModel]) -> tuple[str, ...]:
    """Elements of primitive type that R4 requires, by their name in JSON."""
    return tuple(
        field.alias or name
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("element_required")
    )


def _compare(
    model: FHIRAbstractModel, value: Any, path: str, findings: Findings, release: FhirRelease
) -> None:
    """Report where the models took one JSON type for another, such as "11" for 11.

    They also take an extension for a value that R4 requires.
    """
    for name in _required_primitives(type(model)):
        if name not in value:
            findings.error(
                f"{path}.{name}", "required", "A value is required here; an extension cannot stand for it."
            )
    names = _attributes(type(model))
    for key, item in value.items():
        if key in names:
            _compare_value(getattr(model, names[key]), item, f"{path}.{key}", findings, release)


def _compare_value(read: Any, item: Any, path: str, findings: Findings, release: FhirRelease) -> None:
    if isinstance(read, list) and isinstance(item, list):
        for number, (one, other) in enumerate(zip(read, item, strict=True)):
            _compare_value(one, other, f"{path}[{number}]", findings, release)
    elif isinstance(read, FHIRAbstractModel) and isinstance(item, dict):
        _compare(read, item, path, findings, release)
    elif isinstance(read, FHIRAbstractModel | list | dict) or isinstance(item, dict | list):
        findings.error(path, "structure", "This element is an object in FHIR JSON.")
    elif isinstance(read, bool) or isinstance(item, bool):
        if read is not item:
            findings.error(path, "value", "This element takes true or false where FHIR does, and only there.")
    elif release is FhirRelease.R5 and isinstance(item, str) and path.endswith(_INTEGER64) and item.isdigit():
        return
    elif isinstance(item, str) == isinstance(read, int | float | Decimal):
        findings.error(path, "value", "This element takes a number for text or text for a number.")
    elif isinstance(read, int) and not isinstance(item, int):
        findings.error(path, "value", "This element is a whole number in FHIR JSON.")


def _walk(resource: Json, path: str, findings: Findings) -> None:
    _check_codes(resource, _BY_RESOURCE.get(resource["resourceType"], {}), path, findings)
    for name, element, place in elements(resource, path):
        codes = _BY_ELEMENT.get(name)
        if name == "contained":
            codes = _BY_RESOURCE.get(element["resourceType"])
        if codes:
            _check_codes(element, codes, place, findings)
        if name == "telecom" and "value" in element and "system" not in element:
            findings.error(f"{place}.system", "invariant", "A telecom with value has a system (cpt-2).")
        if name == "extension" and not any(key == "extension" or _CHOICE.fullmatch(key) for key in element):
            findings.error(place, "invariant", "An extension has a value or extensions (ext-1).")
        local_id = element.get("id")
        if name == "contained" and not (isinstance(local_id, str) and _ID.fullmatch(local_id)):
            findings.error(
                f"{place}.id", "required", "A contained resource needs an id of 1 to 64 characters."
            )
        reference = element.get("reference")
        if isinstance(reference, str) and not _REFERENCE.fullmatch(reference):
            findings.error(
                f"{place}.reference",
                "value",
                "A reference is #id, Type/id, an absolute URL, or urn:uuid: and a UUID.",
            )


def _check_codes(element: Json, codes: Mapping[str, frozenset[str]], path: str, findings: Findings) -> None:
    for name, allowed in codes.items():
        value = element.get(name)
        if isinstance(value, str) and value not in allowed:
            findings.error(
                f"{path}.{name}",
                "code-invalid",
                f"FHIR binds this element to {', '.join(sorted(allowed))}.",
            )


def elements(value: Json, path: str) -> Iterator[tuple[str, Json, str]]:
    """Every object below `value` with the name of its element and its FHIRPath."""
    for name, item in value.items():
        choice = _CHOICE.fullmatch(name)
        place = f"{path}.{choice[1] if choice else name}"
        if isinstance(item, dict):
            yield name, item, place
            yield from elements(item, place)
        elif isinstance(item, list):
            for number, one in enumerate(item):
                if isinstance(one, dict):
                    yield name, one, f"{place}[{number}]"
                    yield from elements(one, f"{place}[{number}]")


def _check_contained(resource: Json, path: str, findings: Findings) -> None:
    contained: list[Json] = resource.get("contained") or []
    local: set[str] = set()
    used: set[str] = set()
    for _, element, place in elements(resource, path):
        reference = element.get("reference")
        if isinstance(reference, str) and reference.startswith("#"):
            used.add(reference[1:])
            if not any(item.get("id") == reference[1:] for item in contained):
                findings.error(
                    f"{place}.reference", "not-found", "No contained resource has this id (ref-1)."
                )
    for number, item in enumerate(contained):
        place = f"{path}.contained[{number}]"
        local_id = item.get("id")
        if local_id in local:
            findings.error(f"{place}.id", "duplicate", "Another contained resource has the same id.")
        elif local_id not in used:
            findings.error(
                place, "invariant", "Nothing in the resource refers to this contained resource (dom-3)."
            )
        local.add(str(local_id))
        if "contained" in item:
            findings.error(f"{place}.contained", "invariant", "Contained resources hold no others (dom-2).")
        for name in ("versionId", "lastUpdated", "security"):
            if name in (item.get("meta") or {}):
                findings.error(
                    f"{place}.meta.{name}", "invariant", "A contained resource has no such meta (dom-4)."
                )
