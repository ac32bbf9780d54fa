"""One affinity domain on its state directory: what is opened at start and closed at the end."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.affinity.database import Database
from gateway.affinity.documents import DocumentFiles
from gateway.affinity.options import AffinityOptions
from gateway.affinity.registry import Registry
from gateway.affinity.repository import Repository
from gateway.affinity.schema import StateUnusable

_SUBMISSION_THREADS = 16
"""Submissions under way at once; each waits for the disk most of the time, and they share commits."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Domain:
    """Registry and repository of one state directory, and the threads they run on."""

    options: AffinityOptions
    database: Database
    registry: Registry
    repository: Repository
    submissions: ThreadPoolExecutor

    @property
    def spool_dir(self) -> Path:
        """Where incoming documents wait: on the file system of the stored ones, so that they are linked."""
        return self.options.state_dir / "spool"


@contextlib.contextmanager
def open_domain(options: AffinityOptions) -> Iterator[Domain]:
    """Open the state directory, making it where it is not there, and remove what a kill left behind.

    Raises StateUnusable, other OSError and sqlite3.Error.
    """
    options.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(options.state_dir / "lock"), contextlib.ExitStack() as stack:
        database = Database(options.state_dir / "registry.sqlite", options.query_threads)
        stack.callback(database.close)
        files = DocumentFiles(options.state_dir / "documents")
        orphans = database.write(files.collect_orphans).result()
        if orphans:
            log.info("affinity.orphans_removed", files=orphans)
        registry = Registry(options, database)
        repository = Repository(options, database, files, registry)
        submissions = ThreadPoolExecutor(_SUBMISSION_THREADS, thread_name_prefix="affinity-submit")
        stack.callback(submissions.shutdown)
        yield Domain(options, database, registry, repository, submissions)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateUnusable(
                f"{path.parent}: another process uses this state directory; stop it or name another directory"
            ) from None
        yield
    finally:
        os.close(descriptor)
