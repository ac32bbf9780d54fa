"""FHIR R4 and R5 side by side: the one table of what differs between the two releases.

Everything in this package reads and writes R4, whose resources hold all that the internal model has. A base
of R5 converts at its edge: an answer with `to_r5` when it is written, a request with `from_r5` when it is
read. A stored document is never converted. Sources: FHIR 4.0.1 and 5.0.0, IHE MHD 4.2.4 and 5.1.0.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.fhir import version_documents as documents
from gateway.fhir import version_others as others
from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_selections import SELECTION, selection_as_basic
from gateway.fhir.version_names import PATH, canonical_in_r4, canonical_in_r5
from gateway.fhir.version_rules import (
    CODING_CONCEPT,
    CONCEPT,
    LIST,
    REFERENCE,
    Differences,
    Gone,
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
from gateway.model.releases import FhirRelease

# --- the table --------------------------------------------------------------------------------------------
_REASONS: Final = Split("reasonCode", "reasonReference", "reason")
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
                _REASONS,
                Gone(("interpreter",)),
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
                _REASONS,
                Moved("supportingInfo", "supportingInfo", each(REFERENCE)),
                Moved("patientInstruction", "patientInstruction", others.INSTRUCTION),
                Gone(r5=("focus", "bodyStructure")),
            )
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
                _REASONS,
                Split("complication", "complicationDetail", "complication"),
                Split("usedCode", "usedReference", "used"),
                Gone(r5=("focus", "recorded", "reportedBoolean", "supportingInfo", "occurrenceTiming")),
            )
        ),
        "Device": Differences(
            (
                Native((imaging.EXT_DEVICE_CATEGORY,), "category", "valueCodeableConcept", repeats=True),
                Gone(
                    r5=(
                        "conformsTo",
                        "mode",
                        "cycle",
                        "duration",
                        "endpoint",
                        "gateway",
                        "biologicalSourceEvent",
                    )
                ),
            )
        ),
    }
)
"""What differs, by type; a type that is not here is alike in both, as Binary and OperationDefinition are."""


# --- conversion ------------------------------------------------------------------------------------------
def _profiles_up(resource: Json, profiles: list[str]) -> list[str]:
    """MADO has no profiles for R5; MHD is claimed with its version, where content.profile is as it wants."""
    content = resource.get("content") if resource["resourceType"] == "DocumentReference" else None
    as_mhd = all(len(part.get("profile", ())) < 2 for part in content or ())
    claimed = []
    for profile in profiles:
        if profile.startswith(codes.MHD) and as_mhd:
            claimed.append(f"{profile.partition('|')[0]}|{FhirRelease.R5.mhd}")
        elif not profile.startswith((codes.MHD, imaging.MADO)):
            claimed.append(canonical_in_r5(profile))
    return claimed


def _profiles_down(_: Json, profiles: list[str]) -> list[str]:
    return [
        profile.removesuffix(f"|{FhirRelease.R5.mhd}")
        if profile.startswith(codes.MHD)
        else canonical_in_r4(profile)
        for profile in profiles
    ]


# --- conversion -------------------------------------------------------------------------------------------
def _ignore(_: str) -> None:
    """Default of `lost`."""


def to_r5(resource: Json, lost: Lost = _ignore) -> Json:
    """A resource of FHIR R4 in R5; `lost` is told what has no place in it. FHIR documents stay as they are.

    `lost` gets the element with its type, `ImagingStudy.interpreter`.
    """
    return _Conversion(lost, up=True).resource(resource)


def from_r5(resource: Json, lost: Lost = _ignore, *, document: bool = False) -> Json:
    """A valid resource of FHIR R5 in R4; `lost` is told what has no place in it.

    `document` reads a FHIR document too, for what it says; it must not be stored in this form.
    """
    return _Conversion(lost, up=False, documents=document).resource(resource)


class _Conversion:
    def __init__(self, lost: Lost, *, up: bool, documents: bool = False) -> None:
        self._lost = lost
        self._up = up
        self._documents = documents
        self._url: Callable[[str], str] = canonical_in_r5 if up else canonical_in_r4

    def resource(self, given: Json) -> Json:
        """A resource of either release in the other."""
        if given.get("resourceType") == SELECTION and not self._up:
            given = selection_as_basic(given, self._lost)
        kind = given.get("resourceType")
        if not isinstance(kind, str):
            return given
        if kind == "Bundle" and given.get("type") == "document" and not self._documents:
            return given
        made = self._object(given, kind)
        if "contained" in given:
            made["contained"] = self._values(given["contained"], "Resource")
        meta = made.get("meta")
        if isinstance(meta, dict) and "profile" in meta:
            profiles = (_profiles_up if self._up else _profiles_down)(made, meta["profile"])
            made["meta"] = {name: value for name, value in meta.items() if name != "profile"}
            if profiles:
                made["meta"]["profile"] = profiles
            if not made["meta"]:
                del made["meta"]
        return made

    def _object(self, given: Json, kind: str) -> Json:
        differences = DIFFERENCES.get(kind)
        if differences is None:
            return self._named(given)
        claimed = differences.claimed_r4 if self._up else differences.claimed_r5
        made = {name: value for name, value in given.items() if name not in claimed}
        if "extension" in made:
            self._keep_extensions(made, differences)

        def lost(element: str) -> None:
            self._lost(f"{kind}.{element}")

        for rule in differences.rules:
            (rule.up if self._up else rule.down)(given, made, lost)
        children = {name: made.pop(name) for name in differences.inside if name in made}
        made = self._named(made)
        for name, value in children.items():
            made[name] = self._values(value, differences.inside[name])
        return made

    def _keep_extensions(self, made: Json, differences: Differences) -> None:
        urls = differences.native_r4 if self._up else differences.r5_extensions
        kept = [
            item for item in made["extension"] if not (isinstance(item, dict) and item.get("url") in urls)
        ]
        del made["extension"]
        if kept:
            made["extension"] = kept

    def _values(self, value: Any, kind: str) -> Any:
        if isinstance(value, list):
            return [self._values(item, kind) for item in value]
        if not isinstance(value, dict):
            return value
        return self.resource(value) if kind == "Resource" else self._object(value, kind)

    def _named(self, value: Json) -> Json:
        """An object with the canonicals of the other release, where a system or an extension has one."""
        return {
            name: self._url(item)
            if name in ("system", "url") and isinstance(item, str)
            else self._below(item)
            for name, item in value.items()
        }

    def _below(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._below(item) for item in value]
        return self._named(value) if isinstance(value, dict) else value
