"""The command line: wrong settings, what stops a start, `gateway doctor`, and a stop that loses nothing."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from joserfc.jwk import ECKey

from gateway.affinity.app import create_app as create_affinity
from gateway.affinity.options import AffinityOptions, ImageLocation
from gateway.demo.bundles import provide_bundle
from tests.ports import free_port
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import (
    REPOSITORY,
    Service,
    affinity_service,
    gateway_service,
    running_stack,
    site,
)

WSDL = Path(__file__).parents[1] / "wsdl"


def settings_for(tmp_path, url="http://127.0.0.1:1", **more):
    """Environment of a gateway whose peers are at `url`."""
    repository = {
        "unique_id": REPOSITORY,
        "url": f"{url}{wire.REPOSITORY}",
        "max_attempts": 1,
        "connect_timeout": 2,
    }
    return {
        "GATEWAY_STATE_DIR": str(tmp_path / "state"),
        "GATEWAY_SERVER__PORT": "0",
        "GATEWAY_SECURITY__ACCESS": "open",
        "GATEWAY_REGISTRY__URL": f"{url}{wire.REGISTRY}",
        "GATEWAY_REGISTRY__MAX_ATTEMPTS": "1",
        "GATEWAY_REPOSITORIES": json.dumps([repository]),
        **more,
    }


def gateway(*arguments, **environment):
    """Run to its end: exit code, lines on standard output, lines on standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=clean | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


async def doctor(**environment):
    return await asyncio.to_thread(gateway, "doctor", **environment)


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_settings_that_are_missing_are_named(command):
    code, output, errors = gateway(command)
    assert (code, output) == (2, [])
    assert errors == ["settings: settings: set registry and repositories, or mhd_domain"]


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("GATEWAY_SERVER__PORT", "many", "server.port:"),
        ("GATEWAY_SERVER__PRT", "1", "server.prt: is not a setting"),
        ("GATEWAY_REPOSITORIES", '[{"unique_id":', "repositories: its value is not JSON"),
        (
            "GATEWAY_REPOSITORIES",
            '[{"unique_id": "x", "url": "ftp://h/"}]',
            "repositories.0.unique_id: must be",
        ),
        ("GATEWAY_PUBLISH_TO", "2.999.5", "settings: publish_to must be"),
        ("GATEWAY_SECRETS_DIR", "/nowhere", "GATEWAY_SECRETS_DIR: /nowhere: no such directory"),
        ("GATEWAY_CONFIG", "/nowhere.yaml", "/nowhere.yaml: no such settings file"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_key(tmp_path, name, value, key):
    code, output, errors = gateway("serve", **(settings_for(tmp_path) | {name: value}))
    assert (code, output) == (2, [])
    assert all(line.startswith("settings: ") for line in errors)
    assert any(line.startswith(f"settings: {key}") for line in errors), errors


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"registry: {url: [\n", ", line 2: is not YAML"),
        (b"- a\n", ": must be a mapping of settings"),
        (b"\xff\xfe", ": is not UTF-8 text"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path, content, complaint):
    file = tmp_path / "gateway.yaml"
    file.write_bytes(content)
    assert gateway("serve", "--config", str(file)) == (2, [], [f"settings: {file}{complaint}"])


def start_refused(tmp_path, **changes):
    """The one line of a gateway that cannot start."""
    code, output, errors = gateway("serve", **settings_for(tmp_path, **changes))
    assert (code, output) == (1, [])
    (line,) = errors
    return line


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = start_refused(tmp_path, GATEWAY_SERVER__PORT=str(port))
    assert line.startswith(f"gateway: server.host, server.port: 127.0.0.1:{port}: ")
    assert "in use" in line


def test_access_has_to_be_said(tmp_path):
    environment = settings_for(tmp_path)
    del environment["GATEWAY_SECURITY__ACCESS"]
    code, output, errors = gateway("serve", **environment)
    assert (code, output) == (1, [])
    (line,) = errors
    assert line.startswith("gateway: security.access: is not set")
    assert "open" in line


def test_keys_that_cannot_be_read_are_named(tmp_path):
    for changes, line in (
        ({"jwks_file": str(tmp_path / "none.json")}, "jwks_file: No such file"),
        ({"jwks": {"keys": []}}, "jwks: has no RSA or EC key"),
        ({"jwks": {}}, "jwks: is not a JWK set"),
        (
            {"introspection": {"url": "http://a.example", "token_file": "/none"}},
            "introspection.token_file: /none: No such file",
        ),
    ):
        issuers = json.dumps([{"issuer": "https://login.example", **changes}])
        refused = start_refused(tmp_path, GATEWAY_SECURITY__ACCESS="token", GATEWAY_SECURITY__ISSUERS=issuers)
        assert refused.startswith(f"gateway: security.issuers.0.{line}")


def test_open_access_is_shouted_about(tmp_path):
    async def start():
        service = Service(
            ["serve"], settings_for(tmp_path, GATEWAY_LOG__LEVEL="error"), tmp_path / "gateway.log"
        )
        await service.start()
        await service.kill(signal.SIGTERM)

    asyncio.run(start())
    lines = [json.loads(line) for line in (tmp_path / "gateway.log").read_text().splitlines()]
    (shout,) = [line for line in lines if line["event"] == "security.open_access"]
    assert (shout["level"], shout["setting"]) == ("critical", "security.access")


def test_a_token_that_is_not_given_is_explained_in_one_line(tmp_path):
    key = tmp_path / "key.json"
    arguments = ("token", "--client", "a", "--key", str(key), "--url", "http://127.0.0.1:1/fhir")
    assert gateway(*arguments)[2] == [f"token: {key}: No such file or directory"]
    key.write_text("{")
    assert gateway(*arguments)[2] == [f"token: {key}: is not JSON"]
    key.write_text("{}")
    assert gateway(*arguments)[2] == ["token: the key is not a JWK of kty RSA or EC"]
    private = {**ECKey.generate_key("P-384").as_dict(private=True), "kid": "1"}
    key.write_text(json.dumps({name: value for name, value in private.items() if name != "d"}))
    assert gateway(*arguments)[2] == ["token: the key has to be private and to have a kid"]
    key.write_text(json.dumps(private))
    code, output, errors = gateway(*arguments)
    assert (code, output) == (1, [])
    assert errors[0].startswith("token: http://127.0.0.1:1/fhir/.well-known/smart-configuration gives no")


def test_a_wildcard_host_needs_the_url_that_clients_call(tmp_path):
    line = start_refused(tmp_path, GATEWAY_SERVER__HOST="0.0.0.0")
    assert line.startswith("gateway: server.base_url: is not set")


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("GATEWAY_REDIS__URL", "http://:secret/@host", "redis.url"),
        ("GATEWAY_REDIS__URL", "redis://user:sec/ret@host", "redis.url"),
        ("GATEWAY_REDIS__CLUSTER", '["host:secret"]', "redis.cluster"),
        ("GATEWAY_REDIS__SENTINELS", '["host:secret"]', "redis.sentinels"),
        ("GATEWAY_SECURITY__KEYS", '["secret"]', "security.keys"),
    ],
)
def test_an_unusable_address_or_key_is_named_and_not_quoted(tmp_path, name, value, key):
    line = start_refused(tmp_path, **{name: value})
    assert line.startswith(f"gateway: {key}: ")
    assert "sec" not in line.removeprefix(f"gateway: {key}")


UNMAPPED = '{"defaults": {"class_code": {"system": "https://x.example/classes", "code": "a"}}}'


def test_a_code_of_a_system_that_is_not_mapped_stops_the_start(tmp_path):
    code, output, errors = gateway("serve", **(settings_for(tmp_path) | {"GATEWAY_PUBLISH": UNMAPPED}))
    assert (code, output) == (1, [])
    (complaint,) = [line for line in errors if line.startswith("gateway: ")]
    assert complaint.startswith(
        "gateway: publish.defaults.class_code: https://x.example/classes is not mapped"
    )
    assert complaint.endswith("terminology.code_systems")


async def test_doctor_finds_a_code_of_a_system_that_is_not_mapped(tmp_path):
    code, lines, _ = await doctor(**(settings_for(tmp_path) | {"GATEWAY_PUBLISH": UNMAPPED}))
    assert code == 1
    assert any(line.startswith("FAIL  settings: publish.defaults.class_code: ") for line in lines)


def test_a_state_directory_below_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "state"
    line = start_refused(tmp_path, GATEWAY_STATE_DIR=str(folder))
    assert line == f"gateway: state_dir: {folder}: Not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_state_directory_that_is_not_writable_is_named(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    folder = tmp_path / "locked" / "state"
    line = start_refused(tmp_path, GATEWAY_STATE_DIR=str(folder))
    assert line == f"gateway: state_dir: {folder}: Permission denied"


def test_help_is_there_without_the_parts_that_only_a_running_gateway_needs():
    assert gateway("--help")[0] == 0
    loaded = "import sys, gateway.cli; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout
    for heavy in ("zeep", "fhir.resources", "redis", "aiohttp", "pydicom"):
        assert heavy not in modules.split(), heavy


async def test_doctor_finds_everything_well(tmp_path):
    affinity = affinity_service(tmp_path, free_port())
    url = await affinity.start()
    try:
        code, output, errors = await doctor(**settings_for(tmp_path, url))
    finally:
        await affinity.kill()
    assert (code, errors) == (0, [])
    checked = [line.split(": ")[0] for line in output]
    assert checked == [
        *("ok    settings", "ok    contract", "ok    keys", "ok    redis", "ok    audit"),
        *("ok    registry", f"ok    repository {REPOSITORY}"),
    ]


async def test_doctor_tells_the_quirks_of_a_peer(tmp_path):
    environment = settings_for(tmp_path, f"http://127.0.0.1:{free_port()}")
    (repository,) = json.loads(environment["GATEWAY_REPOSITORIES"])
    repository["quirks"] = {"documents_per_request": 1, "pieces_at_once": 4}
    environment["GATEWAY_REPOSITORIES"] = json.dumps([repository])
    environment["GATEWAY_REGISTRY__QUIRKS__DATE_RANGE"] = "creation"
    location = {"uid": "2.999.50.1", "url": "http://127.0.0.1:1", "quirks": {"images_per_request": 7}}
    environment["GATEWAY_IMAGING__LOCATIONS"] = json.dumps([location])
    _, output, _ = await doctor(**environment)
    assert "ok    imaging location 2.999.50.1 quirks: images_per_request=7" in output
    assert "ok    registry quirks: date_range=creation" in output
    assert f"ok    repository {REPOSITORY} quirks: documents_per_request=1" in output


async def test_doctor_asks_sources_of_images_for_what_is_not_there(tmp_path):
    (tmp_path / "images").mkdir()
    options = AffinityOptions(
        tmp_path / "domain", REPOSITORY, image_locations=(ImageLocation("2.999.50.1", tmp_path / "images"),)
    )
    async with site(create_affinity(options)) as url:
        environment = settings_for(tmp_path, url)
        soap, web = f"{url}/xds/imaging", f"{url}/dicomweb/2.999.50.1"
        environment["GATEWAY_IMAGING__LOCATIONS"] = json.dumps(
            [
                {"uid": "2.999.50.1", "url": soap},
                {"uid": "2.999.50.2", "url": soap},
                {"uid": "2.999.50.3", "url": web, "protocol": "wado-rs"},
                {"uid": "2.999.50.4", "url": "http://127.0.0.1:1", "protocol": "wado-rs", "max_attempts": 1},
            ]
        )
        code, output, _ = await doctor(**environment)
    assert code == 1
    found = {line.split(": ")[0]: line for line in output if "imaging location" in line}
    assert [name.split(maxsplit=1)[0] for name in found] == ["ok", "FAIL", "ok", "FAIL"]
    assert "XDSUnknownRepositoryId" in found["FAIL  imaging location 2.999.50.2"]
    assert "RAD-107" in found["ok    imaging location 2.999.50.3"]


async def test_doctor_names_each_peer_that_does_not_answer(tmp_path):
    redis = f"redis://127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{free_port()}"
    code, output, errors = await doctor(**settings_for(tmp_path, url, GATEWAY_REDIS__URL=redis))
    assert (code, errors) == (1, [])
    failed = [line for line in output if line.startswith("FAIL")]
    assert len(failed) == 3
    for line, start in zip(
        failed, ("redis: as set: no answer", "registry: ITI-18", "repository"), strict=True
    ):
        assert line.startswith(f"FAIL  {start}")


async def test_doctor_looks_at_the_peers_beside_a_running_gateway(tmp_path):
    async with running_stack(tmp_path) as stack:
        url = stack.settings.registry.url.removesuffix(wire.REGISTRY)
        code, output, _ = await doctor(
            **settings_for(tmp_path, url, GATEWAY_STATE_DIR=str(stack.settings.state_dir))
        )
    assert code == 0, output
    assert any("in use by the gateway that runs" in line for line in output)


@asynccontextmanager
async def described(url, change):
    """A peer in front of `url` that hands out a WSDL, in pieces as large ones come."""

    async def handle(request):
        if request.method == "GET":
            name = request.path.rsplit("/", 1)[-1]
            response = web.StreamResponse(headers={"Content-Type": "text/xml"})
            await response.prepare(request)
            content = change((WSDL / f"{name}.wsdl").read_bytes())
            for start in range(0, len(content), 1000):
                await response.write(content[start : start + 1000])
                await asyncio.sleep(0.002)
            return response
        headers = {"Content-Type": request.headers["Content-Type"]}
        async with session.post(url + request.path, data=await request.read(), headers=headers) as answer:
            headers = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    async with aiohttp.ClientSession() as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def test_doctor_compares_the_peers_own_wsdl(tmp_path):
    affinity = affinity_service(tmp_path, free_port())
    url = await affinity.start()

    def older(content):
        return content.replace(b"urn:ihe:iti:2007:", b"urn:ihe:iti:2004:")

    try:
        async with described(url, lambda content: content) as peer:
            code, output, _ = await doctor(**settings_for(tmp_path, peer))
            assert code == 0, output
        async with described(url, older) as peer:
            code, output, _ = await doctor(**settings_for(tmp_path, peer))
    finally:
        await affinity.kill()
    assert code == 1
    failed = [line for line in output if line.startswith("FAIL")]
    assert {line.split(": ")[0] for line in failed} == {"FAIL  registry", f"FAIL  repository {REPOSITORY}"}
    assert all(": its WSDL: " in line for line in failed)


async def slow_domain(stack, seconds):
    """The repository carries a submission out and takes its time to say so."""
    started = asyncio.Event()

    async def interfere(request):
        if request.path != wire.REPOSITORY or "X-Passed" in request.headers:
            return None
        started.set()
        await asyncio.sleep(seconds)
        return await wire.forwarded(request)

    stack.interfere = interfere
    return started


def beside(tmp_path, stack, **settings):
    """A gateway as a process before the affinity domain of a stack."""
    port = int(stack.settings.registry.url.removesuffix(wire.REGISTRY).rsplit(":", 1)[1])
    folder = tmp_path / "process"
    folder.mkdir(exist_ok=True)
    return gateway_service(folder, free_port(), port, **settings)


async def publish(session, base_url, bundle):
    headers = {"Content-Type": "application/fhir+json"}
    async with session.post(base_url, json=bundle, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_sigterm_lets_a_publish_in_flight_end_with_its_answer(tmp_path):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    async with running_stack(tmp_path) as stack:
        service = beside(tmp_path, stack)
        base_url = await service.start()
        started = await slow_domain(stack, 0.7)
        running = asyncio.create_task(publish(stack.session, base_url, bundle))
        await started.wait()
        service.process.send_signal(signal.SIGTERM)
        status, answer = await asyncio.wait_for(running, 20)
        assert (status, answer["type"]) == (200, "transaction-response")
        assert await asyncio.wait_for(service.process.wait(), 20) == 0
        stack.interfere = None
        assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1


async def test_sigterm_records_a_publish_whose_client_has_gone(tmp_path):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    async with running_stack(tmp_path) as stack:
        service = beside(tmp_path, stack)
        base_url = await service.start()
        started = await slow_domain(stack, 0.7)
        running = asyncio.create_task(publish(stack.session, base_url, bundle))
        await started.wait()
        running.cancel()
        await asyncio.sleep(0.1)
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), 20) == 0
        stack.interfere = None
        assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1
        base_url = await service.start()
        stack.soap_calls.clear()
        status, answer = await publish(stack.session, base_url, bundle)
        assert (status, answer["type"]) == (200, "transaction-response")
        assert not stack.soap_calls, "the answer was recorded before the end"
        await service.kill(signal.SIGTERM)


async def test_sigterm_waits_no_longer_than_the_settings_say(tmp_path):
    bundle = provide_bundle([a_document()], patient=a_patient())
    async with running_stack(tmp_path) as stack:
        service = beside(tmp_path, stack, SERVER__SHUTDOWN_TIMEOUT="0.3")
        base_url = await service.start()
        started = await slow_domain(stack, 60)
        running = asyncio.create_task(publish(stack.session, base_url, bundle))
        await started.wait()
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), 20) == 0
        with pytest.raises(aiohttp.ClientError):
            await running


async def test_a_second_gateway_in_the_same_state_directory_is_refused(tmp_path):
    async with running_stack(tmp_path) as stack:
        line = await asyncio.to_thread(
            start_refused, tmp_path, GATEWAY_STATE_DIR=str(stack.settings.state_dir)
        )
    assert line.startswith("gateway: redis: ")
    assert f"in use by another gateway (process {os.getpid()})" in line


async def test_a_soap_service_that_asks_nobody_is_shouted_about(tmp_path):
    changes = {
        "GATEWAY_SECURITY__ACCESS": "token",
        "GATEWAY_SECURITY__ISSUERS": '[{"issuer": "https://login.example", "jwks_url": "https://login.example"}]',
        "GATEWAY_HOME_COMMUNITY_ID": "2.999.5",
        "GATEWAY_RESPONDING_GATEWAY__ENABLED": "true",
    }
    service = Service(["serve"], settings_for(tmp_path, **changes), tmp_path / "log")
    await service.start()
    await service.kill(signal.SIGTERM)
    lines = map(json.loads, (tmp_path / "log").read_text().splitlines())
    shouted = {line["path"] for line in lines if line["event"] == "security.open_service"}
    assert shouted == {"/xca/gateway", "/xca/patients", "/xca-i/imaging"}


async def test_ready_is_the_only_line_on_standard_output(tmp_path):
    service = Service(["serve"], settings_for(tmp_path), tmp_path / "log")
    await service.start()
    service.process.send_signal(signal.SIGTERM)
    assert await service.process.stdout.read() == b""
    assert await service.process.wait() == 0
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert events == ["security.open_access", "audit.local_only", "gateway.ready", "gateway.stopping"]
