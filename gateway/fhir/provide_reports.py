"""Imaging reports among the documents of a publish (ITI-65, ITI-105, ITI-106): what they say fills the
metadata that the client leaves open, what contradicts them is refused, and what the guide forbids is refused
or flagged by setting (HL7 Europe Imaging Report 1.0.0-ballot).

The bytes of a report are read and never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from gateway.fhir.datatypes import Json
from gateway.fhir.fhir_document_header import read_document_header
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import Issue
from gateway.fhir.manifest_metadata import filled
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind
from gateway.fhir.provide_policy import ReportCheck
from gateway.fhir.report_metadata import ReportMetadata, check_entry_against_report, derive_report_metadata
from gateway.fhir.report_read import NotAReportError, is_report_bundle, read_bundle, read_report_bundle
from gateway.fhir.terminology import Terminology
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import Severity
from gateway.model.metadata import DocumentEntry
from gateway.model.publishing import MetadataTables, SelfDescription
from gateway.model.releases import FhirRelease
from gateway.model.report import ReadReport, ReportFormat

_MARKS: Final = (imaging.LOINC_IMAGING_REPORT.encode(), b"hl7.eu/fhir/imaging")
_ELEMENTS: Final[Mapping[str, str]] = {
    "unique_id": "masterIdentifier",
    "type_code": "type",
    "class_code": "category",
    "confidentiality": "securityLabel",
    "language": "content.attachment.language",
    "creation_time": "content.attachment.creation",
    "format_code": "content.format",
    "source_patient_id": "context.sourcePatientInfo",
}
"""What a DocumentReference carries an attribute in that XDS requires and a report can say."""


@dataclass(frozen=True, slots=True)
class ProvidedReport:
    """A report that was read, and the metadata that follow from it."""

    read: ReadReport
    metadata: ReportMetadata

    @property
    def elements(self) -> frozenset[str]:
        """Elements of a DocumentReference that need not be there because the report says them."""
        return frozenset(element for name, element in _ELEMENTS.items() if getattr(self.metadata, name))

    def complete(self, entry: DocumentEntry) -> DocumentEntry:
        """The entry with what it left out."""
        return filled(entry, self.metadata)


def read_provided_report(
    content: bytes, mime_type: str, terminology: Terminology, tables: MetadataTables
) -> ProvidedReport | None:
    """The report that a document is; None for every other document."""
    bare = mime_type.partition(";")[0].strip().lower()
    wire_format = next((form for form in FhirFormat if form.value == bare), None)
    if wire_format is None or not any(mark in content for mark in _MARKS):
        return None
    try:
        bundle = read_bundle(content, wire_format)
    except NotAReportError:
        return None
    return report_of_bundle(bundle, terminology, tables)


def report_of_bundle(bundle: Json, terminology: Terminology, tables: MetadataTables) -> ProvidedReport | None:
    """The report that a Bundle is; None for every other document."""
    try:
        read = read_report_bundle(bundle, terminology) if is_report_bundle(bundle) else None
    except NotAReportError:
        read = None
    if read is None:
        return None
    metadata = derive_report_metadata(read.summary)
    kind = metadata.type_code
    by_type = tables.class_codes.get((kind.code, kind.scheme))
    return ProvidedReport(read, replace(metadata, class_code=by_type or metadata.class_code))


def reports_of(
    index: BundleIndex,
    contents: Mapping[int, bytes],
    wire_format: FhirFormat,
    terminology: Terminology,
    tables: MetadataTables,
) -> dict[int, ProvidedReport]:
    """Reports among the documents of a Provide Document Bundle, by position of their DocumentReference."""
    found: dict[int, ProvidedReport] = {}
    for entry in index.of(EntryKind.DOCUMENT):
        target = index.entry_of(entry.resource["content"][0]["attachment"].get("url"))
        if target is None or target.index not in contents:
            continue
        is_binary = target.kind is EntryKind.BINARY
        mime_type = target.resource.get("contentType") if is_binary else wire_format.value
        report = read_provided_report(contents[target.index], str(mime_type), terminology, tables)
        if report is not None:
            found[entry.index] = report
    return found


def describe_report(
    report: ProvidedReport, bundle: Json, terminology: Terminology, findings: Findings, path: str
) -> SelfDescription:
    """What a report says about itself, for ITI-106. An encounter is read as in every FHIR R4 document."""
    summary = report.read.summary
    if not summary.patient.ids:
        kinds = [(entry.get("resource") or {}).get("resourceType") for entry in bundle["entry"]]
        main = "Composition" if summary.format is ReportFormat.DOCUMENT else "DiagnosticReport"
        text = "The subject of the report is a Patient with an identifier that is an entry of it."
        findings.error(f"{path}.entry[{kinds.index(main)}].resource.subject", "required", text)
    entry = report.complete(DocumentEntry(entry_uuid="", unique_id=""))
    if summary.format is ReportFormat.DOCUMENT and summary.release is FhirRelease.R4:
        header = read_document_header(bundle, terminology, Findings(), "Bundle").entry
        entry = replace(
            entry,
            facility_type=header.facility_type,
            practice_setting=header.practice_setting,
            source_patient_info=header.source_patient_info or entry.source_patient_info,
            reference_ids=tuple(dict.fromkeys((*entry.reference_ids, *header.reference_ids))),
        )
    return SelfDescription(
        entry=entry,
        custodian=summary.custodian,
        may_lack_id=summary.format is ReportFormat.MINIMAL and summary.document_id is None,
    )


def check_against_report(
    entry: DocumentEntry, report: ProvidedReport, path: str, check: ReportCheck, findings: Findings
) -> None:
    """Report what an entry, whose resource is at `path`, says against its report."""
    if check != "off":
        for issue in check_entry_against_report(entry, report.read.summary, path):
            findings.add(issue)


def report_deviations(
    report: ProvidedReport, place: str, check: ReportCheck, findings: Findings, *, inline: bool
) -> None:
    """Report what the guide forbids in a report.

    `place` is the FHIRPath of its Bundle, or where it is not `inline` of the element that has its bytes.
    With `strict` an error of the guide is one of the publish; otherwise it is a warning.
    """
    if check == "off":
        return
    for finding in report.read.findings:
        severity = finding.severity
        if severity is Severity.ERROR and check == "flag":
            severity = Severity.WARNING
        within = finding.place.removeprefix("Bundle")
        text = f"{finding.text} (Imaging report, rule {finding.rule}"
        findings.add(
            Issue(
                severity.value,
                "invariant",
                f"{text}.)" if inline else f"{text}, at {finding.place}.)",
                f"{place}{within}" if inline else place,
                rule=finding.rule,
            )
        )
