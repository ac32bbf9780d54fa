"""An imaging study and its manifest (IHE RAD MADO, XDS-I.b; DICOM PS3.3 A.35.4) as immutable values.

A manifest says which instances a study has and where each series can be retrieved. It travels as a DICOM
Key Object Selection document or as a FHIR document Bundle; both map to and from these values.

UIDs are bare (`1.2.3`). A `Code.scheme` is a bare OID where the coding scheme has a known one, else the
designator or URI that the wire format has. Times are those of the place where the study was made.
A `RetrieveLocation.uid` names an imaging document source; it is never the repositoryUniqueId of the
document repository that holds the manifest.
"""

from enum import StrEnum
from typing import NewType

from msgspec import Struct

from gateway.model.metadata import Code, Organization, Person

RetrieveLocationUid = NewType("RetrieveLocationUid", str)
"""Retrieve Location UID (0040,E011) of an imaging document source, a bare OID."""


class Severity(StrEnum):
    """How much a finding matters: an error means that a part of the document could not be used."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


class Finding(Struct, frozen=True, gc=False):
    """A deviation that a reader tolerated. `rule` is a stable name, `place` the element; no patient data."""

    rule: str
    place: str
    text: str
    severity: Severity = Severity.WARNING


class Issuer(Struct, frozen=True, gc=False):
    """Assigning authority (DICOM HL7v2 Hierarchic Designator macro); at least one part is present.

    `universal_id` is a bare OID where `universal_id_type` is `ISO`.
    """

    namespace: str | None = None
    universal_id: str | None = None
    universal_id_type: str | None = None

    @property
    def oid(self) -> str | None:
        """The OID of the authority, where it has one."""
        return self.universal_id if self.universal_id_type == "ISO" else None


class IssuedId(Struct, frozen=True, gc=False):
    """An identifier and who issued it, if known: Patient ID, accession or placer order number."""

    value: str
    issuer: Issuer | None = None


class LocalTime(Struct, frozen=True, gc=False):
    """A DICOM date and time: `date` YYYYMMDD, `time` HH[MM[SS[.F{1,6}]]], `offset` +-HHMM from UTC.

    Without `offset` the time zone is unknown: it is not UTC.
    """

    date: str
    time: str | None = None
    offset: str | None = None


class ImagingPatient(Struct, frozen=True, gc=False):
    """The patient as the source of the study knows them; `ids` has the primary identifier first.

    `birth_date` is YYYYMMDD, `sex` is M, F or O. Names beyond the alphabetic one are the ideographic and
    the phonetic representation of it.
    """

    ids: tuple[IssuedId, ...] = ()
    name: Person | None = None
    ideographic_name: Person | None = None
    phonetic_name: Person | None = None
    birth_date: str | None = None
    sex: str | None = None


class ImagingRequest(Struct, frozen=True, gc=False):
    """One item of Referenced Request Sequence (0040,A370): an imaging order that the study fulfils."""

    accession: IssuedId | None = None
    placer: IssuedId | None = None
    filler: IssuedId | None = None
    procedure_id: str | None = None
    procedure_description: str | None = None
    procedure_codes: tuple[Code, ...] = ()


class RetrieveLocation(Struct, frozen=True, gc=False):
    """Where a series can be retrieved: `uid` is looked up locally, `url` is a WADO-RS base (0008,1190)."""

    uid: RetrieveLocationUid | None = None
    url: str | None = None


class Instance(Struct, frozen=True, gc=False):
    """One SOP instance. `title` and `description` are those of a Key Object Selection inside the study."""

    sop_instance_uid: str
    sop_class_uid: str
    number: str | None = None
    frames: int | None = None
    title: Code | None = None
    description: str | None = None


class Series(Struct, frozen=True):
    """One series. `stated_instances` is the count that the manifest states, which may be wrong or missing."""

    series_instance_uid: str
    modality: Code | None = None
    number: str | None = None
    description: str | None = None
    started: LocalTime | None = None
    body_sites: tuple[Code, ...] = ()
    body_site_text: str | None = None
    laterality: Code | None = None
    locations: tuple[RetrieveLocation, ...] = ()
    instances: tuple[Instance, ...] = ()
    stated_instances: int | None = None


class Study(Struct, frozen=True):
    """One study. `modalities` are those stated for the study as a whole, without series level ones."""

    study_instance_uid: str
    patient: ImagingPatient = ImagingPatient()
    started: LocalTime | None = None
    study_id: str | None = None
    description: str | None = None
    referring_physician: Person | None = None
    modalities: tuple[Code, ...] = ()
    regions: tuple[Code, ...] = ()
    procedure_codes: tuple[Code, ...] = ()
    requests: tuple[ImagingRequest, ...] = ()
    viewer_url: str | None = None
    series: tuple[Series, ...] = ()
    stated_series: int | None = None

    @property
    def all_modalities(self) -> tuple[Code, ...]:
        """Modalities of study and series, each code once, in order of appearance."""
        found: dict[str, Code] = {}
        for code in (*self.modalities, *(s.modality for s in self.series if s.modality is not None)):
            found.setdefault(code.code, code)
        return tuple(found.values())

    @property
    def instance_count(self) -> int:
        """Instances listed, over all series."""
        return sum(len(series.instances) for series in self.series)


class Creator(Struct, frozen=True, gc=False):
    """Who made the manifest: the device's manufacturer and the organization (Institution Name as XON)."""

    manufacturer: str | None = None
    organization: Organization | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """A manifest of one study. `sop_instance_uid` identifies the document in either format.

    `title` is the document title as read; `utc_offset` (+-HHMM) holds for every time in the document.
    """

    sop_instance_uid: str
    study: Study
    series_instance_uid: str | None = None
    title: Code | None = None
    created: LocalTime | None = None
    utc_offset: str | None = None
    creator: Creator = Creator()


class ReadManifest(Struct, frozen=True):
    """What a reader made of a document, and what it had to tolerate."""

    manifest: Manifest
    findings: tuple[Finding, ...] = ()
