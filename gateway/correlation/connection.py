"""Connections to a Redis-protocol server: one address, a Sentinel group or a Cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import ConstantBackoff, NoBackoff

from gateway.tls import MINIMUM_VERSIONS, ClientTls

RedisClient = Redis | RedisCluster

MAX_CONNECTIONS: Final = 64
_HEALTH_CHECK_SECONDS = 30
_RETRIES = 1
"""One repeat heals a pooled connection that a restart of the server had broken; every command that the
gateway sends may be repeated."""

_SENTINEL_PORT, _CLUSTER_PORT = 26379, 6379


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """Where the server is; exactly one of `url`, `sentinels`, `cluster` and `unix_socket` is set.

    `url` is `redis://`, `rediss://` (TLS) or `unix://`; what it says wins over the other fields.
    `sentinels` and `cluster` are `host:port`, or URLs where TLS is wanted. `username` and `password` are
    those of the data servers; sentinels have their own. Times in seconds.
    """

    url: str | None = field(default=None, repr=False)
    sentinels: tuple[str, ...] = ()
    master_name: str = "mymaster"
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    cluster: tuple[str, ...] = ()
    unix_socket: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    connect_timeout: float = 0.5
    operation_timeout: float = 1.0
    tls: ClientTls = field(default_factory=ClientTls)
    """Of rediss addresses; each connection reads the files."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.url, self.sentinels, self.cluster, self.unix_socket))) != 1:
            raise ValueError("Redis: set exactly one of url, sentinels, cluster and unix socket")

    @property
    def deadline(self) -> float:
        """Seconds after which an operation is given up, its repeat included."""
        return (1 + _RETRIES) * (self.connect_timeout + self.operation_timeout)


def connect(options: RedisOptions) -> RedisClient:
    """A client that connects when it is first used. Raises ValueError for an address that is none."""
    common: dict[str, Any] = {
        "username": options.username,
        "password": options.password,
        "socket_connect_timeout": options.connect_timeout,
        "socket_timeout": options.operation_timeout,
        "health_check_interval": _HEALTH_CHECK_SECONDS,
        "max_connections": MAX_CONNECTIONS,
        "protocol": 2,
    }
    if options.cluster:
        nodes, tls = _addresses(options.cluster, _CLUSTER_PORT)
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            **_tls(options, tls),
            retry=_retry(),
            # a slot without a server costs its own keys only
            require_full_coverage=False,
            **common,
        )
    common["retry"] = _retry()
    if options.sentinels:
        return _by_sentinel(options, common)
    if options.unix_socket is not None:
        return Redis(unix_socket_path=str(options.unix_socket), **common)
    url = options.url or ""
    # what the URL says itself comes after
    own = _tls(options, url.startswith("rediss:"))
    own.pop("ssl", None)
    return Redis.from_url(url, **common, **own)


async def close(client: RedisClient) -> None:
    """Close every connection of a client, those to sentinels included."""
    await client.aclose()
    pool = None if isinstance(client, RedisCluster) else client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _by_sentinel(options: RedisOptions, common: dict[str, Any]) -> RedisClient:
    nodes, tls = _addresses(options.sentinels, _SENTINEL_PORT)
    make: Any = Sentinel  # its constructor has no types
    sentinel = make(
        nodes,
        sentinel_kwargs={
            "username": options.sentinel_username,
            "password": options.sentinel_password,
            "socket_connect_timeout": options.connect_timeout,
            "socket_timeout": options.operation_timeout,
            "protocol": 2,
            **_tls(options, tls),
            # the next sentinel is the repeat
            "retry": Retry(NoBackoff(), 0),
        },
        **_tls(options, tls),
        **common,
    )
    client: Redis = sentinel.master_for(options.master_name)
    return client


def _tls(options: RedisOptions, wanted: bool) -> dict[str, Any]:
    if not wanted:
        return {}
    tls = options.tls
    found: dict[str, Any] = {
        "ssl": True,
        "ssl_min_version": MINIMUM_VERSIONS[tls.minimum],
        "ssl_ca_certs": tls.authorities and str(tls.authorities),
        "ssl_ciphers": tls.ciphers,
    }
    if tls.identity is not None:
        password = tls.identity.password
        found |= {
            "ssl_certfile": str(tls.identity.certificate),
            "ssl_keyfile": str(tls.identity.key),
            "ssl_password": password and password.read_text("utf-8").strip(),
        }
    return {name: value for name, value in found.items() if value is not None}


def _retry() -> Retry:
    return Retry(ConstantBackoff(0.02), _RETRIES)


def _addresses(texts: Sequence[str], default_port: int) -> tuple[list[tuple[str, int]], bool]:
    """Hosts with ports, and whether TLS is wanted."""
    found, schemes = [], set()
    for text in texts:
        parts = urlsplit(text if "//" in text else f"redis://{text}")
        if not parts.hostname or parts.scheme not in {"redis", "rediss"}:
            raise ValueError(f"Redis: {text} is not host:port")
        found.append((parts.hostname, parts.port or default_port))
        schemes.add(parts.scheme)
    if len(schemes) > 1:
        raise ValueError("Redis: redis:// and rediss:// addresses are mixed")
    return found, schemes == {"rediss"}


__all__ = ["MAX_CONNECTIONS", "RedisClient", "RedisOptions", "close", "connect"]
