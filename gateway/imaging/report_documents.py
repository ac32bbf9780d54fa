"""The operation `$document` of DiagnosticReport: the report document itself (HL7 Europe Imaging Report
1.0.0-ballot, OperationDefinition DiagnosticReport-fhir-report).

The document is what was published, checked against the registry's size and hash, in its own media type. A
client that takes another FHIR format alone gets the same Bundle in that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import fail
from gateway.imaging.patient_imaging import PatientImaging
from gateway.imaging.resource_kinds import Identities
from gateway.imaging.shelf import Shelf
from gateway.mhd.conditions import accepts
from gateway.mhd.retrieve import Conditions, Retriever
from gateway.security.document_urls import DocumentKey

BundleReader = Callable[[bytes], Json]
"""Reads a Bundle in one format."""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A report document: as it is stored, or its Bundle as JSON that is still to be presented."""

    content: bytes
    media_type: str
    is_stored: bool


@dataclass(frozen=True, slots=True)
class ReportDocuments:
    """The documents of DiagnosticReports. `readers` by media type are of those that can be converted."""

    identities: Identities
    patients: PatientImaging
    shelf: Callable[[], Shelf]
    retriever: Retriever
    readers: Mapping[str, BundleReader]

    async def of_report(self, report_id: str, accept: str | None) -> FoundDocument:
        """The document of a DiagnosticReport. Raises OutcomeError 404, RegistryFailure and PeerError."""
        shelf = self.shelf()
        opened = await self.identities.open_report(self.patients, shelf, report_id)
        if not opened or shelf.referenced(f"DiagnosticReport/{report_id}") is None:
            raise fail(404, "not-found", "No DiagnosticReport with this id.", expression="DiagnosticReport")
        key = DocumentKey.of(shelf.views[0].entry)
        async with self.retriever.retrieve_binary(key, Conditions()) as found:
            content = b"".join([chunk async for chunk in found.chunks]) if found.chunks is not None else b""
        bare = found.media_type.partition(";")[0].strip().lower()
        if accepts(accept, found.media_type) or bare not in self.readers:
            return FoundDocument(content, found.media_type, is_stored=True)
        return FoundDocument(orjson.dumps(self.readers[bare](content)), found.media_type, is_stored=False)
