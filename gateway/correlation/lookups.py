"""What the registry said of documents and can never say otherwise, kept to spare asking again."""

from typing import Final

import msgspec

from gateway.correlation.store import CorrelationStore
from gateway.security.document_urls import DocumentKey

KIND: Final = "document"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DocumentKey)


class DocumentLookup:
    """entryUUID -> what a retrieve needs, for `lifetime` seconds. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        self._store = store
        self._lifetime = lifetime

    async def remember(self, key: DocumentKey) -> None:
        """Keep the key of a document. Repository, uniqueId, size and hash of an entry do not change."""
        await self._store.set(KIND, key.entry_uuid, _encoder.encode(key), self._lifetime)

    async def find(self, entry_uuid: str) -> DocumentKey | None:
        """The key, or None where it is not known."""
        content = await self._store.get(KIND, entry_uuid)
        if content is None:
            return None
        try:
            return _decoder.decode(content)
        except msgspec.MsgspecError:
            # written by a release with another model
            return None


__all__ = ["DocumentLookup"]
