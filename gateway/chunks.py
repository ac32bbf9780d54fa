"""The bytes of one body on their way, in chunks, as iterators that cost little.

Each image of a study has its own. An asynchronous generator would be entered in the event loop's books and
taken out again for each, and would step in for every chunk.
"""

from collections.abc import AsyncIterator, Awaitable, Callable


class Resumed(AsyncIterator[bytes]):
    """`first`, which has been read already, unless it is empty, then `rest`."""

    __slots__ = ("_first", "_rest")

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest

    def __anext__(self) -> Awaitable[bytes]:
        return self._begin() if self._first else anext(self._rest)

    async def _begin(self) -> bytes:
        first, self._first = self._first, b""
        return first


class Explained(AsyncIterator[bytes]):
    """The same chunks; an error of one of `kinds` becomes the one that `explain` makes of it."""

    __slots__ = ("_chunks", "_explain", "_kinds")

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        kinds: tuple[type[Exception], ...],
        explain: Callable[[Exception], Awaitable[Exception]],
    ) -> None:
        self._chunks = chunks
        self._kinds = kinds
        self._explain = explain

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except self._kinds as error:
            raise await self._explain(error) from error
