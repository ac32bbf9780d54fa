"""Document sharing metadata of a manifest: what its DocumentEntry has to say (IHE RAD MADO 0.1.0 appendix A,
XDS-I.b RAD-68, IHE MHD 4.2.4), whether an entry contradicts it, and filling what an entry leaves out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict, replace

from gateway.fhir.found_study import study_references
from gateway.fhir.imaging_times import Zones, interval_of, utc_dtm
from gateway.fhir.issues import Issue
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.dtm import dtm_end, dtm_start, is_dtm
from gateway.model.imaging import ImagingPatient, IssuedId, Manifest
from gateway.model.metadata import Author, Code, Cx, DocumentEntry, Person, ReferenceId, SourcePatientInfo
from gateway.model.oids import is_oid

IMAGING_STUDY: Final = Code(imaging.LOINC_IMAGING_STUDY, imaging.LOINC, imaging.LOINC_IMAGING_STUDY_DISPLAY)
_DAY: Final = timedelta(hours=24)


class ManifestFormat(StrEnum):
    """A format of manifests by its MIME type."""

    KOS = imaging.MIME_DICOM
    FHIR = imaging.MIME_FHIR_JSON

    @property
    def code(self) -> Code:
        """formatCode."""
        if self is ManifestFormat.KOS:
            return Code(imaging.FORMAT_KOS, imaging.DCMUID, imaging.FORMAT_KOS_DISPLAY)
        return Code(imaging.FORMAT_FHIR_MANIFEST, imaging.MADO_FORMAT_CODES, "MADO FHIR manifest")


@dataclass(frozen=True, slots=True)
class EntryDefaults:
    """What XDS demands of a DocumentEntry and no manifest says.

    `zone` is the zone of times without offset in this community.
    """

    class_code: Code
    facility_type: Code
    practice_setting: Code
    confidentiality: tuple[Code, ...]
    language: str
    zone: tzinfo | None = None


class ManifestMetadata(Struct, frozen=True, kw_only=True):
    """Values of a DocumentEntry, under the names that they have there."""

    unique_id: str
    mime_type: str
    format_code: Code
    type_code: Code
    class_code: Code
    facility_type: Code
    practice_setting: Code
    confidentiality: tuple[Code, ...]
    language: str
    event_codes: tuple[Code, ...]
    reference_ids: tuple[ReferenceId, ...]
    authors: tuple[Author, ...] = ()
    title: str | None = None
    creation_time: str | None = None
    service_start_time: str | None = None
    source_patient_id: Cx | None = None
    source_patient_info: SourcePatientInfo | None = None


_UNITED: Final = ("event_codes", "reference_ids")


def derive_entry_metadata(
    manifest: Manifest, form: ManifestFormat, defaults: EntryDefaults
) -> ManifestMetadata:
    """What the DocumentEntry of a manifest has to say. Times are in UTC where their offset is known."""
    study, zones = manifest.study, Zones.of(manifest, defaults.zone)
    return ManifestMetadata(
        unique_id=manifest.sop_instance_uid,
        mime_type=form.value,
        format_code=form.code,
        type_code=IMAGING_STUDY,
        class_code=defaults.class_code,
        facility_type=defaults.facility_type,
        practice_setting=defaults.practice_setting,
        confidentiality=defaults.confidentiality,
        language=defaults.language,
        event_codes=event_codes_of(manifest),
        reference_ids=reference_ids_of(manifest),
        authors=authors_of_manifest(manifest),
        title=study.description,
        creation_time=utc_dtm(manifest.created, zones),
        service_start_time=utc_dtm(study.started, zones),
        source_patient_id=source_patient_id(study.patient),
        source_patient_info=source_patient_info(study.patient),
    )


def authors_of_manifest(manifest: Manifest) -> tuple[Author, ...]:
    """The organization that made the manifest, where it has the name that XDS demands."""
    organization = manifest.creator.organization
    return (Author(institutions=(organization,)),) if organization and organization.name else ()


def event_codes_of(manifest: Manifest) -> tuple[Code, ...]:
    """Modalities of study and series, regions and procedures, each once and with the name XDS demands."""
    study = manifest.study
    found: dict[tuple[str, str], Code] = {}
    for code in (*study.all_modalities, *study.regions, *study.procedure_codes):
        named = code if code.display else replace(code, display=code.code)
        found.setdefault((code.code, code.scheme), named)
    return tuple(found.values())


def reference_ids_of(manifest: Manifest) -> tuple[ReferenceId, ...]:
    """Study UID, accession and placer order numbers; a number whose issuer is no OID has no CXi."""
    oids = {
        issued.issuer.oid
        for request in manifest.study.requests
        for issued in (request.accession, request.placer)
        if issued is not None and issued.issuer is not None and issued.issuer.oid
    }
    return tuple(
        reference
        for reference in study_references(manifest.study)
        if reference.type == codes.REFERENCE_STUDY or reference.authority in oids
    )


def filled(entry: DocumentEntry, derived: Struct) -> DocumentEntry:
    """The entry with what it left out, from values under the names of its attributes.

    Of event codes and reference ids the missing values are added to those that it has.
    """
    changes: dict[str, object] = {}
    for name, value in asdict(derived).items():
        held = getattr(entry, name)
        if name in _UNITED:
            changes[name] = _united(held, value)
        elif not held and value:
            changes[name] = value
    return replace(entry, **changes)


def searchable(entry: DocumentEntry, manifest: Manifest) -> DocumentEntry:
    """The entry with what searches for imaging compare: modalities, regions, study and numbers."""
    return replace(
        entry,
        event_codes=_united(entry.event_codes, event_codes_of(manifest)),
        reference_ids=_united(entry.reference_ids, study_references(manifest.study)),
    )


def completed(entry: DocumentEntry, manifest: Manifest, zone: tzinfo | None = None) -> DocumentEntry:
    """The entry with what its client left to the manifest; what only a domain can say is not added."""
    zones = Zones.of(manifest, zone)
    return replace(
        entry,
        event_codes=_united(entry.event_codes, event_codes_of(manifest)),
        reference_ids=_united(entry.reference_ids, reference_ids_of(manifest)),
        title=entry.title or manifest.study.description,
        creation_time=entry.creation_time or utc_dtm(manifest.created, zones),
        service_start_time=entry.service_start_time or utc_dtm(manifest.study.started, zones),
    )


def _united(held: Sequence[Code | ReferenceId], more: Iterable[Code | ReferenceId]) -> tuple[object, ...]:
    known = {identity(value) for value in held}
    return (*held, *(value for value in more if identity(value) not in known))


def identity(value: Code | ReferenceId) -> tuple[str | None, ...]:
    """What makes a code or a reference id another one, whatever its display and its home community."""
    if isinstance(value, Code):
        return value.code, _scheme(value)
    return value.id, value.authority, value.type


def _scheme(code: Code) -> str:
    return imaging.DESIGNATORS.get(code.scheme, code.scheme)


# --- contradictions ---------------------------------------------------------------------------------------
def check_entry_against_manifest(
    entry: DocumentEntry, manifest: Manifest, form: ManifestFormat, zone: tzinfo | None = None
) -> tuple[Issue, ...]:
    """What an entry says against its manifest: an error for each contradiction, nothing for what is left out.

    Diagnostics name element, rule and remedy, and no value.
    """
    return tuple(_Check(entry, manifest, form, zone).issues())


@dataclass(frozen=True, slots=True)
class _Check:
    entry: DocumentEntry
    manifest: Manifest
    form: ManifestFormat
    zone: tzinfo | None

    def issues(self) -> Iterator[Issue]:
        yield from self._document()
        yield from self._references()
        yield from self._events()
        yield from self._times()
        yield from self._patient()

    def _document(self) -> Iterator[Issue]:
        entry = self.entry
        if entry.unique_id and entry.unique_id != self.manifest.sop_instance_uid:
            if self.form is ManifestFormat.KOS:
                yield _error(
                    "masterIdentifier",
                    "The uniqueId of a KOS manifest is its SOP Instance UID; this one differs.",
                )
            else:
                yield Issue(
                    "warning",
                    "business-rule",
                    "The uniqueId differs from Bundle.identifier of the manifest.",
                    "DocumentReference.masterIdentifier",
                )
        if entry.format_code is not None and entry.format_code.code != self.form.code.code:
            other = {other.code.code for other in ManifestFormat} - {self.form.code.code}
            if entry.format_code.code in other:
                yield _error("content.format", "The formatCode is that of the other format of manifests.")
        if entry.type_code is not None and entry.type_code.code == imaging.LOINC_IMAGING_REPORT:
            yield _error("type", "The typeCode is that of a report, and the document is a manifest.")

    def _references(self) -> Iterator[Issue]:
        held = study_references(self.manifest.study)
        for kind, what in (
            (codes.REFERENCE_STUDY, "Study Instance UID"),
            (codes.REFERENCE_ACCESSION, "accession number"),
        ):
            known = [reference for reference in held if reference.type == kind]
            stated = [reference for reference in self.entry.reference_ids if reference.type == kind]
            if known and not all(any(may_be(one, other) for other in known) for one in stated):
                yield _error(
                    "context.related",
                    f"The entry names another {what} than the manifest; a manifest is about one study and "
                    "lists each of its accession numbers.",
                )

    def _events(self) -> Iterator[Issue]:
        study = self.manifest.study
        modalities = {code.code for code in study.all_modalities}
        regions = {code.code for code in study.regions}
        if regions & imaging.SPINE:
            regions |= imaging.SPINE
        stated = [(code.code, _scheme(code)) for code in self.entry.event_codes]
        asked_modalities = {code for code, scheme in stated if scheme == imaging.DCM}
        asked_regions = {
            code for code, scheme in stated if scheme == imaging.SNOMED and code in imaging.ALL_REGIONS
        }
        if modalities and asked_modalities - modalities:
            yield _error("extension", "eventCodeList names a modality that the manifest does not have.")
        if regions and asked_regions - regions:
            yield _error(
                "extension", "eventCodeList names an anatomical region that the manifest does not have."
            )

    def _times(self) -> Iterator[Issue]:
        start = self.entry.service_start_time
        interval = interval_of(self.manifest.study.started, Zones.of(self.manifest, self.zone))
        if start is None or interval is None or not is_dtm(start):
            return
        try:
            first, last = dtm_start(start), dtm_end(start)
        except OverflowError:
            return
        gap = max(first - interval[1], interval[0] - last, timedelta(0))
        if gap > _DAY:
            yield _error(
                "context.period.start",
                "serviceStartTime is more than a day away from the start of the study in the manifest.",
            )
        elif gap > timedelta(0):
            yield Issue(
                "warning",
                "business-rule",
                "serviceStartTime is not the start of the study in the manifest; is it in UTC?",
                "DocumentReference.context.period.start",
            )

    def _patient(self) -> Iterator[Issue]:
        stated = self.entry.source_patient_id
        if stated is None:
            return
        of_authority = {
            issued.value
            for issued in self.manifest.study.patient.ids
            if issued.issuer is not None and issued.issuer.oid == stated.authority
        }
        if of_authority and stated.id not in of_authority:
            yield _error(
                "context.sourcePatientInfo",
                "sourcePatientId is another patient than that of the manifest, in the same authority.",
            )


def may_be(one: ReferenceId, other: ReferenceId) -> bool:
    """True where two numbers can be the same: an issuer that one of them does not say, or not as an OID, is
    none to differ in.
    """
    both_say = all(number.authority and is_oid(number.authority) for number in (one, other))
    return one.id == other.id and (one.authority == other.authority or not both_say)


def _error(element: str, text: str) -> Issue:
    return Issue("error", "business-rule", text, f"DocumentReference.{element}")


# --- patient ----------------------------------------------------------------------------------------------
def _cx(issued: IssuedId) -> Cx | None:
    oid = issued.issuer.oid if issued.issuer is not None else None
    return Cx(issued.value, oid) if oid else None


def source_patient_id(patient: ImagingPatient) -> Cx | None:
    """sourcePatientId: the first identifier whose issuer is an OID."""
    return next((cx for issued in patient.ids if (cx := _cx(issued)) is not None), None)


def source_patient_info(patient: ImagingPatient) -> SourcePatientInfo | None:
    """sourcePatientInfo; None where nothing is known of the patient."""
    names = (patient.name, patient.ideographic_name, patient.phonetic_name)
    info = SourcePatientInfo(
        ids=tuple(cx for issued in patient.ids if (cx := _cx(issued)) is not None),
        names=tuple(_named(name) for name in names if name is not None),
        birth_date=patient.birth_date,
        gender=patient.sex,
    )
    return info if info != SourcePatientInfo() else None


def _named(person: Person) -> Person:
    return replace(person, id=None, authority=None)
