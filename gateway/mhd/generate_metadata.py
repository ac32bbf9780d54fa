"""Which kind of document a request of ITI-106 brings, and what that document says about itself
(IHE MHD 4.2.4 2:3.106.4.1.3): CDA R2 in a Binary, a FHIR document as Bundle or in a Binary; of imaging also
manifests, the FHIR document as well as the key object document in a Binary (RAD-68).
"""

from typing import Final

from msgspec.structs import replace

from gateway.cda.header import CdaError, read_cda
from gateway.dicom.errors import DicomError
from gateway.dicom.kos_reader import read_kos
from gateway.fhir.datatypes import Json
from gateway.fhir.fhir_document_header import read_document_header
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.generate_metadata import RESOURCE, GivenDocument, read_generate_metadata
from gateway.fhir.generated_document import GeneratedDocument, generate_document
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.manifest_description import describe_manifest, is_manifest_bundle
from gateway.fhir.manifest_metadata import ManifestFormat
from gateway.fhir.manifest_read import NotAManifestError, read_manifest_bundle
from gateway.fhir.provide_bundle_fhir_documents import check_fhir_document
from gateway.fhir.provide_context import ProvideContext
from gateway.fhir.provide_reports import describe_report, report_deviations, report_of_bundle
from gateway.fhir.report_terms import release_of_text
from gateway.fhir.versions import from_r5
from gateway.model.publishing import SelfDescription
from gateway.model.releases import FhirRelease
from gateway.safe_xml import MessageError

_XML: Final = frozenset({"text/xml", "application/xml"})
_DATA: Final = f"{RESOURCE}.data"


def open_generate_metadata(raw: bytes, context: ProvideContext, wire_format: FhirFormat) -> GeneratedDocument:
    """Read a request body, and complete the metadata of its document.

    Raises OutcomeError: 413 above the limit, 400 where it is not FHIR, 422 where the document is not one
    that says enough about itself.
    """
    given = read_generate_metadata(raw, context.max_bytes, wire_format, context.release)
    findings = Findings()
    header = _header(given, context, findings)
    return generate_document(given, header, context, tuple(findings.warnings))


def _header(given: GivenDocument, context: ProvideContext, findings: Findings) -> SelfDescription:
    if given.mime_type == ManifestFormat.KOS:
        return _kos_header(given.content, context)
    if given.bundle is not None:
        return _fhir_header(given.bundle, RESOURCE, context, findings, release=context.release)
    for wire_format in FhirFormat:
        if given.mime_type == wire_format.value:
            return _packed_fhir_header(given.content, wire_format, context, findings)
    if given.mime_type in _XML or given.mime_type.endswith("+xml"):
        return _cda_header(given.content, context)
    raise fail(
        422,
        "not-supported",
        "Metadata is made from CDA R2 (text/xml), FHIR documents (application/fhir+json, "
        "application/fhir+xml) and imaging manifests (application/dicom); publish other documents with "
        "ITI-65 or ITI-105.",
        expression=f"{RESOURCE}.contentType",
    )


def _fhir_header(
    bundle: Json, path: str, context: ProvideContext, findings: Findings, *, release: FhirRelease
) -> SelfDescription:
    report = report_of_bundle(bundle, context.terminology, context.tables)
    if report is not None:
        header = describe_report(report, bundle, context.terminology, findings, path)
        report_deviations(report, path, context.policy.reports, findings, inline=True)
    elif is_manifest_bundle(bundle):
        header = _manifest_header(bundle, path, context)
    else:
        plain = from_r5(bundle, document=True) if release is FhirRelease.R5 else bundle
        header = read_document_header(plain, context.terminology, findings, path)
    findings.raise_errors(422)
    return header


def _packed_fhir_header(
    content: bytes, wire_format: FhirFormat, context: ProvideContext, findings: Findings
) -> SelfDescription:
    """The same of a document in a Binary; findings name its elements in their text."""
    try:
        release = release_of_text(content)
        bundle = read_resource(content, wire_format, "Bundle", release)
        if bundle.get("resourceType") == "Bundle":
            check_fhir_document(bundle, "Bundle", findings, release)
        else:
            findings.error("Bundle", "value", "A FHIR document is a Bundle.")
        findings.raise_errors(422)
        return _fhir_header(bundle, "Bundle", context, findings, release=release)
    except OutcomeError as error:
        issues = [
            replace(i, diagnostics=f"{i.expression or 'Bundle'}: {i.diagnostics}", expression=_DATA)
            for i in error.issues
        ]
        raise OutcomeError(422, issues) from None


def _manifest_header(bundle: Json, path: str, context: ProvideContext) -> SelfDescription:
    try:
        read = read_manifest_bundle(bundle, context.terminology)
    except NotAManifestError as error:
        raise fail(422, "structure", f"The manifest cannot be read: {error}.", expression=path) from None
    return describe_manifest(read.manifest, ManifestFormat.FHIR, context.tables, context.time_zone)


def _kos_header(content: bytes, context: ProvideContext) -> SelfDescription:
    try:
        read = read_kos(content)
    except DicomError as error:
        text = f"The key object document cannot be read: {error}."
        raise fail(422, "structure", text, expression=_DATA) from None
    return describe_manifest(read.manifest, ManifestFormat.KOS, context.tables, context.time_zone)


def _cda_header(content: bytes, context: ProvideContext) -> SelfDescription:
    try:
        return read_cda(content, context.time_zone, context.tables.accession_authorities)
    except MessageError as error:
        raise fail(422, "structure", f"The document cannot be read: {error}.", expression=_DATA) from None
    except CdaError as error:
        issues = [Issue("error", "value", f"CDA R2, {path}: {text}", _DATA) for path, text in error.problems]
        raise OutcomeError(422, issues) from None
