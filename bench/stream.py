"""ITI-68 of one large document next to a plain aiohttp proxy of the same body."""

import hashlib
import socket
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench import report
from bench.processes import KEY, REPOSITORY, Child, child, gateway
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


def fetch(url: str, size: int) -> tuple[float, float]:
    """GET with a blocking socket that throws the body away: MB/s and milliseconds to the first byte of it."""
    parts = urlsplit(url)
    buffer = bytearray(1 << 20)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        started = time.perf_counter()
        connection.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        header, _, rest = head.partition(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 200"), header
        received, first = len(rest), time.perf_counter() if rest else None
        while count := connection.recv_into(buffer):
            first = first or time.perf_counter()
            received += count
    elapsed = time.perf_counter() - started
    assert received == size, (received, size)
    assert first is not None
    return received / elapsed / 1e6, (first - started) * 1000


@dataclass
class _Way:
    """One way to the same bytes."""

    url: str
    probe: Child | None = None
    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    added: str = ""
    blocked: str = ""


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
            "plain proxy": _Way(f"{proxy.url}/plain/{size}"),
            "gateway": _Way(f"{running.url}/{path}", running),
            "gateway, SHA-1 checked": _Way(f"{verifying.url}/{path}", verifying),
        }
        fetch(f"{proxy.url}/plain/1000", 1000)
        idle = {name: way.probe.ask()["rss_kib"] for name, way in ways.items() if way.probe}
        for _ in range(rounds):
            for way in ways.values():
                rate, first = fetch(way.url, size)
                way.rates.append(rate)
                way.firsts.append(first)
        for name, way in ways.items():
            if way.probe:
                after = way.probe.ask()
                way.added = f"{(after['peak_kib'] - idle[name]) / 1024:.1f}"
                way.blocked = f"{after['blocked_ms']:.1f}"
    plain = statistics.median(ways["plain proxy"].rates)
    rows = [
        (
            name,
            max(way.rates),
            statistics.median(way.rates),
            min(way.firsts),
            way.added,
            way.blocked,
            f"{statistics.median(way.rates) / plain * 100:.0f} %",
        )
        for name, way in ways.items()
    ]
    report.show(
        f"ITI-68 of {size / 1e6:,.0f} MB",
        ("through", "MB/s best", "MB/s median", "first byte ms", "added MiB", "blocked ms", "of proxy"),
        rows,
    )
