"""Resources of sample imaging reports in FHIR R4 and R5 (HL7 Europe Imaging Report 1.0.0-ballot).

What the releases write differently is decided here; `gateway.demo.reports` says what the reports are about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from gateway.demo.samples import LOINC, IdSource, SampleAuthor, SampleCode, SamplePatient
from gateway.model import codes
from gateway.model.releases import FhirRelease

Resource = dict[str, Any]

_EU: Final = {
    FhirRelease.R4: "http://hl7.eu/fhir/imaging/StructureDefinition/",
    FhirRelease.R5: "http://hl7.eu/fhir/imaging-r5/StructureDefinition/",
}
_BASE: Final = {
    FhirRelease.R4: "http://hl7.eu/fhir/base/StructureDefinition/",
    FhirRelease.R5: "http://hl7.eu/fhir/base-r5/StructureDefinition/",
}
_CATEGORY_SYSTEM: Final = {
    FhirRelease.R4: "http://hl7.eu/fhir/health-data-api/CodeSystem/eehrxf-document-priority-category-cs",
    FhirRelease.R5: "http://hl7.eu/fhir/eu-health-data-api/CodeSystem/eehrxf-document-priority-category-cs",
}
_R5_EXTENSION: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
_CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_SECTIONS: Final = {
    "imagingstudy": ("18726-0", "Imaging study"),
    "order": ("55115-0", "Order"),
    "history": ("11329-0", "History"),
    "procedure": ("55111-9", "Procedure"),
    "comparison": ("18834-2", "Comparison"),
    "findings": ("59776-5", "Findings"),
    "impression": ("19005-8", "Impression"),
    "recommendation": ("18783-1", "Recommendations"),
}
IMAGING: Final = SampleCode("http://snomed.info/sct", "363679005", "Imaging")
IMAGING_DEVICE: Final = SampleCode("http://snomed.info/sct", "314789007", "Diagnostic imaging equipment")
RADIOLOGY_SERVICE: Final = SampleCode("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")
_OF_INTEREST: Final = SampleCode("http://dicom.nema.org/resources/ontology/DCM", "113000", "Of Interest")


@dataclass(frozen=True, slots=True)
class ReportSeries:
    """A series of a study in a report; `instances` are SOP Instance UID, SOP class and number."""

    uid: str
    number: int
    description: str
    modality: SampleCode
    body_site: SampleCode | None = None
    laterality: SampleCode | None = None
    instances: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ReportStudy:
    """A study that a report is about; `started` is a FHIR dateTime with zone."""

    uid: str
    started: str
    description: str
    region: SampleCode
    series: tuple[ReportSeries, ...]


@dataclass(frozen=True, slots=True)
class ReportOrder:
    """An imaging order by its numbers; authorities are bare OIDs."""

    accession: str
    accession_authority: str
    placer: str
    placer_authority: str

    @property
    def accession_identifier(self) -> Resource:
        """Identifier of the accession number with both types that the guide knows."""
        return {
            "type": {
                "coding": [
                    {"system": codes.V2_IDENTIFIER_TYPE, "code": "ACSN"},
                    {"system": codes.DICOM_CODE_SYSTEM, "code": "121022", "display": "Accession Number"},
                ]
            },
            "system": f"urn:oid:{self.accession_authority}",
            "value": self.accession,
        }

    @property
    def placer_identifier(self) -> Resource:
        """Identifier of the placer order number."""
        return {
            "type": {"coding": [{"system": codes.V2_IDENTIFIER_TYPE, "code": "PLAC"}]},
            "system": f"urn:oid:{self.placer_authority}",
            "value": self.placer,
        }


def narrative(lines: Iterable[str]) -> Resource:
    """Narrative of paragraphs."""
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'}


@dataclass(slots=True)
class ReportWriter:
    """Collects the entries of one report; every method adds one and returns the reference to it."""

    release: FhirRelease
    ids: IdSource
    entries: list[Resource] = field(default_factory=list)

    @property
    def is_r5(self) -> bool:
        """True for FHIR R5."""
        return self.release is FhirRelease.R5

    def profile(self, name: str, base: str = "") -> Resource:
        """meta of a resource of a profile of the guide, or of EU Base with `base`."""
        return {"profile": [(_BASE if base else _EU)[self.release] + name]}

    def add(self, resource: Resource, url: str | None = None) -> Resource:
        """An entry of the Bundle; the Reference to it."""
        name = url or self.ids.uuid()
        kind = resource.pop("resourceType")
        made = {"resourceType": kind, "id": name.removeprefix("urn:uuid:"), **resource}
        self.entries.append({"fullUrl": name, "resource": made})
        return {"reference": name}

    # --- people -----------------------------------------------------------------------------------------
    def patient(self, patient: SamplePatient) -> Resource:
        """Patient of EU Core."""
        made: Resource = {**patient.resource(""), "meta": self.profile("patient-eu-core", "base")}
        made.pop("id")
        return self.add(made)

    def organization(self, author: SampleAuthor) -> Resource:
        """Organization of EU Core."""
        identifier = {"system": codes.URI_SYSTEM, "value": f"urn:oid:{author.organization_id}"}
        return self.add(
            {
                "resourceType": "Organization",
                "meta": self.profile("organization-eu-core", "base"),
                "identifier": [identifier],
                "name": author.organization,
            }
        )

    def role(self, author: SampleAuthor, organization: Resource, authority: str) -> Resource:
        """Practitioner and its PractitionerRole for an organization; the reference to the role."""
        practitioner = self.add(
            {
                "resourceType": "Practitioner",
                "meta": self.profile("practitioner-eu-core", "base"),
                "identifier": [{"system": f"urn:oid:{authority}", "value": author.staff_id}],
                "name": [{"family": author.family, "given": [author.given]}],
            }
        )
        role: Resource = {
            "resourceType": "PractitionerRole",
            "meta": self.profile("practitionerRole-eu-core", "base"),
            "practitioner": practitioner,
            "organization": organization,
        }
        if author.role is not None:
            role["code"] = [author.role.concept()]
        return self.add(role)

    # --- what was done ----------------------------------------------------------------------------------
    def order(self, order: ReportOrder, code: SampleCode, reason: str, patient: Resource) -> Resource:
        """ServiceRequest; the Reference has the accession number beside it."""
        reference = self.add(
            {
                "resourceType": "ServiceRequest",
                "meta": self.profile("ServiceRequestOrderEuImaging"),
                "identifier": [order.accession_identifier, order.placer_identifier],
                "status": "completed",
                "intent": "order",
                "category": [IMAGING.concept()],
                "code": {"concept": code.concept()} if self.is_r5 else code.concept(),
                "subject": patient,
                **(
                    {"reason": [{"concept": {"text": reason}}]}
                    if self.is_r5
                    else {"reasonCode": [{"text": reason}]}
                ),
            }
        )
        return {**reference, "type": "ServiceRequest", "identifier": order.accession_identifier}

    def study(self, study: ReportStudy, order: Resource, patient: Resource) -> Resource:
        """ImagingStudy without endpoints, which a report does not have."""
        modalities = {series.modality.code: series.modality for series in study.series}.values()
        identifier = {
            "type": {
                "coding": [
                    {"system": codes.DICOM_CODE_SYSTEM, "code": "110180", "display": "Study Instance UID"}
                ]
            },
            "system": codes.DICOM_UID_SYSTEM,
            "value": f"urn:oid:{study.uid}",
        }
        return self.add(
            {
                "resourceType": "ImagingStudy",
                "meta": self.profile("ImagingStudyEuImaging"),
                "extension": [self.region(study.region)],
                "identifier": [identifier],
                "status": "available",
                "modality": [self._coded(modality) for modality in modalities],
                "subject": patient,
                "started": study.started,
                "basedOn": [order],
                "numberOfSeries": len(study.series),
                "description": study.description,
                "series": [self._series(series) for series in study.series],
            }
        )

    def _series(self, series: ReportSeries) -> Resource:
        made: Resource = {
            "uid": series.uid,
            "number": series.number,
            "modality": self._coded(series.modality),
            "description": series.description,
        }
        if series.body_site is not None:
            concept = {"concept": series.body_site.concept()}
            made["bodySite"] = concept if self.is_r5 else series.body_site.coding()
        if series.laterality is not None:
            made["laterality"] = self._coded(series.laterality)
        if series.instances:
            made["numberOfInstances"] = len(series.instances)
            made["instance"] = [
                {"uid": uid, "sopClass": _sop_class(sop_class), "number": number}
                for uid, sop_class, number in series.instances
            ]
        return made

    def _coded(self, code: SampleCode) -> Resource:
        """A Coding of R4 where R5 has a CodeableConcept."""
        return code.concept() if self.is_r5 else code.coding()

    def region(self, region: SampleCode) -> Resource:
        """Extension of the anatomical region."""
        url = _EU[self.release] + "AnatomicalRegionExtension"
        return {"url": url, "valueCodeableConcept": region.concept()}

    def procedure(
        self, code: SampleCode, patient: Resource, performers: Sequence[Resource], period: tuple[str, str]
    ) -> Resource:
        """Procedure; `performers` are BackboneElements of function and actor."""
        done = {"start": period[0], "end": period[1]}
        return self.add(
            {
                "resourceType": "Procedure",
                "meta": self.profile("ProcedureEuImaging"),
                "status": "completed",
                "code": code.concept(),
                "subject": patient,
                "occurrencePeriod" if self.is_r5 else "performedPeriod": done,
                "performer": list(performers),
            }
        )

    def device(self, manufacturer: str, model: str) -> Resource:
        """Imaging device."""
        category = IMAGING_DEVICE.concept()
        native: Resource = {"category": [category]}
        extended: Resource = {
            "extension": [{"url": f"{_R5_EXTENSION}Device.category", "valueCodeableConcept": category}]
        }
        return self.add(
            {
                "resourceType": "Device",
                "meta": self.profile("DeviceEuImaging"),
                **(native if self.is_r5 else extended),
                "status": "active",
                "manufacturer": manufacturer,
                "modelNumber": model,
            }
        )

    def dose(self, text: str, *, patient: Resource, study: Resource, order: Resource, when: str) -> Resource:
        """Radiation dose, which the guide has as text."""
        return self.add(
            {
                "resourceType": "Observation",
                "meta": self.profile("ObservationRadiationDoseEuImaging"),
                "basedOn": [order],
                "status": "final",
                "code": SampleCode(
                    LOINC, "73569-6", "Radiation exposure and protection information [Description] Document"
                ).concept(),
                "subject": patient,
                "effectiveDateTime": when,
                "valueString": text,
                "derivedFrom": [study],
            }
        )

    def finding(
        self,
        code: SampleCode,
        value: Resource,
        *,
        patient: Resource,
        order: Resource,
        who: Resource,
        when: str,
    ) -> Resource:
        """Coded finding; `value` is the value[x] of the Observation."""
        return self.add(
            {
                "resourceType": "Observation",
                "meta": self.profile("ObservationFindingEuImaging"),
                "basedOn": [order],
                "status": "final",
                "code": code.concept(),
                "subject": patient,
                "effectiveDateTime": when,
                "performer": [who],
                **value,
            }
        )

    def condition(self, code: SampleCode, patient: Resource) -> Resource:
        """Impression as Condition."""
        clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
        verified = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        return self.add(
            {
                "resourceType": "Condition",
                "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]},
                "verificationStatus": {"coding": [{"system": verified, "code": "confirmed"}]},
                "code": code.concept(),
                "subject": patient,
            }
        )

    def key_image(
        self, study: ReportStudy, series: ReportSeries, patient: Resource, reference: Resource
    ) -> Resource:
        """The first instance of a series as key image: ImagingSelection, in R4 a Basic that stands for it."""
        uid, sop_class, number = series.instances[0]
        meta = self.profile("ImagingSelectionKeyImageEuImaging")
        if self.is_r5:
            return self.add(
                {
                    "resourceType": "ImagingSelection",
                    "meta": meta,
                    "status": "available",
                    "subject": patient,
                    "code": _OF_INTEREST.concept(),
                    "studyUid": study.uid,
                    "derivedFrom": [reference],
                    "seriesUid": series.uid,
                    "instance": [{"uid": uid, "number": number, "sopClass": _sop_class(sop_class)}],
                }
            )
        instance = [
            {"url": "uid", "valueId": uid},
            {"url": "number", "valueUnsignedInt": number},
            {"url": "sopClass", "valueCoding": _sop_class(sop_class)},
        ]
        content = [
            {"url": "status", "valueCode": "available"},
            {"url": "studyUid", "valueId": study.uid},
            {"url": "derivedFrom", "valueReference": reference},
            {"url": "seriesUid", "valueId": series.uid},
            {"url": "instance", "extension": instance},
        ]
        return self.add(
            {
                "resourceType": "Basic",
                "meta": meta,
                "extension": [{"url": f"{_R5_EXTENSION}ImagingSelection", "extension": content}],
                "code": _OF_INTEREST.concept(),
                "subject": patient,
            }
        )

    # --- the report itself ------------------------------------------------------------------------------
    def categories(self) -> list[Resource]:
        """The categories of Composition and DiagnosticReport."""
        system = _CATEGORY_SYSTEM[self.release]
        return [
            {"coding": [{"system": LOINC, "code": "85430-7"}]},
            {"coding": [{"system": system, "code": "Medical-Imaging"}]},
            RADIOLOGY_SERVICE.concept(),
        ]

    def confidentiality(self, code: str) -> Resource:
        """Label of a resource, which R5 has in place of Composition.confidentiality."""
        return {"security": [{"system": _CONFIDENTIALITY, "code": code}]}

    def r5_extension(self, element: str, **value: Any) -> Resource:
        """Extension of R4 that stands for an element of R5."""
        return {"url": _R5_EXTENSION + element, **value}


def section(name: str, lines: Sequence[str], entries: Sequence[Resource] = ()) -> Resource:
    """A section of the Composition; one without entries has its text as note, as the guide wants it."""
    code, title = _SECTIONS[name]
    made: Resource = {}
    if not entries:
        note = {"text": "\n".join(lines)}
        url = "http://hl7.org/fhir/StructureDefinition/note"
        made["extension"] = [{"url": url, "valueAnnotation": note}]
    made |= {"title": title, "code": {"coding": [{"system": LOINC, "code": code}]}, "text": narrative(lines)}
    if entries:
        made["entry"] = list(entries)
    return made


def _sop_class(uid: str) -> Resource:
    return {"system": codes.URI_SYSTEM, "code": f"urn:oid:{uid}"}
