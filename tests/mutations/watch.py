"""What shows that a server went wrong although it answered: its log, lost tasks, and what it keeps in memory."""

import asyncio
import functools
import gc
import logging
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
    """Objects that the collector tracks, without those in caches of bounded size."""
    for held in gc.get_objects():
        # some objects of libraries raise on any look at them
        if type(held) is functools._lru_cache_wrapper:
            held.cache_clear()
    gc.collect()
    return len(gc.get_objects())


async def least_growth(again: Callable[[], Awaitable[None]], enough: int) -> int:
    """Objects that the same work leaves behind, in the best of up to five turns.

    A leak grows in each turn. What a library makes once, late, or what another part of the process happened to do in the
    meantime, is not in all of them; so the turns end when one left fewer than `enough`.
    """
    least = None
    for _ in range(5):
        before = kept_objects()
        await again()
        grown = kept_objects() - before
        least = grown if least is None else min(least, grown)
        if least < enough:
            break
    assert least is not None
    return least


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
