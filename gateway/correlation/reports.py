"""Resources of report documents, kept in Redis for a while.

A document never changes under its repository and uniqueId, so what was read once need not be fetched and read
again. That a document is no report is kept too: nobody has to fetch it to find that out.
"""

from typing import Final

from gateway.correlation.store import CorrelationStore
from gateway.correlation.values import Values
from gateway.model import DocumentRequest
from gateway.model.report_entries import ReportEntries

REPORT: Final = "report"


class ReportStore:
    """Resources by document. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        """`lifetime` in seconds."""
        self._values = Values[ReportEntries](store, REPORT, ReportEntries, lifetime)

    async def remember(self, document: DocumentRequest, entries: ReportEntries) -> None:
        """Keep what a document holds."""
        await self._values.put(_key(document), entries)

    async def find(self, document: DocumentRequest) -> ReportEntries | None:
        """What a document holds, or None where that is not known."""
        return await self._values.get(_key(document))


def _key(document: DocumentRequest) -> str:
    home = document.home_community_id or ""
    return f"{home}\0{document.repository_unique_id}\0{document.document_unique_id}"


__all__ = ["ReportStore"]
