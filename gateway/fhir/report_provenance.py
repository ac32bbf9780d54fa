"""Provenance of the resources of a report document: they were taken out of it (HL7 Europe Imaging Report
1.0.0-ballot, resource access; IHE mXDE).
"""

from collections.abc import Sequence

from gateway.fhir.datatypes import Json, write_date_time
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import DocumentEntry

_UNKNOWN_TIME = "1970-01-01T00:00:00Z"


def write_report_provenance(
    entry: DocumentEntry,
    provenance_id: str,
    targets: Sequence[Json],
    document_id: str,
    assembler: str = "MHD XDS gateway",
) -> Json:
    """Provenance of `targets` (References); `document_id` is that of the DocumentReference."""
    updated = write_date_time(entry.creation_time)
    maker = {"system": imaging.PROVENANCE_PARTICIPANT, "code": "assembler"}
    exact = updated is not None and "T" in updated
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        **({"meta": {"lastUpdated": updated}} if exact else {}),
        "target": list(targets),
        "recorded": updated if exact else _UNKNOWN_TIME,
        "agent": [{"type": {"coding": [maker]}, "who": {"display": assembler}}],
        "entity": [{"role": "source", "what": {"reference": f"DocumentReference/{document_id}"}}],
    }
