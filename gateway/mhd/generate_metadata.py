"""Which kind of document a request of ITI-106 brings, and what that document says about itself
(IHE MHD 4.2.4 2:3.106.4.1.3): CDA R2 in a Binary, a FHIR document as Bundle or in a Binary.
"""

from typing import Final

from gateway.cda.header import CdaError, read_cda
from gateway.fhir.datatypes import Json
from gateway.fhir.fhir_document_header import read_document_header
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.generate_metadata import RESOURCE, GivenDocument, read_generate_metadata
from gateway.fhir.generated_document import GeneratedDocument, generate_document
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.provide_bundle_fhir_documents import check_fhir_document
from gateway.fhir.provide_context import ProvideContext
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
    return generate_document(given, _header(given, context), context)


def _header(given: GivenDocument, context: ProvideContext) -> SelfDescription:
    if given.bundle is not None:
        bundle = given.bundle
        if context.release is FhirRelease.R5:
            bundle = from_r5(bundle, document=True)
        return _fhir_header(bundle, RESOURCE, context)
    for wire_format in FhirFormat:
        if given.mime_type == wire_format.value:
            return _packed_fhir_header(given.content, wire_format, context)
    if given.mime_type in _XML or given.mime_type.endswith("+xml"):
        return _cda_header(given.content, context)
    raise fail(
        422,
        "not-supported",
        "Metadata is made from CDA R2 (text/xml) and from FHIR documents (application/fhir+json, "
        "application/fhir+xml); publish other documents with ITI-65 or ITI-105.",
        expression=f"{RESOURCE}.contentType",
    )


def _fhir_header(bundle: Json, path: str, context: ProvideContext) -> SelfDescription:
    findings = Findings()
    header = read_document_header(bundle, context.terminology, findings, path)
    findings.raise_errors(422)
    return header


def _packed_fhir_header(content: bytes, wire_format: FhirFormat, context: ProvideContext) -> SelfDescription:
    """The same of a document in a Binary; findings name its elements in their text."""
    try:
        bundle = read_resource(content, wire_format, "Bundle")
        findings = Findings()
        if bundle.get("resourceType") == "Bundle":
            check_fhir_document(bundle, "Bundle", findings)
        else:
            findings.error("Bundle", "value", "A FHIR document is a Bundle.")
        findings.raise_errors(422)
        return _fhir_header(bundle, "Bundle", context)
    except OutcomeError as error:
        issues = [
            Issue(i.severity, i.code, f"{i.expression or 'Bundle'}: {i.diagnostics}", _DATA, i.details_code)
            for i in error.issues
        ]
        raise OutcomeError(422, issues) from None


def _cda_header(content: bytes, context: ProvideContext) -> SelfDescription:
    try:
        return read_cda(content, context.time_zone, context.tables.accession_authorities)
    except MessageError as error:
        raise fail(422, "structure", f"The document cannot be read: {error}.", expression=_DATA) from None
    except CdaError as error:
        issues = [Issue("error", "value", f"CDA R2, {path}: {text}", _DATA) for path, text in error.problems]
        raise OutcomeError(422, issues) from None
