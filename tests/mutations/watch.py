"""What shows that a server went wrong although it answered: its log, lost tasks, and what it keeps in memory."""

import asyncio
import functools
import gc
import heapq
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

_EXPECTED_IN_THE_MIDDLE = {"AlteredDocument", "PeerProtocolError", "PeerDisconnected", "PeerTimeout"}
"""Why a document may end early when its first bytes are sent already."""


class Watch(logging.Handler):
    """Collects what no request may cause."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.defects: list[str] = []

    def event(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        """Processor of structlog: keeps unexpected errors, drops every line."""
        kind = event.get("event")
        if kind == "request.unexpected" or (
            kind == "retrieve.cut_off" and event.get("error") not in _EXPECTED_IN_THE_MIDDLE
        ):
            self.defects.append(str(event))
        raise structlog.DropEvent

    def emit(self, record: logging.LogRecord) -> None:
        """Errors that libraries log, such as those of aiohttp's own handler."""
        if not record.name.startswith(("asyncio", "tests")):
            self.defects.append(f"{record.name}: {record.getMessage()}")

    def lost(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Exceptions that nobody waited for."""
        self.defects.append(f"{context.get('message')}: {context.get('exception')!r}")


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch the gateway that runs in this event loop."""
    watch, loop = Watch(), asyncio.get_running_loop()
    processors = structlog.get_config()["processors"]
    before, handler = processors.copy(), loop.get_exception_handler()
    processors[:] = [watch.event]
    structlog.configure(processors=processors)
    logging.getLogger().addHandler(watch)
    loop.set_exception_handler(watch.lost)
    try:
        yield watch
    finally:
        processors[:] = before
        structlog.configure(processors=processors)
        logging.getLogger().removeHandler(watch)
        loop.set_exception_handler(handler)


def kept_objects() -> int:
    """Objects that the collector tracks, without those in caches of bounded size.

    Two kinds come and go by hundreds and keep nothing: deadlines that were met, which the event loop holds until
    enough have gathered, and weak references, of which classes have caches.
    """
    for held in gc.get_objects():
        # some objects of libraries raise on any look at them
        if type(held) is functools._lru_cache_wrapper:
            held.cache_clear()
    _forget_deadlines_that_were_met()
    gc.collect()
    return sum(type(held) is not weakref.ReferenceType for held in gc.get_objects())


async def grown_by(turn: Callable[[], Awaitable[None]]) -> int:
    """Objects that a turn of work leaves behind, after one that has filled again what `kept_objects` emptied."""
    kept_objects()
    await turn()
    before = kept_objects()
    await turn()
    return kept_objects() - before


def _forget_deadlines_that_were_met() -> None:
    loop: Any = asyncio.get_running_loop()
    for timer in loop._scheduled:
        # as the loop does it itself where they are many
        timer._scheduled = not timer.cancelled()
    loop._scheduled[:] = [timer for timer in loop._scheduled if not timer.cancelled()]
    loop._timer_cancelled_count = 0
    heapq.heapify(loop._scheduled)


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
