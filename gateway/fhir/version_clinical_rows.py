"""Rows of the table of differences between FHIR R4 and R5 for what reports hold beside the report itself."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.fhir import version_clinical as clinical
from gateway.fhir import version_devices as devices
from gateway.fhir import version_medications as medications
from gateway.fhir import version_others as others
from gateway.fhir.version_rules import (
    CONCEPT,
    LIST,
    REASONS,
    REFERENCE,
    Differences,
    Gone,
    Kept,
    Moved,
    Native,
    Own,
    each,
    inside,
)
from gateway.model import codes
from gateway.model import imaging_codes as imaging

_RECORDED: Final = Own(
    ("recorder", "asserter"), ("participant",), clinical.participants_up, clinical.participants_down
)
_MEDICATION: Final = Own(
    ("medicationCodeableConcept", "medicationReference"),
    ("medication",),
    medications.medication_up,
    medications.medication_down,
)
_DISPENSED: Final = ("notPerformedReason", "recorded", "renderedDosageInstruction", "statusChanged")

CLINICAL: Final[Mapping[str, Differences]] = MappingProxyType(
    {
        "Basic": Differences((Moved("created", "created", clinical.CREATED),)),
        "Observation": Differences(
            (
                Own(("derivedFrom",), ("derivedFrom",), clinical.derived_up, clinical.derived_down),
                Gone(
                    r5=(
                        "bodyStructure",
                        "instantiatesCanonical",
                        "instantiatesReference",
                        "triggeredBy",
                        "valueAttachment",
                        "valueReference",
                    )
                ),
            ),
            r4_extensions=clinical.DERIVED_EXTENSIONS,
        ),
        "Device": Differences(
            (
                Own(
                    ("deviceName", "modelNumber"),
                    ("name", "modelNumber"),
                    devices.device_names_up,
                    devices.device_names_down,
                ),
                Moved("type", "type", LIST),
                Moved("status", "status", devices.DEVICE_STATUS),
                Moved("udiCarrier", "udiCarrier", devices.CARRIERS),
                Moved("specialization", "conformsTo", devices.CONFORMS),
                Moved("version", "version", devices.VERSIONS),
                Moved("property", "property", devices.PROPERTIES),
                Moved("definition", "definition", REFERENCE),
                Kept("patient", codes.EXT_R4 + "Device.patient", "valueReference"),
                Kept("distinctIdentifier", codes.EXT_R4 + "Device.distinctIdentifier", "valueString"),
                Native((imaging.EXT_DEVICE_CATEGORY,), "category", "valueCodeableConcept", repeats=True),
                Gone(
                    ("statusReason",),
                    (
                        "availabilityStatus",
                        "biologicalSourceEvent",
                        "cycle",
                        "displayName",
                        "duration",
                        "endpoint",
                        "gateway",
                        "mode",
                    ),
                ),
            )
        ),
        "AdverseEvent": Differences(
            (
                Moved("identifier", "identifier", LIST),
                Own((), ("status",), clinical.event_status_up, clinical.event_status_down),
                Moved("event", "code"),
                Moved("date", "occurrenceDateTime"),
                Moved("resultingCondition", "resultingEffect"),
                Moved("outcome", "outcome", LIST),
                Moved("contributor", "participant", inside("actor")),
                Moved("suspectEntity", "suspectEntity", clinical.SUSPECTS),
                Moved("subjectMedicalHistory", "contributingFactor", inside("itemReference")),
                Moved("referenceDocument", "supportingInfo", inside("itemReference")),
                Gone(
                    ("severity",),
                    (
                        "expectedInResearchStudy",
                        "mitigatingAction",
                        "note",
                        "occurrencePeriod",
                        "occurrenceTiming",
                        "preventiveAction",
                    ),
                ),
            )
        ),
        "Condition": Differences(
            (
                Own(
                    ("clinicalStatus",),
                    ("clinicalStatus",),
                    clinical.clinical_status_up,
                    clinical.clinical_status_down,
                ),
                Moved("evidence", "evidence", clinical.EVIDENCE),
                _RECORDED,
            )
        ),
        "AllergyIntolerance": Differences(
            (
                Moved("type", "type", clinical.ALLERGY_TYPE),
                Moved("reaction", "reaction", clinical.REACTIONS),
                _RECORDED,
            )
        ),
        "Encounter": Differences(
            (
                Moved("status", "status", clinical.ENCOUNTER_STATUS),
                Moved("class", "class", clinical.ENCOUNTER_CLASS),
                Moved("period", "actualPeriod"),
                Moved("participant", "participant", clinical.PARTICIPANTS),
                Moved("location", "location", clinical.LOCATIONS),
                Moved("serviceType", "serviceType", clinical.SERVICE_TYPE),
                Moved("hospitalization", "admission", clinical.ADMISSION),
                Own(
                    ("reasonCode", "reasonReference"), ("reason",), clinical.reasons_up, clinical.reasons_down
                ),
                Gone(
                    ("classHistory", "diagnosis", "statusHistory"),
                    (
                        "careTeam",
                        "diagnosis",
                        "dietPreference",
                        "plannedEndDate",
                        "plannedStartDate",
                        "specialArrangement",
                        "specialCourtesy",
                        "subjectStatus",
                        "virtualService",
                    ),
                ),
            )
        ),
        "CarePlan": Differences(
            (
                Moved("addresses", "addresses", each(REFERENCE)),
                Moved("author", "custodian"),
                Gone(("activity",), ("activity",)),
            )
        ),
        "Specimen": Differences(
            (
                Moved("processing", "processing", clinical.PROCESSING),
                Gone(("container",), ("combined", "container", "feature", "role")),
            ),
            {"collection": "Specimen.collection"},
        ),
        "Specimen.collection": Differences(
            (Moved("bodySite", "bodySite", CONCEPT), Gone(r5=("device", "procedure")))
        ),
        "MedicationRequest": Differences(
            (
                _MEDICATION,
                REASONS,
                Moved("reportedBoolean", "reported"),
                Moved("performer", "performer", LIST),
                Gone(
                    ("detectedIssue", "instantiatesCanonical", "instantiatesUri", "reportedReference"),
                    (
                        "device",
                        "effectiveDosePeriod",
                        "informationSource",
                        "renderedDosageInstruction",
                        "statusChanged",
                    ),
                ),
            ),
            {"dosageInstruction": "Dosage", "dispenseRequest": "MedicationRequest.dispenseRequest"},
        ),
        "MedicationRequest.dispenseRequest": Differences((Moved("performer", "dispenser"),)),
        "MedicationAdministration": Differences(
            (
                _MEDICATION,
                REASONS,
                Moved("category", "category", LIST),
                Moved("context", "encounter"),
                Moved("device", "device", each(REFERENCE)),
                # R5 spells it with one r
                Moved("effectiveDateTime", "occurenceDateTime"),
                Moved("effectivePeriod", "occurencePeriod"),
                Moved("performer", "performer", medications.PERFORMERS),
                Gone(
                    ("instantiates",),
                    ("basedOn", "isSubPotent", "occurenceTiming", "recorded", "subPotentReason"),
                ),
            )
        ),
        "MedicationDispense": Differences(
            (
                _MEDICATION,
                Moved("category", "category", LIST),
                Moved("context", "encounter"),
                Gone(
                    ("detectedIssue", "statusReasonCodeableConcept", "statusReasonReference"),
                    ("basedOn", *_DISPENSED),
                ),
            ),
            {"dosageInstruction": "Dosage"},
        ),
        "MedicationStatement": Differences(
            (
                _MEDICATION,
                REASONS,
                Moved("status", "status", medications.STATEMENT_STATUS),
                Moved("category", "category", LIST),
                Moved("context", "encounter"),
                Moved("informationSource", "informationSource", LIST),
                Gone(
                    ("basedOn", "statusReason"),
                    (
                        "adherence",
                        "effectiveTiming",
                        "relatedClinicalInformation",
                        "renderedDosageInstruction",
                    ),
                ),
            ),
            {"dosage": "Dosage"},
        ),
        "Dosage": Differences(
            (
                Own(
                    ("asNeededBoolean", "asNeededCodeableConcept"),
                    ("asNeeded", "asNeededFor"),
                    medications.as_needed_up,
                    medications.as_needed_down,
                ),
                Moved("maxDosePerPeriod", "maxDosePerPeriod", LIST),
            )
        ),
        "Medication": Differences(
            (
                Moved("form", "doseForm"),
                Moved("manufacturer", "marketingAuthorizationHolder"),
                Gone(("amount",), ("definition", "totalVolume")),
            ),
            {"ingredient": "Medication.ingredient"},
        ),
        "Medication.ingredient": Differences(
            (
                Own(
                    ("itemCodeableConcept", "itemReference"),
                    ("item",),
                    medications.ingredient_up,
                    medications.ingredient_down,
                ),
                Moved("strength", "strengthRatio"),
                Gone(r5=("strengthCodeableConcept", "strengthQuantity")),
            )
        ),
        "Immunization": Differences(
            (
                REASONS,
                Moved("manufacturer", "manufacturer", REFERENCE),
                Moved("reportOrigin", "informationSource", CONCEPT),
                Gone(
                    ("education", "programEligibility", "protocolApplied", "reaction", "recorded"),
                    (
                        "administeredProduct",
                        "basedOn",
                        "programEligibility",
                        "protocolApplied",
                        "reaction",
                        "supportingInformation",
                    ),
                ),
            )
        ),
        "NutritionOrder": Differences(
            (
                Moved("patient", "subject"),
                Gone(
                    ("enteralFormula", "oralDiet", "supplement"),
                    (
                        "basedOn",
                        "enteralFormula",
                        "groupIdentifier",
                        "oralDiet",
                        "outsideFoodAllowed",
                        "performer",
                        "priority",
                        "supplement",
                        "supportingInformation",
                    ),
                ),
            )
        ),
        "BodyStructure": Differences(
            (
                Own(
                    ("location", "locationQualifier"),
                    ("includedStructure",),
                    clinical.structure_up,
                    clinical.structure_down,
                ),
                Gone(r5=("excludedStructure",)),
            )
        ),
        "QuestionnaireResponse": Differences((Moved("identifier", "identifier", LIST),)),
        "Coverage": Differences(
            (
                Own(("payor",), ("insurer", "kind"), clinical.payor_up, clinical.payor_down),
                Moved("subscriberId", "subscriberId", clinical.SUBSCRIBER),
                Gone(r5=("insurancePlan", "paymentBy")),
            )
        ),
        "CareTeam": Differences((REASONS, Gone(("encounter",)))),
        "Location": Differences(
            (
                Moved("telecom", "contact", others.CONTACTS),
                Moved("physicalType", "form"),
                Gone(
                    ("availabilityExceptions", "hoursOfOperation"),
                    ("characteristic", "hoursOfOperation", "virtualService"),
                ),
            )
        ),
    }
)
