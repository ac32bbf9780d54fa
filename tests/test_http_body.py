"""Bodies that are written while they come in, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chunks import Chunk
from gateway.http_body import read_body, write_body

LARGE = bytes(range(256)) * 1200
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def given_one_by_one(chunks: Sequence[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        yield chunk


@asynccontextmanager
async def serving(handler: Handler, **options: bool) -> AsyncIterator[tuple[str, int]]:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield host, port
    finally:
        await runner.cleanup()


def answering(make: Callable[[], AsyncIterator[Chunk]], length: int | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if length is not None:
            response.content_length = length
        await write_body(request, response, make())
        return response

    return handle


async def raw(address: tuple[str, int], request: str) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    return answer


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(0, len(LARGE)).map(lambda size: LARGE[:size]),
        st.integers(65_500, 65_600).map(lambda size: LARGE[:size]),
        st.integers(0, len(LARGE)).map(lambda start: memoryview(LARGE)[start:]),
    ),
    max_size=12,
)


async def test_whatever_the_pieces_the_bytes_arrive() -> None:
    pieces: list[Chunk] = []
    async with (
        serving(answering(lambda: given_one_by_one(pieces))) as (host, port),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
    ):

        async def fetched() -> bytes:
            async with session.get(f"http://{host}:{port}/") as answer:
                assert answer.headers["Transfer-Encoding"] == "chunked"
                return b"".join([chunk async for chunk in read_body(answer)])

        loop = asyncio.get_running_loop()

        @settings(max_examples=40, deadline=None)
        @given(PIECES)
        def check(drawn: list[Chunk]) -> None:
            pieces[:] = drawn
            got = asyncio.run_coroutine_threadsafe(fetched(), loop).result(60)
            assert got == b"".join(drawn)

        await asyncio.to_thread(check)


async def test_small_pieces_at_hand_share_one_chunk_and_a_large_one_ends_it() -> None:
    pieces = [b"head", b"small", LARGE, b"tail"]
    async with serving(answering(lambda: given_one_by_one(pieces))) as address:
        answer = await raw(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    body = answer.partition(b"\r\n\r\n")[2]
    first = b"headsmall" + LARGE
    assert body == b"%x\r\n%b\r\n4\r\ntail\r\n0\r\n\r\n" % (len(first), first)


async def test_the_connection_serves_the_next_request() -> None:
    async with serving(answering(lambda: given_one_by_one([b"one", LARGE]))) as address:
        reader, writer = await asyncio.open_connection(*address, limit=1024 * 1024)
        chunk = b"one" + LARGE
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            expected = b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk)
            assert await reader.readexactly(len(expected)) == expected
        writer.close()


async def test_nothing_is_held_back_while_the_source_waits() -> None:
    arrived = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield LARGE
        await asyncio.sleep(0)
        yield b"last"

    async with (
        serving(answering(source)) as (host, port),
        aiohttp.ClientSession() as session,
        session.get(f"http://{host}:{port}/") as answer,
    ):
        assert await answer.content.readexactly(5) == b"first"
        arrived.set()
        assert await answer.content.read() == LARGE + b"last"


async def test_http_1_0_gets_the_bytes_without_framing() -> None:
    pieces = [b"one", LARGE, memoryview(b"two")]
    async with serving(answering(lambda: given_one_by_one(pieces))) as address:
        answer = await raw(address, "GET / HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body == b"one" + LARGE + b"two"


async def test_a_known_length_is_said_and_kept() -> None:
    content = b"one" + LARGE
    handler = answering(lambda: given_one_by_one([b"one", LARGE]), len(content))
    async with serving(handler) as address:
        answer = await raw(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(content)}".encode() in head
    assert body == content


async def test_head_has_no_body() -> None:
    async with (
        serving(answering(lambda: given_one_by_one([]))) as (host, port),
        aiohttp.ClientSession() as session,
    ):
        for _ in range(2):
            async with session.head(f"http://{host}:{port}/") as answer:
                assert await answer.read() == b""


async def test_what_came_before_a_failure_arrives_and_the_end_of_the_message_does_not() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"so far"
        raise ValueError("the source broke")

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        with pytest.raises(ValueError, match="the source broke"):
            await write_body(request, response, source())
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(handle) as address:
        answer = await raw(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n6\r\nso far\r\n")


async def test_a_client_that_reads_nothing_stops_the_source_and_one_that_leaves_ends_it() -> None:
    given_out = 0
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def source() -> AsyncIterator[bytes]:
        nonlocal given_out
        while True:
            given_out += len(LARGE)
            yield LARGE
            await asyncio.sleep(0)

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        try:
            await write_body(request, response, source())
        except BaseException as error:
            ended.set_result(type(error).__name__)
            raise
        return response

    async with serving(handle, handler_cancellation=True) as address:
        _, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        turns_without_progress = 0
        while turns_without_progress < 1000:
            before = given_out
            await asyncio.sleep(0)
            turns_without_progress = turns_without_progress + 1 if 0 < before == given_out else 0
        assert given_out < 64 * 1024 * 1024
        writer.transport.abort()
        # whichever notices first: the pending write or the server, which cancels the handler
        assert await asyncio.wait_for(ended, 30) in {"CancelledError", "ClientConnectionResetError"}


async def test_cancelling_reaches_a_source_that_waits() -> None:
    waiting, cleaned_up = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"first"
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned_up.set()

    async with serving(answering(source), handler_cancellation=True) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(waiting.wait(), 30)
        await reader.readuntil(b"first")
        writer.close()
        await asyncio.wait_for(cleaned_up.wait(), 30)
