"""The search parameters of the resources that report documents hold, and of ServiceRequest and Provenance,
which manifests give too (HL7 Europe Imaging Report 1.0.0-ballot, resource access; FHIR R4).

The expression of a row is what the filter evaluates, see `gateway.fhir.held`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.fhir.search_table import CODED, DATED, Kind, ParameterTable, SearchParameter, patient_parameters
from gateway.fhir.selection_parameters import inner_parameters
from gateway.model import imaging_codes as imaging
from gateway.model.codes import FHIR_SEARCH_PARAMETER

_ABSENT: Final = frozenset({"missing"})
_CLINICAL: Final = frozenset({"identifier", "code", "date", "patient"})
_COMPOSITION: Final = f"extension('{imaging.R5_EXTENSION}DiagnosticReport.composition').value"


def _row(
    resource: str,
    name: str,
    kind: Kind,
    element: str,
    documentation: str,
    *,
    definition: str | None = None,
    aliases: tuple[str, ...] = (),
) -> SearchParameter:
    modifiers = {Kind.TOKEN: CODED, Kind.DATE: DATED}.get(kind, _ABSENT)
    shared = definition or (f"clinical-{name}" if name in _CLINICAL else f"{resource}-{name}")
    return SearchParameter(
        name,
        kind,
        " | ".join(f"{resource}.{one}" for one in element.split(" | ")),
        FHIR_SEARCH_PARAMETER + shared,
        documentation,
        modifiers=modifiers,
        aliases=aliases,
        sortable=kind is Kind.DATE,
    )


def _token(
    resource: str, name: str, element: str, text: str, definition: str | None = None
) -> SearchParameter:
    return _row(resource, name, Kind.TOKEN, element, text, definition=definition)


def _date(
    resource: str, name: str, element: str, text: str, definition: str | None = None
) -> SearchParameter:
    return _row(resource, name, Kind.DATE, element, text, definition=definition)


def _reference(
    resource: str,
    name: str,
    element: str,
    what: str,
    *,
    spellings: tuple[str, ...] = (),
    definition: str | None = None,
) -> tuple[SearchParameter, SearchParameter]:
    """A reference, and the identifier of what it names."""
    return (
        _row(
            resource,
            name,
            Kind.REFERENCE,
            element,
            f"{what}: Type/id of this server.",
            definition=definition,
            aliases=spellings,
        ),
        SearchParameter(
            f"{name}.identifier",
            Kind.TOKEN,
            " | ".join(f"{resource}.{one}" for one in element.split(" | ")),
            None,
            f"{what}: system|value of an identifier, whether the report refers to a resource or names it.",
            aliases=(f"{name}:identifier", *(f"{n}{sign}identifier" for n in spellings for sign in ".:")),
        ),
    )


def _common(resource: str, *, identified: bool = True) -> tuple[SearchParameter, ...]:
    definition = "clinical-identifier" if resource in _SHARED_IDENTIFIER else f"{resource}-identifier"
    own = SearchParameter(
        "identifier",
        Kind.TOKEN,
        f"{resource}.identifier",
        FHIR_SEARCH_PARAMETER + definition,
        "system|value, or the value alone. Finds what later versions replace, too.",
        modifiers=_ABSENT,
    )
    return (
        *patient_parameters(resource),
        SearchParameter(
            "_id",
            Kind.TOKEN,
            f"{resource}.id",
            FHIR_SEARCH_PARAMETER + "Resource-id",
            "The id of the resource; needs the patient as well. Finds what later versions replace, too.",
        ),
        SearchParameter(
            "_lastUpdated",
            Kind.DATE,
            f"{resource}.meta.lastUpdated",
            FHIR_SEARCH_PARAMETER + "Resource-lastUpdated",
            "When the document was made.",
            modifiers=DATED,
            sortable=True,
        ),
        *((own,) if identified else ()),
    )


_SHARED_IDENTIFIER: Final = frozenset(
    {"AllergyIntolerance", "Composition", "Condition", "DiagnosticReport", "Encounter",
     "MedicationAdministration", "MedicationDispense", "MedicationRequest", "Observation", "Procedure",
     "ServiceRequest"}
)  # fmt: skip

_STUDY_SPELLINGS: Final = ("imagingstudy", "imaging-study")

REPORT_PARAMETERS: Final = ParameterTable(
    "DiagnosticReport",
    (
        *_common("DiagnosticReport"),
        _token("DiagnosticReport", "category", "category", "Every coding of every category."),
        _token("DiagnosticReport", "code", "code", "Code of the report."),
        _token("DiagnosticReport", "status", "status", "Status that the report gives itself."),
        _token("DiagnosticReport", "conclusion", "conclusionCode", "Coded conclusion."),
        _date("DiagnosticReport", "date", "effective", "When was done what the report is about."),
        _date("DiagnosticReport", "issued", "issued", "When the report was released."),
        *_reference("DiagnosticReport", "based-on", "basedOn", "An order"),
        *_reference("DiagnosticReport", "study", "imagingStudy", "A study",
                    spellings=_STUDY_SPELLINGS, definition="DiagnosticReport-study"),
        *_reference("DiagnosticReport", "composition", _COMPOSITION, "The Composition",
                    definition="DiagnosticReport-composition"),
        *_reference("DiagnosticReport", "performer", "performer", "Who answers for the report"),
        *_reference("DiagnosticReport", "results-interpreter", "resultsInterpreter", "Who read the images"),
        *_reference("DiagnosticReport", "result", "result", "A finding"),
    ),
)  # fmt: skip

COMPOSITION_PARAMETERS: Final = ParameterTable(
    "Composition",
    (
        *_common("Composition"),
        _token("Composition", "category", "category", "Every coding of every category."),
        _token("Composition", "type", "type", "Type of the document.", "clinical-type"),
        _token("Composition", "status", "status", "Status that the document gives itself."),
        _date("Composition", "date", "date", "When the document was written."),
        _date("Composition", "period", "event.period", "When was done what the document is about."),
        *_reference("Composition", "author", "author", "An author"),
        *_reference("Composition", "attester", "attester.party", "Who attested to the document"),
        *_reference("Composition", "entry", "section.entry", "What a section is about"),
    ),
)

OBSERVATION_PARAMETERS: Final = ParameterTable(
    "Observation",
    (
        *_common("Observation"),
        _token("Observation", "category", "category", "Category."),
        _token("Observation", "code", "code", "What was observed."),
        _token("Observation", "status", "status", "Status."),
        _date("Observation", "date", "effective", "When it was observed."),
        *_reference("Observation", "based-on", "basedOn", "An order"),
        *_reference(
            "Observation", "derived-from", "derivedFrom", "What it was derived from, such as a study"
        ),
        *_reference("Observation", "device", "device", "The device"),
    ),
)

PROCEDURE_PARAMETERS: Final = ParameterTable(
    "Procedure",
    (
        *_common("Procedure"),
        _token("Procedure", "category", "category", "Category."),
        _token("Procedure", "code", "code", "What was done."),
        _token("Procedure", "status", "status", "Status."),
        _date("Procedure", "date", "performed", "When it was done."),
        *_reference("Procedure", "based-on", "basedOn", "An order"),
        *_reference("Procedure", "performer", "performer.actor", "Who did it"),
    ),
)

ORDER_PARAMETERS: Final = ParameterTable(
    "ServiceRequest",
    (
        *_common("ServiceRequest"),
        _token("ServiceRequest", "category", "category", "Category."),
        _row("ServiceRequest", "code", Kind.TOKEN, "code", "What was ordered.", aliases=("code-concept",)),
        _token("ServiceRequest", "status", "status", "Status."),
        _token("ServiceRequest", "intent", "intent", "Intent."),
        _date("ServiceRequest", "authored", "authoredOn", "When it was ordered."),
        *_reference("ServiceRequest", "requester", "requester", "Who ordered"),
    ),
)

PROVENANCE_PARAMETERS: Final = ParameterTable(
    "Provenance",
    (
        *_common("Provenance", identified=False),
        _row(
            "Provenance",
            "target",
            Kind.REFERENCE,
            "target",
            "Type/id of what was made of a document, or is one.",
        ),
        _row("Provenance", "entity", Kind.REFERENCE, "entity.what", "DocumentReference/id of the document."),
        _date("Provenance", "recorded", "recorded", "When the document was made, or submitted."),
    ),
)

ADVERSE_EVENT_PARAMETERS: Final = ParameterTable(
    "AdverseEvent",
    (
        *_common("AdverseEvent", identified=False),
        _row("AdverseEvent", "event", Kind.TOKEN, "event", "What happened.", aliases=("code",)),
        _date("AdverseEvent", "date", "date", "When it happened."),
    ),
)

BASIC_PARAMETERS: Final = ParameterTable(
    "Basic",
    (
        *_common("Basic"),
        _token("Basic", "code", "code", "What it stands for: an ImagingSelection of FHIR R5."),
        *inner_parameters(defined=False),
    ),
)

DEVICE_PARAMETERS: Final = ParameterTable(
    "Device",
    (
        *_common("Device"),
        _token("Device", "type", "type", "Type of the device."),
        _token("Device", "status", "status", "Status."),
    ),
)

CONDITION_PARAMETERS: Final = ParameterTable(
    "Condition",
    (
        *_common("Condition"),
        _token("Condition", "clinical-status", "clinicalStatus", "Clinical status."),
        _token("Condition", "category", "category", "Category."),
        _token("Condition", "code", "code", "The condition."),
        _date("Condition", "onset-date", "onset", "When it began."),
    ),
)

ALLERGY_PARAMETERS: Final = ParameterTable(
    "AllergyIntolerance",
    (
        *_common("AllergyIntolerance"),
        _token("AllergyIntolerance", "clinical-status", "clinicalStatus", "Clinical status."),
        _token("AllergyIntolerance", "code", "code", "The substance."),
    ),
)

ENCOUNTER_PARAMETERS: Final = ParameterTable(
    "Encounter",
    (
        *_common("Encounter"),
        _token("Encounter", "status", "status", "Status."),
        _token("Encounter", "class", "class", "Class."),
        _date("Encounter", "date", "period", "When it was."),
    ),
)

MEDICATION_REQUEST_PARAMETERS: Final = ParameterTable(
    "MedicationRequest",
    (
        *_common("MedicationRequest"),
        _token("MedicationRequest", "status", "status", "Status.", "medications-status"),
        _token("MedicationRequest", "intent", "intent", "Intent."),
        _token("MedicationRequest", "code", "medication", "The medication, where it is a code."),
        _date("MedicationRequest", "authoredon", "authoredOn", "When it was prescribed."),
        *_reference("MedicationRequest", "requester", "requester", "Who prescribed"),
    ),
)

MEDICATION_ADMINISTRATION_PARAMETERS: Final = ParameterTable(
    "MedicationAdministration",
    (
        *_common("MedicationAdministration"),
        _token("MedicationAdministration", "status", "status", "Status.", "medications-status"),
        _token("MedicationAdministration", "code", "medication", "The medication, where it is a code."),
        _row(
            "MedicationAdministration",
            "effective-time",
            Kind.DATE,
            "effective",
            "When it was given.",
            aliases=("date",),
        ),
    ),
)

MEDICATION_DISPENSE_PARAMETERS: Final = ParameterTable(
    "MedicationDispense",
    (
        *_common("MedicationDispense"),
        _token("MedicationDispense", "status", "status", "Status.", "medications-status"),
        _token("MedicationDispense", "code", "medication", "The medication, where it is a code."),
        _date("MedicationDispense", "whenhandedover", "whenHandedOver", "When it was handed over."),
    ),
)

REPORT_TABLES: Final[Mapping[str, ParameterTable]] = MappingProxyType(
    {
        table.resource: table
        for table in (
            REPORT_PARAMETERS,
            COMPOSITION_PARAMETERS,
            OBSERVATION_PARAMETERS,
            PROCEDURE_PARAMETERS,
            ORDER_PARAMETERS,
            PROVENANCE_PARAMETERS,
            BASIC_PARAMETERS,
            DEVICE_PARAMETERS,
            ADVERSE_EVENT_PARAMETERS,
            CONDITION_PARAMETERS,
            ALLERGY_PARAMETERS,
            ENCOUNTER_PARAMETERS,
            MEDICATION_REQUEST_PARAMETERS,
            MEDICATION_ADMINISTRATION_PARAMETERS,
            MEDICATION_DISPENSE_PARAMETERS,
        )
    }
)
"""The types that can be searched, with their parameters."""

READ_ONLY: Final = (
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "RelatedPerson",
    "CareTeam",
    "Location",
    "Media",
    "Specimen",
    "CarePlan",
    "Medication",
    "MedicationStatement",
    "Immunization",
    "ImmunizationRecommendation",
    "NutritionOrder",
    "BodyStructure",
    "QuestionnaireResponse",
    "Coverage",
)
"""Types that are only read by id, and come along with what refers to them."""

SERVED: Final = frozenset({"ImagingStudy", *REPORT_TABLES, *READ_ONLY})
"""Types that resources of reports have here; references to others stay words."""
