"""Bodies of HTTP messages that pass through: read from a peer, written to a client while they still come in.

Images and documents come in pieces of every size: the head of a part, the end of one image and the start of
the next. A call of the system for each small one, and a copy of each large one, cost more than all the rest.
Here small pieces that are at hand without waiting go out at once, large ones as they are, and nothing is held
back while the source makes us wait.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, Final, Generic, TypeVar

import aiohttp
from aiohttp import web
from aiohttp.http import StreamWriter

from gateway.chunks import Chunk

_UNCOPIED: Final = 64 * 1024
"""Bytes from which on another call of the system costs less than a copy."""
_AT_ONCE: Final = 64 * 1024
"""Bytes of small chunks that are gathered before they are written."""

_READ_AT_ONCE: Final = 512 * 1024
"""Bytes that are asked of a socket: more no longer fit into the caches of a processor."""

T = TypeVar("T")


def read_body(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body of a large answer, in chunks as they come from the socket."""
    transport = None if response.connection is None else response.connection.transport
    if transport is not None and hasattr(transport, "max_size"):
        # asyncio's transport over plain sockets would ask for half of it; others do as they like
        transport.max_size = _READ_AT_ONCE
    return response.content.iter_any()


async def write_body(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[Chunk]
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
        self._small: list[Chunk] = []
        self._size = 0
        self._owed = b""

    async def send(self, chunks: AsyncIterator[Chunk]) -> None:
        """Send all chunks and the last one, which is empty."""
        try:
            while True:
                chunk = await _Noticed(anext(chunks), self._flush)
                if len(chunk) >= _UNCOPIED:
                    self._write(chunk)
                    await self._drain()
                elif chunk:
                    self._small.append(chunk)
                    self._size += len(chunk)
                    if self._size >= _AT_ONCE:
                        self._write()
                        await self._drain()
        except StopAsyncIteration:
            self._flush()
            self._hand_over(self._owed + b"0\r\n\r\n")
            await self._drain()
        except Exception:
            self._flush()
            raise

    def _flush(self) -> None:
        """Write what is held. Never waits, so it adds at most `_AT_ONCE` to what waits to be sent."""
        if self._small:
            self._write()

    def _write(self, large: Chunk = b"") -> None:
        """One chunk of HTTP with all that is held, and `large` behind it without a copy.

        The line end behind a large one goes out with what follows it.
        """
        head = b"%x\r\n" % (self._size + len(large))
        self._hand_over(b"".join([self._owed, head, *self._small, b"" if large else b"\r\n"]))
        self._small.clear()
        self._size = 0
        self._owed = b""
        if large:
            self._hand_over(large)
            self._owed = b"\r\n"

    def _hand_over(self, data: Chunk) -> None:
        if not self._transport.is_closing():
            self._writer.send_headers()
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
