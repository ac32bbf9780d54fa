"""What documents say of their patient: their metadata, and where those do not, manifests and reports."""

from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from gateway.ebxml.patient_info import further_details
from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_elements import json_bytes
from gateway.fhir.imaging_parts import write_patient
from gateway.fhir.patient_view import said_by_entries
from gateway.fhir.terminology import Terminology
from gateway.imaging.patient_imaging import Gathered
from gateway.imaging.reports import KnownReport
from gateway.imaging.studies import KnownStudy
from gateway.model import DocumentEntry, codes


def said_by_metadata(entries: Iterable[DocumentEntry], terminology: Terminology) -> list[Json]:
    """Patients as sourcePatientInfo has them, the latest document first."""
    return said_by_entries(entries, terminology, further_details)


def said_by_documents(gathered: Gathered, terminology: Terminology) -> list[Json]:
    """Patients as the documents have them, the latest document first."""
    listed = [*_of_studies(gathered.studies, terminology), *_of_reports(gathered.reports)]
    return [patient for _, patient in sorted(listed, key=lambda item: item[0], reverse=True)]


def _of_studies(studies: Iterable[KnownStudy], terminology: Terminology) -> Iterator[tuple[str, Json]]:
    for known in studies:
        written: Json = orjson.loads(json_bytes(write_patient(known.study.patient, "", terminology)))
        yield known.sources[0].entry.creation_time or "", _said(written)


def _of_reports(reports: Iterable[KnownReport]) -> Iterator[tuple[str, Json]]:
    for report in reports:
        for entry in report.content.entries:
            if entry.kind == "Patient":
                yield report.entry.creation_time or "", _said(orjson.loads(entry.content))


def _said(patient: Json) -> Json:
    said = {name: value for name, value in patient.items() if name.removeprefix("_") in _PERSONAL}
    listed = patient.get("extension")
    extensions = listed if isinstance(listed, list) else ()
    maiden = [e for e in extensions if isinstance(e, dict) and e.get("url") == codes.MOTHERS_MAIDEN_NAME]
    return {**said, "extension": maiden} if maiden else said


_PERSONAL: Final = frozenset(
    {
        "identifier",
        "name",
        "telecom",
        "gender",
        "birthDate",
        "deceasedBoolean",
        "deceasedDateTime",
        "address",
        "communication",
    }
)
"""Elements about the person; others refer to resources of the document."""
