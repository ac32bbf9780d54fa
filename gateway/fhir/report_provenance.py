"""Provenance of the resources of a report document: they were taken out of it (HL7 Europe Imaging Report
1.0.0-ballot, resource access; IHE mXDE).
"""

from collections.abc import Sequence

from gateway.fhir.datatypes import Json, write_date_time
from gateway.fhir.document_provenance import UNKNOWN_TIME
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import DocumentEntry


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
    # what is known to the day is when it was done; FHIR wants the instant at which that was recorded
    known = {"recorded": updated} if exact else {"_recorded": UNKNOWN_TIME}
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        **({"meta": {"lastUpdated": updated}} if exact else {}),
        "target": list(targets),
        **({"occurredDateTime": updated} if updated and not exact else {}),
        **known,
        "agent": [{"type": {"coding": [maker]}, "who": {"display": assembler}}],
        "entity": [{"role": "source", "what": {"reference": f"DocumentReference/{document_id}"}}],
    }
