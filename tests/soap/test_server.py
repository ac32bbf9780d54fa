"""The service over real sockets: what it accepts, what it refuses and how it says so."""

import asyncio
import base64
import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from lxml import etree

from gateway.model.codes import NS_RS, NS_SOAP12, NS_WSA, NS_WSSE, NS_XDS
from gateway.safe_xml import parse_xml
from gateway.soap.client import Attachment
from gateway.soap.contract import Contract
from gateway.soap.envelope import Envelope, read_envelope
from gateway.soap.server import ServiceLimits, SoapReply, SoapRequest, SoapService

from .wire import (
    RELATED,
    RETRIEVE,
    RETRIEVE_ACTION,
    document_part,
    envelope,
    include,
    related,
    retrieve_answer,
    root_part,
    sha1,
)

PROVIDE_ACTION = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
ACTION = f'<wsa:Action env:mustUnderstand="1">{RETRIEVE_ACTION}</wsa:Action>'
MESSAGE_ID = "<wsa:MessageID>urn:uuid:1</wsa:MessageID>"
REPLY_TO = f"<wsa:ReplyTo><wsa:Address>{NS_WSA}/anonymous</wsa:Address></wsa:ReplyTo>"
TO = "<wsa:To>http://behind.a.proxy.example/elsewhere</wsa:To>"
HEADERS = ACTION + MESSAGE_ID + REPLY_TO + TO
SOAP = "application/soap+xml; charset=UTF-8"
DOCUMENT = b"\r\n\xff\x00 stored \r\n"


@dataclass
class Service:
    """A running service and what its handlers saw."""

    url: str
    spool: Path
    requests: list[SoapRequest] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    spooled: list[list[Path]] = field(default_factory=list)

    async def post(self, body: object, kind: str = SOAP, **headers: str) -> "Answer":
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=body, headers={"Content-Type": kind, **headers}) as response,
        ):
            return Answer(response.status, response.headers["Content-Type"], await response.read())

    def left(self) -> list[Path]:
        return [path for path in self.spool.rglob("*") if path.is_file()]


@dataclass
class Answer:
    status: int
    kind: str
    body: bytes

    @property
    def envelope(self) -> Envelope:
        start = self.body.index(b"<?xml")
        return read_envelope(parse_xml(self.body[start : self.body.index(b"</s:Envelope>") + 13]))

    def fault(self) -> tuple[int, str, tuple[str, ...]]:
        fault = self.envelope.fault
        assert fault is not None
        return self.status, fault.code, tuple(etree.QName(code).localname for code in fault.subcodes)


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start(contract: Contract, tmp_path: Path) -> AsyncIterator[Start]:
    runners: list[tuple[web.AppRunner, SoapService]] = []

    async def start(limits: ServiceLimits | None = None, **more: object) -> Service:
        service = Service("", tmp_path / "spool")

        async def retrieve(request: SoapRequest) -> SoapReply:
            service.requests.append(request)
            body = etree.fromstring(retrieve_answer(include("cid:doc@x"), include("cid:other@x")))
            return SoapReply(body, reply_attachments)

        async def provide(request: SoapRequest) -> SoapReply:
            service.requests.append(request)
            service.spooled.append(service.left())
            for attachment in request.attachments.values():
                service.contents.append(await attachment.read())
                assert b"".join([chunk async for chunk in attachment.chunks()]) == service.contents[-1]
            return SoapReply(etree.fromstring(f'<rs:RegistryResponse xmlns:rs="{NS_RS}" status="x"/>'))

        reply_attachments: Sequence[Attachment] = more.get(
            "attachments",
            [
                Attachment("doc@x", "text/plain", None, DOCUMENT),
                Attachment("other@x", "text/plain", 4, chunked),
            ],
        )
        handlers = {"ITI-43": retrieve, "ITI-41": provide} | more.get("handlers", {})
        soap = SoapService(contract, handlers, service.spool, limits)
        app = web.Application()
        app.router.add_route("*", "/soap", soap.__call__)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        runners.append((runner, soap))
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/soap"
        return service

    yield start
    for runner, soap in runners:
        await runner.cleanup()
        soap.close()


async def chunked() -> AsyncIterator[bytes]:
    yield b"1"
    yield b"234"


def provide(*hrefs: str) -> str:
    items = "".join(f'<Document id="d">{include(href)}</Document>' for href in hrefs)
    return envelope(
        f'<ProvideAndRegisterDocumentSetRequest xmlns="{NS_XDS}">{items}</ProvideAndRegisterDocumentSetRequest>',
        HEADERS.replace(RETRIEVE_ACTION, PROVIDE_ACTION),
    )


async def test_reply_headers_relate_to_the_request(start: Start) -> None:
    answer = await (await start()).post(envelope(RETRIEVE, HEADERS))
    found = answer.envelope
    assert answer.status == 200
    assert found.action == "urn:ihe:iti:2007:RetrieveDocumentSetResponse"
    assert found.relates_to == ("urn:uuid:1",)
    assert found.header is not None
    assert found.header[0].get(f"{{{NS_SOAP12}}}mustUnderstand") == "1"


async def test_simple_request_is_answered_by_simple_soap_with_inline_documents(start: Start) -> None:
    answer = await (await start()).post(envelope(RETRIEVE, HEADERS))
    assert answer.kind.startswith("application/soap+xml; charset=UTF-8")
    body = answer.envelope.body
    assert body is not None
    texts = [element.text for element in body.iter(f"{{{NS_XDS}}}Document")]
    assert texts == [base64.b64encode(DOCUMENT).decode(), base64.b64encode(b"1234").decode()]


async def test_inline_documents_of_unknown_size_are_streamed_whole(start: Start) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"1234567"

    service = await start(
        attachments=[Attachment("doc@x", "a/b", None, pieces), Attachment("other@x", "a/b", 7000, pieces)]
    )
    answer = await service.post(envelope(RETRIEVE, HEADERS))
    body = answer.envelope.body
    assert body is not None
    texts = [element.text or "" for element in body.iter(f"{{{NS_XDS}}}Document")]
    assert [base64.b64decode(text) for text in texts] == [b"1234567" * 1000] * 2


async def test_mtom_request_is_answered_by_mtom(start: Start) -> None:
    answer = await (await start()).post(related(root_part(envelope(RETRIEVE, HEADERS))), RELATED)
    assert re.fullmatch(
        r'multipart/related; type="application/xop\+xml"; start="<.+>"; start-info="application/soap\+xml"; '
        r'boundary=".+"; action="urn:ihe:iti:2007:RetrieveDocumentSetResponse"',
        answer.kind,
    )
    assert b"Content-ID: <doc@x>\r\n\r\n" + DOCUMENT + b"\r\n--" in answer.body
    assert b"Content-ID: <other@x>\r\n\r\n1234\r\n--" in answer.body


async def test_attachments_are_spooled_with_hash_and_size_and_removed(start: Start) -> None:
    service = await start(ServiceLimits(in_memory=1000))
    big = DOCUMENT * 100_000
    body = related(
        root_part(provide("cid:doc@peer", "cid:big@peer")),
        document_part(DOCUMENT),
        document_part(big, "big@peer"),
    )
    assert (await service.post(body, RELATED)).status == 200
    small, large = service.requests[0].attachments.values()
    assert (small.content_id, small.size, small.sha1, small.path) == (
        "doc@peer",
        len(DOCUMENT),
        sha1(DOCUMENT),
        None,
    )
    assert (large.content_id, large.size, large.sha1, large.data) == ("big@peer", len(big), sha1(big), None)
    assert large.content_type == "text/plain"
    assert service.contents == [DOCUMENT, big]
    assert service.spooled == [[large.path]]
    assert service.left() == []


async def test_root_part_may_come_last(start: Start) -> None:
    service = await start()
    assert (
        await service.post(related(document_part(DOCUMENT), root_part(provide("cid:doc@peer"))), RELATED)
    ).status == 200
    assert service.contents == [DOCUMENT]


async def test_parts_that_nothing_names_are_not_kept(start: Start) -> None:
    service = await start()
    body = related(
        root_part(provide("cid:doc@peer")), document_part(b"?", "stray@peer"), document_part(DOCUMENT)
    )
    assert (await service.post(body, RELATED)).status == 200
    assert list(service.requests[0].attachments) == ["doc@peer"]


@pytest.mark.parametrize("coding", ["gzip", "chunked", "expect"])
async def test_gzip_chunked_and_expect_100_continue(start: Start, coding: str) -> None:
    service = await start()
    body = related(root_part(provide("cid:doc@peer")), document_part(DOCUMENT))

    async def stream() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 100):
            yield body[at : at + 100]

    if coding == "gzip":
        answer = await service.post(gzip.compress(body), RELATED, **{"Content-Encoding": "gzip"})
    elif coding == "chunked":
        answer = await service.post(stream(), RELATED)
    else:
        answer = await service.post(body, RELATED, Expect="100-continue")
    assert answer.status == 200
    assert service.contents == [DOCUMENT]


async def test_inline_documents_above_10_mb(start: Start) -> None:
    text = base64.b64encode(b"x" * 9_000_000).decode()
    xml = provide("cid:doc@peer").replace(include("cid:doc@peer"), text)
    service = await start()
    assert (await service.post(xml)).status == 200
    assert service.requests[0].body[0].text == text


@pytest.mark.parametrize("missing", [ACTION, MESSAGE_ID])
async def test_missing_action_or_message_id_is_a_fault_that_names_it(start: Start, missing: str) -> None:
    answer = await (await start()).post(envelope(RETRIEVE, HEADERS.replace(missing, "")))
    assert answer.fault() == (400, "Sender", ("MessageAddressingHeaderRequired",))
    assert answer.envelope.action == f"{NS_WSA}/fault"
    name = "Action" if missing is ACTION else "MessageID"
    assert f":{name}</a:ProblemHeaderQName>".encode() in answer.body


@pytest.mark.parametrize(("headers", "flagged"), [("", False), (MESSAGE_ID, True), (TO, True)])
async def test_a_fault_demands_addressing_only_of_who_uses_it(
    start: Start, headers: str, flagged: bool
) -> None:
    answer = await (await start()).post(envelope(RETRIEVE, headers))
    assert answer.fault() == (400, "Sender", ("MessageAddressingHeaderRequired",))
    assert (b"mustUnderstand" in answer.body) is flagged


async def test_missing_reply_to_and_any_to_are_accepted(start: Start) -> None:
    service = await start()
    assert (await service.post(envelope(RETRIEVE, ACTION + MESSAGE_ID))).status == 200
    assert (await service.post(envelope(RETRIEVE, ACTION + MESSAGE_ID + TO))).status == 200


async def test_action_with_blanks_is_trimmed(start: Start) -> None:
    headers = HEADERS.replace(RETRIEVE_ACTION, f"\n {RETRIEVE_ACTION} ")
    assert (await (await start()).post(envelope(RETRIEVE, headers))).status == 200


@pytest.mark.parametrize("flag", ["1", "true"])
async def test_must_understand_of_addressing_and_security_is_understood(start: Start, flag: str) -> None:
    security = f'<wsse:Security xmlns:wsse="{NS_WSSE}" env:mustUnderstand="{flag}"/>'
    headers = HEADERS.replace('"1"', f'"{flag}"').replace("<wsa:To>", f'<wsa:To env:mustUnderstand="{flag}">')
    assert (await (await start()).post(envelope(RETRIEVE, headers + security))).status == 200


@pytest.mark.parametrize("flag", ["1", "true"])
async def test_unknown_header_that_must_be_understood_is_a_fault_that_names_it(
    start: Start, flag: str
) -> None:
    unknown = f'<x:Unknown xmlns:x="urn:x" env:mustUnderstand="{flag}"/>'
    answer = await (await start()).post(envelope(RETRIEVE, HEADERS + unknown))
    assert answer.fault() == (500, "MustUnderstand", ())
    header = answer.envelope.header
    assert header is not None
    block = header.find(f"{{{NS_SOAP12}}}NotUnderstood")
    assert block is not None
    prefix, _, local = (block.get("qname") or "").partition(":")
    assert (block.nsmap[prefix], local) == ("urn:x", "Unknown")


@pytest.mark.parametrize(
    "attributes", ["", 'env:mustUnderstand="0"', f'env:mustUnderstand="1" env:role="{NS_SOAP12}/role/none"']
)
async def test_unknown_header_for_others_or_without_the_flag_is_ignored(
    start: Start, attributes: str
) -> None:
    unknown = f'<x:Unknown xmlns:x="urn:x" {attributes}/>'
    assert (await (await start()).post(envelope(RETRIEVE, HEADERS + unknown))).status == 200


async def test_action_and_body_that_do_not_fit_are_refused(start: Start) -> None:
    service = await start()
    answer = await service.post(
        provide("cid:x").replace(PROVIDE_ACTION, RETRIEVE_ACTION).replace(include("cid:x"), "")
    )
    assert answer.fault() == (400, "Sender", ())
    assert service.requests == []


@pytest.mark.parametrize("action", ["urn:unknown", "urn:ihe:iti:2007:RegistryStoredQuery"])
async def test_an_action_without_operation_here_is_not_supported(start: Start, action: str) -> None:
    answer = await (await start()).post(envelope(RETRIEVE, HEADERS.replace(RETRIEVE_ACTION, action)))
    assert answer.fault() == (400, "Sender", ("ActionNotSupported",))
    assert f"<a:ProblemAction><a:Action>{action}<".encode() in answer.body


async def test_repeated_action_is_refused(start: Start) -> None:
    answer = await (await start()).post(envelope(RETRIEVE, ACTION + HEADERS))
    assert answer.fault() == (400, "Sender", ("InvalidAddressingHeader", "InvalidCardinality"))


async def test_reply_to_another_host_is_refused_and_not_contacted(start: Start) -> None:
    headers = HEADERS.replace(f"{NS_WSA}/anonymous", "http://127.0.0.1:9/collect")
    answer = await (await start()).post(envelope(RETRIEVE, headers))
    assert answer.fault() == (400, "Sender", ("InvalidAddressingHeader", "OnlyAnonymousAddressSupported"))


async def test_soap_1_1_is_a_version_mismatch(start: Start) -> None:
    xml = envelope(RETRIEVE, HEADERS).replace(NS_SOAP12, "http://schemas.xmlsoap.org/soap/envelope/")
    answer = await (await start()).post(xml, "text/xml; charset=utf-8")
    assert answer.fault() == (500, "VersionMismatch", ())
    assert b"<s:SupportedEnvelope qname" in answer.body


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no XML",
        "<a/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]>" + envelope(RETRIEVE, HEADERS),
        envelope(RETRIEVE, HEADERS)[:-9],
        f'<e:Envelope xmlns:e="{NS_SOAP12}"/>',
        envelope(RETRIEVE + RETRIEVE, HEADERS),
    ],
)
async def test_what_is_no_envelope_is_a_sender_fault(start: Start, body: str) -> None:
    assert (await (await start()).post(body)).fault() == (400, "Sender", ())


@pytest.mark.parametrize(
    "parts",
    [
        (root_part(provide("cid:doc@peer")),),
        (root_part(provide("http://127.0.0.1:9/x")), document_part(b"")),
        (root_part(provide("cid:doc@peer")), document_part(b"1"), document_part(b"2")),
        (
            root_part(provide("cid:doc@peer")),
            document_part(b"=", "doc@peer", "Content-Transfer-Encoding: quoted-printable"),
        ),
    ],
)
async def test_attachments_that_do_not_fit_are_a_fault_in_multipart(
    start: Start, parts: tuple[bytes, ...]
) -> None:
    service = await start()
    answer = await service.post(related(*parts), RELATED)
    assert answer.fault() == (400, "Sender", ())
    assert answer.kind.startswith("multipart/related")
    assert service.requests == []
    assert service.left() == []


async def test_other_media_types_and_methods_are_refused(start: Start) -> None:
    service = await start()
    assert (await service.post("{}", "application/json")).status == 415
    async with aiohttp.ClientSession() as session, session.get(service.url) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_own_limits_bound_request_and_envelope(start: Start) -> None:
    service = await start(ServiceLimits(request=200_000, envelope=20_000, in_memory=1000))
    long = envelope(RETRIEVE, HEADERS + f"<!-- {'x' * 30_000} -->")
    assert (await service.post(long)).fault() == (400, "Sender", ())
    body = related(root_part(provide("cid:doc@peer")), document_part(b"x" * 300_000))
    assert (await service.post(body, RELATED)).fault() == (400, "Sender", ())
    assert service.requests == []
    assert service.left() == []


async def test_a_request_cut_short_reaches_no_handler_and_leaves_no_file(start: Start) -> None:
    service = await start(ServiceLimits(in_memory=1000))
    body = related(root_part(provide("cid:doc@peer")), document_part(b"x" * 5_000_000))
    host, port = service.url.split("/")[2].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /soap HTTP/1.1\r\nHost: x\r\nContent-Type: {RELATED}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:3_000_000])
    await writer.drain()
    async with asyncio.timeout(20):
        while not service.left():
            await asyncio.sleep(0.01)
        writer.close()
        while service.left():
            await asyncio.sleep(0.01)
    assert service.requests == []


async def test_an_attachment_that_cannot_be_stored_is_a_receiver_fault(start: Start) -> None:
    service = await start()
    for folder in service.spool.iterdir():
        folder.rmdir()
    body = related(root_part(provide("cid:doc@peer")), document_part(b"x" * 300_000))
    answer = await service.post(body, RELATED)
    assert answer.fault() == (500, "Receiver", ())
    assert service.requests == []
    assert (await service.post(envelope(RETRIEVE, HEADERS))).status == 200


async def test_a_cancelled_handler_leaves_no_file(start: Start) -> None:
    entered = asyncio.Event()

    async def stuck(request: SoapRequest) -> SoapReply:
        entered.set()
        await asyncio.sleep(3600)
        raise AssertionError

    service = await start(ServiceLimits(in_memory=10), handlers={"ITI-41": stuck})
    body = related(root_part(provide("cid:doc@peer")), document_part(b"x" * 100_000))
    task = asyncio.create_task(service.post(body, RELATED))
    async with asyncio.timeout(20):
        await entered.wait()
        assert service.left()
        task.cancel()
        while service.left():
            await asyncio.sleep(0.01)


async def test_a_failing_handler_is_a_receiver_fault_that_tells_nothing(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(request: SoapRequest) -> SoapReply:
        raise ValueError("PATIENT^NAME")

    service = await start(handlers={"ITI-43": broken})
    answer = await service.post(envelope(RETRIEVE, HEADERS))
    assert answer.fault() == (500, "Receiver", ())
    assert answer.envelope.relates_to == ("urn:uuid:1",)
    assert b"PATIENT" not in answer.body
    captured = capfd.readouterr()
    assert "soap.handler_failed" in captured.out + captured.err
    assert "PATIENT" not in captured.out + captured.err


async def test_a_reply_whose_attachment_is_missing_or_short_is_not_sent_as_if_whole(start: Start) -> None:
    service = await start(attachments=[Attachment("doc@x", "a/b", 9, chunked)])
    assert (await service.post(envelope(RETRIEVE, HEADERS))).fault() == (500, "Receiver", ())
    short = [Attachment("doc@x", "a/b", 9, chunked), Attachment("other@x", "a/b", 4, chunked)]
    service = await start(attachments=short)
    with pytest.raises(aiohttp.ClientError):
        await service.post(related(root_part(envelope(RETRIEVE, HEADERS))), RELATED)


async def test_a_fault_after_a_broken_request_does_not_poison_the_connection(start: Start) -> None:
    service = await start()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for body, kind in (
            (related(root_part(provide("cid:x"))), RELATED),
            (envelope(RETRIEVE, HEADERS), SOAP),
        ) * 3:
            async with session.post(service.url, data=body, headers={"Content-Type": kind}) as response:
                await response.read()
                assert response.status == (400 if kind is RELATED else 200)


async def test_what_a_killed_process_left_is_removed_at_start(contract: Contract, tmp_path: Path) -> None:
    dead = tmp_path / "process-dead" / "request-1"
    dead.mkdir(parents=True)
    (dead / "part-1").write_bytes(b"x")
    alive = SoapService(contract, {}, tmp_path)
    living = [path for path in tmp_path.iterdir() if path.name != "process-dead"]
    other = SoapService(contract, {}, tmp_path)
    assert not dead.exists()
    assert all(path.exists() for path in living)
    alive.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


async def test_captured_request_of_axis2_is_read(start: Start) -> None:
    capture = Path(__file__).parents[3] / "shared" / "oracle" / "messages" / "http-mtom-pnr.txt"
    if not capture.is_file():
        pytest.skip("the captured message is not here")
    head, _, body = capture.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    kind = re.search(rb"Content-Type: (.*)", head)
    assert kind
    service = await start()
    answer = await service.post(body.replace(b" \n", b"\n").replace(b"\n", b"\r\n"), kind[1].decode().strip())
    assert answer.status == 200, answer.body
    assert service.requests[0].transaction.id == "ITI-41"
    assert len(service.contents) == len(service.requests[0].attachments) > 0
