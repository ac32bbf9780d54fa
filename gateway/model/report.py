"""What the gateway needs of an imaging report (HL7 Europe Imaging Report 1.0.0-ballot), as immutable values.

A report is a FHIR document (Composition and DiagnosticReport) or a collection with a PDF (DiagnosticReport
alone); either comes in FHIR R4 or R5 and gives the same values. UIDs are bare (`1.2.3`), times are DTM
strings in UTC (`gateway.model.dtm`), a date stays a date. A `Code.scheme` is a bare OID where the coding
scheme has a known one, else its URI.
"""

from enum import StrEnum

from msgspec import Struct

from gateway.model.imaging import Finding, ImagingPatient, IssuedId
from gateway.model.metadata import Author, Code, Organization, Person
from gateway.model.releases import FhirRelease


class ReportFormat(StrEnum):
    """How a report says what it says: in sections, or in a PDF with minimal metadata."""

    DOCUMENT = "document"
    MINIMAL = "minimal"


class LegalAuthenticator(Struct, frozen=True, gc=False):
    """Who signed for a report, and when; `time` is a DTM."""

    person: Person | None = None
    time: str | None = None


class ReportRelation(Struct, frozen=True, gc=False):
    """What a report does with another: `kind` is replaces, transforms, signs or appends.

    The other report is named by `identifier`, or by `reference` as it is written.
    """

    kind: str
    identifier: IssuedId | None = None
    reference: str | None = None


class ReportSummary(Struct, frozen=True, kw_only=True):
    """A report, without its findings and narrative.

    `document_id` is Bundle.identifier, that of one version; `identifiers` are those that all versions share;
    `version` is the version that the report gives itself. `organizations` are the performers of the report,
    `regions` come before `body_sites`, which have no part in the guide's regions. `signed` says that the
    Bundle carries a signature: its bytes must not change.
    """

    format: ReportFormat
    release: FhirRelease
    document_id: IssuedId | None = None
    identifiers: tuple[IssuedId, ...] = ()
    version: str | None = None
    type: Code | None = None
    categories: tuple[Code, ...] = ()
    status: str | None = None
    date: str | None = None
    issued: str | None = None
    title: str | None = None
    language: str | None = None
    confidentiality: Code | None = None
    patient: ImagingPatient = ImagingPatient()
    study_uids: tuple[str, ...] = ()
    accessions: tuple[IssuedId, ...] = ()
    placers: tuple[IssuedId, ...] = ()
    modalities: tuple[Code, ...] = ()
    regions: tuple[Code, ...] = ()
    body_sites: tuple[Code, ...] = ()
    authors: tuple[Author, ...] = ()
    legal_authenticator: LegalAuthenticator | None = None
    service_start: str | None = None
    service_stop: str | None = None
    organizations: tuple[Organization, ...] = ()
    custodian: Organization | None = None
    relations: tuple[ReportRelation, ...] = ()
    signed: bool = False


class ReadReport(Struct, frozen=True):
    """What a reader made of a report, and where it deviates from the guide."""

    summary: ReportSummary
    findings: tuple[Finding, ...] = ()
