"""What clients of HTTP have in common: one session, a lane (retries, bounds, circuit) for each peer and
transaction, and what a connection that failed is called.

Redirects are not followed, no cookie and no proxy of the environment is used.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, Self

import aiohttp

from gateway.model.errors import PeerDisconnected, PeerError, PeerTimeout, PeerUnreachable
from gateway.soap.resilience import CallObserver, Lane, Peer, unobserved
from gateway.tls import Context, default_context

READ_BUFFER: Final = 256 * 1024
_NOT_CONNECTED: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientSSLError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class HttpPeers:
    """Base of such clients. One per process; an async context manager."""

    _keepalive: float = 15.0
    """Seconds for which a connection is kept without request."""

    def __init__(
        self,
        tls: Context = default_context,
        *,
        observe: CallObserver = unobserved,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`headers` gives what each request sends besides."""
        self._tls = tls
        self._observe = observe
        self._headers = headers
        self._opened: aiohttp.ClientSession | None = None
        self._lanes: dict[tuple[Peer, str], Lane] = {}

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keepalive),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BUFFER,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            raise RuntimeError("the client is used outside its context")
        return self._opened

    def lanes(self) -> Collection[Lane]:
        """One per peer and transaction that was called."""
        return self._lanes.values()

    def circuit_states(self) -> dict[str, str]:
        """State per `peer transaction` that was called: `closed`, `open` or `half-open`."""
        return {f"{peer.name} {name}": lane.state for (peer, name), lane in self._lanes.items()}

    def _lane(self, peer: Peer, transaction: str) -> Lane:
        key = (peer, transaction)
        if key not in self._lanes:
            self._lanes[key] = Lane(peer, transaction, self._observe)
        return self._lanes[key]

    async def _broken(self, peer: Peer, transaction: str, error: Exception) -> PeerError:
        failure = failure_of(peer, transaction, error)
        await self._lane(peer, transaction).failed(failure)
        return failure


def failure_of(peer: Peer, transaction: str, error: Exception) -> PeerError:
    """What a request that got no whole answer is called."""
    if isinstance(error, _NOT_CONNECTED):
        return PeerUnreachable(peer.name, transaction, "no connection")
    if isinstance(error, TimeoutError):
        return PeerTimeout(peer.name, transaction, "no answer in time")
    return PeerDisconnected(peer.name, transaction, "the connection broke")
