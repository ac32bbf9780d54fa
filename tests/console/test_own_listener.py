"""The console at a listener of its own: what is there and what is not, its TLS, and who sees what."""

import socket
import ssl
from contextlib import asynccontextmanager

import aiohttp

from gateway.app import create_app, serve_console
from gateway.settings import Settings
from gateway.wiring.parts import open_parts
from gateway.wiring.tls import server_context
from tests.certificates import Authority
from tests.system.issuers import running_issuer

from .signed_in import Visitor

BASE = "https://ncp.example/fhir"


@asynccontextmanager
async def own_console(folder, issuer, **console):
    """The address of the console of a gateway that nobody else asks."""
    settings = Settings(
        state_dir=folder / "gateway",
        registry={"url": "http://127.0.0.1:9/xds"},
        repositories=[{"unique_id": "2.999.1", "url": "http://127.0.0.1:9/xds"}],
        security={"access": "token", "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]},
        console={"enabled": True, "port": 0, **console},
    )
    listener = socket.create_server(("127.0.0.1", 0))
    tls = server_context(settings.console.tls, "console.tls")
    async with open_parts(settings) as parts:
        app, _ = create_app(settings, parts, BASE)
        async with serve_console(app, 1, listener, tls):
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}/console"


@asynccontextmanager
async def guest_of(url, trust=None):
    connector = aiohttp.TCPConnector(ssl=trust or True)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
        yield Visitor(session, url)


async def test_nothing_else_is_there(tmp_path):
    async with (
        running_issuer() as issuer,
        own_console(tmp_path, issuer) as url,
        guest_of(url) as guest,
    ):
        assert (await guest.get()).status == 303
        assert (await guest.sign_in(issuer.token(BASE, "console"))).status == 303
        assert (await guest.get()).status == 200
        guest.url = url.removesuffix("/console")
        assert (await guest.get("/")).headers["Location"] == "/console"
        for path in ("/fhir/metadata", "/xds/imaging", "/metrics", "/nowhere"):
            missing = await guest.get(path)
            assert (missing.status, missing.words("//h1")) == (404, "Nothing is here")


async def test_an_own_listener_can_be_open(tmp_path):
    async with (
        running_issuer() as issuer,
        own_console(tmp_path, issuer, access="open") as url,
        guest_of(url) as guest,
    ):
        seen = await guest.get()
        assert seen.status == 200
        assert "open access" in seen.words("//header")


async def test_an_open_console_is_not_led_to_by_names_of_others(tmp_path):
    """A site whose name leads to the console is of the same origin for a browser, and would read it."""
    names = {"access": "open", "base_url": "http://console.example:9465"}
    async with (
        running_issuer() as issuer,
        own_console(tmp_path, issuer, **names) as url,
        guest_of(url) as guest,
    ):
        for host, status in (
            ("console.example:9465", 200),
            ("Console.Example", 200),
            ("localhost:1", 200),
            ("192.0.2.7", 200),
            ("[::1]:9465", 200),
            ("evil.example:9465", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example", 421),
            ("[::1", 421),
        ):
            seen = await guest.get(headers={"Host": host})
            assert seen.status == status, host
            assert (status == 200) == ("registry" in seen.text)


async def test_it_speaks_tls_and_its_cookies_are_for_https_alone(tmp_path):
    authority = Authority()
    key, certificate = authority.certify("console", "127.0.0.1").write(tmp_path, "console")
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    tls = {"certificate_file": certificate, "key_file": key}
    async with (
        running_issuer() as issuer,
        own_console(tmp_path, issuer, tls=tls) as url,
        guest_of(url, trust) as guest,
    ):
        signed = await guest.sign_in(issuer.token(BASE, "console"))
        [cookie] = signed.headers.getall("Set-Cookie")
        assert cookie.startswith("__Secure-")
        assert "; Secure" in cookie
        assert (await guest.get()).status == 200
