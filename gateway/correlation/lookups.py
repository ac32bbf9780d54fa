"""What the registry said of documents and can never say otherwise, kept to spare asking again."""

from typing import Final

from gateway.correlation.store import CorrelationStore
from gateway.correlation.values import Values
from gateway.security.document_urls import DocumentKey

KIND: Final = "document"


class DocumentLookup:
    """entryUUID -> what a retrieve needs, for `lifetime` seconds. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        self._values = Values[DocumentKey](store, KIND, DocumentKey, lifetime)

    async def remember(self, key: DocumentKey) -> None:
        """Keep the key of a document. Repository, uniqueId, size and hash of an entry do not change."""
        await self._values.put(key.entry_uuid, key)

    async def find(self, entry_uuid: str) -> DocumentKey | None:
        """The key, or None where it is not known."""
        return await self._values.get(entry_uuid)


__all__ = ["DocumentLookup"]
