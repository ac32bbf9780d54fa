"""Document sharing metadata of an imaging report: what its DocumentEntry has to say, and whether an entry
contradicts it (HL7 Europe Imaging Report 1.0.0-ballot, DocumentReferenceImagingReport; IHE MHD 4.2.4).

The guide defines no formatCode: it is the canonical of the Bundle's profile, which is a URI.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.fhir.issues import Issue
from gateway.fhir.manifest_metadata import identity, may_be, source_patient_id, source_patient_info
from gateway.fhir.report_terms import TERMS
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.dtm import dtm_end, dtm_start
from gateway.model.imaging import IssuedId
from gateway.model.metadata import Author, Code, Cx, DocumentEntry, Person, ReferenceId, SourcePatientInfo
from gateway.model.oids import bare_oid, is_oid
from gateway.model.report import ReportFormat, ReportSummary

IMAGING_REPORT: Final = Code(
    imaging.LOINC_IMAGING_REPORT, imaging.LOINC, imaging.LOINC_IMAGING_REPORT_DISPLAY
)
MEDICAL_IMAGING: Final = Code(imaging.MEDICAL_IMAGING, imaging.EU_PRIORITY_CATEGORIES, "Medical Imaging")
_BUNDLES: Final = {
    ReportFormat.DOCUMENT: "BundleReportEuImaging",
    ReportFormat.MINIMAL: "BundleReportMinimalMetadataEuImaging",
}
_DAY: Final = timedelta(hours=24)


class ReportMetadata(Struct, frozen=True, kw_only=True):
    """Values of a DocumentEntry, under their names there; what the report leaves open is None."""

    type_code: Code
    format_code: Code
    unique_id: str | None = None
    class_code: Code | None = None
    confidentiality: tuple[Code, ...] = ()
    language: str | None = None
    event_codes: tuple[Code, ...] = ()
    reference_ids: tuple[ReferenceId, ...] = ()
    authors: tuple[Author, ...] = ()
    legal_authenticator: Person | None = None
    title: str | None = None
    creation_time: str | None = None
    service_start_time: str | None = None
    service_stop_time: str | None = None
    source_patient_id: Cx | None = None
    source_patient_info: SourcePatientInfo | None = None


def derive_report_metadata(summary: ReportSummary) -> ReportMetadata:
    """What the DocumentEntry of a report has to say."""
    signed = summary.legal_authenticator
    return ReportMetadata(
        type_code=IMAGING_REPORT,
        format_code=report_format_code(summary),
        unique_id=unique_id_of(summary.document_id),
        class_code=MEDICAL_IMAGING,
        confidentiality=(summary.confidentiality,) if summary.confidentiality else (),
        language=summary.language,
        event_codes=event_codes_of(summary),
        reference_ids=reference_ids_of(summary),
        authors=summary.authors,
        legal_authenticator=signed.person if signed is not None else None,
        title=summary.title,
        creation_time=summary.date,
        service_start_time=summary.service_start,
        service_stop_time=summary.service_stop,
        source_patient_id=source_patient_id(summary.patient),
        source_patient_info=source_patient_info(summary.patient),
    )


def report_format_code(summary: ReportSummary) -> Code:
    """formatCode: the canonical of the Bundle's profile."""
    canonical = TERMS[summary.release].structures + _BUNDLES[summary.format]
    return Code(canonical, codes.URI_SYSTEM, "EU imaging report")


def unique_id_of(identifier: IssuedId | None) -> str | None:
    """uniqueId of Bundle.identifier; None where it is none that XDS can carry."""
    issuer = identifier.issuer if identifier is not None else None
    if identifier is None or issuer is None:
        return None
    if issuer.oid is not None:
        return f"{issuer.oid}^{identifier.value}"
    if issuer.universal_id != codes.URI_SYSTEM:
        return None
    bare = bare_oid(identifier.value)
    return bare if is_oid(bare) else identifier.value


def event_codes_of(summary: ReportSummary) -> tuple[Code, ...]:
    """Modalities and anatomical regions, each with the name that XDS demands."""
    return tuple(
        code if code.display else replace(code, display=code.code)
        for code in (*summary.modalities, *summary.regions)
        if is_oid(code.scheme)
    )


def reference_ids_of(summary: ReportSummary) -> tuple[ReferenceId, ...]:
    """Study UIDs, accession and placer order numbers; a number whose issuer is no OID has no CXi."""
    return tuple(
        number
        for number in _all_numbers(summary)
        if number.type == codes.REFERENCE_STUDY or number.authority is not None
    )


def _all_numbers(summary: ReportSummary) -> tuple[ReferenceId, ...]:
    """Study UIDs and numbers to compare with, those of an issuer that is no OID too."""
    numbers = [
        *((issued, codes.REFERENCE_ACCESSION) for issued in summary.accessions),
        *((issued, codes.REFERENCE_ORDER) for issued in summary.placers),
    ]
    studies = tuple(ReferenceId(uid, None, codes.REFERENCE_STUDY) for uid in summary.study_uids)
    return (
        *studies,
        *(ReferenceId(i.value, i.issuer.oid if i.issuer else None, kind) for i, kind in numbers),
    )


# --- contradictions ---------------------------------------------------------------------------------------
def check_entry_against_report(
    entry: DocumentEntry, summary: ReportSummary, path: str = "DocumentReference"
) -> tuple[Issue, ...]:
    """What an entry says against its report: an error for each contradiction, nothing for what it leaves out.

    `path` is the FHIRPath of the entry's resource. Diagnostics name element and rule, and no value.
    """
    return tuple(_Check(entry, summary, path).issues())


@dataclass(frozen=True, slots=True)
class _Check:
    entry: DocumentEntry
    summary: ReportSummary
    path: str

    def issues(self) -> Iterator[Issue]:
        yield from self._document()
        yield from self._references()
        yield from self._events()
        yield from self._times()
        yield from self._language()
        yield from self._patient()

    def _error(self, element: str, text: str) -> Issue:
        return Issue("error", "business-rule", text, f"{self.path}.{element}")

    def _warning(self, element: str, text: str) -> Issue:
        return Issue("warning", "business-rule", text, f"{self.path}.{element}")

    def _document(self) -> Iterator[Issue]:
        entry, summary = self.entry, self.summary
        stated = unique_id_of(summary.document_id)
        if stated and entry.unique_id and entry.unique_id != stated:
            yield self._warning(
                "masterIdentifier", "The uniqueId differs from Bundle.identifier of the report."
            )
        kind = entry.type_code
        if kind is not None and kind.code in (imaging.LOINC_IMAGING_STUDY, imaging.LEGACY_LOINC_MANIFEST):
            yield self._error("type", "The typeCode is that of a manifest, and the document is a report.")
        elif kind is not None and kind.code != imaging.LOINC_IMAGING_REPORT:
            yield self._warning(
                "type", "The guide gives reports the type LOINC 85430-7; this is another one."
            )
        form = entry.format_code.code if entry.format_code is not None else None
        if form in imaging.EU_REPORT_BUNDLES and form != report_format_code(summary).code:
            yield self._error(
                "content.format", "The formatCode is that of another format or release of reports."
            )

    def _references(self) -> Iterator[Issue]:
        held = _all_numbers(self.summary)
        for kind, what in (
            (codes.REFERENCE_STUDY, "Study Instance UID"),
            (codes.REFERENCE_ACCESSION, "accession number"),
            (codes.REFERENCE_ORDER, "placer order number"),
        ):
            known = [reference for reference in held if reference.type == kind]
            stated = [reference for reference in self.entry.reference_ids if reference.type == kind]
            if known and not all(any(may_be(one, other) for other in known) for one in stated):
                yield self._error(
                    "context.related", f"The entry names a {what} that the report does not have."
                )

    def _events(self) -> Iterator[Issue]:
        modalities = {code.code for code in self.summary.modalities}
        regions = {code.code for code in self.summary.regions}
        if regions & imaging.SPINE:
            regions |= imaging.SPINE
        stated = [identity(code) for code in self.entry.event_codes]
        asked = {code for code, scheme in stated if scheme == imaging.DCM}
        asked_regions = {
            code for code, scheme in stated if scheme == imaging.SNOMED and code in imaging.ALL_REGIONS
        }
        if modalities and asked - modalities:
            yield self._error("extension", "eventCodeList names a modality that the report does not have.")
        if regions and asked_regions - regions:
            yield self._error(
                "extension", "eventCodeList names an anatomical region that the report does not have."
            )

    def _times(self) -> Iterator[Issue]:
        for name, element, said in (
            ("serviceStartTime", "context.period.start", self.summary.service_start),
            ("creationTime", "content.attachment.creation", self.summary.date),
        ):
            is_start = name == "serviceStartTime"
            stated = self.entry.service_start_time if is_start else self.entry.creation_time
            gap = _gap(stated, said)
            if gap > _DAY and is_start:
                yield self._error(
                    element, f"{name} is more than a day away from what the report says of its study."
                )
            elif gap > timedelta(0):
                yield self._warning(element, f"{name} is not the time that the report says.")

    def _language(self) -> Iterator[Issue]:
        said, stated = self.summary.language, self.entry.language
        if said and stated and said.partition("-")[0].lower() != stated.partition("-")[0].lower():
            yield self._error(
                "content.attachment.language", "The language is not the one that the report says."
            )

    def _patient(self) -> Iterator[Issue]:
        for stated, element in (
            (self.entry.source_patient_id, "context.sourcePatientInfo"),
            (self.entry.patient_id, "subject"),
        ):
            if stated is None:
                continue
            of_authority = {
                issued.value
                for issued in self.summary.patient.ids
                if issued.issuer is not None and issued.issuer.oid == stated.authority
            }
            if of_authority and stated.id not in of_authority:
                yield self._error(
                    element, "The patient is another one than that of the report, in the same authority."
                )


def _gap(stated: str | None, said: str | None) -> timedelta:
    """Time between two DTMs, none where one says what the other does within its precision."""
    if not stated or not said:
        return timedelta(0)
    try:
        starts = dtm_start(stated), dtm_start(said)
        ends = dtm_end(stated), dtm_end(said)
    except (ValueError, OverflowError):
        return timedelta(0)
    return max(starts[0] - ends[1], starts[1] - ends[0], timedelta(0))
