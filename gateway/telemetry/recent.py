"""The latest requests of this process, kept in memory for who looks at it: what took how long, and where.

What is kept names transactions, peers of the settings, statuses and sizes; no identifier of a patient or of a
document, no URL and nothing else that a client sends, but for a request id without meaning.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.legs import Leg

_MOST_WAITING: Final = 256
"""Requests that one watcher may be behind; the oldest of them are dropped for it."""


class Request(Struct, frozen=True):
    """One request that was answered: seconds since 1970 of its end, how long it took, bytes of both bodies,
    and the calls that were made for it; `more_legs` are those that are not kept.

    `number` counts the requests of this process from 1.
    """

    request_id: str
    transaction: str
    status: int
    ended: float
    seconds: float
    received: int
    sent: int
    legs: tuple[Leg, ...] = ()
    more_legs: int = 0
    number: int = 0

    @property
    def peers(self) -> tuple[str, ...]:
        """Names of the peers that were called, in the order of the first calls."""
        return tuple(dict.fromkeys(leg.peer for leg in self.legs if leg.peer))

    @property
    def failed(self) -> bool:
        """Whether it was answered by an error, or its client left."""
        return self.status >= 400


class RecentRequests:
    """The latest requests, and who watches them come."""

    def __init__(self, most: int) -> None:
        """`most` are kept."""
        self._kept: deque[Request] = deque(maxlen=most)
        self._watchers: set[asyncio.Queue[Request]] = set()
        self._number = 0

    def add(self, request: Request) -> None:
        """Keep one, which gets its number, and show it to who watches."""
        self._number += 1
        request = replace(request, number=self._number)
        self._kept.append(request)
        for watcher in self._watchers:
            if watcher.full():
                watcher.get_nowait()
            watcher.put_nowait(request)

    def latest(self) -> Iterator[Request]:
        """What is kept, the latest first."""
        return reversed(self._kept)

    @property
    def most(self) -> int:
        """How many are kept."""
        return self._kept.maxlen or 0

    @contextmanager
    def watching(self) -> Iterator[asyncio.Queue[Request]]:
        """Requests that end from now on."""
        queue: asyncio.Queue[Request] = asyncio.Queue(_MOST_WAITING)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)
