"""TLS over real sockets: what the gateway listens on, and what it calls."""

import asyncio
import http.client
import os
import shutil
import signal
import socket
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.affinity.app import create_app as create_affinity
from gateway.affinity.options import AffinityOptions
from gateway.ebxml.stored_queries import write_query
from gateway.model import Cx
from gateway.model.errors import PeerFault
from gateway.model.query import FindDocuments
from gateway.settings import Settings
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.via import via_block
from gateway.tls import ClientTls, Identity
from gateway.wiring.parts import StartError, open_parts
from tests.certificates import Authority, self_signed
from tests.ports import free_port
from tests.security import assertions
from tests.system.issuers import running_issuer
from tests.system.stack import REPOSITORY, gateway_service, running_gateway
from tests.system.test_assertions_of_others import security as security_header

LOCAL = ("127.0.0.1", "localhost")


@asynccontextmanager
async def serving(folder, port=None, **settings):
    """A gateway as a process; its service, and the port that it listens on."""
    port = port or free_port()
    service = gateway_service(folder, port, free_port(), SECURITY__ACCESS="open", **settings)
    try:
        await service.start()
        yield service, port
    finally:
        await service.kill()


def tls_settings(certified, folder, *, clients=None, name="server", **more):
    key, certificate = certified.write(folder, name)
    found = {
        "SERVER__TLS__CERTIFICATE_FILE": str(certificate),
        "SERVER__TLS__KEY_FILE": str(key),
        **more,
    }
    if clients is not None:
        found["SERVER__TLS__CLIENT_AUTHORITIES_FILE"] = str(clients.write(folder, "clients"))
        found.setdefault("SERVER__TLS__CLIENT_CERTIFICATES", "required")
    return found


def trusting(authority, certified=None, folder=None):
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if certified is not None:
        key, certificate = certified.write(folder, f"client-{certified.certificate.serial_number}")
        context.load_cert_chain(certificate, key)
    return context


def status_of(port, context, path="/health/live"):
    """Status of an answer over TLS; OSError where there is none. A connection of its own."""
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def shown(port, context):
    """Serial number of the certificate that the listener shows now."""
    with (
        socket.create_connection(("localhost", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return int(secure.getpeercert()["serialNumber"], 16)


async def test_a_listener_speaks_tls_and_nothing_else(tmp_path):
    authority = Authority()
    certified = authority.certify("gateway", *LOCAL)
    settings = tls_settings(certified, tmp_path, SERVER__TLS__MINIMUM_VERSION="1.3")
    async with serving(tmp_path, **settings) as (_, port):
        context = trusting(authority)
        assert await asyncio.to_thread(status_of, port, context, "/fhir/metadata") == 200
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                f"https://localhost:{port}/fhir/.well-known/smart-configuration", ssl=context
            ) as answer,
        ):
            assert answer.status in {200, 404}
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(status_of, port, trusting(Authority("other")))
        old = trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(status_of, port, old)
        plain = http.client.HTTPConnection("localhost", port, timeout=30)
        with pytest.raises((OSError, http.client.HTTPException)):
            plain.request("GET", "/health/live")
            plain.getresponse()


async def test_clients_without_a_certificate_of_a_trusted_authority_are_turned_away(tmp_path):
    authority, clients, others = Authority(), Authority("clients"), Authority("others")
    settings = tls_settings(authority.certify("gateway", *LOCAL), tmp_path, clients=clients)
    async with serving(tmp_path, **settings) as (_, port):
        good = trusting(authority, clients.certify("client"), tmp_path)
        assert await asyncio.to_thread(status_of, port, good) == 200
        for context in (
            trusting(authority),
            trusting(authority, others.certify("client"), tmp_path),
            trusting(authority, self_signed("client"), tmp_path),
            trusting(authority, clients.certify("client", days=(-30, -1)), tmp_path),
        ):
            with pytest.raises(OSError):
                await asyncio.to_thread(status_of, port, context)


@pytest.mark.parametrize("how", ["files", "signal"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_certificates_and_authorities_are_exchanged_without_a_restart(tmp_path, how, version):
    authority, first, second = Authority(), Authority("first"), Authority("second")
    old, new = (authority.certify("gateway", *LOCAL) for _ in range(2))
    settings = tls_settings(old, tmp_path, clients=first)
    async with serving(tmp_path, **settings) as (service, port):
        mine = trusting(authority, first.certify("client"), tmp_path)
        theirs = trusting(authority, second.certify("client"), tmp_path)
        for context in (mine, theirs):
            context.minimum_version = context.maximum_version = version
        assert await asyncio.to_thread(status_of, port, mine) == 200
        with pytest.raises(OSError):
            await asyncio.to_thread(status_of, port, theirs)
        new.write(tmp_path, "server")
        second.write(tmp_path, "clients")
        if how == "signal":
            os.kill(service.pid, signal.SIGHUP)

        async def exchanged():
            try:
                return await asyncio.to_thread(shown, port, theirs) == new.certificate.serial_number
            except OSError:
                return False

        async with asyncio.timeout(60):
            while not await exchanged():
                await asyncio.sleep(0.2)
        assert await asyncio.to_thread(status_of, port, theirs) == 200
        with pytest.raises(OSError):
            await asyncio.to_thread(status_of, port, mine)


async def test_a_pair_that_does_not_fit_leaves_the_one_before(tmp_path):
    authority = Authority()
    old = authority.certify("gateway", *LOCAL)
    async with serving(tmp_path, **tls_settings(old, tmp_path)) as (service, port):
        (tmp_path / "server.pem").write_bytes(authority.certify("gateway", *LOCAL).pem)
        os.kill(service.pid, signal.SIGHUP)
        async with asyncio.timeout(60):
            while b"files.not_reloaded" not in (tmp_path / "gateway.log").read_bytes():
                await asyncio.sleep(0.1)
        number = await asyncio.to_thread(shown, port, trusting(authority))
        assert number == old.certificate.serial_number


async def test_the_health_command_and_the_own_listener_of_metrics_answer_without_client_certificate(tmp_path):
    authority, clients = Authority(), Authority("clients")
    port = free_port()
    settings = tls_settings(
        clients.certify("gateway", *LOCAL),
        tmp_path,
        clients=clients,
        METRICS__ENABLED="true",
        METRICS__PORT=str(port),
    )
    del authority
    async with (
        serving(tmp_path, **settings) as (service, _),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/health/ready") as answer,
    ):
        assert answer.status == 200
        health = await asyncio.create_subprocess_exec(
            *(service.program_line("health")),
            env=service.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await health.communicate()
        assert health.returncode == 0, (output, errors)


def walk():
    """The commands of the README's section on TLS."""
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    return readme.partition("<!-- tls:begin -->")[2].partition("```sh\n")[2].partition("```")[0]


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("curl")), reason="needs openssl and curl")
async def test_the_walk_of_the_readme_does_what_it_says(tmp_path):
    authority, clients = Authority(), Authority("clients")
    settings = tls_settings(authority.certify("gateway", *LOCAL), tmp_path, clients=clients)
    authority.write(tmp_path, "ca")
    clients.certify("client").write(tmp_path, "client")
    async with serving(tmp_path, **settings) as (_, port):
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-e", "-o", "pipefail", "-c", walk()),
            cwd=tmp_path,
            env=os.environ | {"GATEWAY": f"localhost:{port}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, output
    assert "Verify return code: 0 (ok)" in output
    assert '"resourceType":"CapabilityStatement"' in output
    assert output.rstrip().endswith("no certificate: refused")


# --- what is called -----------------------------------------------------------------------------------------
class Domain:
    """An affinity domain behind TLS that remembers whose certificates it saw."""

    def __init__(self, folder, certified, clients=None):
        self.seen = []
        key, certificate = certified.write(folder, "domain")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if clients is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(cadata=clients.pem.decode())
        self.folder = folder

    @asynccontextmanager
    async def running(self):
        @web.middleware
        async def look(request, handler):
            found = request.transport.get_extra_info("peercert")
            self.seen.append(int(found["serialNumber"], 16) if found else None)
            return await handler(request)

        options = AffinityOptions(state_dir=self.folder / "affinity", repository_unique_id=REPOSITORY)
        app = create_affinity(options)
        app.middlewares.insert(0, look)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener, ssl_context=self.context).start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()
            listener.close()


def settings_of(folder, url, tls=None, **more):
    values = {
        "state_dir": folder / "gateway",
        "registry": {"url": f"{url}/xds/registry", "max_attempts": 1, **({"tls": tls} if tls else {})},
        "repositories": [{"unique_id": REPOSITORY, "url": f"{url}/xds/repository"}],
        "security": {"access": "open"},
        **more,
    }
    return Settings(**values)


async def found(stack):
    url = f"{stack.base_url}/DocumentReference"
    query = {"patient.identifier": "urn:oid:2.999.1.1|1", "status": "current"}
    async with stack.session.get(url, params=query) as answer:
        return answer.status, await answer.text()


async def test_a_peer_is_called_with_the_own_certificate_which_is_renewed_without_a_restart(tmp_path):
    authority, clients = Authority(), Authority("clients")
    domain = Domain(tmp_path, authority.certify("domain", "127.0.0.1"), clients)
    first, second = clients.certify("gateway"), clients.certify("gateway")
    key, certificate = first.write(tmp_path, "own")
    tls = {
        "authorities_file": str(authority.write(tmp_path)),
        "certificate_file": str(certificate),
        "key_file": str(key),
    }
    async with domain.running() as url, running_gateway(settings_of(tmp_path, url, tls)) as stack:
        assert (await found(stack))[0] == 200
        assert set(domain.seen) == {first.certificate.serial_number}
        second.write(tmp_path, "own")
        async with asyncio.timeout(60):
            while domain.seen[-1] != second.certificate.serial_number:
                await asyncio.sleep(0.2)
                assert (await found(stack))[0] == 200


@pytest.mark.parametrize("wrong", ["authority", "name", "no certificate", "expired"])
async def test_a_peer_that_is_not_who_it_should_be_is_told_nothing(tmp_path, wrong):
    authority, clients = Authority(), Authority("clients")
    names = ("registry.example",) if wrong == "name" else ("127.0.0.1",)
    days = (-30, -1) if wrong == "expired" else (-1, 30)
    domain = Domain(
        tmp_path,
        authority.certify("domain", *names, days=days),
        clients if wrong == "no certificate" else None,
    )
    believed = Authority("other") if wrong == "authority" else authority
    tls = {"authorities_file": str(believed.write(tmp_path))}
    async with domain.running() as url, running_gateway(settings_of(tmp_path, url, tls)) as stack:
        status, text = await found(stack)
        assert status in {502, 504}
        assert "registry" in text
        assert domain.seen == []


@pytest.mark.parametrize("believed", ["issuer", "own"])
async def test_a_peer_may_be_known_by_another_name_and_by_its_certificate_alone(tmp_path, believed):
    authority = Authority()
    certified = authority.certify("domain", "registry.example")
    domain = Domain(tmp_path, certified)
    path = authority.write(tmp_path)
    if believed == "own":
        path.write_bytes(certified.pem)
    tls = {"authorities_file": str(path), "server_name": "registry.example"}
    async with domain.running() as url, running_gateway(settings_of(tmp_path, url, tls)) as stack:
        assert (await found(stack))[0] == 200


async def test_one_section_serves_all_that_is_called_and_has_none_of_its_own(tmp_path):
    authority = Authority()
    domain = Domain(tmp_path, authority.certify("domain", "127.0.0.1"))
    usual = {"access": "open", "tls": {"authorities_file": str(authority.write(tmp_path))}}
    async with (
        domain.running() as url,
        running_gateway(settings_of(tmp_path, url, security=usual)) as stack,
    ):
        assert (await found(stack))[0] == 200


async def test_the_keys_of_an_issuer_come_over_tls_that_is_verified(tmp_path):
    authority = Authority()
    domain = Domain(tmp_path, authority.certify("domain", "127.0.0.1"))
    async with running_issuer() as issuer:
        app = web.Application()
        app.router.add_get("/jwks", issuer.serve_keys)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener, ssl_context=domain.context).start()
        keys = f"https://127.0.0.1:{listener.getsockname()[1]}/jwks"
        try:
            for believed, status in ((authority, 400), (Authority("other"), 503)):
                tls = {"authorities_file": str(believed.write(tmp_path, f"ca-{status}"))}
                security = {
                    "access": "token",
                    "issuers": [{"issuer": issuer.url, "jwks_url": keys, "tls": tls}],
                }
                settings = settings_of(tmp_path, "https://127.0.0.1:9", security=security)
                async with running_gateway(settings) as stack:
                    token = issuer.token(stack.base_url, "system/*.rs")
                    # a search that names nothing gets as far as the search
                    async with stack.session.get(
                        f"{stack.base_url}/DocumentReference", headers={"Authorization": f"Bearer {token}"}
                    ) as answer:
                        assert answer.status == status
        finally:
            await runner.cleanup()
            listener.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("authorities", "holds no certificate"),
        ("pair", "are not a certificate and its key"),
        ("missing", "No such file"),
        ("ciphers", "knows none of them"),
        ("password", "are not a certificate and its key"),
    ],
)
async def test_tls_files_that_cannot_be_used_stop_the_start_with_a_line_that_names_them(
    tmp_path, content, said
):
    key, certificate = self_signed().write(tmp_path, "own")
    tls = {"certificate_file": str(certificate), "key_file": str(key)}
    if content == "authorities":
        (tmp_path / "ca.pem").write_text("-----BEGIN NOTHING-----")
        tls = {"authorities_file": str(tmp_path / "ca.pem")}
    elif content == "pair":
        key.write_bytes(self_signed().key_pem())
    elif content == "missing":
        key.unlink()
    elif content == "password":
        key.write_bytes(self_signed().key_pem(b"hush"))
    else:
        tls = {"ciphers": "NOTHING"}
    with pytest.raises(StartError, match="^registry.tls: ") as refused:  # noqa: RUF043
        async with open_parts(settings_of(tmp_path, "https://127.0.0.1:9", tls)):
            pass
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


# --- whose certificate ----------------------------------------------------------------------------------------
QUERY = write_query(FindDocuments(patient_id=Cx("1", "2.999.1.1")), "LeafClass")


async def test_a_certificate_speaks_for_its_community_alone(tmp_path):
    authority, clients = Authority(), Authority("clients")
    by_name, by_print, stranger = (
        clients.certify("b", "ncp-b.example"),
        clients.certify("c"),
        clients.certify("d", "ncp-d.example"),
    )
    (tmp_path / "idp.pem").write_bytes(assertions.SIGNER.pem)
    communities = [
        {
            "home_community_id": f"2.999.{number}",
            "name": name,
            "query_url": "http://127.0.0.1:9/",
            "client_certificates": shows,
        }
        for number, name, shows in (
            (6, "b", ["ncp-b.example"]),
            (7, "c", [":".join(_pairs(by_print.fingerprint)).upper()]),
        )
    ]
    key, certificate = authority.certify("gateway", *LOCAL).write(tmp_path, "server")
    domain = Domain(tmp_path, authority.certify("domain", "127.0.0.1"))
    async with domain.running() as url:
        settings = settings_of(
            tmp_path,
            url,
            home_community_id="2.999.5",
            responding_gateway={"enabled": True},
            communities=communities,
            security={
                "access": "open",
                "tls": {"authorities_file": str(authority.write(tmp_path))},
                "assertions": {
                    "accept": {
                        "audiences": [assertions.AUDIENCE],
                        "issuers": [
                            {
                                "issuer": assertions.ISSUER,
                                "certificates_file": str(tmp_path / "idp.pem"),
                            }
                        ],
                        "optional_at": ["/xca/gateway"],
                    }
                },
            },
            server={
                "tls": {
                    "certificate_file": str(certificate),
                    "key_file": str(key),
                    "client_authorities_file": str(clients.write(tmp_path, "clients")),
                    "client_certificates": "optional",
                }
            },
        )
        async with running_gateway(settings) as stack, SoapClient(load_contract()) as soap:
            gateway = stack.base_url.removesuffix("/fhir") + "/xca/gateway"

            async def ask(certified, *blocks):
                identity = None
                if certified is not None:
                    own_key, own = certified.write(tmp_path, f"{certified.certificate.serial_number}")
                    identity = Identity(own, own_key)
                tls = ClientTls(authorities=tmp_path / "ca.pem", identity=identity)
                peer = Peer("gateway", gateway, max_attempts=1, tls=tls)
                await soap.call(peer, "ITI-38", QUERY, header_blocks=blocks)

            await ask(by_name)
            await ask(by_print)
            await ask(by_name, *via_block(["urn:oid:2.999.9", "urn:oid:2.999.6"]))
            await ask(by_name, said_by("urn:oid:2.999.6"))
            for refused in (
                (None,),
                (stranger,),
                (by_name, *via_block(["urn:oid:2.999.7"])),
                (by_name, said_by("urn:oid:2.999.7")),
            ):
                with pytest.raises(PeerFault):
                    await ask(*refused)


def said_by(home):
    attribute = ("urn:ihe:iti:xca:2010:homeCommunityId", home)
    return security_header(assertions.signed(attributes=[attribute])).encode()


def _pairs(text):
    return [text[at : at + 2] for at in range(0, len(text), 2)]
