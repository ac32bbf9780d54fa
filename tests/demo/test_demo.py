"""The demonstration as a user runs it: processes of its own, ended with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.demo.content import sample_content
from tests.system.stack import children_of

_COMMAND = [sys.executable, "-m", "gateway.cli"]
_GATEWAY = [*_COMMAND, "demo"]
_PROC = Path("/proc")


def _processes_with(text: str) -> list[str]:
    """Command lines of processes that run now and name `text` there or in their environment."""
    if not _PROC.is_dir():
        listed = subprocess.run(
            ["ps", "-A", "-E", "-o", "command"], capture_output=True, text=True, check=True
        )
        return [line for line in listed.stdout.splitlines() if text in line]
    found = []
    for process in _PROC.glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        # a process that has ended and waits for its parent has neither
        if text in command or text in environment:
            found.append(command)
    return found


@contextmanager
def _demo(state_dir: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running demonstration and its base URL."""
    process = subprocess.Popen(
        [*_GATEWAY, "--state-dir", str(state_dir), "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        base_url = None
        for line in process.stdout:
            if line.startswith("Base URL: "):
                base_url = line.split()[2]
            if line.startswith("Ctrl-C ends it"):
                break
        assert base_url, process.stderr.read()
        yield process, base_url
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def _wait_until_ended(text: str) -> list[str]:
    deadline = time.monotonic() + 30
    while (left := _processes_with(text)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _open(state_dir: Path, base_url: str, url: str, body: bytes | None = None) -> bytes:
    """The body of an answer, with a token got as the demonstration says."""
    key = str(state_dir / "client-key.json")
    token = subprocess.run(
        [*_COMMAND, "token", "--client", "demo", "--key", key, "--url", base_url],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return answer.read()


def _search(state_dir: Path, base_url: str, patient: str, status: str = "current") -> dict:
    query = urllib.parse.urlencode({"patient.identifier": patient, "status": status})
    return json.loads(_open(state_dir, base_url, f"{base_url}/DocumentReference?{query}"))


def _post(state_dir: Path, base_url: str, body: bytes) -> dict:
    return json.loads(_open(state_dir, base_url, base_url, body))


def test_the_check_passes_and_leaves_no_process() -> None:
    done = subprocess.run([*_GATEWAY, "--check"], check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "ok    publish three documents with a folder" in lines
    assert not [line for line in lines if line.startswith("FAIL")]
    assert lines[-1].startswith("all ")
    assert _wait_until_ended("gateway-demo-") == []


def test_it_shows_sample_content_and_a_second_start_stores_nothing_twice(tmp_path: Path) -> None:
    content = sample_content("demo")
    for _ in range(2):
        with _demo(tmp_path) as (process, base_url):
            # report, discharge summary, the manifest in both formats, and three sample reports in two releases
            assert _search(tmp_path, base_url, content.patient.token)["total"] == 10
            assert _search(tmp_path, base_url, content.patient.token, "superseded")["total"] == 1
            assert _search(tmp_path, base_url, content.other_patient.token)["total"] == 1
            process.terminate()
            assert process.wait(60) == 0
        assert _wait_until_ended(str(tmp_path)) == []


def test_the_printed_example_can_be_published_and_retrieved(tmp_path: Path) -> None:
    with _demo(tmp_path) as (_, base_url):
        body = (tmp_path / "publish.json").read_bytes()
        assert _post(tmp_path, base_url, body)["type"] == "transaction-response"
        found = _search(tmp_path, base_url, "urn:oid:2.999.1.1|DEMO-1")
        titles = {e["resource"]["content"][0]["attachment"]["title"]: e["resource"] for e in found["entry"]}
        url = titles["Visit note"]["content"][0]["attachment"]["url"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, timeout=30)
        assert _open(tmp_path, base_url, url) == b"Seen in the outpatient clinic, no complaints.\r\n"


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died"
)
def test_killed_it_takes_its_children_along(tmp_path: Path) -> None:
    with _demo(tmp_path) as (process, _):
        descendants = _descendants(process.pid)
        # affinity domain, gateway and its Redis
        assert len(descendants) == 3
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        deadline = time.monotonic() + 30
        while left := [pid for pid in descendants if _runs(pid)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def _descendants(pid: int) -> list[int]:
    children = [child for child in children_of(pid) if _runs(child)]
    return children + [each for child in children for each in _descendants(child)]


def _runs(pid: int) -> bool:
    """False also for a process that has ended and waits for its parent."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_taken_port_that_the_user_named_ends_it_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*_GATEWAY, "--state-dir", str(tmp_path), "--port", str(port)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-1] == "demo: the gateway ended with code 1 before it was ready"
    assert str(port) in lines[-2]
    assert "Traceback" not in done.stderr
    assert _wait_until_ended(str(tmp_path)) == []
