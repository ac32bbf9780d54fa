"""What the CapabilityStatement says of imaging (HL7 Europe Imaging Report, resource access; IHE RAD MADO)."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from gateway.fhir.capability_parameters import search_parameters
from gateway.fhir.imaging_includes import imaging_paths
from gateway.fhir.report_parameters import READ_ONLY, REPORT_TABLES
from gateway.fhir.search_table import ParameterTable
from gateway.fhir.study_parameters import ENDPOINT_PARAMETERS, STUDY_PARAMETERS
from gateway.model import imaging_codes as imaging

IMAGING_TABLES: Final = (STUDY_PARAMETERS, ENDPOINT_PARAMETERS, *REPORT_TABLES.values())
IMAGING_GUIDES: Final = (imaging.EU_IMAGING_GUIDE, imaging.MADO_GUIDE)
IMAGING_STATEMENTS: Final = (
    imaging.EU_DOCUMENT_PROVIDER,
    imaging.EU_RESOURCE_PROVIDER,
    imaging.MADO_RESPONDER,
)
"""CapabilityStatements of the guides that are met."""

DOCUMENT_OPERATION: Final = {"name": "document", "definition": imaging.OPERATION_DOCUMENT}
_TAKEN: Final = "As reports of the patient hold it."
_HELD: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "DiagnosticReport": (
        "As reports of the patient hold it; the current version of each, unless identifier or _id names it. "
        "$document gives the report itself.",
        (imaging.EU_STRUCTURE + "DiagnosticReportEuImaging",),
    ),
    "Composition": (_TAKEN, (imaging.EU_STRUCTURE + "CompositionEuImaging",)),
    "ServiceRequest": (
        "The imaging orders that reports hold and manifests name.",
        (imaging.PROFILE_EU_ORDER, imaging.PROFILE_MADO_REQUEST),
    ),
    "Provenance": (
        "Leads from what was assembled to the document it was made of, and from a document to the "
        "SubmissionSet that brought it. The latter is found by target or _id.",
        (),
    ),
    "Basic": ("ImagingSelection of FHIR R5.", (imaging.EU_STRUCTURE + "ImagingSelectionEuImaging",)),
}


def imaging_resources() -> list[dict[str, Any]]:
    """CapabilityStatement.rest.resource of the types that manifests and reports answer."""
    return [
        _resource(
            STUDY_PARAMETERS,
            "Of the manifests and reports of the patient, which every search has to name.",
            (imaging.PROFILE_EU_STUDY, imaging.PROFILE_MADO_STUDY),
            {"based-on": "basedon", "body-site": "bodysite"},
        ),
        _resource(
            ENDPOINT_PARAMETERS,
            "Where the gateway gives the images of a study: a base of WADO-RS.",
            (imaging.PROFILE_MADO_WADO, imaging.PROFILE_MADO_VIEWER),
        ),
        *(_resource(table, *_HELD.get(name, (_TAKEN, ()))) for name, table in REPORT_TABLES.items()),
        *({"type": name, "documentation": _TAKEN, "interaction": [{"code": "read"}]} for name in READ_ONLY),
    ]


def _resource(
    table: ParameterTable,
    documentation: str,
    profiles: tuple[str, ...],
    spellings: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """`spellings` are names that a guide has for parameters beside those of FHIR."""
    name, rows = table.resource, search_parameters(table)
    written: dict[str, Any] = {
        "type": name,
        "documentation": documentation,
        "supportedProfile": list(profiles),
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchInclude": list(imaging_paths("_include", name)),
        "searchRevInclude": list(imaging_paths("_revinclude", name)),
        "searchParam": [*rows, *_spelled(rows, spellings)],
        "operation": [DOCUMENT_OPERATION] if name == "DiagnosticReport" else [],
    }
    return {key: value for key, value in written.items() if value}


def _spelled(rows: Sequence[dict[str, Any]], spellings: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    by_name = {row["name"]: row for row in rows}
    for name, of in spellings.items():
        yield {**by_name[of], "name": name, "documentation": f"The same as {of}."}
