"""Audit records on their way: in SQLite, from before the request is answered until every repository has them.

A record is committed to the write-ahead log of SQLite before the answer goes out, which outlives the end of
the process however it comes; what the power supply could take away is limited by synchronising the log
every `sync_seconds`, outside of the event loop. Records lie there sealed, since they name patients.

Each repository (destination) has a cursor behind which it has everything. Delivered records are kept for a
while, for local queries. Where an answer flows, its record is held beside the others until its end is known;
what a dead process held is taken over as it is.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self

import msgspec
import structlog
from msgspec.structs import replace

from gateway.audit.record import AuditRecord

_MOST_FILES: Final = 64
"""Processes that share a state directory."""
_CHECKPOINT_PAGES: Final = 2000
_PRUNE_ROWS: Final = 1000
_INTERRUPTED: Final = "the gateway was stopped before the end of the answer was recorded"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, recorded REAL NOT NULL, content BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_recorded ON records (recorded);
CREATE TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY, recorded REAL NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (destination TEXT PRIMARY KEY, seq INTEGER NOT NULL);
"""

log = structlog.get_logger()


class AuditQueueError(Exception):
    """The queue cannot be opened; the text is one line for the operator."""


class AuditQueue:
    """The queue of one process. Used from one event loop; `close` leaves everything on disk."""

    def __init__(
        self,
        folder: Path,
        destinations: Sequence[str] = (),
        *,
        seal: Callable[[bytes], bytes],
        unseal: Callable[[bytes], bytes],
        most: int = 500_000,
        keep_seconds: float = 0.0,
        sync_seconds: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`most` records are taken at most; `unseal` raises ValueError for what it cannot open.

        Raises AuditQueueError.
        """
        self._seal, self._unseal = seal, unseal
        self._most, self._keep, self._sync_seconds = most, keep_seconds, sync_seconds
        self._clock = clock
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(AuditRecord).decode
        self.lost = 0
        """Records for which there was no room, or that the disk did not take."""
        self.arrived = asyncio.Event()
        """Set when records come in; whoever delivers clears it."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path, self._lock = _claimed(folder)
            self._connection = _opened(self._path)
            self._begin_cursors(destinations)
            self._take_over(folder)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AuditQueueError(f"{folder}: {reason}") from None
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT)
        self._in_transaction = self._unsynchronised = False
        self._maintenance: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._maintenance = asyncio.create_task(self._maintain())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._maintenance is not None:
            self._maintenance.cancel()
            with suppress(asyncio.CancelledError):
                await self._maintenance
        self.close()

    def close(self) -> None:
        """Commit, synchronise and let go of the file."""
        self.flush()
        os.fdatasync(self._wal)
        os.close(self._wal)
        self._connection.close()
        self._lock.close()

    # --- in -----------------------------------------------------------------------------------------------
    @property
    def full(self) -> bool:
        """Whether there is no room for further records."""
        return self._last - self._done >= self._most

    def add(self, records: Iterable[AuditRecord]) -> None:
        """Take records; they are durable after `flush`, which otherwise happens soon."""
        self._insert("INSERT INTO records (recorded, content) VALUES (?, ?)", records)

    def hold(self, records: Sequence[AuditRecord]) -> None:
        """Keep records whose answer has only begun; `settle` gives them free."""
        self._insert("INSERT OR REPLACE INTO held (id, recorded, content) VALUES (?, ?, ?)", records)

    def settle(self, records: Sequence[AuditRecord]) -> None:
        """The same records as they turned out."""
        self._write(
            lambda: self._connection.executemany(
                "DELETE FROM held WHERE id = ?", [(record.id,) for record in records]
            )
        )
        self.add(records)

    def flush(self) -> None:
        """Commit what was taken: it outlives the process from here on."""
        if not self._in_transaction:
            return
        self._in_transaction = False
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            self._lose(1, error)
            return
        self._unsynchronised = True
        self.arrived.set()

    def _insert(self, statement: str, records: Iterable[AuditRecord]) -> None:
        rows = [(record.id, record.recorded, self._seal(self._encode(record))) for record in records]
        if not rows:
            return
        if self.full:
            self._lose(len(rows), None)
            return
        is_final = statement.startswith("INSERT INTO records")
        values: Sequence[tuple[object, ...]] = [row[1:] for row in rows] if is_final else rows
        if self._write(lambda: self._connection.executemany(statement, values), len(rows)) and is_final:
            self._last += len(rows)

    def _write(self, work: Callable[[], object], count: int = 0) -> bool:
        try:
            if not self._in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
                self._in_transaction = True
                with suppress(RuntimeError):  # without a loop whoever writes flushes
                    asyncio.get_running_loop().call_soon(self.flush)
            work()
        except sqlite3.Error as error:
            self._lose(count, error)
            return False
        return True

    def _lose(self, count: int, error: sqlite3.Error | None) -> None:
        self.lost += count
        log.critical(
            "audit.records_lost",
            count=count,
            reason="the queue is full" if error is None else type(error).__name__,
        )

    # --- out ----------------------------------------------------------------------------------------------
    def waiting(self, destination: str, limit: int, *, behind: int = 0) -> list[tuple[int, AuditRecord]]:
        """The next records of a destination with their places, in order; `behind` skips some of them."""
        self.flush()
        rows = self._connection.execute(
            "SELECT seq, content FROM records WHERE seq > ? ORDER BY seq LIMIT ?",
            (max(behind, self._cursors[destination]), limit),
        ).fetchall()
        found = []
        for seq, content in rows:
            record = self._read(content)
            if record is not None:
                found.append((seq, record))
        if rows and not found:
            # nothing of them can be read: go on behind them
            self.delivered(destination, rows[-1][0])
        return found

    def delivered(self, destination: str, seq: int) -> None:
        """The destination has everything as far as this place."""
        self._cursors[destination] = seq
        self._write(
            lambda: self._connection.execute(
                "UPDATE cursors SET seq = ? WHERE destination = ?", (seq, destination)
            )
        )

    def length(self, destination: str) -> int:
        """Records that the destination does not have yet."""
        return int(self._last - self._cursors[destination])

    def age(self, destination: str) -> float:
        """Seconds since the oldest of them; 0 where there are none."""
        row = self._connection.execute(
            "SELECT recorded FROM records WHERE seq > ? ORDER BY seq LIMIT 1", (self._cursors[destination],)
        ).fetchone()
        return max(0.0, self._clock() - row[0]) if row else 0.0

    def find(self, since: float, until: float, limit: int) -> Iterator[AuditRecord]:
        """What is queued or kept of a time, the latest first, `limit` records at most."""
        self.flush()
        rows = self._connection.execute(
            "SELECT content FROM records WHERE recorded BETWEEN ? AND ? ORDER BY recorded DESC LIMIT ?",
            (since, until, limit),
        )
        for (content,) in rows.fetchall():
            record = self._read(content)
            if record is not None:
                yield record

    def _read(self, content: bytes) -> AuditRecord | None:
        try:
            return self._decode(self._unseal(content))
        except (ValueError, msgspec.MsgspecError) as error:
            log.critical("audit.unreadable_record", error=type(error).__name__)
            return None

    # --- beginning ----------------------------------------------------------------------------------------
    def _begin_cursors(self, destinations: Sequence[str]) -> None:
        known = dict(self._connection.execute("SELECT destination, seq FROM cursors").fetchall())
        self._cursors = {name: known.get(name, 0) for name in destinations}
        self._connection.executemany(
            "INSERT OR IGNORE INTO cursors (destination, seq) VALUES (?, 0)", [(n,) for n in destinations]
        )
        self._connection.executemany(
            "DELETE FROM cursors WHERE destination = ?", [(n,) for n in known if n not in self._cursors]
        )
        sequence = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
        self._last: int = (sequence.fetchone() or (0,))[0]

    @property
    def _done(self) -> int:
        """Where everyone is."""
        return min(self._cursors.values(), default=self._last)

    def _take_over(self, folder: Path) -> None:
        """What was held by the process before, and all that other processes have left behind."""
        self._in_transaction = False
        self._free_held(self._connection)
        for path in sorted(folder.glob("queue-*.db")):
            if path == self._path or (lock := _locked(path)) is None:
                continue
            with lock:
                other = _opened(path)
                self._free_held(other)
                last = other.execute("SELECT min(seq) FROM cursors").fetchone()[0] or 0
                rows = other.execute("SELECT recorded, content FROM records WHERE seq > ?", (last,))
                taken = rows.fetchall()
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT INTO records (recorded, content) VALUES (?, ?)", taken)
                self._connection.execute("COMMIT")
                self._last += len(taken)
                other.close()
                for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                    name.unlink(missing_ok=True)

    def _free_held(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT recorded, content FROM held ORDER BY recorded").fetchall()
        records = [record for _, content in rows if (record := self._read(content)) is not None]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO records (recorded, content) VALUES (?, ?)",
            [(r.recorded, self._seal(self._encode(replace(r, outcome_text=_INTERRUPTED)))) for r in records],
        )
        connection.execute("DELETE FROM held")
        connection.execute("COMMIT")
        if connection is self._connection:
            self._last += len(records)

    # --- upkeep -------------------------------------------------------------------------------------------
    async def _maintain(self) -> None:
        pages = 0
        while True:
            await asyncio.sleep(self._sync_seconds)
            try:
                if self._unsynchronised:
                    self._unsynchronised = False
                    await asyncio.to_thread(os.fdatasync, self._wal)
                self._prune()
                pages = os.fstat(self._wal).st_size // 4096
                if pages > _CHECKPOINT_PAGES:
                    # most of the work, and the waiting for the disk, in a thread; the rest is little
                    await asyncio.to_thread(_checkpoint, self._path)
                    self.flush()
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except (OSError, sqlite3.Error) as error:
                log.critical("audit.queue_not_durable", error=type(error).__name__)

    def _prune(self) -> None:
        """Delete what everyone has and nobody asks for any more, a few at a time."""
        self.flush()
        limit = self._clock() - self._keep
        excess = self._connection.execute("SELECT min(seq) FROM records").fetchone()[0]
        over = 0 if excess is None else self._last - excess + 1 - self._most
        oldest = self._connection.execute(
            "SELECT seq FROM records WHERE seq <= ? AND (recorded < ? OR seq < ?) ORDER BY seq LIMIT ?",
            (self._done, limit, (excess or 0) + max(over, 0), _PRUNE_ROWS),
        ).fetchall()
        if oldest:
            self._write(lambda: self._connection.executemany("DELETE FROM records WHERE seq = ?", oldest))


def _checkpoint(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode = WAL")
    # commits do not wait for the disk; the log is synchronised apart from them
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.executescript(_SCHEMA)
    return connection


def _locked(path: Path) -> IO[bytes] | None:
    lock = path.with_suffix(".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _claimed(folder: Path) -> tuple[Path, IO[bytes]]:
    """A queue file that no other process has. Raises OSError."""
    for number in range(1, _MOST_FILES + 1):
        path = folder / f"queue-{number}.db"
        if (lock := _locked(path)) is not None:
            return path, lock
    raise OSError("every queue file is in use")
