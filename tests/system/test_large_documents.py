"""A document that is larger than the memory that a gateway needs for it runs from repository to client.

`LARGE_MIB=2048` in the environment makes it as large as in the checklist: 2 GiB.
"""

import hashlib
import os
import re
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from lxml import etree
from msgspec.structs import replace

from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref, write_retrieve_response
from gateway.model import DocumentHeader, QueryResult, ResponseStatus
from tests.ebxml.test_golden import ENTRY, PATIENT
from tests.ports import free_port
from tests.soap.wire import RELATED, envelope, root_part
from tests.system.stack import REPOSITORY, Service, site

MIB = 1 << 20
LARGE = int(os.environ.get("LARGE_MIB", "192"))
GROWTH = 32
"""MiB that the gateway may need more than before, whatever the size of the document."""
PIECE = bytes(range(256)) * (MIB // 256)


def digest():
    made = hashlib.sha1()
    for _ in range(LARGE):
        made.update(PIECE)
    return made.hexdigest()


DOCUMENT = replace(
    ENTRY, repository_unique_id=REPOSITORY, size=LARGE * MIB, hash=digest(), mime_type="application/dicom"
)


async def registry(request):
    await request.read()
    found = write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=(DOCUMENT,)))
    text = envelope(etree.tostring(found, encoding="unicode"))
    return web.Response(text=text, content_type="application/soap+xml")


async def repository(request):
    await request.read()
    header = DocumentHeader(REPOSITORY, DOCUMENT.unique_id, DOCUMENT.mime_type)
    answer = RetrieveAnswer(ResponseStatus.SUCCESS, (), (RetrievedDocument(header, XopHref("cid:doc@peer")),))
    root = root_part(envelope(etree.tostring(write_retrieve_response(answer), encoding="unicode")))
    response = web.StreamResponse(headers={"Content-Type": RELATED})
    await response.prepare(request)
    await response.write(b"--b1\r\n" + root + b"\r\n--b1\r\nContent-ID: <doc@peer>\r\n\r\n")
    for _ in range(LARGE):
        await response.write(PIECE)
    await response.write(b"\r\n--b1--\r\n")
    return response


def peak_mib(pid):
    """The most memory that the process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.timeout(120 + LARGE)
async def test_11_a_large_document_in_bounded_memory(tmp_path):
    app = web.Application()
    app.router.add_post("/registry", registry)
    app.router.add_post("/repository", repository)
    async with site(app) as peers, aiohttp.ClientSession() as session:
        environment = {
            "GATEWAY_STATE_DIR": str(tmp_path / "state"),
            "GATEWAY_SERVER__PORT": str(free_port()),
            "GATEWAY_REGISTRY__URL": f"{peers}/registry",
            "GATEWAY_REPOSITORIES": f'[{{"unique_id": "{REPOSITORY}", "url": "{peers}/repository", "total_timeout": 600}}]',
        }
        gateway = Service(["serve"], environment, tmp_path / "gateway.log")
        base = await gateway.start()
        try:
            query = {"patient.identifier": f"urn:oid:{PATIENT.authority}|{PATIENT.id}", "status": "current"}
            async with session.get(f"{base}/DocumentReference", params=query) as answer:
                found = (await answer.json(content_type=None))["entry"][0]["resource"]
            before, seen = peak_mib(gateway.pid), hashlib.sha1()
            async with session.get(found["content"][0]["attachment"]["url"]) as answer:
                assert (answer.status, answer.content_length) == (200, LARGE * MIB)
                async for chunk in answer.content.iter_chunked(MIB):
                    seen.update(chunk)
            assert seen.hexdigest() == DOCUMENT.hash
            assert peak_mib(gateway.pid) - before < GROWTH < LARGE / 2
        finally:
            await gateway.kill(15)
