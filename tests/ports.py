"""Ports for servers that are processes of their own, or that are to be refused."""

import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

_FIRST: Final = 10_000
_EACH: Final = 2_000
_WORKERS: Final = 10


def _counted() -> Iterator[int]:
    """The ports of this process of the test run: below those that the system gives to connections and listeners that
    name none, so that nothing takes one between here and the start of the server."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = _FIRST + worker * _EACH
    start = os.getpid() % _EACH
    return itertools.cycle([*range(first + start, first + _EACH), *range(first, first + start)])


_ports: Final = _counted()


def free_port() -> int:
    """A port that nothing listens on, nor on the one 10000 above: that is where nodes of Redis Cluster talk."""
    for port in _ports:
        try:
            for each in (port, port + 10_000):
                socket.create_server(("127.0.0.1", each)).close()
        except OSError:
            continue
        return port
    raise AssertionError("unreachable: the ports go round")
