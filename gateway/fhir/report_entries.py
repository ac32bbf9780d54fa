"""Report document -> its resources, one by one (HL7 Europe Imaging Report 1.0.0-ballot: Bundle of type
document, or collection with minimal metadata).

A report that is written in FHIR R5 is read as R4; what R4 has no place for is in the document alone.
Nothing is judged here: what the registry holds is shown, and whether it follows the guide was asked when it
was published. Only what is no FHIR Bundle is an error.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.fhir.report_terms import release_of, release_of_text
from gateway.fhir.strict_json import read_json
from gateway.fhir.versions import ConversionError, from_r5
from gateway.fhir.xml_reader import read_xml
from gateway.model.releases import FhirRelease
from gateway.model.report_entries import ReportEntries, ReportEntry


class NotABundle(ValueError):
    """What was read is no FHIR Bundle. The text says why, without content."""


def read_report_entries(raw: bytes, wire_format: FhirFormat = FhirFormat.JSON) -> ReportEntries:
    """The resources of a report; none where the Bundle has no DiagnosticReport. Raises NotABundle."""
    try:
        bundle = read_bundle(raw, wire_format)
    except OutcomeError as error:
        raise NotABundle(f"it is no FHIR: {error}") from None
    if bundle.get("resourceType") != "Bundle":
        raise NotABundle("it is no Bundle")
    if release_of(bundle) is FhirRelease.R5:
        try:
            bundle = from_r5(bundle, document=True)
        except ConversionError as error:
            raise NotABundle(f"it is no FHIR R5: {error}") from None
    entries = tuple(_entries(bundle.get("entry")))
    return ReportEntries(entries if any(e.kind == "DiagnosticReport" for e in entries) else ())


def read_bundle(raw: bytes, wire_format: FhirFormat) -> Json:
    """A document in either format and release as JSON values. Raises OutcomeError."""
    if wire_format is FhirFormat.XML:
        return read_xml(raw, release_of_text(raw))
    return read_json(raw, "Bundle")


def _entries(listed: Any) -> Iterator[ReportEntry]:
    seen: set[str] = set()
    for number, entry in enumerate(listed if isinstance(listed, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            continue
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or not kind.isalpha():
            continue
        url, local_id = entry.get("fullUrl"), resource.get("id")
        name = url if isinstance(url, str) and url and url not in seen else f"#{number}"
        seen.add(name)
        yield ReportEntry(kind, name, local_id if isinstance(local_id, str) else "", orjson.dumps(resource))
