"""A document that says enough about itself -> submission of ITI-41 (ITI-106 of IHE MHD 4.2.4; PCC TF-2 4.1).

What the document says comes first, then what the tables derive from that, then the defaults of its source.
What XDS requires beyond that is refused, with all that is missing in one answer.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.fhir.generate_metadata import RESOURCE, GivenDocument
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.provide_bundle_documents import ProvidedDocument
from gateway.fhir.provide_bundle_references import OutsideReference
from gateway.fhir.provide_context import NOTHING_ELSEWHERE, Elsewhere, ProvideBundle, ProvideContext
from gateway.fhir.provide_rules_general import LONGEST_TEXT
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.dtm import to_dtm
from gateway.model.identity import SourceIdentifier
from gateway.model.metadata import (
    Association,
    Author,
    Code,
    Cx,
    DocumentEntry,
    Submission,
    SubmissionSet,
)
from gateway.model.publishing import MetadataTables, PublishingSource, SelfDescription

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


class _Required(Struct, frozen=True):
    """An attribute that XDS requires: where CDA and FHIR say it, and what else gives it."""

    attribute: str
    is_missing: Callable[[DocumentEntry], bool]
    cda: str
    fhir: str
    remedy: str = ""


_REQUIRED: Final = (
    _Required("uniqueId", lambda e: not e.unique_id, "id", "Bundle.identifier"),
    _Required("creationTime", lambda e: not e.creation_time, "effectiveTime", "Composition.date"),
    _Required(
        "patientId",
        lambda e: e.patient_id is None,
        "recordTarget/patientRole/id with extension",
        "identifier of the Patient",
    ),
    _Required(
        "typeCode", lambda e: e.type_code is None, "code", "Composition.type", "publish.defaults.type_code"
    ),
    _Required(
        "classCode",
        lambda e: e.class_code is None,
        "no element",
        "Composition.category",
        "publish.class_codes for its type or publish.defaults.class_code",
    ),
    _Required(
        "confidentialityCode",
        lambda e: not e.confidentiality,
        "confidentialityCode",
        "Composition.confidentiality",
        "publish.defaults.confidentiality",
    ),
    _Required(
        "languageCode",
        lambda e: not e.language,
        "languageCode",
        "Composition.language",
        "publish.defaults.language",
    ),
    _Required(
        "formatCode",
        lambda e: e.format_code is None,
        "templateId",
        "meta.profile",
        "publish.format_codes for its template or publish.defaults.format_code",
    ),
    _Required(
        "healthcareFacilityTypeCode",
        lambda e: e.facility_type is None,
        "componentOf/encompassingEncounter/location/healthCareFacility/code",
        "type of the Location of the Encounter",
        "publish.defaults.facility_type",
    ),
    _Required(
        "practiceSettingCode",
        lambda e: e.practice_setting is None,
        "author/assignedAuthor/representedOrganization/standardIndustryClassCode",
        "Encounter.serviceType",
        "publish.defaults.practice_setting",
    ),
)


@dataclass(frozen=True, slots=True)
class GeneratedDocument:
    """A document whose metadata is complete but for the ids that are given here.

    It takes the place of an `OpenedBundle` that refers to nothing outside. `strangers` is the patient as
    another domain calls them, where the document says nothing else.
    """

    given: GivenDocument
    entry: DocumentEntry
    set_authors: tuple[Author, ...]
    context: ProvideContext
    digest: str
    warnings: tuple[Issue, ...] = ()
    outside: tuple[OutsideReference, ...] = ()
    updates: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()
    hosted: tuple[str, ...] = ()
    strangers: tuple[SourceIdentifier, ...] = ()

    @property
    def asks_others(self) -> bool:
        """True where `read` needs to know who the patient is."""
        return bool(self.strangers)

    @property
    def size(self) -> int:
        """Bytes of the document."""
        return len(self.given.content)

    def read(self, elsewhere: Elsewhere = NOTHING_ELSEWHERE) -> ProvideBundle:
        """The submission. Ids follow from the digest, the time of the submission is now.

        Raises OutcomeError 422 where nobody, or not one patient, is meant.
        """
        namespace = uuid.UUID(bytes=bytes.fromhex(self.digest)[:16])
        sha1 = hashlib.sha1(self.given.content, usedforsecurity=False).hexdigest()
        entry = replace(
            self.entry,
            patient_id=self._patient(elsewhere),
            entry_uuid=uuid.uuid5(namespace, "entryUUID 1").urn,
            hash=sha1,
            size=self.size,
        )
        submission_set = SubmissionSet(
            entry_uuid=uuid.uuid5(namespace, "entryUUID 0").urn,
            unique_id=f"2.25.{uuid.uuid5(namespace, 'uniqueId 0').int}",
            source_id=self.context.source.source_id,
            submission_time=to_dtm(datetime.now(UTC)),
            patient_id=entry.patient_id,
            content_type=entry.type_code,
            authors=self.set_authors,
            title=entry.title or (entry.type_code.display if entry.type_code else None),
        )
        member = Association(
            entry_uuid=uuid.uuid5(namespace, "member").urn,
            type=codes.HAS_MEMBER,
            source=submission_set.entry_uuid,
            target=entry.entry_uuid,
            submission_set_status="Original",
        )
        document = ProvidedDocument(entry.entry_uuid, entry.mime_type, self.given.content, sha1, self.size)
        submission = Submission(submission_set=submission_set, entries=(entry,), associations=(member,))
        return ProvideBundle(submission, (document,), (), self.warnings, self.digest)

    def _patient(self, elsewhere: Elsewhere) -> Cx | None:
        if not self.strangers:
            return self.entry.patient_id
        known = elsewhere.strangers.get(self.strangers[0], ())
        if len(known) == 1:
            return known[0]
        who, code = ("several patients", "multiple-matches") if known else ("nobody", "not-found")
        text = (
            f"The patient manager knows {who} of this affinity domain by what the document calls the patient."
        )
        raise OutcomeError(422, (Issue("error", code, text, RESOURCE, "XDSUnknownPatientId"),))


def generate_document(
    given: GivenDocument, header: SelfDescription, context: ProvideContext, warnings: tuple[Issue, ...] = ()
) -> GeneratedDocument:
    """Complete what a document says about itself; `warnings` are what was found wrong in reading it.

    Raises OutcomeError 422 with all that is missing.
    """
    entry = _complete(header, context.source, context.tables, context.terminology)
    entry = replace(entry, mime_type=given.mime_type, unique_id=entry.unique_id or _made_id(header, given))
    issues = [*_missing(entry, context.source), *_unusable(entry)]
    if issues:
        raise OutcomeError(422, issues)
    content = hashlib.sha256(given.content).hexdigest()
    named = f"ITI-106 {context.source.source_id} {given.mime_type} {content}"
    return GeneratedDocument(
        given=given,
        entry=entry,
        set_authors=authors_of_set(entry.authors, context.source, header),
        context=context,
        warnings=warnings,
        digest=hashlib.sha256(named.encode()).hexdigest(),
        strangers=_strangers(entry.patient_id, context),
    )


def _strangers(patient: Cx | None, context: ProvideContext) -> tuple[SourceIdentifier, ...]:
    if patient is None or not context.domain or patient.authority in context.domain:
        return ()
    return (SourceIdentifier(context.terminology.authorities.uri(patient.authority), patient.id),)


def _made_id(header: SelfDescription, given: GivenDocument) -> str:
    """uniqueId of a document that need not have an identifier of its own: it follows from its bytes."""
    if not header.may_lack_id:
        return ""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(given.content).hexdigest()).int}"


def _complete(
    header: SelfDescription, source: PublishingSource, tables: MetadataTables, terminology: Terminology
) -> DocumentEntry:
    said, defaults = header.entry, source.defaults
    type_code = said.type_code or defaults.type_code
    by_type = tables.class_codes.get((type_code.code, type_code.scheme)) if type_code else None
    by_template = (tables.format_codes[t] for t in header.templates if t in tables.format_codes)
    fallback = (defaults.confidentiality,) if defaults.confidentiality else ()
    patient = domain_patient(said.source_patient_info.ids if said.source_patient_info else (), tables)
    return replace(
        said,
        patient_id=patient,
        type_code=type_code,
        class_code=said.class_code or by_type or defaults.class_code,
        format_code=said.format_code or next(by_template, defaults.format_code),
        facility_type=said.facility_type or defaults.facility_type,
        practice_setting=said.practice_setting or defaults.practice_setting,
        confidentiality=said.confidentiality or fallback,
        language=said.language or defaults.language,
        event_codes=_named(said.event_codes),
    )


def _named(found: Iterable[Code]) -> tuple[Code, ...]:
    """Codes with the display that XDS requires."""
    return tuple(code if code.display else replace(code, display=code.code) for code in found)


def domain_patient(ids: Sequence[Cx], tables: MetadataTables) -> Cx | None:
    """The patientId among the ids of a patient: the first of a preferred authority, else the first."""
    preferred = (cx for cx in ids if cx.authority in tables.patient_authorities)
    return next(preferred, ids[0] if ids else None)


def authors_of_set(
    authors: tuple[Author, ...], source: PublishingSource, header: SelfDescription | None = None
) -> tuple[Author, ...]:
    """Authors of the SubmissionSet: those of the document and the institution of its source.

    A document whose authors have no institution is of its custodian.
    """
    institution = source.institution
    if institution is None and header is not None and not any(a.institutions for a in authors):
        institution = header.custodian
    if institution is None or any(institution in a.institutions for a in authors):
        return authors
    return (*authors, Author(institutions=(institution,)))


def _missing(entry: DocumentEntry, source: PublishingSource) -> Iterable[Issue]:
    for rule in _REQUIRED:
        if rule.is_missing(entry):
            text = (
                f"XDS requires {rule.attribute}, and the document does not say it "
                f"(CDA R2: {rule.cda}; FHIR: {rule.fhir})."
            )
            if rule.remedy:
                text += f" Complete the document, or set {rule.remedy} at the server."
            is_patient = rule.attribute == "patientId"
            yield Issue("error", "required", text, RESOURCE, "XDSUnknownPatientId" if is_patient else None)


def _unusable(entry: DocumentEntry) -> Iterable[Issue]:
    if entry.language and not _LANGUAGE.fullmatch(entry.language):
        text = "The language that the document says (CDA R2: languageCode; FHIR: Composition.language) is "
        text += "no tag of BCP 47 such as en or de-AT."
        yield Issue("error", "code-invalid", text, RESOURCE)
    if entry.title and len(entry.title) > LONGEST_TEXT:
        text = f"XDS takes at most {LONGEST_TEXT} characters as title."
        yield Issue("error", "too-long", text, RESOURCE)
