"""Imaging reports of a patient, fetched from document repositories (ITI-43) and read at most once each.

Which documents may be reports follows from their registry entries: FHIR documents of type 85430-7 or of the
category of imaging, unless their formatCode is that of a manifest. Whether they are, their content tells.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import structlog
from msgspec import Struct

from gateway.clients.community import DocumentPlaces, Documents
from gateway.clients.repository import WholeDocument
from gateway.correlation.reports import ReportStore
from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import Issue
from gateway.model import DocumentEntry, DocumentRequest, RegistryFailure
from gateway.model import imaging_codes as imaging
from gateway.model.errors import PeerError
from gateway.model.report_entries import ReportEntries

ReportReader = Callable[[bytes], ReportEntries]
"""Reads one format. Raises ReportError."""

_READ_IN_THREAD: Final = 64 * 1024
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
    if _media_type(entry.mime_type) not in _FHIR:
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
        self._places = places
        self._store = store
        self._readers = readers
        self._max_bytes = max_bytes

    async def of_entries(
        self, entries: Iterable[DocumentEntry]
    ) -> tuple[tuple[KnownReport, ...], tuple[Issue, ...]]:
        """The reports among documents, in their order, and warnings about what could not be had."""
        listed = [entry for entry in entries if may_be_report(entry)]
        found: dict[str, ReportEntries] = {}
        issues: dict[Issue, None] = {}
        missing: dict[str, tuple[Documents, dict[DocumentRequest, DocumentEntry]]] = {}
        requests = [_request(entry) for entry in listed]
        held = await asyncio.gather(*(self._store.find(r) for r in requests if r is not None))
        kept = iter(held)
        for entry, request in zip(listed, requests, strict=True):
            known = next(kept) if request is not None else None
            place = None if request is None else self._place(request)
            if known is not None:
                found[entry.entry_uuid] = known
            elif request is None or place is None:
                issues[_unplaced(request)] = None
            else:
                missing.setdefault(place.name, (place, {}))[1][request] = entry
        fetched = (self._fetched(place, wanted) for place, wanted in missing.values())
        for outcomes in await asyncio.gather(*fetched):
            for uuid, outcome in outcomes:
                if isinstance(outcome, Issue):
                    issues[outcome] = None
                else:
                    found[uuid] = outcome
        reports = (KnownReport(e, found[e.entry_uuid]) for e in listed if e.entry_uuid in found)
        return tuple(report for report in reports if report.content.is_report), tuple(issues)

    def _place(self, request: DocumentRequest) -> Documents | None:
        return self._places.of(request.home_community_id, request.repository_unique_id)

    async def _fetched(
        self, place: Documents, requests: Mapping[DocumentRequest, DocumentEntry]
    ) -> Sequence[tuple[str, ReportEntries | Issue]]:
        outcomes: list[tuple[str, ReportEntries | Issue]] = []
        async with aclosing(place.retrieve_many(requests, max_bytes=self._max_bytes)) as documents:
            async for request, document in documents:
                entry = requests[request]
                if isinstance(document, WholeDocument):
                    outcomes.append((entry.entry_uuid, await self._read(request, entry, document.content)))
                else:
                    outcomes.append((entry.entry_uuid, _not_given(document)))
        return outcomes

    async def _read(
        self, request: DocumentRequest, entry: DocumentEntry, content: bytes
    ) -> ReportEntries | Issue:
        if _is_altered(entry, content):
            log.error("report.altered", repository=request.repository_unique_id)
            return _unusable("the repository gives another document than the one that is registered")
        reader = self._readers[_media_type(entry.mime_type)]
        try:
            large = len(content) > _READ_IN_THREAD
            read = await asyncio.to_thread(reader, content) if large else reader(content)
        except ReportError as error:
            log.warning("report.unreadable", repository=request.repository_unique_id, reason=str(error))
            if is_typed_report(entry):
                return _unusable(str(error))
            read = ReportEntries()
        await self._store.remember(request, read)
        return read


def _request(entry: DocumentEntry) -> DocumentRequest | None:
    if entry.repository_unique_id is None:
        return None
    return DocumentRequest(entry.repository_unique_id, entry.unique_id, entry.home_community_id)


def _media_type(mime_type: str) -> str:
    return mime_type.partition(";")[0].strip().lower()


def _is_altered(entry: DocumentEntry, content: bytes) -> bool:
    if entry.size is not None and entry.size != len(content):
        return True
    # the hash of the standard is SHA-1
    return bool(entry.hash) and hashlib.sha1(content, usedforsecurity=False).hexdigest() != entry.hash


def _warning(text: str) -> Issue:
    return Issue("warning", "incomplete", f"{text[0].upper()}{text[1:]}. Its resources are missing here.")


def _unusable(reason: str) -> Issue:
    return _warning(f"a report cannot be used: {reason}")


def _not_given(problem: PeerError | RegistryFailure) -> Issue:
    return _warning(f"{problem.peer} ({problem.transaction}) did not give a report")


def _unplaced(request: DocumentRequest | None) -> Issue:
    if request is None:
        return _warning("the registry does not say which repository holds a report")
    where = request.repository_unique_id
    return _warning(
        f"a report lies where this gateway does not reach: repository {where} is not in the settings"
    )
