"""ITI-20 Record Audit Event: what is in the queue goes to each repository, in order, until it has arrived.

Each repository is sent to by a task of its own, so one that is away does not hold up another. Writing the
records gives way to requests after every few of them.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from gateway.audit.queue import AuditQueue
from gateway.audit.record import AuditRecord

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_GATHER: Final = 0.5
"""Seconds in which records that come one after the other are gathered into one message."""
WRITTEN_AT_ONCE: Final = 10
"""Records that are written before requests get their turn: well below a millisecond."""

log = structlog.get_logger()


class RepositoryAway(Exception):
    """The repository cannot be reached, or takes nothing now; the text has no patient data."""


class Repository(Protocol):
    """Who records are sent to."""

    batch: int
    """Records that are sent at once."""

    async def send(self, records: Sequence[AuditRecord]) -> int:
        """Send records; the repository has them when this returns, or refuses some of them for good: how
        many. Raises RepositoryAway where they have to be sent again."""

    async def close(self) -> None:
        """Let go of connections."""


class Delivery:
    """Sends what is in the queue to one repository."""

    def __init__(self, queue: AuditQueue, destination: str, repository: Repository) -> None:
        self._queue = queue
        self.destination = destination
        self._repository = repository
        self._task: asyncio.Task[None] | None = None
        self.away = False
        self.sent = 0
        self.refused = 0
        self.failures = 0

    async def __aenter__(self) -> "Delivery":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._repository.close()

    async def drained(self, seconds: float) -> bool:
        """Wait until the repository has everything, `seconds` at most; whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._queue.length(self.destination):  # noqa: ASYNC110 - the queue has no such event
                    await asyncio.sleep(_GATHER)
        return not self._queue.length(self.destination)

    async def _run(self) -> None:
        pause = 0.0
        while True:
            try:
                if await self._send_some() < self._repository.batch:
                    # a message with all of half a second costs little more than one with the next record
                    if not self._queue.length(self.destination):
                        await self._queue.arrived.wait()
                        self._queue.arrived.clear()
                    await asyncio.sleep(_GATHER)
                pause = 0.0
            except Exception as error:
                self._failed(error)
                pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, pause * 2))
                # replicas that lost the same repository do not come back at the same moment
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if not isinstance(error, RepositoryAway):
            # the text may quote a record; nobody else would see that the delivery has ended
            log.critical("audit.delivery_failed", destination=self.destination, error=type(error).__name__)
        elif not self.away:
            log.error("audit.repository_away", destination=self.destination, reason=str(error))
        self.away = True

    async def _send_some(self) -> int:
        waiting = self._queue.waiting(self.destination, self._repository.batch)
        if not waiting:
            return 0
        refused = await self._repository.send([record for _, record in waiting])
        if self.away:
            log.warning("audit.repository_back", destination=self.destination)
        self.away = False
        self.refused += refused
        self.sent += len(waiting) - refused
        self._queue.delivered(self.destination, waiting[-1][0])
        return len(waiting)
