"""The record of a request depends on nothing that its client can make unreadable."""

import asyncio

import pytest
from aiohttp import web
from yarl import URL

from gateway.audit.trail import Identity, Trail
from gateway.mhd.auditing import Auditing
from tests.audit.test_queue import opened
from tests.system.stack import site


@pytest.mark.parametrize("host", [b"h:99999", b"a:b", b"h\xf6st"])
@pytest.mark.parametrize("flows", [False, True])
async def test_a_request_is_recorded_whatever_its_host_is(tmp_path, host, flows):
    queue = opened(tmp_path, "a")
    auditing = Auditing(Trail(queue, Identity("x")), "http://gw.example/fhir")

    async def answer(request):
        if not flows:
            return web.Response()
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write_eof(b"x")
        return response

    app = web.Application(middlewares=[auditing.recorded()])
    app.on_response_prepare.append(auditing.begins)
    app.router.add_get("/fhir/DocumentReference", answer)
    async with site(app) as url:
        reader, writer = await asyncio.open_connection(URL(url).host, URL(url).port)
        writer.write(
            b"GET /fhir/DocumentReference HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n"
        )
        async with asyncio.timeout(30):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
    ((_, record),) = queue.waiting("a", 9)
    assert record.transaction == "ITI-67"
    queue.close()
