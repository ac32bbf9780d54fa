"""Client and service together: documents of every size arrive as they left, in bounded memory."""

import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from lxml import etree
from lxml.etree import _Element

from gateway.model.codes import NS_RS, NS_XDS
from gateway.soap.client import Attachment, Peer, SoapClient
from gateway.soap.contract import Contract
from gateway.soap.mtom import href_of_cid
from gateway.soap.server import SoapReply, SoapRequest, SoapService, SpooledPart

from .wire import include, retrieve_answer

BLOCK = bytes(range(256)) * 256 + b"\r\n--MIMEBoundary_\r\n--"
CONTENTS = {
    "empty": b"",
    "one": b"\r",
    "crlf": b"\r\n<xml/>\r\n",
    "crlf only": b"\r\n",
    "dashes": b"--MIMEBoundary_\r\n--\r\n--",
    "block": BLOCK * 20,
}


class Store:
    """A repository that keeps spooled documents for the time of one request each."""

    def __init__(self) -> None:
        self.received: dict[str, tuple[int, str]] = {}
        self.to_send: list[Attachment] = []

    async def provide(self, request: SoapRequest) -> SoapReply:
        for name, part in request.attachments.items():
            digest = hashlib.sha1()
            async for chunk in part.chunks():
                digest.update(chunk)
            assert digest.hexdigest() == part.sha1
            self.received[name] = (part.size, part.sha1)
        return SoapReply(etree.fromstring(f'<rs:RegistryResponse xmlns:rs="{NS_RS}" status="x"/>'))

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        hrefs = [include(href_of_cid(attachment.content_id)) for attachment in self.to_send]
        return SoapReply(etree.fromstring(retrieve_answer(*hrefs)), self.to_send)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def peer(contract: Contract, store: Store, tmp_path: Path) -> AsyncIterator[Peer]:
    service = SoapService(contract, {"ITI-41": store.provide, "ITI-43": store.retrieve}, tmp_path)
    app = web.Application()
    app.router.add_post("/xds", service.__call__)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Peer("repo", f"http://127.0.0.1:{runner.addresses[0][1]}/xds")
    await runner.cleanup()
    service.close()


def provide_body(*content_ids: str) -> _Element:
    items = "".join(f"<Document>{include(href_of_cid(name))}</Document>" for name in content_ids)
    return etree.fromstring(
        f'<ProvideAndRegisterDocumentSetRequest xmlns="{NS_XDS}">{items}</ProvideAndRegisterDocumentSetRequest>'
    )


def expected(content: bytes) -> tuple[int, str]:
    return len(content), hashlib.sha1(content).hexdigest()


async def blocks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield BLOCK


def streamed(name: str, count: int, sized: bool) -> Attachment:
    return Attachment(
        name, "application/octet-stream", count * len(BLOCK) if sized else None, lambda: blocks(count)
    )


async def test_documents_of_every_kind_arrive_at_the_service(
    client: SoapClient, peer: Peer, store: Store
) -> None:
    names = {f"{number}@urn:uuid:x": content for number, content in enumerate(CONTENTS.values())}
    attachments = [Attachment(name, "text/plain", len(content), content) for name, content in names.items()]
    await client.call(peer, "ITI-41", provide_body(*names), attachments=attachments)
    assert store.received == {name: expected(content) for name, content in names.items()}


async def test_documents_of_every_kind_arrive_at_the_client(
    client: SoapClient, peer: Peer, store: Store, retrieve_request: _Element
) -> None:
    names = {f"{number}@x": content for number, content in enumerate(CONTENTS.values())}
    store.to_send = [Attachment(name, "text/plain", None, content) for name, content in names.items()]
    async with client.open(peer, "ITI-43", retrieve_request) as reply:
        found = {part.content_id: b"".join([chunk async for chunk in part]) async for part in reply.parts()}
    assert found == names


@pytest.mark.parametrize("sized", [True, False])
async def test_50_mb_pass_both_ways_in_bounded_memory(
    client: SoapClient, peer: Peer, store: Store, retrieve_request: _Element, sized: bool
) -> None:
    count = 50_000_000 // len(BLOCK)
    digest = hashlib.sha1()
    for _ in range(count):
        digest.update(BLOCK)
    tracemalloc.start()

    await client.call(peer, "ITI-41", provide_body("big@x"), attachments=[streamed("big@x", count, sized)])
    assert store.received == {"big@x": (count * len(BLOCK), digest.hexdigest())}

    store.to_send = [streamed("big@x", count, sized)]
    arrived = hashlib.sha1()
    async with client.open(peer, "ITI-43", retrieve_request) as reply:
        async for part in reply.parts():
            async for chunk in part:
                arrived.update(chunk)
    assert arrived.hexdigest() == digest.hexdigest()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # both ends live in this process; a copy of the document at either would show
    assert peak < 16_000_000


async def test_a_reader_that_leaves_early_does_not_wait_for_the_rest(
    client: SoapClient, peer: Peer, store: Store, retrieve_request: _Element
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += len(BLOCK)
            yield BLOCK

    store.to_send = [Attachment("endless@x", "text/plain", None, endless)]
    async with client.open(peer, "ITI-43", retrieve_request) as reply:
        async for part in reply.parts():
            async for _ in part:
                break
            break
    assert sent < 100_000_000


async def test_a_spooled_part_gives_its_content_as_a_whole_and_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(BLOCK * 40)
    for part in (
        SpooledPart("a", "a/b", 1, "", path=path),
        SpooledPart("a", "a/b", 1, "", data=BLOCK * 40),
    ):
        assert await part.read() == BLOCK * 40
        assert b"".join([chunk async for chunk in part.chunks()]) == BLOCK * 40
