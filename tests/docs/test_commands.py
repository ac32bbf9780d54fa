"""Every command of the README and of the quick start, and every request and example for clients, works as it stands."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.demo.children import Child
from gateway.demo.content import sample_content
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
    process = subprocess.Popen(
        [programs / "gateway", "demo", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
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
        yield folder, base_url
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
        timeout=120,
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


def _send(request: HttpRequest, body: bytes | None) -> bytes:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(request.url, data=body, headers=request.headers, method=request.method)
        ) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        raise AssertionError((request.title, error.code, error.read()[:2000])) from None


def test_each_request_of_the_collection_is_answered(demo: tuple[Path, str]) -> None:
    folder, base_url = demo
    variables, requests = read(ROOT / "docs" / "requests.http")
    token = _shell(_token(base_url), folder).strip()
    values: dict[str, object] = {**variables, "base": base_url, "token": token}
    answers = {}
    for request in requests:
        body: bytes | None = None
        if request.body.startswith("< ../"):
            body = (folder / request.body.removeprefix("< ../")).read_bytes()
        elif request.body:
            body = filled(request.body, values).encode()
        request.url = filled(request.url, values)
        request.headers = {name: filled(text, values) for name, text in request.headers.items()}
        answers[request.title] = _send(request, body)
        if request.name:
            values[request.name] = json.loads(answers[request.title])
    transactions = {number for title in answers for number in re.findall(r"ITI-\d+|RAD-\d+", title)}
    assert transactions == {
        *("ITI-65", "ITI-66", "ITI-67", "ITI-68", "ITI-78", "ITI-105", "ITI-106", "ITI-119", "RAD-107")
    }
    assert all(answers.values())


def _token(base_url: str) -> str:
    return f".venv/bin/gateway token --client demo --key state/demo/client-key.json --url {base_url}"


def test_the_example_in_python_works_as_it_stands(demo: tuple[Path, str]) -> None:
    folder, base_url = demo
    example = ROOT / "docs" / "examples" / "client.py"
    token = _shell(_token(base_url), folder).strip()
    said = _shell(
        f"{sys.executable} -I {example} {base_url} {token} state/demo/publish.json",
        folder,
    )
    assert "3 resources published" in said
    assert "with 16 images" in said
    words = re.search(r"(\d+) lists\n(\d+) documents", said)
    assert words
    assert min(map(int, words.groups())) > 0
