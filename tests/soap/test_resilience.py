"""What stands between a call and its peer: bounds, time-outs, repeats and the circuit breaker."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from lxml.etree import _Element

from gateway.model.errors import (
    PeerBusy,
    PeerCircuitOpen,
    PeerDisconnected,
    PeerError,
    PeerFault,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)
from gateway.soap.client import Attachment, Peer, SoapClient
from gateway.soap.contract import Contract
from tests.ports import free_port

from .wire import (
    RELATED,
    HttpRequest,
    answering,
    document_part,
    envelope,
    http,
    include,
    raw_peer,
    related,
    retrieve_answer,
    root_part,
)

GOOD = http(envelope(retrieve_answer()).encode(), "application/soap+xml")
FAULT = http(
    envelope(
        "<env:Fault><env:Code><env:Value>env:Sender</env:Value></env:Code>"
        "<env:Reason><env:Text>no</env:Text></env:Reason></env:Fault>"
    ).encode(),
    "application/soap+xml",
    "500 Internal Server Error",
)
ERROR_PAGE = http(b"<html/>", "text/html", "500 Internal Server Error")


async def silence(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def hang_up(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
    writer.close()


def then_good(*first: bytes):
    """Answers in turn, and well from then on; an empty answer hangs up."""
    answers = list(first)

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        answer = answers.pop(0) if answers else GOOD
        if answer:
            writer.write(answer)
        else:
            writer.close()

    return respond


async def test_a_refused_connection_is_unreachable_and_nothing_was_sent(
    client: SoapClient, retrieve_request: _Element
) -> None:
    peer = Peer("repo", f"http://127.0.0.1:{free_port()}/x")
    with pytest.raises(PeerUnreachable, match="ITI-43 to repo") as caught:
        await client.call(peer, "ITI-43", retrieve_request)
    assert caught.value.outcome_known


@pytest.mark.parametrize("url", ["http://host.invalid/x", "not a URL", "ftp://127.0.0.1/x"])
async def test_a_url_that_leads_nowhere_is_unreachable(
    client: SoapClient, retrieve_request: _Element, url: str
) -> None:
    with pytest.raises(PeerUnreachable):
        await client.call(Peer("repo", url), "ITI-43", retrieve_request)


async def test_tls_to_a_plain_port_is_unreachable(client: SoapClient, retrieve_request: _Element) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no TLS record\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PeerUnreachable, match="TLS"):
            await client.call(Peer("repo", f"https://127.0.0.1:{port}/x"), "ITI-43", retrieve_request)


@pytest.mark.parametrize("limits", [{"read_timeout": 0.2}, {"total_timeout": 0.2}])
async def test_no_answer_in_time_is_a_timeout_of_unknown_outcome(
    client: SoapClient, retrieve_request: _Element, limits: dict[str, float]
) -> None:
    async with raw_peer(silence) as peer:
        with pytest.raises(PeerTimeout) as caught:
            await client.call(Peer("repo", peer.url, **limits), "ITI-43", retrieve_request)
        assert not caught.value.outcome_known
        assert len(peer.requests) == 1


async def test_an_answer_that_stops_is_a_timeout(client: SoapClient, retrieve_request: _Element) -> None:
    body = related(root_part(envelope(retrieve_answer(include("cid:doc@peer")))), document_part(b"x" * 1000))

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(http(body, RELATED)[:-500])
        await writer.drain()
        await asyncio.sleep(3600)

    async with raw_peer(respond) as peer:
        with pytest.raises(PeerTimeout):
            async with client.open(
                Peer("repo", peer.url, read_timeout=0.2), "ITI-43", retrieve_request
            ) as reply:
                [chunk async for part in reply.parts() async for chunk in part]


async def test_the_total_timeout_does_not_end_a_stream_that_flows(
    client: SoapClient, retrieve_request: _Element
) -> None:
    body = related(root_part(envelope(retrieve_answer(include("cid:doc@peer")))), document_part(b"x" * 1000))

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        answer = http(body, RELATED)
        writer.write(answer[:-500])
        for at in range(-500, 0, 100):
            await asyncio.sleep(0.15)
            writer.write(answer[at : at + 100 or None])

    async with (
        raw_peer(respond) as peer,
        client.open(Peer("repo", peer.url, total_timeout=0.5), "ITI-43", retrieve_request) as reply,
    ):
        content = b"".join([chunk async for part in reply.parts() async for chunk in part])
    assert content == b"x" * 1000


async def test_a_connection_closed_without_answer_is_disconnected(
    client: SoapClient, retrieve_request: _Element
) -> None:
    async with raw_peer(hang_up) as peer:
        with pytest.raises(PeerDisconnected) as caught:
            await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request)
        assert not caught.value.outcome_known
        assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "known"),
    [
        ("429 Too Many Requests", PeerBusy, True),
        ("503 Service Unavailable", PeerBusy, False),
        ("504 Gateway Timeout", PeerTimeout, False),
        ("502 Bad Gateway", PeerProtocolError, False),
        ("403 Forbidden", PeerForbids, True),
        ("404 Not Found", PeerProtocolError, False),
    ],
)
async def test_http_statuses_without_soap(
    client: SoapClient, retrieve_request: _Element, status: str, kind: type[PeerError], known: bool
) -> None:
    async with raw_peer(answering(http(b"<html/>", "text/html", status))) as peer:
        with pytest.raises(kind) as caught:
            await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request)
    assert status[:3] in caught.value.detail
    assert caught.value.outcome_known is known


@pytest.mark.parametrize("first", [b"", *(http(b"", "text/html", f"{code} x") for code in (502, 503, 504))])
async def test_transport_failures_are_repeated_when_the_caller_allows(
    client: SoapClient, retrieve_request: _Element, first: bytes
) -> None:
    async with raw_peer(then_good(first, first)) as peer:
        await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request, retry=True)
        assert len(peer.requests) == 3
        assert len({request.body for request in peer.requests}) == 1
    async with raw_peer(then_good(first)) as peer:
        with pytest.raises(PeerError):
            await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request)
        assert len(peer.requests) == 1


async def test_repeats_are_bounded(client: SoapClient, retrieve_request: _Element) -> None:
    async with raw_peer(hang_up) as peer:
        with pytest.raises(PeerDisconnected):
            await client.call(Peer("repo", peer.url, max_attempts=2), "ITI-43", retrieve_request, retry=True)
        assert len(peer.requests) == 2


@pytest.mark.parametrize("first", [FAULT, ERROR_PAGE, http(b"<html/>", "text/html", "429 x")])
async def test_what_would_fail_again_is_not_repeated(
    client: SoapClient, retrieve_request: _Element, first: bytes
) -> None:
    async with raw_peer(then_good(first)) as peer:
        with pytest.raises(PeerError):
            await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request, retry=True)
        assert len(peer.requests) == 1


async def test_a_stream_that_delivered_bytes_is_not_repeated(
    client: SoapClient, retrieve_request: _Element
) -> None:
    body = related(root_part(envelope(retrieve_answer(include("cid:doc@peer")))), document_part(b"x" * 1000))

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(http(body, RELATED)[:-500])
        await writer.drain()
        writer.close()

    async with raw_peer(respond) as peer:
        with pytest.raises(PeerDisconnected):
            async with client.open(Peer("repo", peer.url), "ITI-43", retrieve_request, retry=True) as reply:
                [chunk async for part in reply.parts() async for chunk in part]
        assert len(peer.requests) == 1


async def test_a_source_that_runs_once_is_not_sent_twice(
    client: SoapClient, retrieve_request: _Element
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"x"

    async with raw_peer(then_good(b"")) as peer:
        once = Attachment("a@x", "text/plain", 1, stream())
        with pytest.raises(PeerDisconnected):
            await client.call(
                Peer("repo", peer.url), "ITI-43", retrieve_request, attachments=[once], retry=True
            )
        assert len(peer.requests) == 1
    async with raw_peer(then_good(b"")) as peer:
        again = Attachment("a@x", "text/plain", 1, stream)
        await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request, attachments=[again], retry=True)
        assert len(peer.requests) == 2


async def test_the_error_of_a_source_reaches_the_caller(
    client: SoapClient, retrieve_request: _Element
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("source")

    async with raw_peer(then_good()) as peer:
        for size in (1000, None):
            attachment = Attachment("a@x", "text/plain", size, broken)
            with pytest.raises(LookupError, match="source"):
                await client.call(
                    Peer("repo", peer.url), "ITI-43", retrieve_request, attachments=[attachment]
                )
        assert peer.requests == []


@pytest.mark.parametrize("size", [1, 3])
async def test_an_attachment_of_another_size_than_announced_is_not_sent_as_if_whole(
    client: SoapClient, retrieve_request: _Element, size: int
) -> None:
    async def two() -> AsyncIterator[bytes]:
        yield b"12"

    async with raw_peer(then_good()) as peer:
        with pytest.raises(Exception, match="than announced"):
            await client.call(
                Peer("repo", peer.url),
                "ITI-43",
                retrieve_request,
                attachments=[Attachment("a@x", "a/b", size, two)],
            )
        assert peer.requests == []


async def test_requests_in_flight_and_waiting_are_bounded(
    client: SoapClient, retrieve_request: _Element
) -> None:
    release = asyncio.Event()
    running = most = 0

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        writer.write(GOOD)

    async with raw_peer(respond) as raw:
        peer = Peer("repo", raw.url, max_in_flight=2, max_waiting=3)
        tasks = [asyncio.create_task(client.call(peer, "ITI-43", retrieve_request)) for _ in range(5)]
        while len(raw.requests) < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(PeerBusy) as caught:
            await client.call(peer, "ITI-43", retrieve_request)
        assert caught.value.outcome_known
        with pytest.raises(PeerProtocolError):
            other = asyncio.create_task(client.call(peer, "ITI-41", retrieve_request))
            while len(raw.requests) < 3:
                await asyncio.sleep(0.01)
            release.set()
            await other
        await asyncio.gather(*tasks)
    assert len(raw.requests) == 6
    assert most == 3


async def test_a_place_is_given_back_when_a_waiting_or_running_call_is_cancelled(
    client: SoapClient, retrieve_request: _Element
) -> None:
    async with raw_peer(silence) as raw:
        peer = Peer("repo", raw.url, max_in_flight=1, max_waiting=1)
        for _ in range(3):
            first = asyncio.create_task(client.call(peer, "ITI-43", retrieve_request))
            second = asyncio.create_task(client.call(peer, "ITI-43", retrieve_request))
            await asyncio.sleep(0.02)
            second.cancel()
            first.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
    async with raw_peer(then_good()) as raw:
        await client.call(Peer("repo", raw.url, max_in_flight=1), "ITI-43", retrieve_request)


async def test_waiting_for_a_place_ends_as_busy(client: SoapClient, retrieve_request: _Element) -> None:
    async with raw_peer(then_good()) as raw:
        peer = Peer("repo", raw.url, max_in_flight=1, total_timeout=0.5)
        async with client.open(peer, "ITI-43", retrieve_request):
            with pytest.raises(PeerBusy, match="no free place"):
                await client.call(peer, "ITI-43", retrieve_request)
        assert len(raw.requests) == 1


@pytest.mark.parametrize("failing", [ERROR_PAGE, b""])
async def test_the_circuit_opens_after_failures_and_closes_after_one_success(
    client: SoapClient, retrieve_request: _Element, failing: bytes
) -> None:
    async with raw_peer(then_good(*[failing] * 4)) as raw:
        peer = Peer("repo", raw.url, circuit_threshold=3, circuit_reset=0.5)
        for _ in range(3):
            assert client.circuit_states().get("repo ITI-43", "closed") == "closed"
            with pytest.raises((PeerProtocolError, PeerDisconnected)):
                await client.call(peer, "ITI-43", retrieve_request)
        assert client.circuit_states() == {"repo ITI-43": "open"}
        with pytest.raises(PeerCircuitOpen) as caught:
            await client.call(peer, "ITI-43", retrieve_request, retry=True)
        assert caught.value.outcome_known
        assert len(raw.requests) == 3
        await asyncio.sleep(0.55)
        with pytest.raises((PeerProtocolError, PeerDisconnected)):
            await client.call(peer, "ITI-43", retrieve_request)
        assert client.circuit_states() == {"repo ITI-43": "open"}
        await asyncio.sleep(0.55)
        await client.call(peer, "ITI-43", retrieve_request)
        assert client.circuit_states() == {"repo ITI-43": "closed"}


async def test_a_half_open_circuit_lets_one_request_through(
    client: SoapClient, retrieve_request: _Element
) -> None:
    release = asyncio.Event()

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        if len(raw.requests) == 1:
            writer.close()
            return
        await release.wait()
        writer.write(GOOD)

    async def probe(number: int) -> asyncio.Task[_Element]:
        task = asyncio.create_task(client.call(peer, "ITI-43", retrieve_request))
        while len(raw.requests) < number:
            await asyncio.sleep(0.01)
        assert client.circuit_states() == {"repo ITI-43": "half-open"}
        with pytest.raises(PeerCircuitOpen):
            await client.call(peer, "ITI-43", retrieve_request)
        return task

    async with raw_peer(respond) as raw:
        peer = Peer("repo", raw.url, circuit_threshold=1, circuit_reset=0.1)
        with pytest.raises(PeerDisconnected):
            await client.call(peer, "ITI-43", retrieve_request)
        await asyncio.sleep(0.15)
        given_up = await probe(2)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        task = await probe(3)
        release.set()
        await task
        assert client.circuit_states() == {"repo ITI-43": "closed"}


async def test_timeouts_open_the_circuit(client: SoapClient, retrieve_request: _Element) -> None:
    async with raw_peer(silence) as raw:
        for limits in ({"read_timeout": 0.1}, {"total_timeout": 0.1}):
            peer = Peer("slow", raw.url, circuit_threshold=1, **limits)
            with pytest.raises(PeerTimeout):
                await client.call(peer, "ITI-43", retrieve_request)
            with pytest.raises(PeerCircuitOpen):
                await client.call(peer, "ITI-43", retrieve_request)


async def test_faults_do_not_open_the_circuit(client: SoapClient, retrieve_request: _Element) -> None:
    async with raw_peer(answering(FAULT)) as raw:
        peer = Peer("repo", raw.url, circuit_threshold=1)
        for _ in range(3):
            with pytest.raises(PeerFault):
                await client.call(peer, "ITI-43", retrieve_request)
    assert client.circuit_states() == {"repo ITI-43": "closed"}


async def test_a_callers_session_is_used_and_left_open(
    contract: Contract, retrieve_request: _Element
) -> None:
    async with raw_peer(then_good()) as raw, aiohttp.ClientSession(headers={"X-Ours": "1"}) as session:
        async with SoapClient(contract, session) as client:
            await client.call(Peer("repo", raw.url), "ITI-43", retrieve_request)
        assert not session.closed
        assert raw.requests[0].header("X-Ours") == "1"
