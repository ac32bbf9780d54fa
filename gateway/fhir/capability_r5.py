"""What the CapabilityStatement of a base of FHIR R5 says otherwise (IHE MHD 5.1.0; HL7 Europe Imaging R5)."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.version_names import canonical_in_r5
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease

_NOT_RECOMMENDED: Final = (
    f" IHE MHD {FhirRelease.R5.mhd} is a milestone for FHIR R5; the version that IHE recommends is "
    f"{FhirRelease.R4.mhd} for FHIR R4, at the base of that release."
)
_CANONICALS: Final = ("instantiates", "implementationGuide", "supportedProfile")
_CORE: Final = codes.FHIR_SEARCH_PARAMETER + "DocumentReference-"

PARAMETERS: Final = MappingProxyType(
    {
        ("DocumentReference", "event"): ("event-code", _CORE + "event-code"),
        ("DocumentReference", "format"): ("format-code", _CORE + "format-code"),
        ("DocumentReference", "creation"): ("creation", _CORE + "creation"),
        ("DocumentReference", "date"): ("date", codes.FHIR_SEARCH_PARAMETER + "clinical-date"),
    }
)
"""Search parameters that R5 has under another name or definition; the name of R4 is understood too."""
_ONLY_IN_R4: Final = frozenset({"Media"})
_UNDEFINED: Final = frozenset({("DocumentReference", "related")})
"""Those of IHE MHD that R5 does not define."""


def statement_in_r5(statement: Json) -> Json:
    """The CapabilityStatement with the canonicals and the search parameters of R5."""
    rest = dict(statement["rest"][0])
    rest["resource"] = [_resource(r) for r in rest["resource"] if r["type"] not in _ONLY_IN_R4]
    return _canonicals(
        {**statement, "description": statement["description"] + _NOT_RECOMMENDED, "rest": [rest]}
    )


def _resource(resource: Json) -> Json:
    rows = resource.get("searchParam", ())
    made = _canonicals(resource)
    if rows:
        made["searchParam"] = [new for row in rows for new in _parameters(resource["type"], row)]
    return made


def _canonicals(element: Json) -> Json:
    made = dict(element)
    for name in _CANONICALS:
        if name in made:
            made[name] = list(_in_r5(made[name]))
            if not made[name]:
                del made[name]
    return made


def _in_r5(canonicals: Iterable[str]) -> Iterator[str]:
    """MHD is claimed with its version; MADO has no guide for R5."""
    for canonical in canonicals:
        if canonical.startswith(codes.MHD):
            yield f"{canonical}|{FhirRelease.R5.mhd}"
        elif not canonical.startswith(imaging.MADO):
            yield canonical_in_r5(canonical)


def _parameters(resource_type: str, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    key = (resource_type, row["name"])
    undefined = {name: value for name, value in row.items() if name != "definition"}
    if key in PARAMETERS:
        name, definition = PARAMETERS[key]
        yield {**row, "name": name, "definition": definition}
        if name != row["name"]:
            yield {**undefined, "documentation": f"The same as {name}."}
    elif key in _UNDEFINED or str(row.get("definition", "")).startswith(imaging.MADO):
        yield undefined
    elif "definition" in row:
        yield {**row, "definition": canonical_in_r5(row["definition"])}
    else:
        yield row
