"""A large request cut into pieces that a peer takes, several of them under way at the same time."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


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


async def both(one: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[R]]) -> tuple[T, R]:
    """Two results that are made at once. The first call that fails ends the other and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(_task(one)), group.create_task(_task(other))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return first.result(), second.result()


async def opened_ahead(
    openings: Iterable[tuple[T, AbstractAsyncContextManager[R]]], at_once: int
) -> AsyncGenerator[tuple[T, Awaitable[R]], None]:
    """Each key with what its context gives on entering, in order; up to `at_once` are open or being opened.

    The awaitable raises what entering raises. A context is left when the next key is asked for; closing the
    generator early leaves or cancels all of them.
    """
    rest = iter(openings)
    ahead: deque[tuple[T, AbstractAsyncContextManager[R], asyncio.Task[R]]] = deque()

    def fill() -> None:
        for key, opening in islice(rest, at_once - len(ahead)):
            ahead.append((key, opening, asyncio.ensure_future(_task(opening.__aenter__))))

    async def leave(opening: AbstractAsyncContextManager[R], task: asyncio.Task[R]) -> None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await opening.__aexit__(None, None, None)

    try:
        fill()
        while ahead:
            key, opening, task = ahead[0]
            yield key, task
            ahead.popleft()
            await leave(opening, task)
            fill()
    finally:
        for _, _, task in ahead:
            task.cancel()
        for _, opening, task in ahead:
            await leave(opening, task)


async def merged(sources: Iterable[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """What several generators give, as it comes, all of them at once; each ahead by one item at most.

    The first that fails ends it. Closing it early closes them all.
    """
    listed = list(sources)
    if len(listed) == 1:
        async with aclosing(listed[0]) as only:
            async for item in only:
                yield item
        return
    queue: asyncio.Queue[tuple[T] | Exception | None] = asyncio.Queue(maxsize=1)

    async def pump(source: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(source) as items:
                async for item in items:
                    await queue.put((item,))
        except Exception as error:
            # raised by whoever reads: this task has nobody who waits for it
            await queue.put(error)
        else:
            await queue.put(None)

    tasks = [asyncio.ensure_future(pump(source)) for source in listed]
    running = len(tasks)
    try:
        while running:
            taken = await queue.get()
            if isinstance(taken, Exception):
                raise taken
            if taken is None:
                running -= 1
            else:
                yield taken[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
