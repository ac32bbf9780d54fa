"""SHA-1 of a stream, computed beside it: hashing costs as much time as reading and sending together."""

import asyncio
import hashlib
from collections.abc import Sequence

_BATCH_BYTES = 1024 * 1024
"""Chunks are hashed in batches, since handing work to a thread costs as much as hashing some 100 kB."""


class StreamDigest:
    """SHA-1 of chunks in order. At most two batches are held: one filling, one being hashed in a thread."""

    def __init__(self) -> None:
        # names a document; whoever can alter it can alter the metadata as well
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._batch: list[bytes] = []
        self._size = 0
        self._running: asyncio.Future[None] | None = None

    async def update(self, chunk: bytes) -> None:
        """Add a chunk."""
        self._batch.append(chunk)
        self._size += len(chunk)
        if self._size >= _BATCH_BYTES:
            await self._finish_running()
            loop = asyncio.get_running_loop()
            self._running = loop.run_in_executor(None, self._add, self._batch)
            self._batch, self._size = [], 0

    async def hexdigest(self) -> str:
        """The digest of all chunks, 40 lower-case hex digits."""
        await self._finish_running()
        self._add(self._batch)
        self._batch, self._size = [], 0
        return self._sha1.hexdigest()

    async def _finish_running(self) -> None:
        if self._running is not None:
            await self._running
            self._running = None

    def _add(self, batch: Sequence[bytes]) -> None:
        for chunk in batch:
            self._sha1.update(chunk)
