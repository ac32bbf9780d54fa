"""Images in the order of the manifest, although sources give them in theirs.

What comes too early waits in a file. The files of one retrieval have a bound: beyond it the order is given
up, never an image.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from typing import IO, Final, Self

from msgspec.structs import replace

from gateway.model.images import ImagePart

_IN_MEMORY: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024


class OrderBuffer:
    """A context manager: its files go when it ends."""

    def __init__(self, order: Sequence[str], max_bytes: int) -> None:
        """`order` are SOP Instance UIDs; parts that are not among them keep their place in the stream."""
        self._place = {uid: number for number, uid in enumerate(order)}
        self._max_bytes = max_bytes
        self._kept: dict[int, tuple[ImagePart, IO[bytes]]] = {}
        self._size = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _part, file in self._kept.values():
            file.close()
        self._kept.clear()

    async def in_order(self, parts: AsyncIterator[ImagePart]) -> AsyncIterator[ImagePart]:
        """The parts, each as soon as all before it have been passed on.

        An image that never comes holds back what follows until the sources have ended or the bound is
        reached. What `parts` raises is raised after all that is kept has been passed on.
        """
        following = 0
        failure: Exception | None = None
        try:
            async for part in parts:
                place = self._place.get(part.sop_instance_uid or "")
                if place is None or place <= following:
                    yield part
                    following = max(following, -1 if place is None else place + 1)
                    while following in self._kept:
                        yield self._release(following)
                        following += 1
                else:
                    await self._keep(place, part)
                    if self._size > self._max_bytes:
                        for kept in sorted(self._kept):
                            yield self._release(kept)
                            following = kept + 1
        except Exception as error:
            failure = error
        for kept in sorted(self._kept):
            yield self._release(kept)
        if failure is not None:
            raise failure

    async def _keep(self, place: int, part: ImagePart) -> None:
        file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        try:
            async for chunk in part.chunks:
                self._size += len(chunk)
                await asyncio.to_thread(file.write, chunk)
        except BaseException:
            file.close()
            raise
        self._kept[place] = (part, file)

    def _release(self, place: int) -> ImagePart:
        part, file = self._kept.pop(place)
        return replace(part, chunks=self._read(file))

    async def _read(self, file: IO[bytes]) -> AsyncIterator[bytes]:
        try:
            await asyncio.to_thread(file.seek, 0)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                self._size -= len(chunk)
                yield chunk
        finally:
            file.close()
