"""Fetching FHIR resources of other servers: what is asked, and above all what is not."""

import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver

from gateway.clients.outside_resources import (
    OutsidePolicy,
    OutsideResources,
    PrivateAddress,
    PublicResolver,
)
from gateway.fhir.provide_bundle_documents import HostedDocument, Unreachable

PRACTITIONER = {"resourceType": "Practitioner", "name": [{"family": "Kildare"}]}
FHIR_JSON = "application/fhir+json"


@pytest.fixture
async def directory():
    """host:port of a server, and the paths that it was asked for."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        match request.match_info["name"]:
            case "redirect":
                raise web.HTTPFound("/Practitioner/json")
            case "html":
                return web.Response(text="<html/>", content_type="text/html")
            case "large":
                return web.json_response({**PRACTITIONER, "id": "x" * 5000}, content_type=FHIR_JSON)
            case "broken":
                return web.Response(text="{", content_type=FHIR_JSON)
            case "slow":
                await asyncio.sleep(30)
            case "xml":
                text = '<Practitioner xmlns="http://hl7.org/fhir"><id value="1"/></Practitioner>'
                return web.Response(text=text, content_type="application/fhir+xml")
            case "404":
                raise web.HTTPNotFound
            case "document":
                return web.Response(body=b"x" * 100, headers={"Content-Type": "text/plain; charset=utf-8"})
        assert request.headers["Accept"] == FHIR_JSON
        assert "Authorization" not in request.headers
        return web.json_response(PRACTITIONER, content_type=FHIR_JSON)

    app = web.Application()
    app.router.add_get("/Practitioner/{name}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        await runner.cleanup()
        listener.close()


async def fetch(*urls, **policy):
    async with OutsideResources(OutsidePolicy(**policy)) as outside:
        return await outside.fetch(urls)


async def test_a_listed_server_is_asked(directory):
    host, _ = directory
    url = f"http://{host}/Practitioner/json"
    assert await fetch(url, hosts=frozenset({host})) == {url: PRACTITIONER}


async def test_xml_is_read_too(directory):
    host, _ = directory
    url = f"http://{host}/Practitioner/xml"
    assert await fetch(url, hosts=frozenset({host})) == {url: {"resourceType": "Practitioner", "id": "1"}}


async def test_nothing_is_asked_that_is_not_listed(directory):
    host, asked = directory
    port = host.partition(":")[2]
    urls = [
        f"http://{host}/Practitioner/json",
        f"http://localhost:{port}/Practitioner/json",
        f"http://user:secret@{host}/Practitioner/json",
    ]
    found = await fetch(*urls, hosts=frozenset({"127.0.0.1", f"user:secret@{host}"}))
    assert all(isinstance(answer, Unreachable) for answer in found.values())
    assert asked == []


async def test_a_name_that_leads_home_is_refused_though_it_is_listed(directory):
    host, asked = directory
    name = f"localhost:{host.partition(':')[2]}"
    url = f"http://{name}/Practitioner/json"
    found = await fetch(url, hosts=frozenset({name}))
    assert found == {url: Unreachable("its server is in a private network")}
    assert asked == []
    assert await fetch(url, hosts=frozenset({name}), private_addresses=True) == {url: PRACTITIONER}


async def test_a_redirect_is_not_followed(directory):
    host, asked = directory
    url = f"http://{host}/Practitioner/redirect"
    assert await fetch(url, hosts=frozenset({host})) == {url: Unreachable("its server answers 302")}
    assert asked == ["/Practitioner/redirect"]


@pytest.mark.parametrize("name", ["html", "large", "broken", "404", "slow"])
async def test_what_is_no_resource_has_a_reason(directory, name):
    host, _ = directory
    url = f"http://{host}/Practitioner/{name}"
    found = await fetch(url, hosts=frozenset({host}), max_bytes=1000, seconds=0.5)
    assert isinstance(found[url], Unreachable)


async def test_only_so_many_are_asked(directory):
    host, asked = directory
    urls = [f"http://{host}/Practitioner/{n}" for n in range(5)]
    found = await fetch(*urls, hosts=frozenset({host}), most=3)
    assert (len(found), len(asked)) == (5, 3)
    assert isinstance(found[urls[4]], Unreachable)


async def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    url = f"http://{host}/Practitioner/1"
    assert await fetch(url, hosts=frozenset({host})) == {url: Unreachable("its server cannot be reached")}


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        ({"a.example"}, "https://a.example/fhir/Patient/1", True),
        ({"a.example"}, "https://A.example:443/fhir/Patient/1", True),
        ({"a.example:443"}, "https://a.example/fhir/Patient/1", True),
        ({"a.example:443"}, "http://a.example/fhir/Patient/1", False),
        ({"a.example"}, "https://a.example:8443/fhir/Patient/1", False),
        ({"a.example:8443"}, "https://a.example:8443/fhir/Patient/1", True),
        ({"a.example"}, "https://a.example.evil.example/Patient/1", False),
        ({"a.example"}, "https://evil.example/#@a.example/Patient/1", False),
        ({"a.example"}, "https://a.example@evil.example/Patient/1", False),
        ({"a.example"}, "ftp://a.example/Patient/1", False),
        ({"a.example"}, "https://a.example:x/Patient/1", False),
        ({"a.example"}, "https://[a.example/Patient/1", False),
        ({"::1"}, "http://[::1]/Patient/1", True),
    ],
)
def test_what_is_listed(hosts, url, allowed):
    assert OutsidePolicy(hosts=frozenset(hosts)).allows(url) is allowed


class Fixed(AbstractResolver):
    def __init__(self, *addresses):
        self._addresses = addresses

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {"hostname": host, "host": a, "port": port, "family": family, "proto": 0, "flags": 0}
            for a in self._addresses
        ]

    async def close(self):
        pass


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "100.64.0.1",
    ],
)
async def test_names_of_private_addresses_do_not_resolve(address):
    with pytest.raises(PrivateAddress):
        await PublicResolver(Fixed("93.184.216.34", address)).resolve("a.example")


async def test_names_of_public_addresses_do():
    (found,) = await PublicResolver(Fixed("93.184.216.34")).resolve("a.example")
    assert found["host"] == "93.184.216.34"


async def test_documents_come_as_they_are_and_share_one_limit(directory):
    host, asked = directory
    urls = [f"http://{host}/Practitioner/{name}" for name in ("document", "document?2", "404", "document?3")]
    policy = OutsidePolicy(hosts=frozenset({host}), max_document_bytes=200)
    async with OutsideResources(policy) as outside:
        found = await outside.fetch_documents(urls)
    one = HostedDocument("text/plain", b"x" * 100)
    assert [found[url] for url in urls] == [
        one,
        one,
        Unreachable("its server answers 404"),
        Unreachable("it has more than 0 bytes"),
    ]
    assert len(asked) == 4


async def test_no_more_documents_are_asked_for_than_the_policy_says(directory):
    host, asked = directory
    urls = [f"http://{host}/Practitioner/document?{number}" for number in range(3)]
    async with OutsideResources(OutsidePolicy(hosts=frozenset({host}), most=2)) as outside:
        found = await outside.fetch_documents(urls)
    assert isinstance(found[urls[2]], Unreachable)
    assert len(asked) == 2
