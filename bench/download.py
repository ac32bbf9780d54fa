"""A client that is no bottleneck: a blocking socket that throws the body away."""

import socket
import time
from urllib.parse import urlsplit


def fetch(url: str, least: int) -> tuple[float, float]:
    """GET a body of at least `least` bytes: MB/s and milliseconds to the first byte of it."""
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
    # chunks and heads of parts come on top of what was asked for
    assert received >= least, (received, least)
    assert first is not None
    return received / elapsed / 1e6, (first - started) * 1000
