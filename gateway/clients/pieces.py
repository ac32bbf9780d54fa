"""A large request cut into pieces that a peer takes, several of them under way at the same time."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def pieces_of(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items in their order, `size` at a time."""
    rest = iter(items)
    while piece := tuple(islice(rest, size)):
        yield piece


async def in_order(calls: Iterable[Callable[[], Awaitable[T]]], at_once: int) -> AsyncGenerator[T, None]:
    """Results in the order of the calls, of which at most `at_once` run or wait to be taken.

    The first call that fails ends it, and the others with it; so does closing it early.
    """
    running: deque[asyncio.Task[T]] = deque()
    try:
        for call in calls:
            running.append(asyncio.ensure_future(_task(call)))
            if len(running) >= at_once:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _task(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


async def all_of(calls: Sequence[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Every result of `in_order`."""
    return [result async for result in in_order(calls, at_once)]
