"""The whole walk of the demonstration leaves nothing that identifies a patient in what the processes write: logs at
level debug, metrics, traces, the state of the gateway, and the URLs that clients are given.

Each patient of the walk has an id that begins with `CHECK-`; patient and authors have names that nothing else has.
"""

import base64
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from gateway.demo import content as demo_content
from gateway.demo import run as demo
from gateway.demo.check import run_check
from gateway.demo.outside_client import OutsideClient
from gateway.demo.samples import SamplePatient
from gateway.demo.walk_admin import AdminCommand

MARK = "Zqmarked"
PREFIX = "CHECK-"
MARKS = (
    PREFIX,
    PREFIX.encode().hex(),
    MARK,
    MARK.lower(),
    MARK.encode().hex(),
    base64.b64encode(MARK.encode())[:8].decode(),
)


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Takes traces by OTLP over HTTP and keeps what it is sent."""
    bodies: list[bytes] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.mark.timeout(900)
def test_the_walk_leaves_no_name_and_no_id(tmp_path, monkeypatch):
    asked: list[str] = []
    plain_settings, plain_request = demo._gateway_settings, OutsideClient.request

    def marked(patient_id: str, *_: str) -> SamplePatient:
        return SamplePatient(
            patient_id, f"{MARK}family", f"{MARK}given", "1975-04-12", "female", f"{MARK}city"
        )

    async def request(self, method, url, *arguments, **more):
        asked.append(url)
        return await plain_request(self, method, url, *arguments, **more)

    with collector() as (traces_url, traces):

        def settings(*arguments):
            more = {
                "GATEWAY_METRICS__ENABLED": "true",
                "GATEWAY_TRACES__ENDPOINT": traces_url,
                "GATEWAY_TRACES__RATIO": "1",
            }
            return plain_settings(*arguments) | more

        monkeypatch.setattr(demo, "_gateway_settings", settings)
        monkeypatch.setattr(demo_content, "SamplePatient", marked)
        monkeypatch.setattr(OutsideClient, "request", request)
        lines: list[str] = []
        with demo._running(tmp_path, 0, "debug") as running:
            code = run_check(
                running.base_url,
                lines.append,
                admin=AdminCommand(running.environment),
                images=demo.images_dir(tmp_path),
                token=running.client.tokens(running.base_url),
            )
            with urlopen(Request(running.base_url.removesuffix("/fhir") + "/metrics"), timeout=30) as answer:
                metrics = answer.read().decode()
    failed = [line for line in lines if line.startswith("FAIL") and MARK not in line]
    assert code == 0 or not failed, failed
    assert "gateway_requests_total{" in metrics
    assert_unmarked(metrics, "metrics")
    for name in ("gateway.log", "affinity.log"):
        assert_unmarked((tmp_path / name).read_text(), name)
    assert (tmp_path / "gateway.log").read_text().count('"event":"request"') > 100
    assert sum(map(len, traces)) > 10_000
    assert_unmarked(b"".join(traces).decode("latin-1"), "traces")
    for file in state_of(tmp_path / "gateway"):
        assert_unmarked(file.read_bytes().decode("latin-1"), file.name)
    given = [url for url in asked if any(part in url for part in ("/content/", "/wado/", "_page="))]
    assert len(given) > 20
    for url in given:
        assert_unmarked(url, "a URL that the gateway gave")


def state_of(folder: Path) -> list[Path]:
    """Files of the gateway: Redis, audit queue, spools, keys."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"queue-1.db"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) > 100_000
    return files


def assert_unmarked(text: str, place: str) -> None:
    for mark in MARKS:
        at = text.find(mark)
        assert at < 0, f"{place}: {text[max(0, at - 200) : at + 100]}"
