"""An imaging report as FHIR R4 document: Composition first, a DiagnosticReport with its PDF embedded."""

from base64 import b64encode
from typing import Any

import orjson

from gateway.demo.pdf import write_pdf
from gateway.demo.samples import LOINC, IdSource, SampleAuthor, SamplePatient, SampleReferenceId
from gateway.model import codes

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
    urls = {kind: ids.uuid() for kind in ("composition", "patient", "practitioner", "organization", "report")}
    pdf = write_pdf(
        "Diagnostic imaging report",
        [f"Patient: {patient.family}, {patient.given} ({patient.id})", f"Date: {written}", "", *FINDINGS],
    )
    resources = {
        "composition": _composition(urls, written),
        "patient": patient.resource(_id(urls["patient"])),
        "practitioner": {
            "resourceType": "Practitioner",
            "name": [{"family": author.family, "given": [author.given]}],
        },
        "organization": {"resourceType": "Organization", "name": author.organization},
        "report": _report(urls, accession, study_uid, written, pdf),
    }
    entries = [
        {"fullUrl": urls[kind], "resource": {**resource, "id": _id(urls[kind])}}
        for kind, resource in resources.items()
    ]
    document = {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": codes.URI_SYSTEM, "value": f"urn:oid:{identifier}"},
        "timestamp": written,
        "entry": entries,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _id(url: str) -> str:
    return url.removeprefix("urn:uuid:")


def _composition(urls: dict[str, str], written: str) -> dict[str, Any]:
    narrative = "".join(f"<p>{line}</p>" for line in FINDINGS if line)
    return {
        "resourceType": "Composition",
        "status": "final",
        "type": REPORT_TYPE,
        "subject": {"reference": urls["patient"]},
        "date": written,
        "author": [{"reference": urls["practitioner"]}, {"reference": urls["organization"]}],
        "title": "Diagnostic imaging report",
        "section": [
            {
                "title": "Report",
                "text": {
                    "status": "generated",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>',
                },
                "entry": [{"reference": urls["report"]}],
            }
        ],
    }


def _report(
    urls: dict[str, str], accession: SampleReferenceId, study_uid: str, written: str, pdf: bytes
) -> dict[str, Any]:
    study = {"system": codes.DICOM_UID_SYSTEM, "value": f"urn:oid:{study_uid}"}
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                        "code": "RAD",
                        "display": "Radiology",
                    }
                ]
            }
        ],
        "code": REPORT_TYPE,
        "subject": {"reference": urls["patient"]},
        "basedOn": [{"type": "ServiceRequest", "identifier": accession.identifier}],
        "issued": written,
        "performer": [{"reference": urls["organization"]}],
        "resultsInterpreter": [{"reference": urls["practitioner"]}],
        "imagingStudy": [{"type": "ImagingStudy", "identifier": study}],
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
