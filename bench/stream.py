"""ITI-68 of one large document next to a plain aiohttp proxy of the same body."""

import hashlib

from bench import report
from bench.download import fetch
from bench.processes import KEY, REPOSITORY, child, gateway
from gateway.security.document_urls import DocumentKey, DocumentTokens
from gateway.security.sealing import KeyRing


def document_token(repository: str, size: int, sha1: str) -> str:
    """The token of a document that the bench peer serves."""
    key = DocumentKey(
        document_unique_id="2.999.7.1",
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
        repository_unique_id=repository,
        mime_type="application/pdf",
        size=size,
        hash=sha1,
    )
    return DocumentTokens(KeyRing.parse([KEY])).write(key)


def _sha1(size: int) -> str:
    digest, chunk = hashlib.sha1(), bytes(range(256)) * 4096
    left = size
    while left > 0:
        digest.update(chunk[: min(left, len(chunk))])
        left -= len(chunk)
    return digest.hexdigest()


def run(size: int, rounds: int) -> None:
    """Fetch `size` bytes through each, in turns: a proxy, the gateway as it comes, and with SHA-1 checked."""
    path = f"content/{document_token(REPOSITORY, size, _sha1(size))}"
    with (
        child("-m", "bench.peer") as peer,
        child("-m", "bench.proxy", peer.url) as proxy,
        gateway(peer.url, size=size) as running,
        gateway(peer.url, size=size, GATEWAY_RETRIEVE__VERIFY_SHA1_UP_TO=str(size)) as verifying,
    ):
        ways = {
            "plain proxy": report.Way(f"{proxy.url}/plain/{size}", proxy),
            "gateway": report.Way(f"{running.url}/{path}", running, probed=True),
            "gateway, SHA-1 checked": report.Way(f"{verifying.url}/{path}", verifying, probed=True),
        }
        fetch(f"{proxy.url}/plain/1000", 1000)
        idle = {name: way.process.ask()["rss_kib"] for name, way in ways.items() if way.probed}
        for _ in range(rounds):
            for way in ways.values():
                way.fetch(size)
        for name, way in ways.items():
            if way.probed:
                way.measure(idle[name])
    report.compare(f"ITI-68 of {size / 1e6:,.0f} MB", ways)
