"""Secrets are shown nowhere: not by settings, errors, the doctor, logs or what clients may read. Keys of URLs are
exchanged with an overlap."""

import asyncio
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request

import yaml

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings
from tests.certificates import self_signed
from tests.ports import free_port
from tests.system.documents import a_document, a_patient
from tests.system.stack import affinity_service, gateway_service, running_stack

HIDDEN = {
    "key": secrets.token_hex(32),
    "redis": f"hush-{secrets.token_hex(8)}",
    "url": f"hush-{secrets.token_hex(8)}",
    "client": f"hush-{secrets.token_hex(8)}",
    "pass phrase": f"hush-{secrets.token_hex(8)}",
}


def settings_with_secrets(folder, domain="http://127.0.0.1:9"):
    folder.mkdir(exist_ok=True)
    (folder / "client-secret").write_text(HIDDEN["client"])
    (folder / "password").write_text(HIDDEN["pass phrase"])
    certified = self_signed("sts")
    (folder / "sts.pem").write_bytes(certified.pem)
    (folder / "sts.key").write_bytes(certified.key_pem(HIDDEN["pass phrase"].encode()))
    return {
        "state_dir": str(folder / "state"),
        "registry": {"url": f"{domain}/xds/registry", "assertion": "issue"},
        "repositories": [{"unique_id": "2.999.10.1", "url": f"{domain}/xds/repository"}],
        "redis": {"url": f"redis://:{HIDDEN['url']}@127.0.0.1:9/0", "password": HIDDEN["redis"]},
        "security": {
            "access": "token",
            "keys": [HIDDEN["key"]],
            "issuers": [
                {
                    "issuer": "https://login.example",
                    "introspection": {
                        "url": "http://127.0.0.1:9/introspect",
                        "client_id": "gateway",
                        "client_secret_file": str(folder / "client-secret"),
                    },
                }
            ],
            "assertions": {
                "issue": {
                    "issuer": "urn:sts",
                    "key_file": str(folder / "sts.key"),
                    "key_password_file": str(folder / "password"),
                    "certificate_file": str(folder / "sts.pem"),
                }
            },
        },
    }


def shown_in(text):
    return [name for name, secret in HIDDEN.items() if secret in text]


def test_settings_do_not_show_them(tmp_path):
    settings = Settings(**settings_with_secrets(tmp_path))
    for text in (repr(settings), str(settings), repr(settings.security), repr(settings.redis)):
        assert not shown_in(text)


def test_errors_about_settings_do_not_quote_them(tmp_path):
    for wrong in (
        {"security": {"keys": HIDDEN["key"]}},
        {"security": {"keys": [{HIDDEN["key"]: 1}]}},
        {"redis": {"password": [HIDDEN["redis"]]}},
        {"redis": {"url": {HIDDEN["url"]: 1}}},
    ):
        settings = settings_with_secrets(tmp_path)
        for section, content in wrong.items():
            settings[section] = {**settings[section], **content}
        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump(settings))
        code, output = run("serve", "--config", str(file))
        assert code != 0
        assert not shown_in(output), output


def run(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def test_the_doctor_does_not_show_them_where_everything_fails(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings_with_secrets(tmp_path)))
    code, output = run("doctor", "--config", str(file))
    assert code == 1
    assert "issuer https://login.example" in output
    assert "assertions" in output
    assert not shown_in(output), output


def test_a_short_key_is_named_by_its_number(tmp_path):
    settings = settings_with_secrets(tmp_path)
    settings["security"]["keys"] = [HIDDEN["key"], HIDDEN["key"][:30]]
    settings["redis"] = {}
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings))
    code, output = run("serve", "--config", str(file))
    assert code == 1
    assert "security.keys: key 2" in output
    assert HIDDEN["key"][:30] not in output


async def test_logs_and_what_clients_read_do_not_show_them(tmp_path):
    port, domain = free_port(), affinity_service(tmp_path, affinity_port := free_port())
    file = tmp_path / "gateway.yaml"
    settings = settings_with_secrets(tmp_path, f"http://127.0.0.1:{affinity_port}")
    settings["redis"] = {}
    file.write_text(yaml.safe_dump(settings))
    gateway = gateway_service(
        tmp_path, port, affinity_port, CONFIG=str(file), LOG__LEVEL="debug", SECURITY__ACCESS="token"
    )
    try:
        await domain.start()
        base = await gateway.start()
        answers = []
        for path in (
            "metadata",
            ".well-known/smart-configuration",
            "DocumentReference?patient.identifier=a|b",
        ):
            for token in ("", "opaque-token"):
                answers.append(await asyncio.to_thread(get, f"{base}/{path}", token))
        answers.append(await asyncio.to_thread(get, base.removesuffix("/fhir") + "/health", ""))
    finally:
        await gateway.kill()
        await domain.kill()
    assert any("CapabilityStatement" in answer for answer in answers)
    for text in (*answers, (tmp_path / "gateway.log").read_text()):
        assert not shown_in(text)


def get(url, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return f"{answer.headers}{answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.headers}{error.read().decode()}"


async def test_urls_of_the_key_before_open_until_it_is_taken_away(tmp_path):
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    patient = a_patient()
    urls = []
    for keys in ([old], [new, old], [new]):
        async with running_stack(tmp_path / "stack", security={"access": "open", "keys": keys}) as stack:
            if not urls:
                status, _ = await stack.publish(provide_bundle([a_document()], patient=patient))
                assert status == 200
            (found,) = await stack.find(patient__identifier=patient.token, status="current")
            path = found["content"][0]["attachment"]["url"].partition("/fhir/")[2]
            opened = []
            for known in [*urls, path]:
                async with stack.session.get(f"{stack.base_url}/{known}") as answer:
                    opened.append(answer.status)
            if keys == [new, old]:
                assert path != urls[0], "the first key makes new addresses"
                assert opened == [200, 200]
            if keys == [new]:
                assert opened == [404, 200, 200]
            urls.append(path)
