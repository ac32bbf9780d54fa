"""Simplified Publish, request of ITI-105 -> submission of ITI-41 (IHE MHD 4.2.4 2:3.105).

A DocumentReference with its document inside is taken as the Provide Document Bundle that it stands for, so
that the rules and the mapping are those of ITI-65. The SubmissionSet around it says what the document says:
patient, authors, title, and the type as its content type (PCC TF-2 4.1). What the Minimal profile leaves
open comes from the defaults of its source. Findings name elements of the DocumentReference, the only resource
that the client knows of.
"""

import hashlib
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from gateway.fhir.claimed_releases import check_claimed_release
from gateway.fhir.datatypes import Json, decode_base64, identifier_role, read_code, write_coding, write_cx
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.generated_document import authors_of_set, domain_patient
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.provide_bundle import OpenedBundle, open_entries
from gateway.fhir.provide_bundle_digest import content_digest
from gateway.fhir.provide_bundle_documents import decode_binaries
from gateway.fhir.provide_bundle_entries import BundleIndex, read_entries
from gateway.fhir.provide_context import NOTHING_ELSEWHERE, Elsewhere, ProvideBundle, ProvideContext
from gateway.fhir.provide_profiles import MetadataLevel
from gateway.fhir.provide_reports import read_provided_report
from gateway.fhir.received import received, with_own_urls
from gateway.fhir.report_metadata import ReportMetadata
from gateway.fhir.validation import validate_resource
from gateway.model import Code, codes
from gateway.model.releases import FhirRelease

ROOT: Final = "DocumentReference"
_ATTACHMENT: Final = f"{ROOT}.content[0].attachment"
_SET_URL: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
_DOCUMENT_URL: Final = "urn:uuid:00000000-0000-4000-8000-000000000002"
_BINARY_URL: Final = "urn:uuid:00000000-0000-4000-8000-000000000003"
_ENTRY = re.compile(r"Bundle\.entry\[(\d)\](?:\.resource)?")
_OF_SET: Final = {"subject": "subject", "extension": "type", "source": "author"}
"""Elements of the DocumentReference that the elements of the SubmissionSet are made of."""


@dataclass(frozen=True, slots=True)
class OpenedDocument(OpenedBundle):
    """A DocumentReference that is FHIR, as the Bundle that it stands for."""

    def read(self, elsewhere: Elsewhere = NOTHING_ELSEWHERE) -> ProvideBundle:
        """The submission; once only. Raises OutcomeError 422 with every rule that is broken."""
        try:
            bundle = OpenedBundle.read(self, elsewhere)
        except OutcomeError as error:
            raise _of_document(error) from None
        (entry,) = bundle.submission.entries
        submission_set = replace(
            bundle.submission.submission_set,
            authors=authors_of_set(entry.authors, self.context.source),
            title=entry.title or (entry.type_code.display if entry.type_code else None),
        )
        return replace(bundle, submission=replace(bundle.submission, submission_set=submission_set))


def open_simplified_publish(raw: bytes, context: ProvideContext, wire_format: FhirFormat) -> OpenedDocument:
    """Read a request body as far as it goes without other servers.

    Raises OutcomeError: 413 above `max_bytes`, 400 where it is not FHIR, 422 where it is not a
    DocumentReference of this transaction.
    """
    if len(raw) > context.max_bytes:
        raise fail(413, "too-long", f"The DocumentReference has more than {context.max_bytes} bytes.")
    release = context.release
    resource = read_resource(raw, wire_format, ROOT, release)
    findings = Findings()
    data = _check_fhir(resource, findings, release)
    check_claimed_release(resource, ROOT, findings, release)
    findings.raise_errors(400, as_sent=True)
    if release is not FhirRelease.R4:
        resource = received(resource, release, ROOT, findings)
        validate_resource(resource, ROOT, findings)
        findings.raise_errors(400)
    resource = with_own_urls(resource, context.base_url, context.bases)
    _check_profile(resource, data, findings)
    findings.raise_errors(422)
    return open_document(resource, data, context)


def open_document(resource: Json, data: str, context: ProvideContext) -> OpenedDocument:
    """A valid DocumentReference without attachment.data, and these `data`, as the Bundle they stand for.

    The ids follow from the resource and the document alone; the time of the submission is now.
    """
    said = _said(resource, data, context)
    bundle = _bundle(with_defaults(resource, context, said), data, context.source.source_id)
    index = BundleIndex(read_entries(bundle), context.base_url)
    findings = Findings()
    contents = decode_binaries(index, findings)
    try:
        findings.raise_errors(400)
        # the same entries in ITI-65 have another answer
        digest = content_digest(bundle["entry"], index.entries, contents) + " ITI-105"
        bundle["entry"][0]["resource"]["date"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        opened = open_entries(
            bundle,
            index,
            contents,
            context,
            digest=hashlib.sha256(digest.encode()).hexdigest(),
            wire_format=FhirFormat.JSON,
            size=len(data),
        )
    except OutcomeError as error:
        raise _of_document(error) from None
    return OpenedDocument(**{field.name: getattr(opened, field.name) for field in fields(opened)})


def _check_fhir(resource: Json, findings: Findings, release: FhirRelease) -> str:
    """Report what is not FHIR; attachment.data, which is taken out, since it can be large."""
    if resource.get("resourceType") != ROOT:
        findings.error(
            f"{ROOT}.resourceType", "value", "The body of this transaction is a DocumentReference."
        )
        return ""
    data: object = ""
    content = resource.get("content")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        attachment = content[0].get("attachment")
        if isinstance(attachment, dict):
            data = attachment.pop("data", "")
            if not attachment:
                attachment["id"] = "empty"
    validate_resource(resource, ROOT, findings, release)
    if isinstance(data, str):
        return data
    findings.error(f"{_ATTACHMENT}.data", "value", "The data of an Attachment is base64.")
    return ""


def _check_profile(resource: Json, data: str, findings: Findings) -> None:
    """What SimplifiedPublish.DocumentReference has beyond the Minimal profile."""
    if not data:
        findings.error(f"{_ATTACHMENT}.data", "required", "The document itself is here, as base64.")
    if "url" in resource["content"][0]["attachment"]:
        findings.error(f"{_ATTACHMENT}.url", "structure", "The document is in data, so there is no url.")
    for number, identifier in enumerate(resource.get("identifier") or ()):
        if identifier_role(identifier) == "entryUUID":
            findings.error(
                f"{ROOT}.identifier[{number}]", "structure", "The entryUUID is given by the recipient."
            )


def _said(resource: Json, data: str, context: ProvideContext) -> ReportMetadata | None:
    """What the document says of itself, where it is an imaging report."""
    mime_type = str(resource["content"][0]["attachment"].get("contentType") or "")
    content = decode_base64(data) if "fhir" in mime_type.lower() else None
    report = content and read_provided_report(content, mime_type, context.terminology, context.tables)
    return report.metadata if report else None


def with_defaults(resource: Json, context: ProvideContext, said: ReportMetadata | None = None) -> Json:
    """The DocumentReference with what its document says, then with what the settings say of its source."""
    defaults, table = context.source.defaults, context.tables.class_codes
    terminology = context.terminology

    def concept(code: Code | None) -> Json | None:
        return {"coding": [write_coding(code, terminology)]} if code else None

    completed = {**resource}
    content = {**resource["content"][0]}
    attachment = content["attachment"] = {**content["attachment"]}
    completed["content"] = [content, *resource["content"][1:]]
    clinical = {**(completed.get("context") or {})}
    if said is not None:
        _fill_from_report(completed, content, said, context)
    _fill(completed, "type", concept(defaults.type_code))
    kind = read_code(completed.get("type"), terminology, Findings(), "type")
    by_type = table.get((kind.code, kind.scheme)) if kind else None
    _fill(completed, "category", _listed(concept(by_type or defaults.class_code)))
    _fill(completed, "securityLabel", _listed(concept(defaults.confidentiality)))
    _fill(attachment, "language", defaults.language)
    format_code = defaults.format_code
    _fill(content, "format", write_coding(format_code, terminology) if format_code else None)
    _fill(clinical, "facilityType", concept(defaults.facility_type))
    _fill(clinical, "practiceSetting", concept(defaults.practice_setting))
    if clinical:
        completed["context"] = clinical
    return completed


def _fill_from_report(completed: Json, content: Json, said: ReportMetadata, context: ProvideContext) -> None:
    """What has to be in the DocumentReference before defaults are; the rest is added to its entry."""
    terminology, info = context.terminology, said.source_patient_info
    _fill(completed, "type", {"coding": [write_coding(said.type_code, terminology)]})
    if said.class_code is not None:
        _fill(completed, "category", [{"coding": [write_coding(said.class_code, terminology)]}])
    labels = [{"coding": [write_coding(code, terminology)]} for code in said.confidentiality]
    _fill(completed, "securityLabel", labels)
    _fill(content, "format", write_coding(said.format_code, terminology))
    _fill(content["attachment"], "language", said.language)
    patient = domain_patient(info.ids, context.tables) if info is not None else None
    _fill(completed, "subject", {"identifier": write_cx(patient, terminology)} if patient else None)


def _listed(concept: Json | None) -> list[Json] | None:
    return [concept] if concept else None


def _fill(element: Json, name: str, value: object) -> None:
    if value and not element.get(name):
        element[name] = value


def _bundle(resource: Json, data: str, source_id: str) -> Json:
    document = {**resource}
    document.pop("id", None)
    master = document.get("masterIdentifier")
    if isinstance(master, dict) and "type" not in master:
        coding = {"system": codes.MHD_IDENTIFIER_TYPE, "code": "uniqueId"}
        document["masterIdentifier"] = {**master, "type": {"coding": [coding]}}
    attachment = document["content"][0]["attachment"]
    binary = {"resourceType": "Binary", "contentType": attachment.get("contentType"), "data": data}
    attachment["url"] = _BINARY_URL
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [MetadataLevel.MINIMAL.value]},
        "type": "transaction",
        "entry": [
            _entry(_SET_URL, "List", _submission_set(document, source_id)),
            _entry(_DOCUMENT_URL, ROOT, document),
            _entry(_BINARY_URL, "Binary", binary),
        ],
    }


def _entry(full_url: str, kind: str, resource: Json) -> Json:
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": kind}}


def _submission_set(document: Json, source_id: str) -> Json:
    source = {"system": codes.URI_SYSTEM, "value": f"urn:oid:{source_id}"}
    extension: list[Json] = [{"url": codes.EXT_SOURCE_ID, "valueIdentifier": source}]
    content_type = document.get("type") or next(iter(document.get("category") or ()), None)
    if content_type:
        extension.append({"url": codes.EXT_DESIGNATION_TYPE, "valueCodeableConcept": content_type})
    made: Json = {
        "resourceType": "List",
        "extension": extension,
        "status": "current",
        "mode": "working",
        "code": {"coding": [{"system": codes.MHD_LIST_TYPES, "code": "submissionset"}]},
        "entry": [{"item": {"reference": _DOCUMENT_URL}}],
    }
    if "subject" in document:
        made["subject"] = document["subject"]
    return made


def _of_document(error: OutcomeError) -> OutcomeError:
    """The same findings, each once, about the DocumentReference instead of the Bundle it became."""
    issues: dict[tuple[str | None, str, str], Issue] = {}
    for issue in error.issues:
        moved = replace(issue, expression=_moved(issue.expression))
        # the elements of the DocumentReference come after those of the SubmissionSet, and say more; of the
        # content of a report there are many
        issues[moved.expression, moved.code, issue.diagnostics if issue.rule else ""] = moved
    return OutcomeError(error.status, tuple(issues.values()), error.headers)


def _moved(expression: str | None) -> str | None:
    found = _ENTRY.match(expression or "")
    if expression is None or found is None:
        return expression
    rest = expression[found.end() :]
    match found[1]:
        case "0":
            element = re.split(r"[.\[(]", rest.removeprefix("."), maxsplit=1)[0]
            return f"{ROOT}.{_OF_SET[element]}" if element in _OF_SET else ROOT
        case "1":
            return ROOT + rest
        case _:
            return _ATTACHMENT + rest
