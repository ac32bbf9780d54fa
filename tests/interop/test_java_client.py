"""A JAX-WS client made from our WSDLs calls our registry and repository (ITI-18, ITI-41, ITI-42, ITI-43).

WS-Addressing and MTOM are switched on in the client by the policies of the WSDLs and by nothing else.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from gateway.affinity.app import create_app
from gateway.affinity.options import AffinityOptions

from .java_peer import REPOSITORY, JavaPeer

pytestmark = pytest.mark.interop

SMALL = ["0 bytes", "1 byte", "CR LF alone", "CR LF at both ends", "delimiter-like lines", "70 kB"]
FOUND = "ITI-18 finds all documents with SHA-1 and size"


@dataclass
class Domain:
    """A running affinity domain."""

    url: str
    state: Path
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by path and media type."""


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    domain = Domain("", tmp_path / "domain")

    @web.middleware
    async def count(request: web.Request, handler) -> web.StreamResponse:
        domain.requests[request.path, request.content_type] += 1
        return await handler(request)

    app = create_app(AffinityOptions(state_dir=domain.state, repository_unique_id=REPOSITORY))
    app.middlewares.append(count)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    domain.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield domain
    finally:
        await runner.cleanup()


async def test_small_documents_come_back_byte_for_byte(
    peer: JavaPeer, domain: Domain, tmp_path: Path
) -> None:
    stored = await peer.check(tmp_path, domain.url, "submit", "small")
    assert (stored.passed, stored.failed) == ([f"ITI-41 stores {name}" for name in SMALL], [])
    got = await peer.check(tmp_path, domain.url, "retrieve", "small")
    assert (got.passed, got.failed) == (
        [FOUND, *(f"ITI-43 returns {name} byte for byte" for name in SMALL)],
        [],
    )
    assert domain.requests == {
        ("/xds/repository", "multipart/related"): 2 * len(SMALL),
        ("/xds/registry", "application/soap+xml"): 1,
    }


async def test_a_document_of_50_mb_comes_back_byte_for_byte(
    peer: JavaPeer, domain: Domain, tmp_path: Path
) -> None:
    stored = await peer.check(tmp_path, domain.url, "submit-large", "large")
    assert (stored.passed, stored.failed) == (["ITI-41 stores 50 MB"], [])
    got = await peer.check(tmp_path, domain.url, "retrieve-large", "large")
    assert (got.passed, got.failed) == ([FOUND, "ITI-43 returns 50 MB byte for byte"], [])


async def test_several_documents_travel_in_one_message(
    peer: JavaPeer, domain: Domain, tmp_path: Path
) -> None:
    report = await peer.check(tmp_path, domain.url, "several", "several")
    assert (report.passed, report.failed) == (
        [
            "ITI-41 stores several documents at once",
            FOUND,
            "ITI-43 returns several documents at once byte for byte",
            "ITI-43 returns what there is and names what is missing",
        ],
        [],
    )


async def test_registered_metadata_comes_back_and_refusals_are_understood(
    peer: JavaPeer, domain: Domain, tmp_path: Path
) -> None:
    report = await peer.check(tmp_path, domain.url, "registration", "registered")
    assert (report.passed, report.failed) == (
        [
            "ITI-42 registers an entry",
            "ITI-18 returns every attribute that was registered",
            "ITI-42 refuses an entry without typeCode",
            "ITI-18 refuses an unknown stored query",
        ],
        [],
    )


async def test_faults_are_understood(peer: JavaPeer, domain: Domain, tmp_path: Path) -> None:
    report = await peer.check(tmp_path, domain.url, "faults", "faults")
    assert (report.passed, report.failed) == (
        [
            "a query without Action is a fault",
            "a client without WS-Addressing understands the fault",
            "a query with an unknown Action is a fault",
            "a query with an unknown mandatory header is a fault",
            "a retrieve with an unknown mandatory header is a fault",
            "an unknown document is a failure, not a fault",
        ],
        [],
    )


async def test_the_checks_notice_one_changed_byte(peer: JavaPeer, domain: Domain, tmp_path: Path) -> None:
    await peer.check(tmp_path, domain.url, "submit", "damaged")
    (stored,) = [
        p for p in (domain.state / "documents").rglob("*") if p.is_file() and p.stat().st_size == 70_004
    ]
    stored.chmod(0o600)
    content = bytearray(stored.read_bytes())
    content[40_000] ^= 1
    stored.write_bytes(content)
    got = await peer.check(tmp_path, domain.url, "retrieve", "damaged")
    assert got.passed == [FOUND, *(f"ITI-43 returns {name} byte for byte" for name in SMALL[:-1])]
    (failed,) = got.failed
    assert failed.startswith("ITI-43 returns 70 kB byte for byte")
