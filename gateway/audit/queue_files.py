"""The files of an audit queue: its database, its journal and the lock that says whose they are."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import structlog

from gateway.audit.journal import Frame, HeldRow, Journal, Row

_MOST_FILES: Final = 64
"""Processes that share a state directory."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, recorded REAL NOT NULL, content BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_recorded ON records (recorded);
CREATE TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY, recorded REAL NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (destination TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY CHECK (id = 1), frame INTEGER NOT NULL);
INSERT OR IGNORE INTO journal VALUES (1, 0);
"""

log = structlog.get_logger()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Callable[..., object]]:
    """All of what is done inside or nothing; gives `executemany`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.executemany
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def insert_frames(execute_many: Callable[..., object], frames: Sequence[Frame]) -> None:
    """Frames of the journal, in order and once each."""
    added: list[Row] = [row for frame in frames for row in frame.added]
    held: list[HeldRow] = [row for frame in frames for row in frame.held]
    settled = [(record_id,) for frame in frames for record_id in frame.settled]
    execute_many("INSERT INTO records (seq, recorded, content) VALUES (?, ?, ?)", added)
    execute_many("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", held)
    execute_many("DELETE FROM held WHERE id = ?", settled)
    if frames:
        execute_many("UPDATE journal SET frame = ?", [(frames[-1].number,)])


def synchronise(path: Path) -> None:
    """Have the log of a database on the disk, before the only other copy of what is in it goes. Raises
    OSError."""
    descriptor = os.open(f"{path}-wal", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def replay(path: Path, connection: sqlite3.Connection, journal: Journal) -> int:
    """What a journal has that the database at `path` lacks; the number of its last frame. Raises OSError and
    sqlite3.Error."""
    stored = int(connection.execute("SELECT frame FROM journal").fetchone()[0])
    frames = [frame for frame in journal.frames() if frame.number > stored]
    with transaction(connection) as execute_many:
        insert_frames(execute_many, frames)
    if frames:
        synchronise(path)
    if journal.damaged:
        aside = journal.set_aside()
        log.critical("audit.journal_damaged", kept_as=aside.name, unread_bytes=journal.damaged)
    else:
        journal.clear()
    return frames[-1].number if frames else stored


def journal_of(path: Path) -> Path:
    """The journal beside a database."""
    return path.with_suffix(".journal")


def checkpoint(path: Path) -> None:
    """Bring the log of a database into it, as far as nobody is in the way."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        connection.close()


def opened(path: Path) -> sqlite3.Connection:
    """The database, made where there is none. Raises OSError and sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode = WAL")
    # commits do not wait for the disk; the log is synchronised apart from them
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.executescript(_SCHEMA)
    return connection


def locked(path: Path) -> IO[bytes] | None:
    """The lock of a queue; None where another process has it."""
    lock = path.with_suffix(".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def claimed(folder: Path) -> tuple[Path, IO[bytes]]:
    """A queue file that no other process has. Raises OSError."""
    for number in range(1, _MOST_FILES + 1):
        path = folder / f"queue-{number}.db"
        if (lock := locked(path)) is not None:
            return path, lock
    raise OSError("every queue file is in use")
