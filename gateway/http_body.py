"""Bodies of HTTP answers that are written while they come in from elsewhere.

Images and documents pass through in pieces of every size: the head of a part, the end of one image and the
start of the next. A call of the system for each, and in chunked coding (RFC 9112 section 7.1) a copy and a
head for each, cost more than moving their bytes. Here whatever is at hand without waiting goes out at once,
and nothing is held back while the source makes us wait.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, Final, Generic, TypeVar

from aiohttp import web
from aiohttp.http import StreamWriter

_AT_ONCE: Final = 256 * 1024
"""Bytes that are gathered at most before they are written."""

T = TypeVar("T")


async def write_body(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes]
) -> None:
    """Send the head where it is not yet sent, then the chunks and the end of the message.

    What `chunks` raises is raised when all that came before is written; the end of the message is then not
    sent. Raises ConnectionResetError where the client is gone.
    """
    writer = await response.prepare(request)
    if isinstance(writer, StreamWriter) and writer.chunked and request.transport is not None:
        await _Chunked(writer, request.transport).send(chunks)
    else:
        # the length is known or ends with the connection: each chunk goes out as it is
        async for chunk in chunks:
            await response.write(chunk)
    await response.write_eof()


class _Chunked:
    """A body in chunked coding, whose framing is done here instead of in aiohttp's writer."""

    def __init__(self, writer: StreamWriter, transport: asyncio.Transport) -> None:
        writer.chunked = False
        self._writer = writer
        self._transport = transport
        self._held: list[bytes] = []
        self._size = 0

    async def send(self, chunks: AsyncIterator[bytes]) -> None:
        """Send all chunks and the last one, which is empty."""
        try:
            while True:
                chunk = await _Noticed(anext(chunks), self._flush)
                if not chunk:
                    continue
                self._held.append(chunk)
                self._size += len(chunk)
                if self._size >= _AT_ONCE:
                    self._flush()
                    await self._drain()
        except StopAsyncIteration:
            self._flush(b"0\r\n\r\n")
            await self._drain()
        except Exception:
            self._flush()
            raise

    def _flush(self, end: bytes = b"") -> None:
        """Hand over what is held. Never waits, so it adds at most `_AT_ONCE` to what waits to be sent."""
        if self._transport.is_closing():
            return
        self._writer.send_headers()
        framed = [b"%x\r\n" % self._size, *self._held, b"\r\n", end] if self._held else [end]
        self._held.clear()
        self._size = 0
        data = b"".join(framed)
        self._writer.output_size += len(data)
        self._transport.write(data)

    async def _drain(self) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        await self._writer.drain()


class _Noticed(Generic[T]):
    """The same awaitable; `before_waiting` is called where it does not have its result at hand."""

    def __init__(self, awaited: Awaitable[T], before_waiting: Callable[[], None]) -> None:
        self._awaited = awaited
        self._before_waiting = before_waiting

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._awaited.__await__()
        step: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waited_for = step()
            except StopIteration as done:
                result: T = done.value
                return result
            self._before_waiting()
            try:
                yield waited_for
                step = partial(next, steps)
            except BaseException as error:
                step = partial(steps.throw, error)
