"""What a client sends to `$match` (ITI-119; IHE PDQm 3.2.0 IHE.PDQm.MatchParametersIn and MatchInputPatient):
Parameters, or the Patient alone.
"""

from typing import Any, Final

from msgspec import Struct

from gateway.fhir.datatypes import Json
from gateway.fhir.findings import Findings
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.matching import folded
from gateway.fhir.patient_search import Candidates
from gateway.fhir.patient_view import (
    KEY_LETTERS,
    beginning_key,
    birth_key,
    identifier_key,
    identifiers,
    names,
    telecom_key,
    telecoms,
)
from gateway.fhir.search_values import escape, write_token
from gateway.fhir.terminology import Terminology
from gateway.fhir.validation import validate_resource
from gateway.model.metadata import Cx
from gateway.model.oids import is_oid
from gateway.model.releases import FhirRelease

_TYPES: Final = {"resource": "resource", "onlyCertainMatches": "valueBoolean", "count": "valueInteger"}
_DAY: Final = len("2000-01-01")
_MOST_REPEATED: Final = 20
"""Repetitions of an element, each of which is looked up."""
_FORBIDDEN: Final = ("implicitRules", "modifierExtension")


class MatchRequest(Struct, frozen=True):
    """Who is wanted, and how many Patients at most. Any of the `alternatives` may lead to them: whoever is
    among each of its candidates."""

    patient: Json
    alternatives: tuple[tuple[Candidates, ...], ...]
    only_certain: bool = False
    count: int | None = None


def read_match(
    resource: Json, terminology: Terminology, release: FhirRelease = FhirRelease.R4
) -> MatchRequest:
    """Understand a request. Raises OutcomeError 400 with every problem."""
    issues: list[Issue] = []
    values = _parameters(resource, issues)
    patient, path = values.get("resource"), _path_of(resource)
    if isinstance(patient, dict):
        _check_patient(patient, path, release, issues)
    elif not issues:
        issues.append(Issue("error", "required", "resource: the Patient to match is required.", path))
    count = values.get("count")
    if count is not None and count < 1:
        issues.append(
            Issue("error", "value", "count: give a whole number, 1 or more.", "Parameters.parameter")
        )
    if issues:
        raise OutcomeError(400, issues)
    assert isinstance(patient, dict)
    alternatives = tuple(_alternatives(patient, terminology))
    if not alternatives:
        text = (
            "The Patient does not say enough to match: give an identifier with system and value, a telecom, "
            f"birthDate (a day) with {KEY_LETTERS} letters of name.family or name.given, or both such names."
        )
        raise OutcomeError(400, (Issue("error", "incomplete", text, path),))
    return MatchRequest(patient, alternatives, values.get("onlyCertainMatches") is True, count)


def _path_of(resource: Json) -> str:
    return "Patient" if resource.get("resourceType") == "Patient" else "Parameters.parameter.resource"


def _parameters(resource: Json, issues: list[Issue]) -> dict[str, Any]:
    kind = resource.get("resourceType")
    if kind == "Patient":
        return {"resource": resource}
    if kind != "Parameters":
        text = "The body of $match is Parameters, or the Patient to match alone."
        issues.append(Issue("error", "invalid", text, "$this"))
        return {}
    _refuse(resource, "Parameters", issues)
    listed = resource.get("parameter")
    found: dict[str, Any] = {}
    for number, parameter in enumerate(listed if isinstance(listed, list) else ()):
        path = f"Parameters.parameter[{number}]"
        if isinstance(parameter, dict):
            _read_parameter(parameter, path, found, issues)
        else:
            issues.append(Issue("error", "structure", "A parameter is an object.", path))
    return found


def _read_parameter(parameter: Json, path: str, found: dict[str, Any], issues: list[Issue]) -> None:
    name = parameter.get("name")
    element = _TYPES.get(name) if isinstance(name, str) else None
    if element is None:
        text = f"$match takes {', '.join(_TYPES)} and no other parameter."
        issues.append(Issue("error", "not-supported", text, f"{path}.name"))
        return
    if name in found:
        issues.append(Issue("error", "invalid", f"{name}: may appear once.", path))
        return
    value = parameter.get(element)
    fits = {"resource": dict, "valueBoolean": bool, "valueInteger": int}[element]
    others = set(parameter) - {"name", element, "id", "extension"}
    if others or not isinstance(value, fits) or (fits is int and isinstance(value, bool)):
        text = f"{name}: has {element} and nothing else."
        issues.append(Issue("error", "structure", text, path))
        return
    found[str(name)] = value


def _check_patient(patient: Json, path: str, release: FhirRelease, issues: list[Issue]) -> None:
    if patient.get("resourceType") != "Patient":
        issues.append(Issue("error", "invalid", "resource: is no Patient.", path))
        return
    _refuse(patient, path, issues)
    for name in ("identifier", "name", "telecom", "address"):
        listed = patient.get(name)
        if isinstance(listed, list) and len(listed) > _MOST_REPEATED:
            text = f"{name}: give {_MOST_REPEATED} at most."
            issues.append(Issue("error", "too-costly", text, f"{path}.{name}"))
    findings = Findings()
    validate_resource(patient, path, findings, release)
    issues += findings.errors


def _refuse(resource: Json, path: str, issues: list[Issue]) -> None:
    for name in _FORBIDDEN:
        if name in resource:
            text = f"{name}: IHE PDQm does not allow it here. Leave it out."
            issues.append(Issue("error", "business-rule", text, f"{path}.{name}"))


# --- where to look ----------------------------------------------------------------------------------------
def _alternatives(patient: Json, terminology: Terminology) -> list[tuple[Candidates, ...]]:
    listed = list(dict.fromkeys(identifiers(patient, terminology)))
    found: list[tuple[Candidates, ...]] = []
    if listed:
        named = tuple(Cx(value, domain) for domain, value in listed if is_oid(domain))
        found.append((Candidates(named, frozenset(identifier_key(*one) for one in listed)),))
    beginnings = [
        Candidates(keys=keys)
        for part in ("family", "given")
        if (keys := frozenset(beginning_key(part, t) for t in names(patient, part) if _is_long(t)))
    ]
    born = patient.get("birthDate")
    if isinstance(born, str) and len(born) == _DAY:
        found += [(Candidates(keys=frozenset({birth_key(born)})), each) for each in beginnings]
    if len(beginnings) > 1:
        found.append(tuple(beginnings))
    numbers = frozenset(telecom_key(value) for _, value in telecoms(patient))
    if numbers:
        found.append((Candidates(keys=numbers),))
    return found


def _is_long(text: str) -> bool:
    return len(folded(text)) >= KEY_LETTERS


def searches_of(patient: Json) -> list[list[tuple[str, str]]]:
    """Searches of ITI-78 that find whoever may be meant, for a server that answers them."""
    searches: list[list[tuple[str, str]]] = []
    for identifier in patient.get("identifier") or ():
        if identifier.get("system") and identifier.get("value"):
            searches.append([("identifier", write_token(identifier["system"], identifier["value"]))])
    families, given = (
        ",".join(escape(text) for text in dict.fromkeys(names(patient, part))) for part in ("family", "given")
    )
    born = patient.get("birthDate")
    if born and families:
        searches.append([("family", families), ("birthdate", born)])
    elif families and given:
        searches.append([("family", families), ("given", given)])
    return searches
