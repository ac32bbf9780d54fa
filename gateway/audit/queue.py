"""Audit records on their way: on disk, from before the request is answered until every repository has them.

A record is written to the journal before the answer goes out, which outlives the end of the process however
it comes. The database (SQLite) takes over what is there many records at a time, which costs each of them
little; what the power supply could take away is limited by doing that every `sync_seconds` and synchronising
its log then, outside of the event loop. Records lie there sealed, since they name patients.

Each repository (destination) has a cursor behind which it has everything. Delivered records are kept for a
while, for local queries. Where an answer flows, its record is held beside the others until its end is known;
what a dead process held is taken over as it is.
"""

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, Self

import msgspec
import structlog
from msgspec.structs import replace

from gateway.audit.journal import Frame, Journal, JournalError
from gateway.audit.queue_files import (
    checkpoint,
    claimed,
    insert_frames,
    journal_of,
    locked,
    opened,
    replay,
    synchronise,
    transaction,
)
from gateway.audit.record import AuditRecord

_CHECKPOINT_PAGES: Final = 2000
_PRUNE_ROWS: Final = 200
_PRUNE_EVERY: Final = 10
"""Synchronisations between two looks for records to delete, where there were none."""
_SOON: Final = 0.02
"""Seconds in which records that no answer waits for are gathered into one commit."""
_MOST_RECENT: Final = 1000
"""Records that are sent on without being read back."""
_STORED_AT_ONCE: Final = 64
"""Records that the database takes over before its time: well below a millisecond of work."""
_MOST_UNSTORED: Final = 10_000
"""Records in the journal and in memory where the database takes none."""
_INTERRUPTED: Final = "the gateway was stopped before the end of the answer was recorded"

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
        self._added: list[AuditRecord] = []
        self._held: list[AuditRecord] = []
        self._settled: list[str] = []
        self._unstored: list[Frame] = []
        self._rows_unstored = 0
        self._stuck = False
        self._moved: dict[str, int] = {}
        self._recent: deque[tuple[int, AuditRecord]] = deque(maxlen=_MOST_RECENT)
        self._timer: asyncio.TimerHandle | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path, self._lock = claimed(folder)
            self._connection = opened(self._path)
            self._journal = Journal(journal_of(self._path))
            self._frame = replay(self._path, self._connection, self._journal)
            self._begin_cursors(destinations)
            self._take_over(folder)
        except (OSError, sqlite3.Error, JournalError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AuditQueueError(f"{folder}: {reason}") from None
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT)
        self._unsynchronised = True
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
        """Commit, synchronise and let go of the files."""
        self.flush()
        self._store()
        os.fdatasync(self._wal)
        os.close(self._wal)
        self._journal.close()
        self._connection.close()
        self._lock.close()

    # --- in -----------------------------------------------------------------------------------------------
    @property
    def full(self) -> bool:
        """Whether there is no room for further records."""
        if self._rows_unstored >= _MOST_UNSTORED:
            return True
        return bool(self._cursors) and self._last + len(self._added) - self._done >= self._most

    def add(self, records: Sequence[AuditRecord], *, soon: bool = True) -> None:
        """Take records; they are durable after `flush`, which happens `soon` where the caller does not."""
        if self.full:
            self._lose(len(records), None)
            return
        self._added += records
        if soon:
            self._flush_soon()

    def hold(self, records: Sequence[AuditRecord]) -> None:
        """Keep records whose answer has only begun; `settle` gives them free."""
        self._held += records
        self._flush_soon()

    def settle(self, records: Sequence[AuditRecord]) -> None:
        """The same records as they turned out; the queue has taken them already, however full it is."""
        self._settled += [record.id for record in records]
        self._added += records
        self._flush_soon()

    def flush(self) -> None:
        """Write down what was taken: it outlives the process from here on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        added, held, settled = self._added, self._held, self._settled
        if not (added or held or settled):
            return
        self._added, self._held, self._settled = [], [], []
        frame = Frame(
            self._frame + 1,
            [
                (seq, record.recorded, self._sealed(record))
                for seq, record in enumerate(added, self._last + 1)
            ],
            [(record.id, record.recorded, self._sealed(record)) for record in held],
            settled,
        )
        try:
            self._journal.append(frame)
        except OSError as error:
            self._lose(len(added) + len(held), error)
            return
        self._frame += 1
        self._unstored.append(frame)
        self._rows_unstored += len(added) + len(held)
        self._unsynchronised = True
        if added:
            self._recent.extend(enumerate(added, self._last + 1))
            self._last += len(added)
            self.arrived.set()
        if self._rows_unstored >= _STORED_AT_ONCE:
            self._store()

    def _store(self) -> bool:
        """Put what the journal has, and how far repositories are, into the database; whether it took it."""
        if not (self._unstored or self._moved):
            return True
        try:
            with transaction(self._connection) as execute_many:
                insert_frames(execute_many, self._unstored)
                places = [(seq, name) for name, seq in self._moved.items()]
                execute_many("UPDATE cursors SET seq = ? WHERE destination = ?", places)
            self._unstored, self._moved, self._rows_unstored = [], {}, 0
            self._journal.clear()
        except (OSError, sqlite3.Error) as error:
            if not self._stuck:
                log.critical("audit.queue_not_stored", error=type(error).__name__)
            self._stuck = True
            return False
        self._stuck = False
        return True

    def _sealed(self, record: AuditRecord) -> bytes:
        return self._seal(self._encode(record))

    def _flush_soon(self) -> None:
        if self._timer is None:
            with suppress(RuntimeError):  # without a loop whoever writes flushes
                self._timer = asyncio.get_running_loop().call_later(_SOON, self.flush)

    def _lose(self, count: int, error: OSError | None) -> None:
        if count:
            self.lost += count
            reason = "the queue is full" if error is None else type(error).__name__
            log.critical("audit.records_lost", count=count, reason=reason)

    # --- out ----------------------------------------------------------------------------------------------
    def waiting(self, destination: str, limit: int) -> list[tuple[int, AuditRecord]]:
        """The next records of a destination with their places, in order."""
        self.flush()
        while True:
            read_as_far_as, found = self._next(destination, limit)
            if found or read_as_far_as is None:
                return found
            # nothing of them can be read: go on behind them
            self.delivered(destination, read_as_far_as)

    def _next(self, destination: str, limit: int) -> tuple[int | None, list[tuple[int, AuditRecord]]]:
        """The place of the last record that was looked at, None where there is none, and those that can be
        read."""
        place = self._cursors[destination]
        if self._recent and self._recent[0][0] <= place + 1:
            first = place + 1 - self._recent[0][0]
            return None, list(islice(self._recent, first, first + limit))
        if not self._store():
            return None, []
        rows = self._connection.execute(
            "SELECT seq, content FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (place, limit)
        ).fetchall()
        read = ((seq, self._read(content)) for seq, content in rows)
        found = [(seq, record) for seq, record in read if record is not None]
        return (rows[-1][0] if rows else None), found

    def delivered(self, destination: str, seq: int) -> None:
        """The destination has everything as far as this place."""
        self._cursors[destination] = self._moved[destination] = seq
        self._store()

    def length(self, destination: str) -> int:
        """Records that the destination does not have yet."""
        return self._last + len(self._added) - self._cursors[destination]

    def age(self, destination: str) -> float:
        """Seconds since the oldest of them; 0 where there are none."""
        self._store()
        row = self._connection.execute(
            "SELECT recorded FROM records WHERE seq > ? ORDER BY seq LIMIT 1", (self._cursors[destination],)
        ).fetchone()
        return max(0.0, self._clock() - row[0]) if row else 0.0

    def find(self, since: float, until: float, limit: int) -> Iterator[AuditRecord]:
        """What is queued or kept of a time, the latest first, `limit` records at most."""
        self.flush()
        self._store()
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
        self._cursors: dict[str, int] = {name: int(known.get(name, 0)) for name in destinations}
        self._connection.executemany(
            "INSERT OR IGNORE INTO cursors (destination, seq) VALUES (?, 0)", [(n,) for n in destinations]
        )
        self._connection.executemany(
            "DELETE FROM cursors WHERE destination = ?", [(n,) for n in known if n not in self._cursors]
        )
        sequence = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
        self._last = int((sequence.fetchone() or (0,))[0])

    @property
    def _done(self) -> int:
        """Where everyone is."""
        return min(self._cursors.values(), default=self._last)

    def _take_over(self, folder: Path) -> None:
        """What was held by the process before, and all that other processes have left behind."""
        self._free_held(self._connection)
        for path in sorted(folder.glob("queue-*.db")):
            if path == self._path or (lock := locked(path)) is None:
                continue
            with lock:
                other, journal = opened(path), Journal(journal_of(path))
                replay(path, other, journal)
                journal.close()
                self._free_held(other)
                last = other.execute("SELECT min(seq) FROM cursors").fetchone()[0] or 0
                rows = other.execute("SELECT recorded, content FROM records WHERE seq > ?", (last,))
                taken = rows.fetchall()
                with transaction(self._connection) as execute_many:
                    execute_many("INSERT INTO records (recorded, content) VALUES (?, ?)", taken)
                self._last += len(taken)
                synchronise(self._path)
                other.close()
                for name in (f"{path.name}-wal", f"{path.name}-shm", journal_of(path).name, path.name):
                    path.with_name(name).unlink(missing_ok=True)

    def _free_held(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT recorded, content FROM held ORDER BY recorded").fetchall()
        records = [record for _, content in rows if (record := self._read(content)) is not None]
        rows = [(r.recorded, self._sealed(replace(r, outcome_text=_INTERRUPTED))) for r in records]
        with transaction(connection) as execute_many:
            execute_many("INSERT INTO records (recorded, content) VALUES (?, ?)", rows)
            connection.execute("DELETE FROM held")
        if connection is self._connection:
            self._last += len(records)

    # --- upkeep -------------------------------------------------------------------------------------------
    async def _maintain(self) -> None:
        pages = rest = 0
        while True:
            await asyncio.sleep(self._sync_seconds)
            rest -= 1
            try:
                if self._unsynchronised and self._store():
                    self._unsynchronised = False
                    await asyncio.to_thread(os.fdatasync, self._wal)
                if rest <= 0 and not self._prune():
                    rest = _PRUNE_EVERY
                pages = os.fstat(self._wal).st_size // 4096
                if pages > _CHECKPOINT_PAGES:
                    # most of the work, and the waiting for the disk, in a thread; the rest is little
                    await asyncio.to_thread(checkpoint, self._path)
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except (OSError, sqlite3.Error) as error:
                log.critical("audit.queue_not_durable", error=type(error).__name__)

    def _prune(self) -> bool:
        """Delete what everyone has and nobody asks for any more, a few at a time; whether there was any."""
        self.flush()
        self._store()
        limit, done = self._clock() - self._keep, self._done
        first = self._connection.execute(
            "SELECT seq, recorded FROM records ORDER BY seq LIMIT ?", (_PRUNE_ROWS,)
        ).fetchall()
        beyond = self._last - self._most
        old = [(seq,) for seq, recorded in first if seq <= done and (recorded < limit or seq <= beyond)]
        if old:
            with transaction(self._connection) as execute_many:
                execute_many("DELETE FROM records WHERE seq = ?", old)
        return bool(old)
