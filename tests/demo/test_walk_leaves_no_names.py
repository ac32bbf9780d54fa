"""The whole walk of the demonstration leaves nothing that identifies a patient in what the processes write: logs at
level debug, metrics, traces, the state of the gateway, and the URLs that clients are given.

Each patient of the walk has an id that begins with `CHECK-`; patient and authors have names that nothing else has.
"""

import asyncio
import base64
import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp
import pytest

from gateway.clients.token_request import ClientKey, fetch_token
from gateway.demo import content as demo_content
from gateway.demo import run as demo
from gateway.demo.access import CLIENT_ID, SCOPE, DemoClient
from gateway.demo.check import run_check
from gateway.demo.outside_client import OutsideClient
from gateway.demo.samples import SamplePatient
from gateway.demo.walk_admin import AdminCommand
from tests.console.explored import look_for
from tests.console.signed_in import Visitor

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


async def ask_what_the_walk_does_not(base_url: str, client: DemoClient, asked: list[str]) -> None:
    """Who somebody is, records about him, and the pages of those who run the gateway."""
    key = ClientKey(json.loads(client.key_file.read_text()))
    token = (await fetch_token(base_url, CLIENT_ID, key, f"{SCOPE} console"))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(headers=headers, cookie_jar=jar) as session:

        async def ask(method: str, path: str, **more: object) -> tuple[int, bytes]:
            async with session.request(method, f"{base_url}/{path}", **more) as answer:
                body = await answer.read()
                assert answer.status != 500, (path, body)
                return answer.status, body

        status, body = await ask("POST", "Patient/_search", data={"family": f"{MARK}family", "_count": "5"})
        assert status == 200, body
        found = [entry["resource"] for entry in json.loads(body)["entry"]]
        assert found and PREFIX in json.dumps(found) and MARK in json.dumps(found)
        identifier = found[0]["identifier"][0]
        named = f"{identifier['system']}|{identifier['value']}"
        patient = {
            "resourceType": "Patient",
            "identifier": [identifier],
            "name": [{"family": f"{MARK}family"}],
        }
        wrong = {**patient, "birthDate": f"{MARK}", "gender": MARK, "telecom": [{"value": MARK}]}
        for body in (patient, wrong):
            match = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": body}]}
            fhir = {"Content-Type": "application/fhir+json"}
            status, _ = await ask("POST", "Patient/$match", data=json.dumps(match), headers=fhir)
            assert status in {200, 400, 422}
        for query in (
            {"sourceIdentifier": named},
            {"sourceIdentifier": f"{named}{MARK}"},
            {"sourceIdentifier": MARK},
        ):
            await ask("GET", "Patient/$ihe-pix", params=query)
            await ask("GET", "Patient", params={"identifier": query["sourceIdentifier"]})
        await ask("GET", "Patient", params={"birthdate": MARK, "given": MARK, "address-city": f"{MARK}city"})
        window = {"date": "ge2000-01-01", "patient.identifier": named}
        assert (await ask("POST", "AuditEvent/_search", data=window))[0] in {200, 400, 403}

        visitor = Visitor(session, base_url.removesuffix("/fhir") + "/console")
        assert (await visitor.get()).status == 200
        assert (await visitor.get("/parts/overview")).status == 200
        study = next(uid[1] for url in asked if (uid := re.search(r"/studies/([0-9.]+)", url)))
        for what in (study, f"{MARK}accession", named):
            seen = await look_for_anything(visitor, what)
            assert seen in {200, 303, 400, 404, 422}, what
        seen = await look_for(visitor, study)
        for link in seen.page.xpath("//a/@href"):
            if "/metadata?" in link:
                await visitor.get(link.removeprefix("/console"))
        for form in seen.page.xpath("//form"):
            action = form.get("action").removeprefix("/console")
            if "/retrieve-" in action:
                fields = {each.get("name"): each.get("value") or "" for each in form.xpath(".//input")}
                await visitor.post(action, fields)


async def look_for_anything(visitor: Visitor, what: str) -> int:
    form = (await visitor.get("/explore")).form("/explore")
    return (await visitor.post("/explore", {**form, "what": what})).status


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
                "GATEWAY_CONSOLE__ENABLED": "true",
            }
            return plain_settings(*arguments) | more

        monkeypatch.setattr(demo, "_gateway_settings", settings)
        monkeypatch.setattr(demo_content, "SamplePatient", marked)
        monkeypatch.setattr(OutsideClient, "request", request)
        plain_section = DemoClient.settings

        def section(self):
            made = plain_section(self)
            made["authorisation_server"]["clients"][CLIENT_ID]["scopes"].append("console")
            return made

        monkeypatch.setattr(DemoClient, "settings", section)
        lines: list[str] = []
        with demo._running(tmp_path, 0, "debug") as running:
            code = run_check(
                running.base_url,
                lines.append,
                admin=AdminCommand(running.environment),
                images=demo.images_dir(tmp_path),
                token=running.client.tokens(running.base_url),
            )
            asyncio.run(ask_what_the_walk_does_not(running.base_url, running.client, asked))
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
