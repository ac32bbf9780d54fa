"""What the CapabilityStatement of a base of FHIR R5 says otherwise (IHE MHD 5.1.0; HL7 Europe Imaging R5)."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any, Final

from gateway.fhir.capability_parameters import search_parameters
from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_selections import BASIC, SELECTION
from gateway.fhir.selection_parameters import SELECTION_PARAMETERS, inner_parameters
from gateway.fhir.version_names import canonical_in_r5
from gateway.fhir.version_references import ONLY_IN_R4
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease

_NOT_RECOMMENDED: Final = (
    f" IHE MHD {FhirRelease.R5.mhd} is a milestone for FHIR R5; the version that IHE recommends is "
    f"{FhirRelease.R4.mhd} for FHIR R4, at the base of that release."
)
_CANONICALS: Final = ("instantiates", "implementationGuide", "supportedProfile")

PARAMETERS: Final = MappingProxyType(
    {
        ("DocumentReference", "event"): ("event-code", "DocumentReference-event-code"),
        ("DocumentReference", "format"): ("format-code", "DocumentReference-format-code"),
        ("DocumentReference", "creation"): ("creation", "DocumentReference-creation"),
        ("DocumentReference", "modality"): ("modality", "DocumentReference-modality"),
        ("DocumentReference", "bodysite"): ("bodysite", "DocumentReference-bodysite"),
        ("DocumentReference", "encounter"): ("context", "DocumentReference-context"),
        ("DocumentReference", "based-on"): ("based-on", "DocumentReference-based-on"),
        ("DocumentReference", "authenticator.given"): ("attester.given", None),
        ("DocumentReference", "authenticator.family"): ("attester.family", None),
        ("DocumentReference", "date"): ("date", "clinical-date"),
        ("ImagingStudy", "bodysite"): ("body-site", "ImagingStudy-body-site"),
        ("ImagingStudy", "basedon"): ("based-on", "ImagingStudy-based-on"),
        ("ServiceRequest", "code"): ("code-concept", "ServiceRequest-code-concept"),
        ("AdverseEvent", "event"): ("code", "clinical-code"),
        ("MedicationAdministration", "effective-time"): ("date", "medications-date"),
        ("Basic", "identifier"): ("identifier", "clinical-identifier"),
        ("SearchParameter", "url"): ("url", "CanonicalResource-url"),
        ("OperationDefinition", "url"): ("url", "CanonicalResource-url"),
    }
)
"""Search parameters that R5 has under another name or definition; the name of R4 is understood too."""
_UNDEFINED: Final = frozenset(
    {
        ("DocumentReference", "related"),
        ("DiagnosticReport", "composition"),
        *((kind, "subject") for kind in ("AllergyIntolerance", "Device", "Endpoint", "Provenance")),
        *((kind, "patient") for kind in ("Device", "Endpoint")),
    }
)
"""Those that R5 does not define."""


_OF_SELECTIONS: Final = frozenset(row.name for row in inner_parameters(defined=True))


def statement_in_r5(statement: Json) -> Json:
    """The CapabilityStatement with the canonicals and the search parameters of R5."""
    rest = dict(statement["rest"][0])
    rest["resource"] = [_resource(r) for r in _types(rest["resource"])]
    return _canonicals(
        {**statement, "description": statement["description"] + _NOT_RECOMMENDED, "rest": [rest]}
    )


def _types(resources: Iterable[Json]) -> Iterator[Json]:
    """A Basic of R4 that stands for an ImagingSelection is that in R5; any other stays what it is."""
    for resource in resources:
        if resource["type"] == BASIC:
            selections = {name: value for name, value in resource.items() if name != "searchParam"}
            yield selections | {
                "type": SELECTION,
                "documentation": "As reports of the patient hold it.",
                "searchParam": search_parameters(SELECTION_PARAMETERS),
            }
            plain = {name: value for name, value in resource.items() if name != "supportedProfile"}
            rows = [row for row in resource["searchParam"] if row["name"] not in _OF_SELECTIONS]
            yield {**plain, "documentation": "What is no ImagingSelection.", "searchParam": rows}
        elif resource["type"] not in ONLY_IN_R4:
            yield resource


def _resource(resource: Json) -> Json:
    rows = resource.get("searchParam", ())
    made = _canonicals(resource)
    for name in ("searchInclude", "searchRevInclude"):
        if name in made and resource["type"] != BASIC:
            made[name] = [path.replace(f"{BASIC}:", f"{SELECTION}:") for path in made[name]]
    if rows:
        listed = [new for row in rows for new in _parameters(resource["type"], row)]
        # R4 may list the name of R5 as another spelling
        made["searchParam"] = list({row["name"]: row for row in reversed(listed)}.values())[::-1]
    if "operation" in made:
        made["operation"] = [
            {**each, "definition": _operation_in_r5(each["definition"])} for each in made["operation"]
        ]
    return made


def _operation_in_r5(definition: str) -> str:
    """That of FHIR for what IHE PDQm has for R4 alone."""
    return (
        codes.OPERATION_PATIENT_MATCH if definition == codes.OPERATION_MATCH else canonical_in_r5(definition)
    )


def _canonicals(element: Json) -> Json:
    made = dict(element)
    for name in _CANONICALS:
        if name in made:
            made[name] = list(_in_r5(made[name]))
            if not made[name]:
                del made[name]
    return made


def _in_r5(canonicals: Iterable[str]) -> Iterator[str]:
    """MHD is claimed with its version; MADO and PDQm have no guide for R5."""
    for canonical in canonicals:
        if canonical.startswith(codes.MHD):
            yield f"{canonical}|{FhirRelease.R5.mhd}"
        elif not canonical.startswith((imaging.MADO, codes.PDQM)):
            yield canonical_in_r5(canonical)


def _parameters(resource_type: str, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    key = (resource_type, row["name"])
    undefined = {name: value for name, value in row.items() if name != "definition"}
    if key in PARAMETERS:
        name, core = PARAMETERS[key]
        defined = {"definition": codes.FHIR_SEARCH_PARAMETER + core} if core else {}
        yield {**undefined, "name": name, **defined}
        if name != row["name"]:
            yield {**undefined, "documentation": f"The same as {name}."}
    elif key in _UNDEFINED or str(row.get("definition", "")).startswith(imaging.MADO):
        yield undefined
    elif "definition" in row:
        yield {**row, "definition": canonical_in_r5(row["definition"])}
    else:
        yield row
