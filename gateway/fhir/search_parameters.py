"""The search parameters of DocumentReference (ITI-67, IHE MHD 4.2.4 2:3.67.4.1.2; FHIR R4), as one table."""

from gateway.fhir.search_table import (
    CODED,
    DATED,
    Kind,
    ParameterTable,
    SearchParameter,
    identifier_parameters,
    patient_parameters,
    person_parameters,
)
from gateway.model.codes import FHIR_SEARCH_PARAMETER, MHD_SEARCH_PARAMETER


def _coded(
    name: str,
    expression: str,
    definition: str,
    slot: str,
    *,
    sortable: bool = True,
    aliases: tuple[str, ...] = (),
) -> SearchParameter:
    return SearchParameter(
        name,
        Kind.TOKEN,
        expression,
        FHIR_SEARCH_PARAMETER + definition,
        f"Asked of the registry as $XDSDocumentEntry{slot} where system and code are given.",
        modifiers=CODED,
        sortable=sortable,
        aliases=aliases,
    )


_SUBMITTED = (
    "submissionTime of the SubmissionSet that brought the document, for which the registry is asked. XDS has "
    "no such time in a DocumentEntry, so DocumentReference does not show it."
)
_ROWS = (
    *patient_parameters("DocumentReference"),
    SearchParameter(
        "status",
        Kind.TOKEN,
        "DocumentReference.status",
        FHIR_SEARCH_PARAMETER + "DocumentReference-status",
        "current (Approved) or superseded (Deprecated).",
        modifiers=frozenset({"not", "missing"}),
        sortable=True,
    ),
    *person_parameters("DocumentReference", "author", "an author"),
    _coded("category", "DocumentReference.category", "DocumentReference-category", "ClassCode"),
    _coded("type", "DocumentReference.type", "clinical-type", "TypeCode"),
    _coded(
        "setting",
        "DocumentReference.context.practiceSetting",
        "DocumentReference-setting",
        "PracticeSettingCode",
    ),
    _coded(
        "facility",
        "DocumentReference.context.facilityType",
        "DocumentReference-facility",
        "HealthcareFacilityTypeCode",
    ),
    _coded(
        "format",
        "DocumentReference.content.format",
        "DocumentReference-format",
        "FormatCode",
        aliases=("format-code",),
    ),
    _coded(
        "event",
        "DocumentReference.context.event",
        "DocumentReference-event",
        "EventCodeList",
        sortable=False,
        aliases=("event-code",),
    ),
    _coded(
        "security-label",
        "DocumentReference.securityLabel",
        "DocumentReference-security-label",
        "ConfidentialityCode",
        sortable=False,
    ),
    SearchParameter(
        "creation",
        Kind.DATE,
        "DocumentReference.content.attachment.creation",
        MHD_SEARCH_PARAMETER + "DocumentReference-Creation",
        "Every prefix and precision. An On-Demand document has no creation time and does not match.",
        modifiers=DATED,
        sortable=True,
    ),
    SearchParameter(
        "period",
        Kind.DATE,
        "DocumentReference.context.period",
        FHIR_SEARCH_PARAMETER + "DocumentReference-period",
        "Every prefix and precision, compared with the period as FHIR defines it.",
        modifiers=DATED,
        sortable=True,
    ),
    SearchParameter(
        "date",
        Kind.DATE,
        "DocumentReference.date",
        FHIR_SEARCH_PARAMETER + "DocumentReference-date",
        _SUBMITTED,
        modifiers=DATED,
        sortable=True,
    ),
    *person_parameters("DocumentReference", "authenticator", "the legal authenticator", also="attester"),
    SearchParameter(
        "relatesto",
        Kind.REFERENCE,
        "DocumentReference.relatesTo.target",
        FHIR_SEARCH_PARAMETER + "DocumentReference-relatesto",
        "DocumentReference/id of this server: what replaces, transforms, signs or appends to it. Costs a "
        "query for each value, and is answered as the _id of what was found.",
    ),
    SearchParameter(
        "encounter",
        Kind.REFERENCE,
        "DocumentReference.context.encounter",
        FHIR_SEARCH_PARAMETER + "clinical-encounter",
        "encounter:identifier=system|value, the encounter ids of referenceIdList.",
        modifiers=frozenset({"identifier", "missing"}),
        aliases=("encounter.identifier", "context", "context:identifier", "context.identifier"),
    ),
    SearchParameter(
        "based-on",
        Kind.REFERENCE,
        "DocumentReference.context.related",
        None,
        "based-on:identifier=system|value, the ids of orders and studies of referenceIdList.",
        modifiers=frozenset({"identifier", "missing"}),
        aliases=("based-on.identifier",),
    ),
    SearchParameter(
        "related",
        Kind.REFERENCE,
        "DocumentReference.context.related",
        FHIR_SEARCH_PARAMETER + "DocumentReference-related",
        "related:identifier=system|value with an accession, a Study Instance UID or another id of "
        "referenceIdList. The registry needs the Reference ID option.",
        modifiers=frozenset({"identifier", "missing"}),
        aliases=("related.identifier",),
    ),
    *identifier_parameters(
        "DocumentReference",
        "DocumentReference.masterIdentifier | DocumentReference.identifier",
        _SUBMITTED,
    ),
)

DOCUMENT_PARAMETERS = ParameterTable("DocumentReference", _ROWS)
