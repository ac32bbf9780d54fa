"""Values that sample content is made of. Everything follows from a seed; all OIDs are under 2.999."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from uuid import UUID

from gateway.model import codes

PATIENT_AUTHORITY = "2.999.1.1"
STAFF_AUTHORITY = "2.999.1.2"
ACCESSION_AUTHORITY = "2.999.1.3"
ORGANIZATION = "2.999.1.4"
SOURCE_ID = "2.999.1.5"
CLASS_CODES = "urn:oid:2.999.1.6"
FOLDER_CODES = "urn:oid:2.999.1.7"

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
FORMAT_CODES = "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"
DICOM_CODES = "http://dicom.nema.org/resources/ontology/DCM"
DICOM_UIDS = "http://dicom.nema.org/resources/ontology/DCMUID"


class IdSource:
    """Unique ids in a sequence that depends on the seed alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._made = 0

    def _digest(self) -> bytes:
        self._made += 1
        return hashlib.sha256(f"{self._seed}\0{self._made}".encode()).digest()

    def oid(self, arc: int) -> str:
        """OID `2.999.<arc>.<random>`, at most 40 characters, also valid as DICOM UID."""
        return f"2.999.{arc}.{int.from_bytes(self._digest()[:12], 'big')}"

    def uuid(self) -> str:
        """`urn:uuid:` and a version 4 UUID in lower case."""
        return UUID(bytes=self._digest()[:16], version=4).urn

    def number(self, digits: int) -> str:
        """A decimal string of `digits` digits."""
        return str(int.from_bytes(self._digest()[:16], "big"))[-digits:].rjust(digits, "0")


@dataclass(frozen=True, slots=True)
class SampleCode:
    """A FHIR Coding."""

    system: str
    code: str
    display: str

    def coding(self) -> dict[str, str]:
        """FHIR Coding."""
        return {"system": self.system, "code": self.code, "display": self.display}

    def concept(self) -> dict[str, list[dict[str, str]]]:
        """FHIR CodeableConcept with this one coding."""
        return {"coding": [self.coding()]}

    @property
    def token(self) -> str:
        """Value of a FHIR token search parameter."""
        return f"{self.system}|{self.code}"


@dataclass(frozen=True, slots=True)
class SamplePatient:
    """A person who does not exist. `birth_date` is a FHIR date, `gender` a FHIR code."""

    id: str
    family: str
    given: str
    birth_date: str
    gender: str
    city: str
    authority: str = PATIENT_AUTHORITY

    @property
    def identifier(self) -> dict[str, str]:
        """FHIR Identifier."""
        return {"system": f"urn:oid:{self.authority}", "value": self.id}

    @property
    def token(self) -> str:
        """Value of the search parameter patient.identifier."""
        return f"urn:oid:{self.authority}|{self.id}"

    def resource(self, resource_id: str) -> dict[str, object]:
        """FHIR Patient."""
        return {
            "resourceType": "Patient",
            "id": resource_id,
            "identifier": [self.identifier],
            "name": [{"family": self.family, "given": [self.given]}],
            "gender": self.gender,
            "birthDate": self.birth_date,
            "address": [{"line": ["Example Street 1"], "city": self.city, "country": "AT"}],
        }


@dataclass(frozen=True, slots=True)
class SampleAuthor:
    """An author: a person, an organization, or a person in a role for an organization."""

    family: str | None = None
    given: str | None = None
    staff_id: str | None = None
    organization: str | None = None
    organization_id: str = ORGANIZATION
    role: SampleCode | None = None
    specialty: SampleCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReferenceId:
    """One value of context.related. `type` is a CXi.5 URN; `authority` an OID, absent for a DICOM UID."""

    value: str
    type: str
    authority: str | None = None

    @property
    def identifier(self) -> dict[str, object]:
        """FHIR Identifier as IHE MHD maps CXi (ITI TF-2 Z.9.1.2)."""
        kind = {"coding": [{"system": codes.URI_SYSTEM, "code": self.type}]}
        if self.authority is None:
            return {"type": kind, "system": codes.DICOM_UID_SYSTEM, "value": f"urn:oid:{self.value}"}
        return {"type": kind, "system": f"urn:oid:{self.authority}", "value": self.value}


REPORTS = SampleCode(CLASS_CODES, "REPORTS", "Reports")
SUMMARIES = SampleCode(CLASS_CODES, "SUMMARIES", "Summaries")
IMAGES = SampleCode(CLASS_CODES, "IMAGES", "Images")
NOTES = SampleCode(CLASS_CODES, "NOTES", "Notes")
CONSULT_NOTE = SampleCode(LOINC, "11488-4", "Consult note")
MIME_TYPE_SUFFICIENT = SampleCode(
    FORMAT_CODES, "urn:ihe:iti:xds:2017:mimeTypeSufficient", "mimeType Sufficient"
)
HOSPITAL = SampleCode(SNOMED, "22232009", "Hospital")
AMBULATORY = SampleCode(SNOMED, "35971002", "Ambulatory care site")
GENERAL_MEDICINE = SampleCode(SNOMED, "394802001", "General medicine")
RADIOLOGY = SampleCode(SNOMED, "394914008", "Radiology")
NORMAL = SampleCode(CONFIDENTIALITY, "N", "normal")
RESTRICTED = SampleCode(CONFIDENTIALITY, "R", "restricted")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDocument:
    """A document and its metadata; times are FHIR dateTimes with a zone.

    `unique_id` is a bare OID or a `urn:uuid:`.
    """

    unique_id: str
    content: bytes = field(repr=False)
    content_type: str
    title: str
    type: SampleCode = CONSULT_NOTE
    category: SampleCode = NOTES
    format: SampleCode = MIME_TYPE_SUFFICIENT
    facility: SampleCode = AMBULATORY
    setting: SampleCode = GENERAL_MEDICINE
    security_labels: tuple[SampleCode, ...] = (NORMAL,)
    events: tuple[SampleCode, ...] = ()
    authors: tuple[SampleAuthor, ...] = ()
    reference_ids: tuple[SampleReferenceId, ...] = ()
    creation: str = "2026-01-02T03:04:05Z"
    period: tuple[str, str] | None = None
    language: str = "en"
    description: str | None = None

    @property
    def hash(self) -> str:
        """Base64 of the SHA-1 bytes, as in Attachment.hash."""
        return b64encode(hashlib.sha1(self.content, usedforsecurity=False).digest()).decode()

    @property
    def identifier(self) -> dict[str, object]:
        """masterIdentifier."""
        return unique_id_identifier(self.unique_id)

    @property
    def token(self) -> str:
        """Value of the search parameter identifier."""
        return f"{codes.URI_SYSTEM}|{_uri(self.unique_id)}"


@dataclass(frozen=True, slots=True)
class SampleFolder:
    """A Folder to create with a submission."""

    unique_id: str
    title: str
    code: SampleCode


def _uri(unique_id: str) -> str:
    return unique_id if ":" in unique_id else f"urn:oid:{unique_id}"


def unique_id_identifier(unique_id: str) -> dict[str, object]:
    """FHIR Identifier of an XDS uniqueId (IHE MHD UniqueIdIdentifier)."""
    return {
        "type": {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "uniqueId"}]},
        "system": codes.URI_SYSTEM,
        "value": _uri(unique_id),
    }


DOCUMENT_DEFAULTS: dict[str, object] = {
    "format_code": MIME_TYPE_SUFFICIENT.coding(),
    "facility_type": HOSPITAL.coding(),
    "practice_setting": GENERAL_MEDICINE.coding(),
    "confidentiality": NORMAL.coding(),
    "language": "en",
}
"""Setting `publish.defaults` for sample documents that do not say it themselves."""

CLASS_CODES_BY_TYPE: dict[str, object] = {
    f"{LOINC}|18842-5": SUMMARIES.coding(),
    f"{LOINC}|85430-7": REPORTS.coding(),
}
"""Setting `publish.class_codes` for the types of the sample documents."""
