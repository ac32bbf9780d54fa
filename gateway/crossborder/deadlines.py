"""How long the communities together may take for one request of a client."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float] = ContextVar("ends", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is asked of communities inside ends after so many seconds from now."""
    before = _ends.set(min(_ends.get(), asyncio.get_running_loop().time() + seconds))
    try:
        yield
    finally:
        _ends.reset(before)


def seconds_left(at_most: float) -> float:
    """Seconds for what is asked now."""
    return min(at_most, max(0.0, _ends.get() - asyncio.get_running_loop().time()))
