"""WADO-RS of a large study over RAD-69 next to a plain aiohttp proxy of as many bytes."""

import json
import socket
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench import report, study
from bench.processes import KEY, REPOSITORY, child, gateway
from gateway.security.sealing import KeyRing
from gateway.security.study_urls import StudyKey, StudyTokens

SERIES, INSTANCES = 8, 500


@dataclass
class _Rates:
    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    added: str = ""
    blocked: str = ""


def fetch(url: str, least: int) -> tuple[float, float]:
    """GET with a blocking socket that throws the body away: MB/s and milliseconds to the first byte of it."""
    parts = urlsplit(url)
    buffer = bytearray(1 << 20)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        started = time.perf_counter()
        head = f"GET {parts.path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65_536)
        header, _, rest = answer.partition(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 200"), header
        received, first = len(rest), time.perf_counter() if rest else None
        while count := connection.recv_into(buffer):
            first = first or time.perf_counter()
            received += count
    elapsed = time.perf_counter() - started
    # chunks and heads of parts come on top
    assert received >= least, (received, least)
    assert first is not None
    return received / elapsed / 1e6, (first - started) * 1000


def run(size: int, rounds: int) -> None:
    """Fetch a study of `size` bytes in 4,000 instances through proxy and gateway, in turns."""
    each = size // (SERIES * INSTANCES)
    key = StudyKey(
        study_instance_uid=study.STUDY,
        repository_unique_id=REPOSITORY,
        document_unique_id=study.DOCUMENT,
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
        mime_type="application/dicom",
    )
    token = StudyTokens(KeyRing.parse([KEY])).write(key)
    with child("-m", "bench.peer") as peer, child("-m", "bench.proxy", peer.url) as proxy:
        repository = {"unique_id": REPOSITORY, "url": f"{peer.url}/manifests/{SERIES}/{INSTANCES}"}
        location = {"uid": study.LOCATION, "url": f"{peer.url}/imaging/{each}"}
        more = {
            "GATEWAY_REPOSITORIES": json.dumps([repository]),
            "GATEWAY_IMAGING__LOCATIONS": json.dumps([location]),
        }
        with gateway(peer.url, **more) as running:
            base = f"{running.url}/wado/{token}/studies/{study.STUDY}"
            one = f"{base}/series/{study.STUDY}.1/instances/{study.STUDY}.1.1"
            ways = {"plain proxy": (f"{proxy.url}/plain/{size}", size), "gateway": (base, size)}
            fetch(f"{proxy.url}/plain/1000", 1000)
            fetch(one, each)
            running.ask()
            idle = running.ask()["rss_kib"]
            figures = {name: _Rates() for name in ways}
            for _ in range(rounds):
                for name, (url, least) in ways.items():
                    rate, first = fetch(url, least)
                    figures[name].rates.append(rate)
                    figures[name].firsts.append(first)
            after = running.ask()
            figures["gateway"].added = f"{(after['peak_kib'] - idle) / 1024:.1f}"
            figures["gateway"].blocked = f"{after['blocked_ms']:.1f}"
    plain = statistics.median(figures["plain proxy"].rates)
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
        for name, way in figures.items()
    ]
    report.show(
        f"WADO-RS over RAD-69 of {size / 1e6:,.0f} MB in {SERIES * INSTANCES:,} instances",
        ("through", "MB/s best", "MB/s median", "first byte ms", "added MiB", "blocked ms", "of proxy"),
        rows,
    )
