"""The bytes of one body on their way, in chunks, as iterators that cost little.

Each image of a study has its own. An asynchronous generator would be entered in the event loop's books and
taken out again for each, and would step in for every chunk.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Chunk = bytes | memoryview
"""A memoryview is a large part of what was read at once, for which no copy is made."""
C = TypeVar("C", bound=Chunk)


class Resumed(AsyncIterator[C]):
    """`first`, which has been read already, unless it is empty, then `rest`."""

    __slots__ = ("_first", "_rest")

    def __init__(self, first: C, rest: AsyncIterator[C]) -> None:
        self._first: C | None = first or None
        self._rest = rest

    def __anext__(self) -> Awaitable[C]:
        if self._first is None:
            return anext(self._rest)
        first, self._first = self._first, None
        return _at_hand(first)


async def _at_hand(chunk: C) -> C:
    return chunk


class Copied(AsyncIterator[bytes]):
    """The same chunks as bytes."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: AsyncIterator[Chunk]) -> None:
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        return bytes(await anext(self._chunks))


class Explained(AsyncIterator[C]):
    """The same chunks; an error of one of `kinds` becomes the one that `explain` makes of it."""

    __slots__ = ("_chunks", "_explain", "_kinds")

    def __init__(
        self,
        chunks: AsyncIterator[C],
        kinds: tuple[type[Exception], ...],
        explain: Callable[[Exception], Awaitable[Exception]],
    ) -> None:
        self._chunks = chunks
        self._kinds = kinds
        self._explain = explain

    async def __anext__(self) -> C:
        try:
            return await anext(self._chunks)
        except self._kinds as error:
            raise await self._explain(error) from error
