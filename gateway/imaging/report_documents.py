"""The operation `$document` of DiagnosticReport: the report document itself (HL7 Europe Imaging Report
1.0.0-ballot, OperationDefinition DiagnosticReport-fhir-report).

The document is what was published, checked against the registry's size and hash, in its own media type. A
client that takes the other FHIR format alone gets the same Bundle in that. It is of the release of FHIR that
it was written in, whatever base it is asked for at: a client that takes another release alone gets none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import fail
from gateway.fhir.report_terms import release_of_text
from gateway.fhir.xml_writer import write_xml
from gateway.imaging.patient_imaging import PatientImaging
from gateway.imaging.resource_kinds import Identities
from gateway.imaging.shelf import Shelf
from gateway.mhd.conditions import best_type
from gateway.mhd.document_types import bare, with_release
from gateway.mhd.references import document_key
from gateway.mhd.retrieve import Conditions, Retriever

BundleReader = Callable[[bytes], Json]
"""Reads a Bundle in one format."""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A report document, as it is stored or in the other format of FHIR. `media_type` says its release."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class ReportDocuments:
    """The documents of DiagnosticReports. `readers` by media type are of those that can be converted."""

    identities: Identities
    patients: PatientImaging
    shelf: Callable[[], Shelf]
    retriever: Retriever
    readers: Mapping[str, BundleReader]

    async def of_report(self, report_id: str, accept: str | None) -> FoundDocument:
        """The document of a DiagnosticReport. Raises OutcomeError 404 and 406, RegistryFailure and
        PeerError.
        """
        shelf = self.shelf()
        opened = await self.identities.open_report(self.patients, shelf, report_id)
        if not opened or shelf.referenced(f"DiagnosticReport/{report_id}") is None:
            raise fail(404, "not-found", "No DiagnosticReport with this id.", expression="DiagnosticReport")
        key = document_key(shelf.views[0].entry)
        async with self.retriever.retrieve_binary(key, Conditions()) as found:
            content = b"".join([chunk async for chunk in found.chunks]) if found.chunks is not None else b""
        stored = bare(found.media_type)
        release = key.release or release_of_text(content)
        if stored not in self.readers:
            return FoundDocument(content, found.media_type)
        offered = [with_release(form, release) for form in (stored, *FhirFormat)]
        served = best_type(offered, accept)
        if served is None:
            types = " or ".join(dict.fromkeys(offered))
            raise fail(
                406,
                "not-supported",
                f"The report is {types}; Accept allows neither, and documents are of one release of FHIR.",
            )
        if bare(served) != stored:
            bundle = self.readers[stored](content)
            is_xml = bare(served) == FhirFormat.XML
            content = write_xml(bundle, release=release) if is_xml else orjson.dumps(bundle)
        return FoundDocument(content, served)
