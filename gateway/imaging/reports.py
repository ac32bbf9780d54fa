"""Imaging reports of a patient, fetched from document repositories (ITI-43) and read at most once each.

Which documents may be reports follows from their registry entries: FHIR documents of type 85430-7 or of the
category of imaging, unless their formatCode is that of a manifest. Whether they are, their content tells.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec import Struct

from gateway.clients.community import DocumentPlaces
from gateway.clients.repository import WholeDocument
from gateway.correlation.reports import ReportStore
from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import Issue
from gateway.imaging.fetched_documents import (
    AlteredDocument,
    FetchedDocuments,
    NotFetched,
    UnknownRepository,
    media_type,
    read_aside,
)
from gateway.model import DocumentEntry, DocumentRequest, RegistryFailure
from gateway.model import imaging_codes as imaging
from gateway.model.errors import PeerError
from gateway.model.report_entries import ReportEntries

ReportReader = Callable[[bytes], ReportEntries]
"""Reads one format. Raises ReportError."""

_FHIR: Final = frozenset(map(str, FhirFormat))
_MANIFESTS: Final = frozenset({imaging.FORMAT_KOS, imaging.FORMAT_FHIR_MANIFEST})

log = structlog.get_logger()


class ReportError(Exception):
    """A document is no report that can be used; the text has no patient data."""


class KnownReport(Struct, frozen=True):
    """A report document: its registry entry and what it holds."""

    entry: DocumentEntry
    content: ReportEntries


def may_be_report(entry: DocumentEntry) -> bool:
    """True for a document that has to be read to know whether it is a report."""
    if media_type(entry.mime_type) not in _FHIR:
        return False
    if entry.format_code is not None and entry.format_code.code in _MANIFESTS:
        return False
    return is_typed_report(entry) or (
        entry.class_code is not None and entry.class_code.code == imaging.MEDICAL_IMAGING
    )


def is_typed_report(entry: DocumentEntry) -> bool:
    """True where the registry calls the document an imaging report."""
    return entry.type_code is not None and entry.type_code.code == imaging.LOINC_IMAGING_REPORT


class Reports:
    """The reports of the domain."""

    def __init__(
        self,
        places: DocumentPlaces,
        store: ReportStore,
        readers: Mapping[str, ReportReader],
        *,
        max_bytes: int,
    ) -> None:
        """`readers` by MIME type."""
        self._documents = FetchedDocuments[_WantedReport](places, "report", max_bytes=max_bytes)
        self._store = store
        self._readers = readers

    async def of_entries(
        self, entries: Iterable[DocumentEntry]
    ) -> tuple[tuple[KnownReport, ...], tuple[Issue, ...]]:
        """The reports among documents, in their order, and warnings about what could not be had."""
        listed = [entry for entry in entries if may_be_report(entry)]
        found: dict[str, ReportEntries] = {}
        issues: dict[Issue, None] = {}
        missing: list[_WantedReport] = []
        wanted = [w for entry in listed if (w := _wanted(entry)) is not None]
        if len(wanted) < len(listed):
            issues[_warning("the registry does not say which repository holds a report")] = None
        held = await asyncio.gather(*(self._store.find(item.request) for item in wanted))
        for item, known in zip(wanted, held, strict=True):
            if known is not None:
                found[item.entry.entry_uuid] = known
            else:
                missing.append(item)
        async with aclosing(self._documents.many(missing)) as documents:
            async for item, document in documents:
                outcome = await self._outcome(item, document)
                if isinstance(outcome, Issue):
                    issues[outcome] = None
                else:
                    found[item.entry.entry_uuid] = outcome
        reports = (KnownReport(e, found[e.entry_uuid]) for e in listed if e.entry_uuid in found)
        return tuple(report for report in reports if report.content.is_report), tuple(issues)

    async def _outcome(
        self, item: "_WantedReport", document: WholeDocument | NotFetched
    ) -> ReportEntries | Issue:
        if isinstance(document, UnknownRepository):
            return _warning(
                "a report lies where this gateway does not reach: repository "
                f"{document.unique_id} is not in the settings"
            )
        if isinstance(document, AlteredDocument):
            return _unusable(str(document))
        if not isinstance(document, WholeDocument):
            return _not_given(document)
        try:
            read = await read_aside(self._readers[media_type(item.entry.mime_type)], document.content)
        except ReportError as error:
            repository = item.request.repository_unique_id
            log.warning("report.unreadable", repository=repository, reason=str(error))
            if is_typed_report(item.entry):
                return _unusable(str(error))
            read = ReportEntries()
        await self._store.remember(item.request, read)
        return read


@dataclass(frozen=True, slots=True)
class _WantedReport:
    """A document that may be a report; see `WantedDocument`."""

    request: DocumentRequest
    entry: DocumentEntry

    @property
    def hash(self) -> str | None:
        return self.entry.hash

    @property
    def size(self) -> int | None:
        return self.entry.size


def _wanted(entry: DocumentEntry) -> _WantedReport | None:
    if entry.repository_unique_id is None:
        return None
    request = DocumentRequest(entry.repository_unique_id, entry.unique_id, entry.home_community_id)
    return _WantedReport(request, entry)


def _warning(text: str) -> Issue:
    return Issue("warning", "incomplete", f"{text[0].upper()}{text[1:]}. Its resources are missing here.")


def _unusable(reason: str) -> Issue:
    return _warning(f"a report cannot be used: {reason}")


def _not_given(problem: PeerError | RegistryFailure) -> Issue:
    return _warning(f"{problem.peer} ({problem.transaction}) did not give a report")
