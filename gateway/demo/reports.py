"""Sample imaging reports in each format of the guide, in FHIR R4 and R5 (HL7 Europe Imaging Report
1.0.0-ballot): an MRI of the foot in sections, a structured cardiac CT with key images and dose, and a PDF
with minimal metadata. The same ids and study give the same bytes.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import orjson

from gateway.demo.ct_study import SampleStudy
from gateway.demo.pdf import write_pdf
from gateway.demo.report_parts import ReportOrder, ReportSeries, ReportStudy, ReportWriter, Resource, section
from gateway.demo.samples import (
    DICOM_CODES,
    LOINC,
    ORGANIZATION,
    SNOMED,
    STAFF_AUTHORITY,
    IdSource,
    SampleAuthor,
    SampleCode,
    SamplePatient,
)
from gateway.model import codes
from gateway.model.releases import FhirRelease

MR: Final = SampleCode(DICOM_CODES, "MR", "Magnetic Resonance")
CT: Final = SampleCode(DICOM_CODES, "CT", "Computed Tomography")
LOWER_LIMB: Final = SampleCode(SNOMED, "61685007", "Lower limb structure")
HEART: Final = SampleCode(SNOMED, "80891009", "Heart structure")
FOOT: Final = SampleCode(SNOMED, "56459004", "Foot structure")
LEFT: Final = SampleCode(SNOMED, "7771000", "Left")
_MR_CLASS: Final = "1.2.840.10008.5.1.4.1.1.4"
_KEY_CLASS: Final = "KO"
_MR_OF_FOOT: Final = SampleCode(SNOMED, "241648001", "MRI of foot")
_FOOT_REPORT: Final = SampleCode(LOINC, "24707-6", "MR Foot")
_HEART_REPORT: Final = SampleCode(LOINC, "58744-4", "CT Heart")
_CT_OF_HEART: Final = SampleCode(SNOMED, "241547009", "CT of heart")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCase:
    """Whom and what a report is about. `identifier` is the bare OID of the document, `written` an instant."""

    identifier: str
    patient: SamplePatient
    author: SampleAuthor
    order: ReportOrder
    study: ReportStudy
    written: str


def foot_study(ids: IdSource) -> ReportStudy:
    """The MRI that the foot report is about."""
    series = tuple(
        ReportSeries(
            ids.oid(6),
            number,
            description,
            MR,
            FOOT,
            LEFT,
            tuple((ids.oid(7), _MR_CLASS, at + 1) for at in range(2)),
        )
        for number, description in ((1, "PD FS sagittal"), (2, "T1 axial"))
    )
    return ReportStudy(ids.oid(3), "2025-04-29T09:15:00+02:00", "MRI of the left foot", LOWER_LIMB, series)


def study_of(images: SampleStudy) -> ReportStudy:
    """The sample CT as its report sees it: the series of images, without key objects."""
    date, time = images.date, images.time
    started = f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:4]}:{time[4:6]}Z"
    series = tuple(
        ReportSeries(
            one.series_instance_uid,
            one.number,
            one.description,
            CT,
            HEART,
            instances=tuple((i.sop_instance_uid, i.sop_class_uid, i.number) for i in one.images),
        )
        for one in images.series
        if one.modality != _KEY_CLASS
    )
    return ReportStudy(images.study_instance_uid, started, "CT of the heart", HEART, series)


# --- the reports ------------------------------------------------------------------------------------------
def foot_report(release: FhirRelease, ids: IdSource, case: ReportCase) -> bytes:
    """An MRI of the foot in sections with narrative."""
    report = _Document(release, ids, case, _FOOT_REPORT, "MRI of the left foot")
    write, study = report.writer, report.study
    order = report.order(_MR_OF_FOOT, "Pain of the first metatarsophalangeal joint")
    procedure = write.procedure(
        _MR_OF_FOOT,
        report.patient,
        [_performer("223366009", "Healthcare professional", report.role)],
        _PERIOD,
    )
    findings = (
        "Beginning osteoarthritis of the first metatarsophalangeal joint.",
        "No fracture, no effusion.",
    )
    anchor = report.finding(
        SampleCode(LOINC, "59776-5", "Procedure findings Narrative"), {"valueString": findings[0]}
    )
    sections = [
        section("imagingstudy", ("MRI of the left foot, two series.",), [study]),
        section("order", ("MRI of the foot because of pain of the big toe.",), [order]),
        section("history", ("Pain for three months, no trauma.",)),
        section("procedure", ("MRI of the left foot without contrast.",), [procedure]),
        section("comparison", ("No earlier images.",)),
        section("findings", findings, [anchor]),
        section("impression", ("Beginning osteoarthritis of the big toe.",)),
        section("recommendation", ("Clinical follow-up in a year.",)),
    ]
    return report.finish(sections, [anchor], "Beginning osteoarthritis of the big toe.")


def cardiac_report(release: FhirRelease, ids: IdSource, case: ReportCase) -> bytes:
    """A structured CT of the heart: coded findings and impression, key images, device and dose."""
    report = _Document(release, ids, case, _HEART_REPORT, "CT of the heart")
    write, patient, study = report.writer, report.patient, report.study
    order = report.order(_CT_OF_HEART, "Atypical chest pain")
    device = write.device("Sample content", "Example CT 64")
    procedure = write.procedure(
        _CT_OF_HEART,
        patient,
        [
            _performer("223366009", "Healthcare professional", report.role),
            _performer("314789007", "Diagnostic imaging equipment", device),
        ],
        _PERIOD,
    )
    dose_text = "CTDIvol 6.2 mGy, DLP 118 mGy.cm"
    dose = write.dose(dose_text, patient=patient, study=study, order=order, when=case.study.started)
    score = report.finding(
        SampleCode(SNOMED, "450360000", "Coronary artery calcium score"),
        {"valueQuantity": {"value": 12, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}},
    )
    fraction = report.finding(
        SampleCode(LOINC, "10230-1", "Left ventricular Ejection fraction"),
        {"valueQuantity": {"value": 61, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}},
    )
    images = [write.key_image(case.study, series, patient, study) for series in case.study.series[:2]]
    impression = write.condition(SampleCode(SNOMED, "53741008", "Coronary arteriosclerosis"), patient)
    sections = [
        section("imagingstudy", ("CT of the heart with contrast.",), [study]),
        section("order", ("CT of the heart because of atypical chest pain.",), [order]),
        section("history", ("Smoker, no earlier cardiac events.",)),
        section("procedure", ("CT of the heart, ECG-gated.", f"Dose: {dose_text}"), [procedure, dose]),
        section(
            "findings",
            ("Calcium score 12.", "Ejection fraction 61 %.", "Two key images."),
            [score, fraction, *images],
        ),
        section("impression", ("Coronary arteriosclerosis without stenosis.",), [impression]),
    ]
    return report.finish(
        sections,
        [score, fraction, dose] if write.is_r5 else [score, fraction],
        "Coronary arteriosclerosis without stenosis.",
    )


def minimal_report(release: FhirRelease, ids: IdSource, case: ReportCase) -> bytes:
    """A PDF with minimal metadata; order and study are named by identifiers."""
    write = ReportWriter(release, ids)
    url = ids.uuid()
    patient = write.patient(case.patient)
    organization = write.organization(case.author)
    role = write.role(case.author, organization, STAFF_AUTHORITY)
    title = "Imaging report"
    pdf = write_pdf(title, [f"Date: {case.written}", "", "Normal examination."])
    order = {"type": "ServiceRequest", "identifier": case.order.accession_identifier}
    report = {
        **write.confidentiality("N"),
        **write.profile("DiagnosticReportEuImagingMinimalMetadata"),
    }
    study_uid = {"type": _STUDY_UID, "system": codes.DICOM_UID_SYSTEM, "value": f"urn:oid:{case.study.uid}"}
    write.add(
        {
            "resourceType": "DiagnosticReport",
            "meta": report,
            "language": "en",
            "extension": [write.region(case.study.region)],
            "identifier": [_report_number(case)],
            "basedOn": [order],
            "status": "final",
            "category": write.categories(),
            "code": SampleCode(LOINC, "85430-7", "Diagnostic imaging report").concept(),
            "subject": patient,
            "effectiveDateTime": case.study.started,
            "issued": case.written,
            "performer": [organization],
            "resultsInterpreter": [role],
            "study" if write.is_r5 else "imagingStudy": [{"type": "ImagingStudy", "identifier": study_uid}],
            "presentedForm": [
                {
                    "contentType": "application/pdf",
                    "language": "en",
                    "data": b64encode(pdf).decode(),
                    "title": title,
                    "creation": case.written,
                }
            ],
        },
        url,
    )
    entries = sorted(write.entries, key=lambda entry: entry["fullUrl"] != url)
    return _bundle(write, "BundleReportMinimalMetadataEuImaging", "collection", case, entries)


WRITERS: Final[Mapping[str, Callable[[FhirRelease, IdSource, ReportCase], bytes]]] = MappingProxyType(
    {"foot": foot_report, "cardiac": cardiac_report, "minimal": minimal_report}
)
"""Every kind of sample report by name."""

_PERIOD: Final = ("2025-04-29T09:10:00+02:00", "2025-04-29T09:40:00+02:00")
_STUDY_UID: Final = {
    "coding": [{"system": codes.DICOM_CODE_SYSTEM, "code": "110180", "display": "Study Instance UID"}]
}


class _Document:
    """A report with Composition and DiagnosticReport, whose people and study are there from the start."""

    def __init__(
        self, release: FhirRelease, ids: IdSource, case: ReportCase, kind: SampleCode, title: str
    ) -> None:
        self.writer = write = ReportWriter(release, ids)
        self._case, self._title = case, title
        self._type = kind.concept()
        self._urls = {"composition": ids.uuid(), "report": ids.uuid(), "order": ids.uuid()}
        self.patient = write.patient(case.patient)
        self.organization = write.organization(case.author)
        self.role = write.role(case.author, self.organization, STAFF_AUTHORITY)
        self._order: Resource = {"type": "ServiceRequest", "identifier": case.order.accession_identifier}
        self.study = write.study(case.study, self._order, self.patient)

    def order(self, code: SampleCode, reason: str) -> Resource:
        """The order, which the report and its findings are based on."""
        self._order = self.writer.order(self._case.order, code, reason, self.patient)
        return self._order

    def finding(self, code: SampleCode, value: dict[str, Any]) -> Resource:
        """A coded finding by the author of the report."""
        when = self._case.study.started
        return self.writer.finding(
            code, value, patient=self.patient, order=self._order, who=self.role, when=when
        )

    def finish(self, sections: list[Resource], results: list[Resource], conclusion: str) -> bytes:
        """The Bundle, Composition first."""
        write, case = self.writer, self._case
        number, written = _report_number(case), case.written
        write.add(self._report(results, conclusion, number), self._urls["report"])
        write.add(self._composition(sections, number, written), self._urls["composition"])
        first = (self._urls["composition"], self._urls["report"])
        entries = sorted(
            write.entries, key=lambda e: first.index(e["fullUrl"]) if e["fullUrl"] in first else len(first)
        )
        return _bundle(write, "BundleReportEuImaging", "document", case, entries)

    def _composition(self, sections: list[Resource], number: Resource, written: str) -> Resource:
        write, r5 = self.writer, self.writer.is_r5
        legal = {"coding": [{"system": "http://hl7.org/fhir/composition-attestation-mode", "code": "legal"}]}
        based_on = {
            "url": "http://hl7.org/fhir/StructureDefinition/event-basedOn",
            "valueReference": self._order,
        }
        version = write.r5_extension("Composition.version", valueString="1")
        native = {
            "version": "1",
            "identifier": [number],
            "subject": [self.patient],
        }
        older = {"identifier": number, "subject": self.patient, "confidentiality": "N"}
        security = write.confidentiality("N") if r5 else {}
        return {
            "resourceType": "Composition",
            "meta": {**security, **write.profile("CompositionEuImaging")},
            "language": "en",
            "extension": [based_on] if r5 else [based_on, version],
            **(native if r5 else older),
            "status": "final",
            "type": self._type,
            "category": write.categories(),
            "date": written,
            "author": [self.role, self.organization],
            "title": self._title,
            "attester": [{"mode": legal if r5 else "legal", "time": written, "party": self.role}],
            "custodian": self.organization,
            "section": sections,
        }

    def _report(self, results: list[Resource], conclusion: str, number: Resource) -> Resource:
        write, case = self.writer, self._case
        composition = {"reference": self._urls["composition"]}
        reference = write.r5_extension("DiagnosticReport.composition", valueReference=composition)
        extension = [write.region(case.study.region)]
        extension += [] if write.is_r5 else [reference]
        made: Resource = {
            "resourceType": "DiagnosticReport",
            "meta": write.profile("DiagnosticReportEuImaging"),
            "language": "en",
            "extension": extension,
            "identifier": [number],
            "basedOn": [self._order],
            "status": "final",
            "category": write.categories(),
            "code": self._type,
            "subject": self.patient,
            "effectiveDateTime": case.study.started,
            "issued": case.written,
            "performer": [self.organization],
            "resultsInterpreter": [self.role],
            "result": results,
            "study" if write.is_r5 else "imagingStudy": [self.study],
            "conclusion": conclusion,
        }
        if write.is_r5:
            made["composition"] = composition
        return made


def _performer(code: str, display: str, actor: Resource) -> Resource:
    return {"function": SampleCode(SNOMED, code, display).concept(), "actor": actor}


def _report_number(case: ReportCase) -> Resource:
    """The number that all versions of a report share."""
    return {"system": f"urn:oid:{ORGANIZATION}.1", "value": f"R-{case.order.accession}"}


def _bundle(write: ReportWriter, profile: str, kind: str, case: ReportCase, entries: list[Resource]) -> bytes:
    document = {
        "resourceType": "Bundle",
        "meta": write.profile(profile),
        "identifier": {"system": codes.URI_SYSTEM, "value": f"urn:oid:{case.identifier}"},
        "type": kind,
        "timestamp": case.written,
        "entry": entries,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)
