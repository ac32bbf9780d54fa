"""Legs of a request: what was called for it, by whom, when and for how long, kept in memory.

Spans (gateway.spans) tell a collector the same where there is one. Legs are for who looks at this gateway
itself: they need no collector, and where nobody collects them `begin` costs a look at a variable.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from msgspec import Struct

_MOST: Final = 64
"""Legs of one request that are kept; a study may need thousands of calls."""


class Leg(Struct):
    """One call: the transaction (or `redis`), the peer of the settings that was called, and the seconds from
    the begin of the request to its begin and its end.

    `ended` is None while it is under way, `failure` the kind of error, empty where there was none.
    """

    name: str
    peer: str
    began: float
    ended: float | None = None
    failure: str = ""


class Legs:
    """Those of one request, in the order in which they began; `more` counts those that are not kept."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.kept: list[Leg] = []
        self.more = 0

    @property
    def seconds(self) -> float:
        """Since the begin of the request."""
        return time.perf_counter() - self._started

    def begin(self, name: str, peer: str) -> Leg | None:
        """Another one, None where there is no room."""
        if len(self.kept) >= _MOST:
            self.more += 1
            return None
        leg = Leg(name, peer, self.seconds)
        self.kept.append(leg)
        return leg


_legs: ContextVar[Legs | None] = ContextVar("legs", default=None)


@contextmanager
def collected() -> Iterator[Legs]:
    """Collect the legs of what happens inside, in tasks that it starts too."""
    legs = Legs()
    token = _legs.set(legs)
    try:
        yield legs
    finally:
        _legs.reset(token)


@contextmanager
def leg(name: str, peer: str) -> Iterator[None]:
    """What happens inside is a leg of the request; an exception is its failure."""
    legs = _legs.get()
    begun = None if legs is None else legs.begin(name, peer)
    if legs is None or begun is None:
        yield
        return
    try:
        yield
    except BaseException as error:
        begun.failure = type(error).__name__
        raise
    finally:
        begun.ended = legs.seconds
