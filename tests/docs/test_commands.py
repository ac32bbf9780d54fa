"""Every command of the README and of the quick start, and every request and example for clients, works as it stands."""

import base64
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from gateway.clients.token_request import ClientKey
from gateway.demo.bundles import provide_bundle
from gateway.demo.children import Child
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.fhir.supported import SUPPORTED
from tests.docs.blocks import ROOT, blocks
from tests.docs.requests_file import HttpRequest, filled, read

NOT_RUN_HERE = {
    "make demo": "what this and the other tests run",
    "openssl s_client": "needs a gateway with TLS; tests/system/test_tls.py runs it",
    "docker build": "needs an image builder and a cluster; tests/image and tests/helm run its steps",
}
"""Blocks by what they begin with, and why they are left out."""

OPERATOR = ("export GATEWAY_REGISTRY__URL", "gateway admin")
"""Blocks for those who connect a domain, by what they begin with."""

EXAMPLES_FOLDER = ROOT / "docs" / "examples"
EVERY_SERVICE = EXAMPLES_FOLDER / "every-service.yaml"
"""Settings with which the demonstration answers all requests of the collection."""

EXAMPLES = {
    "https://registry.example/xds/registry": "{domain}/xds/registry",
    "https://repository.example/xds/repository": "{domain}/xds/repository",
}


def _kind(block: str) -> str:
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    if any(lines[0].startswith(start) for start in NOT_RUN_HERE):
        return "not here"
    return "operator" if lines[0].startswith(OPERATOR) else "client"


def _of(page: str, kind: str) -> list[str]:
    return [block for block in blocks(page) if _kind(block) == kind]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder like the checkout in which `make demo` runs, and the base URL of the gateway."""
    folder = tmp_path_factory.mktemp("checkout")
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "gateway").symlink_to(Path(sys.executable).with_name("gateway"))
    with _demo(folder, "--config", str(EVERY_SERVICE)) as base_url:
        yield folder, base_url


@contextmanager
def _demo(folder: Path, *arguments: str) -> Iterator[str]:
    """A demonstration that runs in a folder, on a free port: its base URL."""
    process = subprocess.Popen(
        [folder / ".venv" / "bin" / "gateway", "demo", "--port", "0", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        base_url = ""
        for line in process.stdout:
            if line.startswith("Base URL: "):
                base_url = line.split()[2]
            if line.startswith("Ctrl-C ends it"):
                break
        assert base_url
        yield base_url
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _shell(script: str, folder: Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (script, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def _client_script(page: str, base_url: str) -> str:
    script = "\n".join(_of(page, "client"))
    return re.sub(r"^BASE=.*$", f"BASE={base_url}", script, flags=re.MULTILINE)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_commands_of_the_readme_publish_find_and_retrieve(demo: tuple[Path, str]) -> None:
    folder, base_url = demo
    said = _shell(_client_script("README.md", base_url), folder)
    assert '"transaction-response"' in said
    assert '"searchset"' in said
    report = (folder / "report").read_bytes()
    assert report
    assert b"OperationOutcome" not in report
    assert (folder / "study.multipart").read_bytes().count(b"DICM") == 16


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_quick_start_works_as_it_stands(demo: tuple[Path, str]) -> None:
    folder, base_url = demo
    said = _shell(_client_script("docs/quick-start.md", base_url), folder)
    assert '"searchset"' in said
    assert '"transaction-response"' in said
    assert b"OperationOutcome" not in (folder / "document").read_bytes()


def test_each_page_has_only_commands_that_are_run_or_named_here() -> None:
    for page in ("README.md", "docs/quick-start.md"):
        assert _of(page, "client")
        assert _of(page, "operator")
        assert len(_of(page, "not here")) <= len(NOT_RUN_HERE)


def test_an_operator_connects_a_domain_and_changes_what_is_registered(tmp_path: Path) -> None:
    affinity = Child(
        "affinity",
        ["affinity", "--port", "0", "--state-dir", str(tmp_path / "affinity")],
        os.environ,
        tmp_path / "affinity.log",
    )
    gateway = None
    try:
        domain = affinity.wait_until_ready(60)
        own = {"GATEWAY_STATE_DIR": str(tmp_path / "state"), "GATEWAY_SECURITY__ACCESS": "open"}

        def script(page: str, number: int) -> str:
            text = _of(page, "operator")[number].replace(".venv/bin/gateway", "gateway")
            for example, here in EXAMPLES.items():
                text = text.replace(example, here.format(domain=domain))
            return text

        for page in ("README.md", "docs/quick-start.md"):
            connect = script(page, 0)
            assert "gateway serve" in connect
            said = _shell(connect.replace("gateway serve", "env | grep ^GATEWAY_"), tmp_path, **own)
            assert "registry" in said
        settings = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("GATEWAY_"))
        gateway = Child(
            "gateway",
            ["serve"],
            {**os.environ, **settings, "GATEWAY_SERVER__PORT": "0"},
            tmp_path / "gateway.log",
        )
        base_url = gateway.wait_until_ready(60)
        content = sample_content("commands")
        bundle = provide_bundle([content.report], patient=content.patient)
        answer = _send(
            HttpRequest(
                "publish", method="POST", url=base_url, headers={"Content-Type": "application/fhir+json"}
            ),
            json.dumps(bundle).encode(),
        )
        locations = [entry["response"]["location"] for entry in json.loads(answer)["entry"]]
        document = next(each for each in locations if "DocumentReference/" in each)
        identifier = document.split("DocumentReference/")[1].split("/")[0]
        admin = re.sub(r"\bID\b", identifier, script("README.md", 1))
        said = _shell(admin, tmp_path, **{**own, **settings})
        assert "the registry has no document with this id" in said
    finally:
        for child in (gateway, affinity):
            if child is not None:
                child.end(10)


def _marked(page: str, name: str) -> str:
    """The block of commands behind a mark."""
    text = (ROOT / page).read_text("utf-8")
    return text.split(f"<!-- {name}:begin -->\n```sh\n")[1].split("```")[0]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("way", ["first", "first-by-mhd"])
def test_two_gateways_are_connected_by_settings_alone(
    demo: tuple[Path, str], tmp_path: Path, way: str
) -> None:
    second, second_url = demo
    page = "docs/connect-community.md"
    assert _marked(page, "second").split()[-1] == str(EVERY_SERVICE.relative_to(ROOT))
    shutil.copytree(second / ".venv", tmp_path / ".venv", symlinks=True)
    lines = _marked(page, way).splitlines()
    settings = "\n".join(line for line in lines if "gateway demo" not in line)
    settings = settings.replace("http://127.0.0.1:9080", second_url.removesuffix("/fhir"))
    settings = settings.replace("state/second", str(second / "state" / "demo"))
    _shell(settings, tmp_path)
    command = next(line for line in lines if "gateway demo" in line).split()[2:]
    with _demo(tmp_path, *command) as base_url:
        walk = re.sub(r"^BASE=.*$", f"BASE={base_url}", _marked(page, "walk"), flags=re.MULTILINE)
        said = _shell(walk, tmp_path)
    found = [line for line in said.splitlines() if re.match(r"[0-9a-f]{8}-", line)]
    elsewhere = [line for line in found if "urn:oid:2.999.7.2" in line]
    assert 0 < len(elsewhere) < len(found), said
    assert len((tmp_path / "of-second").read_text().splitlines()) == len(elsewhere)
    assert '"sha1"' in said
    assert said.count("16 images") == 2, "of the same study in both communities"


def _send(request: HttpRequest, body: bytes | None) -> bytes:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(request.url, data=body, headers=request.headers, method=request.method)
        ) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        raise AssertionError((request.title, error.code, error.read()[:2000])) from None


def _body(request: HttpRequest, folder: Path, values: dict[str, object]) -> bytes | None:
    if not request.body.startswith("< "):
        return filled(request.body, values).encode() if request.body else None
    name = request.body.removeprefix("< ")
    file = folder / name.removeprefix("../") if name.startswith("../") else ROOT / "docs" / name
    return file.read_bytes()


@pytest.fixture(scope="module")
def answers(demo: tuple[Path, str]) -> dict[str, bytes]:
    """What each request of the collection is answered with, by its title."""
    folder, base_url = demo
    variables, requests = read(ROOT / "docs" / "requests.http")
    key = ClientKey(json.loads((folder / "state/demo/client-key.json").read_text()))
    values: dict[str, object] = {
        **variables,
        "root": base_url.removesuffix("/fhir"),
        "base": base_url,
        "token": _shell(_token(base_url), folder).strip(),
        "auditToken": _shell(f"{_token(base_url)} --scope system/AuditEvent.rs", folder).strip(),
        "assertion": key.assertion("demo", f"{base_url}/auth/token"),
    }
    found = {}
    for request in requests:
        body = _body(request, folder, values)
        request.url = filled(request.url, values)
        request.headers = {name: filled(text, values) for name, text in request.headers.items()}
        found[request.title] = _send(request, body)
        if request.name:
            values[request.name] = json.loads(found[request.title])
    return found


NOTE = base64.b64encode(b"Seen in the outpatient clinic.\n")
"""As a plain SOAP request gets it; one with MTOM gets it as a part."""

ANSWERED = {
    "ITI-71": b'"access_token"',
    "ITI-102": b'"active":true',
    "ITI-65": b'"transaction-response"',
    "ITI-105": b'"DocumentReference"',
    "ITI-106": b'"DocumentReference"',
    "ITI-66": b'"List"',
    "ITI-67": b'"searchset"',
    "ITI-68": b"",
    "ITI-78": b'"Patient"',
    "ITI-119": b'"Patient"',
    "ITI-81": b'"AuditEvent"',
    "RAD-107": b"DICM",
    "RAD-55": b"DICM",
    "RAD-160": b"DICM",
    "ITI-18": b"ExtrinsicObject",
    "ITI-43": NOTE,
    "ITI-41": b"ResponseStatusType:Success",
    "RAD-69": b"ResponseStatusType:Success",
    "ITI-55": b"PRPA_IN201306UV02",
    "ITI-38": b"ExtrinsicObject",
    "ITI-39": NOTE,
    "RAD-75": b"ResponseStatusType:Success",
}
"""What an answer has that is none but in form."""

ELSEWHERE = {
    "ITI-72": "is what each request with a token does",
    "RAD-68": "is ITI-65 with a manifest",
    "ITI-40": "is part of SOAP requests where assertions are asked for; docs/security.md",
    "ITI-20": "is what the gateway sends",
    "ITI-42": "goes from repository to registry",
    "ITI-83": "is what a patient manager answers",
    "ITI-104": "is what a patient manager answers",
    "ITI-57": "is `gateway admin`",
    "ITI-61": "is `gateway admin`",
    "ITI-62": "is `gateway admin`",
    "ITI-86": "is `gateway admin`",
}
"""Transactions of the table that are no requests of clients to the gateway."""


def test_each_transaction_of_the_table_is_asked_for_in_the_collection(answers: dict[str, bytes]) -> None:
    asked = {number for title in answers for number in re.findall(r"ITI-\d+|RAD-\d+", title)}
    served = [row for row in SUPPORTED if row.option != "client"]
    table = {number for row in served for number in re.findall(r"ITI-\d+|RAD-\d+", row.transaction)}
    assert table - asked == set(ELSEWHERE)
    assert asked - set(ANSWERED) == set()


@pytest.mark.parametrize("transaction", ANSWERED)
def test_a_request_of_the_collection_is_answered(answers: dict[str, bytes], transaction: str) -> None:
    titles = [title for title in answers if re.search(rf"\b{transaction}\b", title)]
    assert titles
    for title in titles:
        assert ANSWERED[transaction] in answers[title], (title, answers[title][:2000])


def _token(base_url: str) -> str:
    return f".venv/bin/gateway token --client demo --key state/demo/client-key.json --url {base_url}"


def test_the_example_in_python_works_as_it_stands(demo: tuple[Path, str]) -> None:
    folder, base_url = demo
    example = EXAMPLES_FOLDER / "client.py"
    token = _shell(_token(base_url), folder).strip()
    said = _shell(
        f"{sys.executable} -I {example} {base_url} {token} state/demo/publish.json",
        folder,
    )
    assert "3 resources published" in said
    assert "with 16 images" in said
    assert "16 images by QIDO-RS" in said
    assert "the token is active" in said
    assert re.search(r"^[1-9]\d* patients of that name", said, re.MULTILINE)
    assert re.search(r"^matches with scores of \[[\d., ]+\]$", said, re.MULTILINE)
    words = re.search(r"(\d+) lists\n(\d+) documents", said)
    assert words
    assert min(map(int, words.groups())) > 0
    client = runpy.run_path(str(example))["Client"]
    audit_token = _shell(f"{_token(base_url)} --scope system/AuditEvent.rs", folder).strip()
    assert client(base_url, audit_token).audit_events("2024-01-01")
    key = ClientKey(json.loads((folder / "state/demo/client-key.json").read_text()))
    assert client(base_url, "").get_token(key.assertion("demo", f"{base_url}/auth/token"), "system/List.rs")
    asking = client(base_url, token)
    image = next(asking.found_images("DEMO-1", "2.999.1.1"))
    found = {asking.instance_at("2.999.7.2", place, *image)[128:132] for place in _places_of(asking, image)}
    assert found == {b"DICM"}


def _places_of(client: Any, image: tuple[str, str, str]) -> list[str]:
    """The Retrieve Location UIDs from which an image can be had."""
    found = []
    for place in (FIRST_LOCATION, SECOND_LOCATION):
        try:
            client.instance_at("2.999.7.2", place, *image)
        except HTTPError as error:
            assert error.code == 404
        else:
            found.append(place)
    return found


def test_the_example_of_a_consumer_by_soap_works_as_it_stands(demo: tuple[Path, str]) -> None:
    folder, base_url = demo
    asking = runpy.run_path(str(EXAMPLES_FOLDER / "client.py"))["Client"](
        base_url, _shell(_token(base_url), folder).strip()
    )
    images = [
        i for i in asking.found_images("DEMO-1", "2.999.1.1") if FIRST_LOCATION in _places_of(asking, i)
    ]
    wanted = " ".join("/".join(image) for image in images[:2])
    said = _shell(
        f"{sys.executable} -I {EXAMPLES_FOLDER / 'soap_client.py'} {base_url.removesuffix('/fhir')} "
        f"{EXAMPLES_FOLDER} '{wanted}' {FIRST_LOCATION}",
        folder,
    )
    assert said.startswith("Success\n")
    assert re.search(r"^[1-9]\d* documents, the first one with [1-9]\d* bytes$", said, re.MULTILINE)
    assert re.search(r"^[1-9]\d* documents across, the first one with [1-9]\d* bytes$", said, re.MULTILINE)
    assert "('DEMO-1', '2.999.1.1')" in said
    assert said.endswith("2 images\n2 images across\n")


def test_the_examples_have_a_function_for_each_transaction() -> None:
    texts = "".join((EXAMPLES_FOLDER / name).read_text() for name in ("client.py", "soap_client.py"))
    named = set(re.findall(r'"""((?:ITI|RAD)-\d+)', texts))
    assert named == set(ANSWERED)
