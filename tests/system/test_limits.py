"""What clients can send and hold is bounded: slow ones, many connections, many requests, what unpacks to more,
what nests, and what would reach into other lines, headers and places."""

import asyncio
import gzip
import json
import resource
import time
import zlib
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.demo.bundles import provide_bundle
from tests.ports import free_port
from tests.soap.wire import RELATED, envelope
from tests.system.documents import a_document, a_patient
from tests.system.stack import affinity_service, gateway_service, running_stack

FHIR = "application/fhir+json"
MIB = 1 << 20


def address(stack):
    host, port = stack.base_url.removeprefix("http://").removesuffix("/fhir").split(":")
    return host, int(port)


@asynccontextmanager
async def connection(stack):
    reader, writer = await asyncio.open_connection(*address(stack))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def status_of(reader):
    line = await asyncio.wait_for(reader.readline(), 60)
    return int(line.split()[1]) if line else None


async def works(stack):
    status, _ = await stack.get("metadata")
    return status == 200


# --- slow clients -----------------------------------------------------------------------------------------
async def test_a_connection_that_sends_no_whole_head_is_closed(tmp_path):
    async with running_stack(tmp_path, server={"head_timeout": 0.4}) as stack:
        for begun in (b"", b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX-Slow: "):
            async with connection(stack) as (reader, writer):

                async def dribble(out=writer, begun=begun):
                    out.write(begun)
                    while begun:
                        out.write(b"a")
                        await asyncio.sleep(0.05)

                dribbling = asyncio.create_task(dribble())
                with suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 60) == b""
                dribbling.cancel()
        async with connection(stack) as (reader, writer):
            writer.write(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await status_of(reader) == 200
        assert await works(stack)


async def test_a_body_that_stops_arriving_is_answered_408(tmp_path):
    async with running_stack(tmp_path, server={"body_timeout": 0.4}) as stack:
        for path, kind in (("/fhir", FHIR), ("/fhir/List/_search", "application/x-www-form-urlencoded")):
            async with connection(stack) as (reader, writer):
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n{{"
                writer.write(head.encode())
                assert await status_of(reader) == 408
        assert await works(stack)


async def test_a_body_that_arrives_slowly_has_the_time_of_a_request_and_no_more(tmp_path):
    async with (
        running_stack(tmp_path, server={"request_timeout": 1.0}) as stack,
        connection(stack) as (reader, writer),
    ):
        writer.write(
            f"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: {FHIR}\r\nContent-Length: 100000\r\n\r\n".encode()
        )

        async def dribble():
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        assert await status_of(reader) == 504
        dribbling.cancel()
        assert await works(stack)


async def test_a_request_that_takes_too_long_is_answered_504_and_a_long_answer_is_not_cut(tmp_path):
    async with running_stack(tmp_path, server={"request_timeout": 5.0}) as stack:
        patient = a_patient("limits")
        await stack.publish(provide_bundle([a_document(content=b"x" * 4 * MIB)], patient=patient))
        (found,) = await stack.find(patient__identifier=patient.token, status="current")
        url = found["content"][0]["attachment"]["url"]
        async with stack.session.get(url) as answer:
            await asyncio.sleep(10.0)
            assert len(await answer.read()) == 4 * MIB

        async def silent(_):
            await asyncio.sleep(60)

        stack.interfere = silent
        status, outcome = await stack.get("List", **{"patient.identifier": patient.token})
        stack.interfere = None
        assert (status, outcome["issue"][0]["code"]) == (504, "timeout")


# --- many -------------------------------------------------------------------------------------------------
async def test_one_client_has_a_bound_on_requests_at_once(tmp_path):
    async with running_stack(tmp_path, server={"max_requests_per_client": 3}) as stack:
        arrived = asyncio.Semaphore(0)
        go_on = asyncio.Event()

        async def wait(_):
            arrived.release()
            await go_on.wait()

        stack.interfere = wait
        query = {"patient.identifier": "urn:oid:2.999.1.1|x"}
        held = [asyncio.create_task(stack.get("List", **query)) for _ in range(3)]
        for _ in range(3):
            await asyncio.wait_for(arrived.acquire(), 60)
        status, outcome = await stack.get("List", **query)
        assert (status, outcome["issue"][0]["code"]) == (429, "throttled")
        go_on.set()
        stack.interfere = None
        assert {status for status, _ in await asyncio.gather(*held)} == {200}
        assert (await stack.get("List", **query))[0] == 200


@pytest.mark.timeout(200)
async def test_ten_thousand_open_connections_leave_room_for_others(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 12_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, 12_000), hard))
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    affinity_port, port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(tmp_path, port, affinity_port, SERVER__MAX_CONNECTIONS="1000")
    await affinity.start()
    base = await gateway.start()
    try:
        async with AsyncExitStack() as stack:
            for _ in range(count):
                # the oldest are closed while the last are opened
                _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 60)
                stack.callback(writer.close)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            async with session.get(f"{base}/metadata") as answer:
                assert answer.status == 200
            async with session.get(
                f"{base}/List", params={"patient.identifier": "urn:oid:2.999.1.1|x"}
            ) as answer:
                assert answer.status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await gateway.kill()
        await affinity.kill()
    assert '"event":"connections.too_many"' in (tmp_path / "gateway.log").read_text()


# --- what unpacks, nests and names ------------------------------------------------------------------------
def bomb(size):
    """gzip of `size` blanks, made piece by piece."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    pieces = [packer.compress(b" " * MIB) for _ in range(size // MIB)]
    return b"".join([*pieces, packer.flush()])


def memory_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


@pytest.mark.timeout(200)
async def test_a_gigabyte_of_nesting_and_one_of_unpacked_blanks_are_refused_in_little_memory(tmp_path):
    affinity_port, port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(
        tmp_path, port, affinity_port, SERVER__MAX_BUNDLE_BYTES=str(8 * MIB), XDS_SERVER__ENABLED="true"
    )
    await affinity.start()
    base = await gateway.start()

    async def nested(opening):
        piece = opening * (MIB // len(opening))
        for _ in range(1024):
            yield piece

    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base}/metadata") as answer:
                assert answer.status == 200
            before = memory_of(gateway.pid)
            for opening, kind in ((b"[", FHIR), (b'{"a":', FHIR), (b"<a>", "application/fhir+xml")):
                with suppress(aiohttp.ClientError):
                    async with session.post(
                        base, data=nested(opening), headers={"Content-Type": kind}
                    ) as answer:
                        assert answer.status == 413
            packed = {"Content-Type": FHIR, "Content-Encoding": "gzip"}
            async with session.post(base, data=bomb(1024 * MIB), headers=packed) as answer:
                assert answer.status == 413
            twice = gzip.compress(bomb(64 * MIB))
            async with session.post(base, data=twice, headers=packed) as answer:
                assert answer.status == 400
            soap = {"Content-Type": "application/soap+xml"}
            with suppress(aiohttp.ClientError):
                async with session.post(
                    base.replace("/fhir", "/xds/registry"), data=nested(b"<a>"), headers=soap
                ) as answer:
                    assert answer.status >= 400
            assert memory_of(gateway.pid) - before < 200
            async with session.get(f"{base}/metadata") as answer:
                assert answer.status == 200
    finally:
        await gateway.kill()
        await affinity.kill()


@pytest.mark.parametrize("depth", [200, 5_000])
async def test_deep_nesting_within_the_size_is_refused(tmp_path, depth):
    async with running_stack(tmp_path) as stack:
        inside = "1"
        for _ in range(depth):
            inside = f'{{"extension":[{inside}]}}'
        status, outcome = await stack.publish(f'{{"resourceType":"Bundle","extension":[{inside}]}}'.encode())
        assert 400 <= status < 500, outcome
        assert await works(stack)


@pytest.mark.parametrize(
    "entity",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
    ],
)
async def test_no_document_type_and_no_entity_is_read(tmp_path, entity):
    async with running_stack(tmp_path, xds_server={"enabled": True}) as stack:
        bundle = (
            f'<?xml version="1.0"?>{entity}<Bundle xmlns="http://hl7.org/fhir"><id value="&x;"/></Bundle>'
        )
        headers = {"Content-Type": "application/fhir+xml"}
        async with stack.session.post(stack.base_url, data=bundle, headers=headers) as answer:
            assert answer.status == 400
            assert "root:" not in await answer.text()
        message = f'<?xml version="1.0"?>{entity}{envelope("<a>&x;</a>")}'
        url = stack.base_url.replace("/fhir", "/xds/registry")
        async with stack.session.post(
            url, data=message, headers={"Content-Type": "application/soap+xml"}
        ) as answer:
            assert answer.status in (400, 500)
            assert "root:" not in await answer.text()


@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "http://127.0.0.1:{port}/inside", "ftp://x/y", "/etc/passwd"]
)
async def test_xop_reaches_nothing_but_parts_of_its_message(tmp_path, href):
    asked = []

    async def listen(reader, writer):
        asked.append(await reader.read(100))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    href = href.format(port=listener.sockets[0].getsockname()[1])
    async with running_stack(tmp_path, xds_server={"enabled": True}) as stack:
        include = f'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="{href}"/>'
        body = (
            '<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007">'
            f'<xds:Document id="d">{include}</xds:Document></xds:ProvideAndRegisterDocumentSetRequest>'
        )
        action = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
        root = envelope(
            body, headers=f"<wsa:Action>{action}</wsa:Action><wsa:MessageID>urn:uuid:1</wsa:MessageID>"
        )
        message = b"--b\r\nContent-Type: application/xop+xml\r\n\r\n" + root.encode() + b"\r\n--b--\r\n"
        url = stack.base_url.replace("/fhir", "/xds/repository")
        async with stack.session.post(url, data=message, headers={"Content-Type": RELATED}) as answer:
            text = await answer.text()
        assert "root:" not in text
        assert answer.status >= 400 or "Failure" in text
    listener.close()
    assert asked == []


async def test_line_breaks_in_names_reach_no_header_and_no_log_line(tmp_path, capfd):
    name = "a\r\nX-Injected: yes\r\n\r\n<script>"
    async with running_stack(tmp_path) as stack:
        patient = a_patient("crlf")
        document = a_document(title=name, content_type="text/plain")
        status, _ = await stack.publish(provide_bundle([document], patient=patient))
        if status == 200:
            (found,) = await stack.find(patient__identifier=patient.token, status="current")
            status, headers, _ = await stack.download(found)
            assert "X-Injected" not in headers
        for path in (
            "DocumentReference/a%0d%0aX-Injected:%20yes",
            "List/%0aX-Injected:yes",
            "content/%0d%0aX-Injected:1",
        ):
            async with stack.session.get(
                aiohttp.client.URL(f"{stack.base_url}/{path}", encoded=True)
            ) as answer:
                assert "X-Injected" not in answer.headers
                assert answer.status in (400, 404)
                assert answer.content_type == FHIR
        async with stack.session.get(
            f"{stack.base_url}/DocumentReference", params={"<script>": "</script>"}
        ) as answer:
            assert answer.content_type == FHIR, "what clients send is never HTML"
        odd = {"X-Request-Id": "x\tSet-Cookie: a=b", "Cookie": "a=b; __Host-x=1"}
        async with stack.session.get(f"{stack.base_url}/metadata", headers=odd) as answer:
            assert answer.headers["X-Request-Id"] != odd["X-Request-Id"]
            assert "Set-Cookie" not in answer.headers


async def test_long_ids_and_search_values_are_refused_or_find_nothing(tmp_path):
    async with running_stack(tmp_path) as stack:
        long = "a" * 6_000
        for path in (f"DocumentReference/{long}", f"List/{long}", f"Patient/{long}", f"content/{long}"):
            assert (await stack.get(path))[0] in (400, 404, 414)
        for name in ("patient.identifier", "identifier", "_id"):
            status, _ = await stack.get("DocumentReference", **{name: long})
            assert status in (200, 400, 404), name
        form = {"patient.identifier": "a" * 400_000}
        async with stack.session.post(f"{stack.base_url}/DocumentReference/_search", data=form) as answer:
            assert answer.status == 413
        many = "&".join(f"status=current{n}" for n in range(800))
        status, outcome = await stack.get(f"DocumentReference?{many}")
        assert (status, outcome["resourceType"]) == (400, "OperationOutcome")
        assert "current1" not in json.dumps(outcome), "what is too long is not quoted"
        started = time.monotonic()
        assert (await stack.get("DocumentReference", **{"patient.identifier": "|" * 5_000}))[0] == 400
        assert time.monotonic() - started < 30
