"""Snapshots of search results (ITI-66, ITI-67), so that pages of one search fit together.

A snapshot is written once and never changed. Its id is made from the search and its content, so that the
same search with the same result is stored once, however often it is sent, and carries what is needed to
find a page in one round trip: entries per part, and entries in all. The id is for the server's own use;
it reaches clients inside an encrypted page link only.
"""

import asyncio
import base64
import hashlib
import re
import zlib
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.correlation.store import CorrelationStore

T = TypeVar("T")

KIND: Final = "search"
_SMALLEST_PART = 50
"""Entries: a part compresses well from here, and small pages do not make thousands of keys."""

_ENTRIES_IN_THREAD = 50
_BYTES_IN_THREAD = 32 * 1024
_ID = re.compile(r"([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,9})\.([0-9]{1,10})", re.ASCII)

_encoder = msgspec.msgpack.Encoder()


class SnapshotStore(Generic[T]):
    """Stores results and reads their pages. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, kind: Any) -> None:
        """`kind` is the type of the entries, a class of the model or a union of tagged ones."""
        self._store = store
        self._decoder: msgspec.msgpack.Decoder[tuple[T, ...]] = msgspec.msgpack.Decoder(tuple[kind, ...])

    async def put(
        self, search_digest: str, entries: Sequence[T], page_size: int, lifetime: float
    ) -> str | None:
        """Store the entries, in the order of the search, for `lifetime` seconds.

        `page_size` is the count of entries that pages will ask for. Returns the id of the snapshot; None
        where it could not be stored.
        """
        if not self._store.available:
            return None
        # parts begin where pages do, so a page is mostly one part
        page_size = max(page_size, 1)
        size = page_size * -(-_SMALLEST_PART // page_size)
        if len(entries) > _ENTRIES_IN_THREAD:
            name, parts = await asyncio.to_thread(_pack, search_digest, entries, size)
        else:
            name, parts = _pack(search_digest, entries, size)
        snapshot = f"{name}.{size}.{len(entries)}"
        stored = await self._store.set_parts(KIND, snapshot, parts, lifetime)
        return snapshot if stored else None

    async def page(self, snapshot: str, offset: int, count: int) -> tuple[T, ...] | None:
        """Up to `count` entries from `offset` on (0 is the first); None where the snapshot is gone."""
        match = _ID.fullmatch(snapshot)
        if match is None:
            return None
        size, total = int(match[2]), int(match[3])
        end = min(offset + count, total)
        if offset >= end:
            return ()
        first = offset // size
        parts = await self._store.get_parts(KIND, snapshot, range(first, (end - 1) // size + 1))
        if parts is None:
            return None
        if sum(map(len, parts)) > _BYTES_IN_THREAD:
            entries = await asyncio.to_thread(self._unpack, parts)
        else:
            entries = self._unpack(parts)
        return entries[offset - first * size : end - first * size] if entries is not None else None

    def _unpack(self, parts: Sequence[bytes]) -> tuple[T, ...] | None:
        try:
            return tuple(entry for part in parts for entry in self._decoder.decode(zlib.decompress(part)))
        except (msgspec.MsgspecError, zlib.error):
            # authentic, yet written by a release with another model
            return None

    @staticmethod
    def total(snapshot: str) -> int | None:
        """How many entries a snapshot has; None for text that is no id."""
        match = _ID.fullmatch(snapshot)
        return int(match[3]) if match else None


def _pack(search_digest: str, entries: Sequence[T], size: int) -> tuple[str, list[bytes]]:
    digest = hashlib.sha256(f"{search_digest}\0{size}\0".encode())
    parts = []
    for start in range(0, len(entries), size):
        content = _encoder.encode(entries[start : start + size])
        digest.update(content)
        parts.append(zlib.compress(content, 1))
    return base64.urlsafe_b64encode(digest.digest()[:16]).rstrip(b"=").decode(), parts


__all__ = ["SnapshotStore"]
