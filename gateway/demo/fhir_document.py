"""An imaging report as FHIR R4 document: Composition first, a DiagnosticReport with its PDF embedded
(HL7 Europe Imaging Report 1.0.0-ballot).
"""

from base64 import b64encode
from typing import Any

import orjson

from gateway.demo.pdf import write_pdf
from gateway.demo.report_parts import ReportWriter, section
from gateway.demo.samples import LOINC, IdSource, SampleAuthor, SamplePatient, SampleReferenceId
from gateway.model import codes
from gateway.model.releases import FhirRelease

REPORT_TYPE = {"coding": [{"system": LOINC, "code": "85430-7", "display": "Diagnostic imaging report"}]}
FINDINGS = (
    "Examination: CT of the chest with intravenous contrast.",
    "",
    "Findings: lungs clear on both sides, no effusion, no pneumothorax.",
    "Heart of normal size. No enlarged lymph nodes.",
    "",
    "Impression: normal CT of the chest.",
)


def write_fhir_document(
    ids: IdSource,
    *,
    identifier: str,
    patient: SamplePatient,
    author: SampleAuthor,
    accession: SampleReferenceId,
    study_uid: str,
    written: str,
) -> bytes:
    """FHIR document Bundle as JSON.

    `identifier` is the bare OID of the document, `written` an instant with zone.
    """
    write = ReportWriter(FhirRelease.R4, ids)
    urls = {kind: ids.uuid() for kind in ("composition", "patient", "practitioner", "organization", "report")}
    urls["study"] = ids.uuid()
    pdf = write_pdf(
        "Diagnostic imaging report",
        [f"Patient: {patient.family}, {patient.given} ({patient.id})", f"Date: {written}", "", *FINDINGS],
    )
    numbers: dict[str, dict[str, Any]] = {
        "report": {"system": codes.URI_SYSTEM, "value": f"urn:oid:{identifier}.1"},
        "order": {"type": "ServiceRequest", "identifier": _accession(accession)},
    }
    resources = {
        "composition": _composition(write, urls, numbers["report"], written),
        "patient": patient.resource(_id(urls["patient"])),
        "practitioner": {
            "resourceType": "Practitioner",
            "name": [{"family": author.family, "given": [author.given]}],
        },
        "organization": {"resourceType": "Organization", "name": author.organization},
        "report": _report(write, urls, numbers, written, pdf),
        "study": _study(urls, numbers["order"], study_uid),
    }
    entries = [
        {"fullUrl": urls[kind], "resource": {**resource, "id": _id(urls[kind])}}
        for kind, resource in resources.items()
    ]
    document = {
        "resourceType": "Bundle",
        "meta": write.profile("BundleReportEuImaging"),
        "type": "document",
        "identifier": {"system": codes.URI_SYSTEM, "value": f"urn:oid:{identifier}"},
        "timestamp": written,
        "entry": entries,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _id(url: str) -> str:
    return url.removeprefix("urn:uuid:")


def _accession(accession: SampleReferenceId) -> dict[str, Any]:
    kind = {"coding": [{"system": codes.V2_IDENTIFIER_TYPE, "code": "ACSN"}]}
    return {**accession.identifier, "type": kind}


def _composition(
    write: ReportWriter, urls: dict[str, str], number: dict[str, Any], written: str
) -> dict[str, Any]:
    return {
        "resourceType": "Composition",
        "meta": write.profile("CompositionEuImaging"),
        "identifier": number,
        "status": "final",
        "type": REPORT_TYPE,
        "category": write.categories(),
        "subject": {"reference": urls["patient"]},
        "date": written,
        "author": [{"reference": urls["practitioner"]}, {"reference": urls["organization"]}],
        "title": "Diagnostic imaging report",
        "section": [
            section("imagingstudy", ("CT of the chest.",), [{"reference": urls["study"]}]),
            section("order", ("CT of the chest with contrast.",)),
            section("history", ("Not known.",)),
            section("procedure", (FINDINGS[0],)),
            section("findings", FINDINGS[2:4]),
            section("impression", FINDINGS[-1:]),
        ],
    }


def _study(urls: dict[str, str], order: dict[str, Any], study_uid: str) -> dict[str, Any]:
    """What the report says of the study: which one it is."""
    kind = {"system": codes.DICOM_CODE_SYSTEM, "code": "110180", "display": "Study Instance UID"}
    uid = {
        "type": {"coding": [kind]},
        "system": codes.DICOM_UID_SYSTEM,
        "value": f"urn:oid:{study_uid}",
    }
    return {
        "resourceType": "ImagingStudy",
        "identifier": [uid],
        "status": "available",
        "subject": {"reference": urls["patient"]},
        "basedOn": [order],
    }


def _report(
    write: ReportWriter,
    urls: dict[str, str],
    numbers: dict[str, dict[str, Any]],
    written: str,
    pdf: bytes,
) -> dict[str, Any]:
    composition = write.r5_extension(
        "DiagnosticReport.composition", valueReference={"reference": urls["composition"]}
    )
    return {
        "resourceType": "DiagnosticReport",
        "meta": write.profile("DiagnosticReportEuImaging"),
        "extension": [composition],
        "identifier": [numbers["report"]],
        "basedOn": [numbers["order"]],
        "status": "final",
        "category": write.categories(),
        "code": REPORT_TYPE,
        "subject": {"reference": urls["patient"]},
        "issued": written,
        "performer": [{"reference": urls["organization"]}],
        "resultsInterpreter": [{"reference": urls["practitioner"]}],
        "imagingStudy": [{"reference": urls["study"]}],
        "conclusion": FINDINGS[-1],
        "presentedForm": [
            {
                "contentType": "application/pdf",
                "language": "en",
                "title": "Diagnostic imaging report",
                "data": b64encode(pdf).decode(),
            }
        ],
    }
