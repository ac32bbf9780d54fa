"""What differs between FHIR R4 and R5 in single elements of what reports hold beside the report itself.

AdverseEvent, Observation, ServiceRequest, Condition, AllergyIntolerance, Encounter and Basic.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_selections import SELECTION
from gateway.fhir.version_rules import Lost, Shape, coded, renamed_elements, same
from gateway.model import codes

_SELECTION: Final = f"{SELECTION}/"


# --- Basic, Observation -----------------------------------------------------------------------------------
CREATED = Shape(down=lambda moment, _: moment[:10])
"""A date in R4, a dateTime in R5."""

_DERIVED_FROM: Final = codes.EXT_R5 + "Observation.derivedFrom"


def derived_up(given: Json, made: Json, _: Lost) -> None:
    """What R4 has in extensions is derivedFrom too."""
    held = [e["valueReference"] for e in given.get("extension") or () if _is_derived(e)]
    if held or "derivedFrom" in given:
        made["derivedFrom"] = [*given.get("derivedFrom", ()), *held]


def derived_down(given: Json, made: Json, _: Lost) -> None:
    """R4 cannot say in the element that it was derived from a selection of images."""
    references = given.get("derivedFrom") or ()
    others = [r for r in references if _is_of_selection(r)]
    plain = [r for r in references if not _is_of_selection(r)]
    if plain:
        made["derivedFrom"] = plain
    if others:
        extensions = [{"url": _DERIVED_FROM, "valueReference": reference} for reference in others]
        made["extension"] = [*made.get("extension", ()), *extensions]


def _is_derived(extension: Json) -> bool:
    return extension.get("url") == _DERIVED_FROM and "valueReference" in extension


def _is_of_selection(reference: Json) -> bool:
    literal = str(reference.get("reference", ""))
    return reference.get("type") == SELECTION or literal.startswith(_SELECTION) or f"/{_SELECTION}" in literal


DERIVED_EXTENSIONS: Final = frozenset({_DERIVED_FROM})


# --- ServiceRequest ---------------------------------------------------------------------------------------
_REASON: Final = codes.EXT_R5 + "ServiceRequest.reason"
_SUPPORTING: Final = codes.EXT_R5 + "ServiceRequest.supportingInfo"
ORDER_EXTENSIONS: Final = frozenset({_REASON})


def order_reasons_up(given: Json, made: Json, _: Lost) -> None:
    """Codes, what the guide has in extensions beside them, and references are reasons."""
    concepts = list(given.get("reasonCode") or ())
    for extension in given.get("extension") or ():
        concept = extension.get("valueCodeableConcept") if extension.get("url") == _REASON else None
        if concept is not None and concept not in concepts:
            concepts.append(concept)
    reasons = [{"concept": concept} for concept in concepts]
    reasons += [{"reference": reference} for reference in given.get("reasonReference") or ()]
    if reasons:
        made["reason"] = reasons


def _supporting_up(reference: Json, _: Lost) -> Json:
    """The concept that the guide has in an extension of the Reference."""
    listed = reference.get("extension") or ()
    concepts = [e["valueCodeableConcept"] for e in listed if _is_supporting(e)]
    others = [e for e in listed if not _is_supporting(e)]
    bare = {name: value for name, value in reference.items() if name != "extension"}
    if others:
        bare["extension"] = others
    return {"concept": concepts[0], "reference": bare} if concepts else {"reference": bare}


def _supporting_down(item: Json, _: Lost) -> Json:
    concept, reference = item.get("concept"), item.get("reference") or {}
    if concept is None:
        return dict(reference)
    extensions = [*reference.get("extension", ()), {"url": _SUPPORTING, "valueCodeableConcept": concept}]
    named = reference or {"display": concept.get("text") or "see the extension"}
    return {**named, "extension": extensions}


def _is_supporting(extension: Json) -> bool:
    return extension.get("url") == _SUPPORTING and "valueCodeableConcept" in extension


SUPPORTING = Shape(_supporting_up, _supporting_down)


# --- AdverseEvent -----------------------------------------------------------------------------------------
def event_status_up(_: Json, made: Json, __: Lost) -> None:
    """R5 wants a status, of which R4 says nothing."""
    made["status"] = "unknown"


def event_status_down(given: Json, _: Json, lost: Lost) -> None:
    """Any other status has no place in R4."""
    if given.get("status", "unknown") != "unknown":
        lost("status")


_CAUSALITY: Final = {"assessment": "entityRelatedness", "author": "author", "method": "assessmentMethod"}


def _suspects_up(items: Iterable[Json], lost: Lost) -> Any:
    made = []
    for item in items:
        causes = item.get("causality") or ()
        if len(causes) > 1 or any("productRelatedness" in cause for cause in causes):
            lost("causality (all but the first, productRelatedness)")
        cause = {
            _CAUSALITY[name]: value for name, value in (causes or ({},))[0].items() if name in _CAUSALITY
        }
        rest = {name: value for name, value in item.items() if name not in ("instance", "causality")}
        if "instance" in item:
            rest["instanceReference"] = item["instance"]
        made.append(rest | ({"causality": cause} if cause else {}))
    return made


def _suspects_down(items: Iterable[Json], lost: Lost) -> Any:
    back = {new: old for old, new in _CAUSALITY.items()}
    made = []
    for item in items:
        if "instanceCodeableConcept" in item:
            lost("instanceCodeableConcept")
        if "instanceReference" not in item:
            continue
        rest = {n: v for n, v in item.items() if n not in ("causality",) and not n.startswith("instance")}
        cause = {back[name]: value for name, value in (item.get("causality") or {}).items() if name in back}
        rest["instance"] = item["instanceReference"]
        made.append(rest | ({"causality": [cause]} if cause else {}))
    return made or None


SUSPECTS = Shape(_suspects_up, _suspects_down)


# --- Condition, AllergyIntolerance ------------------------------------------------------------------------
_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_FUNCTIONS: Final = {"recorder": "enterer", "asserter": "informant"}


def participants_up(given: Json, made: Json, _: Lost) -> None:
    """recorder and asserter are participants with that function."""
    found = [
        {"function": {"coding": [{"system": _PARTICIPANT, "code": code}]}, "actor": given[name]}
        for name, code in _FUNCTIONS.items()
        if name in given
    ]
    if found:
        made["participant"] = found


def participants_down(given: Json, made: Json, lost: Lost) -> None:
    """The first of each function; R4 has no place for others."""
    for item in given.get("participant") or ():
        held = {coding.get("code") for coding in (item.get("function") or {}).get("coding") or ()}
        name = next((n for n, code in _FUNCTIONS.items() if code in held and n not in made), None)
        if name is None or "actor" not in item:
            lost("participant")
        else:
            made[name] = item["actor"]


def clinical_status_up(given: Json, made: Json, _: Lost) -> None:
    """R5 wants a status."""
    unknown = {"coding": [{"system": _CLINICAL, "code": "unknown"}]}
    made["clinicalStatus"] = given.get("clinicalStatus", unknown)


def clinical_status_down(given: Json, made: Json, _: Lost) -> None:
    """R4 has no code for what is not known."""
    concept = given.get("clinicalStatus")
    held = {coding.get("code") for coding in (concept or {}).get("coding") or ()}
    if concept is not None and held != {"unknown"}:
        made["clinicalStatus"] = concept


def _evidence_up(items: Iterable[Json], _: Lost) -> Any:
    made: list[Json] = []
    for item in items:
        made += [{"concept": concept} for concept in item.get("code") or ()]
        made += [{"reference": reference} for reference in item.get("detail") or ()]
    return made or None


def _evidence_down(items: Iterable[Json], _: Lost) -> Any:
    names = {"concept": "code", "reference": "detail"}
    return [{names[name]: [value] for name, value in item.items() if name in names} for item in items] or None


EVIDENCE = Shape(_evidence_up, _evidence_down)
ALLERGY_TYPE = coded("http://hl7.org/fhir/allergy-intolerance-type")


def _reactions(convert: Callable[[Json], Json | None]) -> Callable[[Any, Lost], Any]:
    def of_each(items: Iterable[Json], lost: Lost) -> Any:
        made = []
        for item in items:
            shown = [convert(one) for one in item.get("manifestation") or ()]
            if None in shown:
                lost("manifestation.reference")
            made.append({**item, "manifestation": [one for one in shown if one is not None]})
        return made

    return of_each


REACTIONS = Shape(
    _reactions(lambda concept: {"concept": concept}), _reactions(lambda one: one.get("concept"))
)


# --- Encounter --------------------------------------------------------------------------------------------
_FINISHED: Final = {"finished": "completed", "arrived": "in-progress", "triaged": "in-progress",
                    "onleave": "on-hold"}  # fmt: skip
_BACK: Final = {"completed": "finished", "on-hold": "onleave", "discharged": "finished",
                "discontinued": "finished"}  # fmt: skip
_EXACT: Final = frozenset({"finished", "completed"})


def _encounter_status(table: dict[str, str]) -> Callable[[str, Lost], str]:
    def status(code: str, lost: Lost) -> str:
        if code in table and code not in _EXACT:
            lost(f"{code} instead of {table[code]}")
        return table.get(code, code)

    return status


ENCOUNTER_STATUS = Shape(_encounter_status(_FINISHED), _encounter_status(_BACK))
ENCOUNTER_CLASS = Shape(
    up=lambda coding, _: [{"coding": [coding]}],
    down=lambda concepts, _: next((c["coding"][0] for c in concepts if c.get("coding")), None),
)
PARTICIPANTS = renamed_elements({"individual": "actor"})


def reasons_up(given: Json, made: Json, _: Lost) -> None:
    """Codes and references are values of one reason each."""
    values = [{"concept": code} for code in given.get("reasonCode") or ()]
    values += [{"reference": reference} for reference in given.get("reasonReference") or ()]
    if values:
        made["reason"] = [{"value": [value]} for value in values]


def reasons_down(given: Json, made: Json, lost: Lost) -> None:
    """Codes, then references; what a reason is used for is lost."""
    reasons = given.get("reason") or ()
    if any("use" in reason for reason in reasons):
        lost("reason.use")
    values = [value for reason in reasons for value in reason.get("value") or ()]
    for name, part in (("reasonCode", "concept"), ("reasonReference", "reference")):
        found = [value[part] for value in values if part in value]
        if found:
            made[name] = found


def _admission(items: tuple[str, ...]) -> Callable[[Any, Lost], Any]:
    def kept(value: Json, lost: Lost) -> Any:
        for name in items:
            if name in value:
                lost(name)
        return {name: item for name, item in value.items() if name not in items} or None

    return kept


ADMISSION = Shape(_admission(("dietPreference", "specialCourtesy", "specialArrangement")), same)
LOCATIONS = renamed_elements({"physicalType": "form"})
SERVICE_TYPE = Shape(
    up=lambda concept, _: [{"concept": concept}],
    down=lambda items, _: next((item["concept"] for item in items if "concept" in item), None),
)


# --- Specimen ---------------------------------------------------------------------------------------------
PROCESSING = renamed_elements({"procedure": "method"})


# --- BodyStructure, Coverage ------------------------------------------------------------------------------
def structure_up(given: Json, made: Json, _: Lost) -> None:
    """The location is the structure that is included; R5 wants one."""
    structure: Json = {"structure": given.get("location", {"text": "unknown"})}
    if "locationQualifier" in given:
        structure["qualifier"] = given["locationQualifier"]
    made["includedStructure"] = [structure]


def structure_down(given: Json, made: Json, lost: Lost) -> None:
    """The first of them, with its qualifiers."""
    structures: list[Json] = given.get("includedStructure") or [{}]
    if len(structures) > 1 or structures[0].keys() - {"structure", "qualifier"}:
        lost("includedStructure (all but structure and qualifier of the first)")
    for old, new in (("location", "structure"), ("locationQualifier", "qualifier")):
        if new in structures[0]:
            made[old] = structures[0][new]


def payor_up(given: Json, made: Json, lost: Lost) -> None:
    """The first payor is the insurer."""
    payors = given.get("payor") or ()
    if len(payors) > 1:
        lost("payor (all but the first)")
    if payors:
        made["insurer"] = payors[0]
    made["kind"] = "insurance"


def payor_down(given: Json, made: Json, lost: Lost) -> None:
    """R4 wants a payor, of which R5 need not say anything."""
    if given.get("kind", "insurance") != "insurance":
        lost("kind")
    made["payor"] = [given.get("insurer", {"display": "unknown"})]


SUBSCRIBER = Shape(
    up=lambda number, _: [{"value": number}],
    down=lambda numbers, _: next((n["value"] for n in numbers if "value" in n), None),
)
