"""What access tokens, assertions to peers (XUA) and audit records cost a search (ITI-67, 10 entries).

All gateways run at once and are asked in turn, round after round. Their processor time is measured, which what
else happens on the machine changes little.
"""

import asyncio
import json
import os
import statistics
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bench import report
from bench.processes import Child, child, gateway
from bench.wire import CLIENTS, Request
from gateway.demo.access import DemoClient

PATIENT = {"patient.identifier": "urn:oid:2.999.1.1|BENCH-1", "status": "current"}
PLAIN = "nothing of it"
AFTERWARDS = 0.5
"""Seconds in which records are delivered."""


def _search(base: str, token: str | None) -> Request:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def request(session: aiohttp.ClientSession, number: int) -> int:
        async with session.get(f"{base}/DocumentReference", params=PATIENT, headers=headers) as answer:
            await answer.read()
            return answer.status

    return request


def _certificate(folder: Path) -> dict[str, Any]:
    """Settings of assertions that the gateway signs with a key made here."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    issue = {
        "issuer": "urn:bench",
        "key_file": str(key_file),
        "certificate_file": str(certificate_file),
        "organization_id": "urn:oid:2.999.40.3",
    }
    return {"issue": issue}


def _variants(folder: Path, archive: str) -> dict[str, dict[str, Any]]:
    client = DemoClient(folder)
    tokens, issue = client.settings(), {"assertions": _certificate(folder)}
    audit = {"fhir": {"url": archive}}
    unrecorded = {"enabled": False}
    return {
        PLAIN: {"audit": unrecorded},
        "audit": {"audit": audit},
        "tokens": {"security": tokens, "audit": unrecorded},
        "assertions": {"security": {"access": "open", **issue}, "audit": unrecorded, "issue": True},
        "all together": {"security": {**tokens, **issue}, "audit": audit, "issue": True},
    }


def _environment(variant: dict[str, Any]) -> dict[str, str]:
    more = {"GATEWAY_AUDIT": json.dumps(variant["audit"])}
    if "security" in variant:
        more["GATEWAY_SECURITY"] = json.dumps(variant["security"])
        more["GATEWAY_SECURITY__ACCESS"] = variant["security"]["access"]
    if variant.get("issue"):
        more["GATEWAY_REGISTRY__ASSERTION"] = "issue"
    return more


class Asked:
    """A gateway that is measured, and the milliseconds of processor time of each request in each round."""

    def __init__(self, running: Child, request: Request) -> None:
        self.pid = running.process.pid
        self.request = request
        self.costs: list[float] = []

    def measure(self, count: int) -> None:
        """Send requests; what they leave to be done in the background is done before the end."""
        before = _processor_seconds(self.pid)
        asyncio.run(_send(self.request, count))
        time.sleep(AFTERWARDS)
        self.costs.append((_processor_seconds(self.pid) - before) / count * 1000)


async def _send(request: Request, count: int) -> None:
    numbers = iter(range(count))

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            status = await request(session, number)
            assert status == 200, status

    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(seconds: float, rounds: int) -> None:
    """Measure each way with some 100 requests for each second, in `rounds` turns."""
    each = max(50, round(seconds * 100 / rounds))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench")))
        peer = stack.enter_context(child("-m", "bench.peer"))
        archive = stack.enter_context(child("-m", "bench.archive"))
        ways: dict[str, Asked] = {}
        for name, variant in _variants(folder, archive.url).items():
            running = stack.enter_context(gateway(peer.url, entries=10, **_environment(variant)))
            has_tokens = "authorisation_server" in variant.get("security", {})
            token = asyncio.run(DemoClient(folder).tokens(running.url)()) if has_tokens else None
            ways[name] = Asked(running, _search(running.url, token))
            ways[name].measure(50)
            ways[name].costs.clear()
        for _ in range(rounds):
            for way in ways.values():
                way.measure(each)
    plain = min(ways[PLAIN].costs)
    report.show(
        f"ITI-67, 10 entries: processor time of the gateway for each of {each * rounds} requests, and what that "
        "takes of the throughput of a processor",
        ("with", "ms best", "ms median", "of throughput"),
        [
            (
                name,
                min(way.costs),
                statistics.median(way.costs),
                f"{(plain / min(way.costs) - 1) * 100:+.0f} %",
            )
            for name, way in ways.items()
        ],
    )
