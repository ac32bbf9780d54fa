"""Documents as files named by their SHA-1, durable before the metadata that names them is.

A file comes into being under its final name by one link of a complete, synchronised file, so that a kill
at any point leaves a whole file or none; a file that no committed row names is removed at start and after
a refused submission. While a submission is under way its files are pinned, for two submissions may bring
the same content.
"""

import contextlib
import filecmp
import os
import shutil
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


class ContentCollision(Exception):
    """Two different contents with the same SHA-1: the second is not taken."""


class DocumentFiles:
    """The files of one repository. All methods block; none belongs on the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._pins: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._incoming.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (folder / f"{number:02x}").mkdir(exist_ok=True)
        _sync_folder(folder)
        _sync_folder(folder.parent)

    def path(self, sha1: str) -> Path:
        """Where the content with this hash is."""
        return self._folder / sha1[:2] / sha1

    @contextlib.contextmanager
    def pinned(self, hashes: list[str]) -> Iterator[None]:
        """Keep files of these hashes from being collected."""
        with self._lock:
            self._pins.update(hashes)
        try:
            yield
        finally:
            with self._lock:
                self._pins.subtract(hashes)
                self._pins = +self._pins

    def place(self, sha1: str, content: Path | bytes) -> None:
        """Make the content durable under its hash. Call while it is pinned.

        A file is linked, so the caller's name of it stays the caller's to remove. Raises ContentCollision.
        """
        target = self.path(sha1)
        temporary = self._incoming / uuid.uuid4().hex
        try:
            _bring(content, temporary)
            _sync_file(temporary)
            try:
                os.link(temporary, target)
            except FileExistsError:
                if not filecmp.cmp(temporary, target, shallow=False):
                    raise ContentCollision from None
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def discard_unused(self, connection: sqlite3.Connection, hashes: list[str]) -> None:
        """Remove files that neither a row nor a submission under way needs. Runs in the writer's turn."""
        for sha1 in set(hashes):
            with self._lock:
                if self._pins[sha1] == 0 and not _is_named(connection, sha1):
                    self.path(sha1).unlink(missing_ok=True)

    def collect_orphans(self, connection: sqlite3.Connection) -> int:
        """Remove what a killed process left behind; the number of files. Call before anything is served."""
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        removed = 0
        for number in range(256):
            prefix = f"{number:02x}"
            named = {
                sha1
                for (sha1,) in connection.execute(
                    "SELECT DISTINCT sha1 FROM document WHERE sha1 >= ? AND sha1 < ?", (prefix, prefix + "g")
                )
            }
            for entry in os.scandir(self._folder / prefix):
                if entry.name not in named:
                    Path(entry.path).unlink()
                    removed += 1
        return removed


def _is_named(connection: sqlite3.Connection, sha1: str) -> bool:
    row = connection.execute("SELECT EXISTS (SELECT 1 FROM document WHERE sha1 = ?)", (sha1,)).fetchone()
    return bool(row[0])


def _bring(content: Path | bytes, target: Path) -> None:
    if isinstance(content, bytes):
        target.write_bytes(content)
        return
    try:
        os.link(content, target)
    except OSError:
        # another file system, or one without links
        shutil.copyfile(content, target)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    _sync_file(path)
