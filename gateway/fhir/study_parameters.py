"""The search parameters of ImagingStudy and Endpoint (FHIR R4; HL7 Europe Imaging
Report 1.0.0-ballot, resource access; MyHealth@EU), each in every spelling that the guides use.
"""

from typing import Final

from gateway.fhir.search_table import (
    CODED,
    DATED,
    Kind,
    ParameterTable,
    SearchParameter,
    patient_parameters,
    person_parameters,
)
from gateway.model.codes import FHIR_SEARCH_PARAMETER

_ABSENT: Final = frozenset({"missing"})


def _study(
    name: str,
    kind: Kind,
    expression: str,
    documentation: str,
    *,
    definition: str | None = None,
    modifiers: frozenset[str] = frozenset(),
    aliases: tuple[str, ...] = (),
    sortable: bool = False,
) -> SearchParameter:
    return SearchParameter(
        name,
        kind,
        f"ImagingStudy.{expression}",
        FHIR_SEARCH_PARAMETER + (definition or f"ImagingStudy-{name}"),
        documentation,
        modifiers=modifiers,
        aliases=aliases,
        sortable=sortable,
    )


def _common(resource: str) -> tuple[SearchParameter, ...]:
    return (
        SearchParameter(
            "_id",
            Kind.TOKEN,
            f"{resource}.id",
            FHIR_SEARCH_PARAMETER + "Resource-id",
            "The id of the resource; needs the patient as well.",
        ),
        SearchParameter(
            "_lastUpdated",
            Kind.DATE,
            f"{resource}.meta.lastUpdated",
            FHIR_SEARCH_PARAMETER + "Resource-lastUpdated",
            "When the manifest of the study was made.",
            modifiers=DATED,
            sortable=True,
        ),
    )


_UID: Final = "A UID with or without urn:oid:, and with or without its system."
_TOLD: Final = "As a report on the study says it; manifests have no place for it."

STUDY_PARAMETERS: Final = ParameterTable(
    "ImagingStudy",
    (
        *patient_parameters("ImagingStudy"),
        *_common("ImagingStudy"),
        _study(
            "identifier",
            Kind.TOKEN,
            "identifier",
            "Study Instance UID, accession or placer order number of the study.",
            definition="clinical-identifier",
        ),
        _study(
            "modality",
            Kind.TOKEN,
            "series.modality",
            "Modality of a series.",
            modifiers=CODED,
            sortable=True,
        ),
        _study(
            "started",
            Kind.DATE,
            "started",
            "Every prefix and precision. A value without zone is of the server's zone.",
            modifiers=DATED,
            sortable=True,
        ),
        _study("status", Kind.TOKEN, "status", "available, which all are.", modifiers=frozenset({"not"})),
        _study(
            "bodysite",
            Kind.TOKEN,
            "series.bodySite",
            "Body site of a series or region of the study; codes of the spine are one.",
            modifiers=CODED,
            aliases=("body-site",),
        ),
        _study(
            "basedon",
            Kind.REFERENCE,
            "basedOn",
            "ServiceRequest/id of an order of the study.",
            modifiers=_ABSENT,
            aliases=("based-on",),
        ),
        SearchParameter(
            "basedon.identifier",
            Kind.TOKEN,
            "ImagingStudy.basedOn",
            None,
            "Accession or placer order number of an order.",
            aliases=(
                "basedon:identifier",
                "basedon:ServiceRequest.identifier",
                "based-on.identifier",
                "based-on:identifier",
                "based-on:ServiceRequest.identifier",
            ),
        ),
        _study("dicom-class", Kind.TOKEN, "series.instance.sopClass", f"SOP class of an instance. {_UID}"),
        _study("instance", Kind.TOKEN, "series.instance.uid", f"SOP Instance UID. {_UID}"),
        _study("series", Kind.TOKEN, "series.uid", f"Series Instance UID. {_UID}"),
        _study(
            "endpoint",
            Kind.REFERENCE,
            "endpoint | ImagingStudy.series.endpoint",
            "Endpoint/id of the study.",
            modifiers=_ABSENT,
        ),
        *person_parameters("ImagingStudy", "referrer", "the referring physician"),
        _study("referrer", Kind.REFERENCE, "referrer", f"{_TOLD} Of manifests use referrer.family.",
               modifiers=_ABSENT),
        _study("performer", Kind.REFERENCE, "series.performer.actor", _TOLD, modifiers=_ABSENT),
        _study("reason", Kind.TOKEN, "reasonCode", _TOLD, modifiers=CODED),
    ),
)  # fmt: skip

ENDPOINT_PARAMETERS: Final = ParameterTable(
    "Endpoint",
    (
        *patient_parameters("Endpoint"),
        *_common("Endpoint"),
        SearchParameter(
            "connection-type",
            Kind.TOKEN,
            "Endpoint.connectionType",
            FHIR_SEARCH_PARAMETER + "Endpoint-connection-type",
            "dicom-wado-rs for images, ihe-iid for viewers.",
        ),
    ),
)
