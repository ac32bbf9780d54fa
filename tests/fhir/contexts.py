"""Contexts for writing and reading resources, with patients named by their identifier alone."""

from gateway.fhir.datatypes import read_cx
from gateway.fhir.document_reference import WriteContext
from gateway.fhir.document_reference_read import ReadContext
from gateway.fhir.findings import Findings
from gateway.fhir.terminology import Terminology

BASE = "https://gateway.example/fhir"


def patient_reference(patient):
    """Logical reference to a patient."""
    return {"identifier": {"system": f"urn:oid:{patient.authority}", "value": patient.id}}


def write_context(terminology=None, warnings=None):
    """WriteContext whose warnings go to a list."""
    collected = [] if warnings is None else warnings
    return WriteContext(
        terminology or Terminology(),
        BASE,
        lambda entry: f"{BASE}/content/{entry.entry_uuid[9:]}",
        patient_reference,
        collected.append,
    )


def read_context(terminology=None):
    """ReadContext that takes the subject from its identifier."""
    terms, findings = terminology or Terminology(), Findings()
    return ReadContext(
        terms, lambda reference, path: read_cx(reference["identifier"], terms, findings, path), findings
    )
