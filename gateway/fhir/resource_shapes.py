"""Elements at the root of resources (FHIR R4): what is required, what a summary has, what else there is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """Elements of a resource type at its root (FHIR R4).

    `inside` are the summary elements of a backbone element that has others too.
    """

    mandatory: frozenset[str]
    summary: frozenset[str]
    other: frozenset[str]
    inside: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Every element."""
        return self.mandatory | self.summary | self.other


_DOMAIN_RESOURCE: Final = frozenset(
    {"id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension"}
)


def shape(mandatory: str, summary: str, other: str) -> Shape:
    """A shape by names with spaces between them; a mandatory choice of types lists each of them."""
    return Shape(
        frozenset(mandatory.split()), frozenset(summary.split()), _DOMAIN_RESOURCE | frozenset(other.split())
    )


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "DocumentReference": Shape(
            mandatory=frozenset({"status", "content"}),
            summary=frozenset(
                [
                    "masterIdentifier",
                    "identifier",
                    "status",
                    "docStatus",
                    "type",
                    "category",
                    "subject",
                    "date",
                    "author",
                    "relatesTo",
                    "description",
                    "securityLabel",
                    "content",
                    "context",
                ]
            ),
            other=_DOMAIN_RESOURCE | {"authenticator", "custodian"},
            inside=MappingProxyType({"context": frozenset({"period"})}),
        ),
        "List": Shape(
            mandatory=frozenset({"status", "mode"}),
            summary=frozenset(["status", "mode", "title", "code", "subject", "date", "source"]),
            other=_DOMAIN_RESOURCE
            | frozenset(["identifier", "encounter", "orderedBy", "note", "entry", "emptyReason"]),
        ),
        "ImagingStudy": Shape(
            mandatory=frozenset({"status", "subject"}),
            summary=frozenset(
                [
                    "identifier",
                    "status",
                    "modality",
                    "subject",
                    "encounter",
                    "started",
                    "basedOn",
                    "referrer",
                    "interpreter",
                    "endpoint",
                    "numberOfSeries",
                    "numberOfInstances",
                    "procedureReference",
                    "procedureCode",
                    "location",
                    "reasonCode",
                    "reasonReference",
                    "note",
                    "description",
                    "series",
                ]
            ),
            other=_DOMAIN_RESOURCE,
            # instances, which are most of a study, are not in its summary
            inside=MappingProxyType(
                {
                    "series": frozenset(
                        [
                            "uid",
                            "number",
                            "modality",
                            "description",
                            "numberOfInstances",
                            "endpoint",
                            "bodySite",
                            "laterality",
                            "specimen",
                            "started",
                            "performer",
                        ]
                    )
                }
            ),
        ),
        "DiagnosticReport": shape(
            "code status",
            "identifier status category code subject encounter effectiveDateTime effectivePeriod issued "
            "performer resultsInterpreter media",
            "basedOn specimen result imagingStudy conclusion conclusionCode presentedForm",
        ),
        "Composition": shape(
            "author date status title type",
            "identifier status type category subject encounter date author title confidentiality "
            "custodian event",
            "attester relatesTo section",
        ),
        "Observation": shape(
            "code status",
            "identifier basedOn partOf status code subject focus encounter effectiveDateTime "
            "effectivePeriod effectiveTiming effectiveInstant issued performer valueQuantity "
            "valueCodeableConcept valueString valueBoolean valueInteger valueRange valueRatio "
            "valueSampledData valueTime valueDateTime valuePeriod hasMember derivedFrom component",
            "category dataAbsentReason interpretation note bodySite method specimen device referenceRange",
        ),
        "Procedure": shape(
            "status subject",
            "identifier instantiatesCanonical instantiatesUri basedOn partOf status statusReason category "
            "code subject encounter performedDateTime performedPeriod performedString performedAge "
            "performedRange recorder asserter performer location reasonCode reasonReference bodySite "
            "outcome",
            "report complication complicationDetail followUp note focalDevice usedReference usedCode",
        ),
        "ServiceRequest": shape(
            "intent status subject",
            "identifier instantiatesCanonical instantiatesUri basedOn replaces requisition status intent "
            "category priority doNotPerform code orderDetail quantityQuantity quantityRatio quantityRange "
            "subject encounter occurrenceDateTime occurrencePeriod occurrenceTiming asNeededBoolean "
            "asNeededCodeableConcept authoredOn requester performerType performer locationCode "
            "locationReference reasonCode reasonReference specimen bodySite patientInstruction",
            "insurance supportingInfo note relevantHistory",
        ),
        "Provenance": shape(
            "agent recorded target",
            "target recorded",
            "occurredPeriod occurredDateTime policy location reason activity agent entity signature",
        ),
        "Basic": shape(
            "code",
            "identifier code subject created author",
            "",
        ),
        "Device": shape(
            "",
            "udiCarrier status safety",
            "identifier definition statusReason distinctIdentifier manufacturer manufactureDate "
            "expirationDate lotNumber serialNumber deviceName modelNumber partNumber type specialization "
            "version property patient owner contact location url note parent",
        ),
        "AdverseEvent": shape(
            "actuality subject",
            "identifier actuality category event subject encounter date detected recordedDate "
            "resultingCondition location seriousness severity outcome recorder contributor suspectEntity "
            "subjectMedicalHistory referenceDocument study",
            "",
        ),
        "Condition": shape(
            "subject",
            "identifier clinicalStatus verificationStatus code bodySite subject encounter onsetDateTime "
            "onsetAge onsetPeriod onsetRange onsetString recordedDate recorder asserter",
            "category severity abatementDateTime abatementAge abatementPeriod abatementRange "
            "abatementString stage evidence note",
        ),
        "AllergyIntolerance": shape(
            "patient",
            "identifier clinicalStatus verificationStatus type category criticality code patient asserter",
            "encounter onsetDateTime onsetAge onsetPeriod onsetRange onsetString recordedDate recorder "
            "lastOccurrence note reaction",
        ),
        "Encounter": shape(
            "class status",
            "identifier status class type serviceType subject episodeOfCare participant appointment "
            "reasonCode reasonReference diagnosis",
            "statusHistory classHistory priority basedOn period length account hospitalization location "
            "serviceProvider partOf",
        ),
        "MedicationRequest": shape(
            "intent medicationCodeableConcept medicationReference status subject",
            "status intent priority doNotPerform reportedBoolean reportedReference "
            "medicationCodeableConcept medicationReference subject authoredOn requester performerType "
            "instantiatesCanonical instantiatesUri basedOn groupIdentifier",
            "identifier statusReason category encounter supportingInformation performer recorder "
            "reasonCode reasonReference courseOfTherapyType insurance note dosageInstruction "
            "dispenseRequest substitution priorPrescription detectedIssue eventHistory",
        ),
        "MedicationAdministration": shape(
            "effectiveDateTime effectivePeriod medicationCodeableConcept medicationReference status subject",
            "instantiates partOf status medicationCodeableConcept medicationReference subject "
            "effectiveDateTime effectivePeriod performer",
            "identifier statusReason category context supportingInformation reasonCode reasonReference "
            "request device note dosage eventHistory",
        ),
        "MedicationDispense": shape(
            "medicationCodeableConcept medicationReference status",
            "status medicationCodeableConcept medicationReference subject whenPrepared",
            "identifier partOf statusReasonCodeableConcept statusReasonReference category context "
            "supportingInformation performer location authorizingPrescription type quantity daysSupply "
            "whenHandedOver destination receiver note dosageInstruction substitution detectedIssue "
            "eventHistory",
        ),
        "Endpoint": shape(
            "address connectionType payloadType status",
            "identifier status connectionType name managingOrganization period payloadType "
            "payloadMimeType address",
            "contact header",
        ),
        "Patient": shape(
            "",
            "identifier active name telecom gender birthDate deceasedBoolean deceasedDateTime address "
            "managingOrganization link",
            "maritalStatus multipleBirthBoolean multipleBirthInteger photo contact communication "
            "generalPractitioner",
        ),
    }
)
"""By resource type; what is not here is always given whole."""
