"""One writer thread and a few reader threads over the database, so that the event loop never waits.

Writes that arrive while a commit is on its way to the disk share the next one (group commit). Each write
is a savepoint of its own: it is in the database whole or not at all, and whoever waits for it is told only
after the commit is durable.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gateway.affinity.schema import open_reader, open_writer

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Any]

_MOST_PER_COMMIT = 64
"""Bounds the time that the first write of a group waits for the last."""


class Database:
    """The database of one affinity domain. `write` and `read` may be called from any thread."""

    def __init__(self, path: Path, reader_threads: int) -> None:
        self._path = path
        self._writer_connection = open_writer(path)
        self._queue: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._pool = ThreadPoolExecutor(reader_threads, thread_name_prefix="affinity-read")
        self._thread = threading.Thread(target=self._write_forever, name="affinity-write", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run `work` in a transaction; what it raises undoes it and is what the future raises."""
        future: Future[Result] = Future()
        self._queue.put((work, future))
        return future

    def read(self, work: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run `work` on one consistent snapshot of the database."""
        return self._pool.submit(self._read, work)

    def close(self) -> None:
        """Finish the writes that are queued, then close every connection."""
        self._queue.put(None)
        self._thread.join()
        self._pool.shutdown(wait=True)
        for connection in self._readers:
            connection.close()
        self._writer_connection.close()

    def _read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self._path)
            with self._readers_lock:
                self._readers.append(connection)
        connection.execute("BEGIN")
        try:
            return work(connection)
        finally:
            connection.execute("COMMIT")

    def _write_forever(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            stop = False
            while len(group) < _MOST_PER_COMMIT and not stop:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                else:
                    group.append(following)
            self._commit([(work, future) for work, future in group if future.set_running_or_notify_cancel()])
            if stop:
                return

    def _commit(self, group: list[tuple[Work, Future[Any]]]) -> None:
        connection = self._writer_connection
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes.extend(_run(connection, work, future) for work, future in group)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # disk full, I/O error: nothing of the group is stored
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            outcomes = [(future, None, error) for _, future in group]
        for future, result, failure in outcomes:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)


def _run(
    connection: sqlite3.Connection, work: Work, future: Future[Any]
) -> tuple[Future[Any], Any, BaseException | None]:
    connection.execute("SAVEPOINT work")
    try:
        result = work(connection)
    except Exception as error:  # the caller's, handed over by its future
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return future, None, error
    connection.execute("RELEASE work")
    return future, result, None
