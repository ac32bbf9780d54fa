"""Attachments of requests on their way to a handler, and what a handler keeps for its answer: in memory while
small, else in a file.

The files of a request go with it, whatever its end; those of a killed process go when the next one starts.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.chunks import Chunk

_BATCH: Final = 1024 * 1024
"""Bytes hashed and written in one go, on a thread, so that neither holds the loop."""


class SpoolFull(OSError):
    """The files of all requests together would be larger than the area may get."""


@dataclass(frozen=True, slots=True)
class SpooledPart:
    """One attachment, whole. Exactly one of `data` and `path` is set; `path` lives as long as the request.

    `size` in bytes, `sha1` in lower-case hex, `content_type` as the part claims.
    """

    content_id: str
    content_type: str
    size: int
    sha1: str
    data: bytes | None = None
    path: Path | None = None

    @property
    def source(self) -> bytes | Path:
        """The content, or the file that holds it."""
        if self.data is not None:
            return self.data
        assert self.path is not None
        return self.path

    async def read(self) -> bytes:
        """All bytes."""
        source = self.source
        return source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in pieces of up to 1 MiB."""
        source = self.source
        if isinstance(source, bytes):
            yield source
            return
        with await asyncio.to_thread(source.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, _BATCH):
                yield chunk


class SpoolArea:
    """The folder of one process under a folder that several processes may share."""

    def __init__(self, folder: Path, capacity: int | None = None) -> None:
        """Makes the folder, and removes what dead processes left in it.

        `capacity` bounds the bytes of all files of this process, None is no bound.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_leftovers(folder)
        self._folder, self._lock = _own_folder(folder)
        self._capacity = capacity
        self._in_use = 0

    @contextmanager
    def request(self) -> Iterator["RequestSpool"]:
        """Room for the attachments of one request."""
        spool = RequestSpool(self._folder, self._reserve)
        try:
            yield spool
        finally:
            spool.remove()
            self._in_use -= spool.size

    def _reserve(self, size: int) -> None:
        if self._capacity is not None and self._in_use + size > self._capacity:
            raise SpoolFull("the room for files of requests is used up")
        self._in_use += size

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)


class RequestSpool:
    """The attachments of one request. `size` is that of its files, in bytes."""

    def __init__(self, parent: Path, reserve: Callable[[int], None]) -> None:
        self.size = 0
        self._parent = parent
        self._reserve = reserve
        self._folder: Path | None = None

    async def keep(
        self, content_id: str, content_type: str, chunks: AsyncIterable[Chunk], memory_limit: int
    ) -> SpooledPart:
        """Take one attachment in; up to `memory_limit` bytes stay in memory. Raises SpoolFull."""
        sha1 = hashlib.sha1(usedforsecurity=False)
        batch: list[bytes] = []
        held = size = 0
        path: Path | None = None
        async for chunk in chunks:
            # a view would keep more in memory than it shows
            batch.append(bytes(chunk))
            held += len(chunk)
            size += len(chunk)
            if size > memory_limit and (path is None or held >= _BATCH):
                path = path or self._new_path()
                await self._append(path, batch, held, sha1)
                batch, held = [], 0
        if path is None:
            data = b"".join(batch)
            sha1.update(data)
            return SpooledPart(content_id, content_type, size, sha1.hexdigest(), data=data)
        await self._append(path, batch, held, sha1)
        return SpooledPart(content_id, content_type, size, sha1.hexdigest(), path=path)

    async def _append(self, path: Path, batch: list[bytes], held: int, sha1: "hashlib._Hash") -> None:
        self._reserve(held)
        self.size += held
        await asyncio.to_thread(_append, path, batch, sha1)

    def remove(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _new_path(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="request-", dir=self._parent))
        descriptor, name = tempfile.mkstemp(prefix="part-", dir=self._folder)
        os.close(descriptor)
        return Path(name)


def _append(path: Path, batch: list[bytes], sha1: "hashlib._Hash") -> None:
    # a request that was cancelled has removed its folder meanwhile, and opening must not bring a file back
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        for chunk in batch:
            sha1.update(chunk)
            file.write(chunk)


def _own_folder(parent: Path) -> tuple[Path, int]:
    """A new folder and a descriptor that holds its lock until the process ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix="process-", dir=parent))
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # another process may have taken the folder for a leftover before it was locked
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob("process-*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
