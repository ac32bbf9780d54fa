"""FHIR R4 and R5 side by side: the one table of what differs between the two releases.

Everything in this package reads and writes R4, whose resources hold all that the internal model has. A base
of R5 converts at its edge: an answer with `to_r5` when it is written, a request with `from_r5` when it is
read. A stored document is never converted. Sources: FHIR 4.0.1 and 5.0.0, IHE MHD 4.2.4 and 5.1.0.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.fhir import version_clinical as clinical
from gateway.fhir import version_documents as documents
from gateway.fhir import version_others as others
from gateway.fhir.datatypes import Json
from gateway.fhir.version_clinical_rows import CLINICAL
from gateway.fhir.version_conversion import Conversion, ConversionError
from gateway.fhir.version_names import PATH
from gateway.fhir.version_rules import (
    CODING_CONCEPT,
    CONCEPT,
    LIST,
    REASONS,
    Differences,
    Gone,
    Kept,
    Lost,
    Moved,
    Native,
    Own,
    Split,
    chain,
    each,
)
from gateway.model import codes
from gateway.model import imaging_codes as imaging

# --- the table --------------------------------------------------------------------------------------------
_MADO_EXTENSION: Final = imaging.MADO_STRUCTURE + "ext-R5-"
_PERSON: Final = Differences(inside={"photo": "Attachment"})

DIFFERENCES: Final[Mapping[str, Differences]] = MappingProxyType(
    {
        "DocumentReference": Differences(
            (
                Own(
                    ("masterIdentifier", "identifier"),
                    ("identifier",),
                    documents.identifiers_up,
                    documents.identifiers_down,
                ),
                Moved("authenticator", "attester", documents.ATTESTER),
                Own(
                    ("context",),
                    ("context", "event", "period", "facilityType", "practiceSetting", "basedOn"),
                    documents.context_up,
                    documents.context_down,
                ),
                Moved("docStatus", "docStatus", others.DOC_STATUS),
                Native(
                    (imaging.EXT_DOCUMENT_MODALITY, _MADO_EXTENSION + "DocumentReference.modality"),
                    "modality",
                    "valueCodeableConcept",
                    repeats=True,
                ),
                Native(
                    (imaging.EXT_DOCUMENT_BODY_SITE, _MADO_EXTENSION + "DocumentReference.bodySite"),
                    "bodySite",
                    "concept",
                    repeats=True,
                ),
                Native((codes.EXT_R5 + "DocumentReference.version",), "version", "valueString"),
            ),
            {"content": "DocumentReference.content", "relatesTo": "DocumentReference.relatesTo"},
            r5_extensions=frozenset({codes.EXT_SOURCE_PATIENT, codes.EXT_REFERENCE_ID}),
        ),
        "DocumentReference.content": Differences(
            (Own(("format",), ("profile",), documents.profiles_up, documents.profiles_down),),
            {"attachment": "Attachment"},
            r4_extensions=documents.CONTENT_EXTENSIONS,
        ),
        "DocumentReference.relatesTo": Differences((Moved("code", "code", documents.RELATION),)),
        "Attachment": Differences(
            (Moved("size", "size", others.SIZE), Gone(r5=("height", "width", "frames", "duration", "pages")))
        ),
        "List": Differences((Moved("subject", "subject", LIST),)),
        "Bundle": Differences(
            (Own(("entry",), ("entry", "issues"), others.bundle_up, others.bundle_down),),
            {"entry": "Bundle.entry"},
        ),
        "Bundle.entry": Differences(inside={"resource": "Resource", "response": "Bundle.entry.response"}),
        "Bundle.entry.response": Differences(inside={"outcome": "Resource"}),
        "Parameters": Differences(inside={"parameter": "Parameters.parameter"}),
        "Parameters.parameter": Differences(inside={"resource": "Resource", "part": "Parameters.parameter"}),
        "OperationOutcome": Differences(inside={"issue": "OperationOutcome.issue"}),
        "OperationOutcome.issue": Differences((Moved("expression", "expression", each(PATH)),)),
        "SearchParameter": Differences(
            (
                Moved("expression", "expression", PATH),
                Own((), ("processingMode",), others.processing_up, others.processing_down),
            )
        ),
        "Patient": _PERSON,
        "RelatedPerson": _PERSON,
        "Practitioner": Differences(
            (
                Moved("communication", "communication", others.LANGUAGES),
                Gone(r5=("deceasedBoolean", "deceasedDateTime")),
            ),
            {"photo": "Attachment"},
        ),
        "PractitionerRole": Differences(
            (
                Moved("telecom", "contact", others.CONTACTS),
                Gone(
                    ("availableTime", "notAvailable", "availabilityExceptions"),
                    ("availability", "characteristic", "communication"),
                ),
            )
        ),
        "Organization": Differences(
            (
                Own(
                    ("telecom", "address", "contact"),
                    ("contact",),
                    others.organization_up,
                    others.organization_down,
                ),
                Gone(r5=("description", "qualification")),
            )
        ),
        "Endpoint": Differences(
            (
                Moved("connectionType", "connectionType", chain(CODING_CONCEPT, LIST)),
                Own(("payloadType", "payloadMimeType"), ("payload",), others.payload_up, others.payload_down),
                Gone(r5=("description", "environmentType")),
            )
        ),
        "ImagingStudy": Differences(
            (
                Moved("modality", "modality", each(CODING_CONCEPT)),
                Moved("procedureCode", "procedure", each(CONCEPT)),
                Moved("procedureReference", "partOf", LIST),
                REASONS,
                Kept(
                    "interpreter", codes.EXT_R4 + "ImagingStudy.interpreter", "valueReference", repeats=True
                ),
            ),
            {"series": "ImagingStudy.series"},
        ),
        "ImagingStudy.series": Differences(
            (
                Moved("modality", "modality", CODING_CONCEPT),
                Moved("laterality", "laterality", CODING_CONCEPT),
                Moved("bodySite", "bodySite", chain(CODING_CONCEPT, CONCEPT)),
            )
        ),
        "ServiceRequest": Differences(
            (
                Moved("code", "code", CONCEPT),
                Moved("orderDetail", "orderDetail", others.ORDER_DETAIL),
                Split("locationCode", "locationReference", "location"),
                Own(REASONS.r4, REASONS.r5, clinical.order_reasons_up, REASONS.down),
                Moved("supportingInfo", "supportingInfo", each(clinical.SUPPORTING)),
                Moved("patientInstruction", "patientInstruction", others.INSTRUCTION),
                Gone(r5=("focus", "bodyStructure")),
            ),
            r4_extensions=clinical.ORDER_EXTENSIONS,
        ),
        "Provenance": Differences(
            (
                Moved("reason", "authorization", each(CONCEPT)),
                Gone(r5=("basedOn", "patient", "encounter")),
            ),
            {"entity": "Provenance.entity"},
        ),
        "Provenance.entity": Differences((Moved("role", "role", others.ENTITY_ROLE),)),
        "DiagnosticReport": Differences(
            (
                Moved("imagingStudy", "study"),
                Moved("status", "status", others.REPORT_STATUS),
                Native((codes.EXT_R5 + "DiagnosticReport.composition",), "composition", "valueReference"),
                Native((codes.EXT_R5 + "DiagnosticReport.note",), "note", "valueAnnotation", repeats=True),
                Gone(r5=("supportingInfo",)),
            ),
            {"presentedForm": "Attachment"},
        ),
        "Composition": Differences(
            (
                Moved("identifier", "identifier", LIST),
                Moved("subject", "subject", LIST),
                Moved("status", "status", others.COMPOSITION_STATUS),
                Own(("confidentiality",), (), others.confidentiality_up, others.confidentiality_down),
                Native((codes.EXT_R5 + "Composition.version",), "version", "valueString"),
                Gone(r5=("url", "useContext", "name", "note")),
            ),
            {
                "attester": "Composition.attester",
                "relatesTo": "Composition.relatesTo",
                "event": "Composition.event",
                "section": "Composition.section",
            },
        ),
        "Composition.attester": Differences((Moved("mode", "mode", others.MODE),)),
        "Composition.relatesTo": Differences(
            (
                Own(
                    ("code", "targetReference", "targetIdentifier"),
                    ("type", "resourceReference"),
                    others.composition_relation_up,
                    others.composition_relation_down,
                ),
            )
        ),
        "Composition.event": Differences((Split("code", "detail", "detail"),)),
        "Composition.section": Differences((Gone(("mode",)),), {"section": "Composition.section"}),
        "Procedure": Differences(
            (
                *(
                    Moved(f"performed{kind}", f"occurrence{kind}")
                    for kind in ("DateTime", "Period", "String", "Age", "Range")
                ),
                Moved("category", "category", LIST),
                Moved("asserter", "reportedReference"),
                REASONS,
                Split("complication", "complicationDetail", "complication"),
                Split("usedCode", "usedReference", "used"),
                Gone(r5=("focus", "recorded", "reportedBoolean", "supportingInfo", "occurrenceTiming")),
            )
        ),
        **CLINICAL,
    }
)
"""What differs, by type; a type that is not here is alike in both, as Binary and OperationDefinition are."""


# --- conversion -------------------------------------------------------------------------------------------
def _ignore(_: str) -> None:
    """Default of `lost`."""


def to_r5(resource: Json, lost: Lost = _ignore) -> Json:
    """A resource of FHIR R4 in R5; `lost` is told what has no place in it. FHIR documents stay as they are.

    `lost` gets the element with its type, `Composition.section.mode`. Raises ConversionError.
    """
    return Conversion(DIFFERENCES, resource, lost, up=True).convert(resource)


def from_r5(resource: Json, lost: Lost = _ignore, *, document: bool = False) -> Json:
    """A valid resource of FHIR R5 in R4; `lost` is told what has no place in it.

    `document` reads a FHIR document too, for what it says; it must not be stored in this form.
    Raises ConversionError.
    """
    return Conversion(DIFFERENCES, resource, lost, up=False, documents=document).convert(resource)


__all__ = ["DIFFERENCES", "ConversionError", "from_r5", "to_r5"]
