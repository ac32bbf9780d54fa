"""What the CapabilityStatement says of imaging (HL7 Europe Imaging Report, resource access; IHE RAD MADO)."""

from typing import Any, Final

from gateway.fhir.capability_parameters import search_parameters
from gateway.fhir.search_includes import paths
from gateway.fhir.search_table import ParameterTable
from gateway.fhir.study_parameters import (
    ENDPOINT_PARAMETERS,
    ORDER_PARAMETERS,
    PROVENANCE_PARAMETERS,
    STUDY_PARAMETERS,
)
from gateway.model import imaging_codes as imaging

IMAGING_TABLES: Final = (STUDY_PARAMETERS, ORDER_PARAMETERS, ENDPOINT_PARAMETERS, PROVENANCE_PARAMETERS)
IMAGING_GUIDES: Final = (imaging.EU_IMAGING_GUIDE, imaging.MADO_GUIDE)


def imaging_resources() -> list[dict[str, Any]]:
    """CapabilityStatement.rest.resource of the types that manifests answer."""
    return [
        _resource(
            STUDY_PARAMETERS,
            "Assembled from the manifests of the patient, which every search has to name.",
            (imaging.PROFILE_EU_STUDY, imaging.PROFILE_MADO_STUDY),
        ),
        _resource(
            ORDER_PARAMETERS,
            "The imaging orders that manifests name.",
            (imaging.PROFILE_EU_ORDER, imaging.PROFILE_MADO_REQUEST),
        ),
        _resource(
            ENDPOINT_PARAMETERS,
            "Where the gateway gives the images of a study: a base of WADO-RS.",
            (imaging.PROFILE_MADO_WADO, imaging.PROFILE_MADO_VIEWER),
        ),
        _resource(PROVENANCE_PARAMETERS, "Leads from what was assembled to the document it was made of.", ()),
    ]


def _resource(table: ParameterTable, documentation: str, profiles: tuple[str, ...]) -> dict[str, Any]:
    name = table.resource
    written: dict[str, Any] = {
        "type": name,
        "documentation": documentation,
        "supportedProfile": list(profiles),
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchInclude": list(paths("_include", name)),
        "searchRevInclude": list(paths("_revinclude", name)),
        "searchParam": search_parameters(table),
    }
    return {key: value for key, value in written.items() if value}
