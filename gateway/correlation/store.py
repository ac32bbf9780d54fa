"""The correlation store: what is expensive to find again, kept in Redis for a while.

Losing Redis costs time, never data or access. Every call here answers as if the value were not there when
the server is away, and no call raises. The first failure marks the store as away: from then on calls
return at once, and one background task asks until the server takes writes again.

Nothing that identifies a person is readable in Redis: names of keys are HMACs, values are sealed for the
key that they lie under. Every call touches keys of one hash slot, so Cluster serves it too.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import structlog
from redis.exceptions import NoScriptError

from gateway.correlation.connection import MAX_CONNECTIONS, RedisClient, close
from gateway.security.sealing import KeyRing, NotOurs, Sealer
from gateway.spans import span

T = TypeVar("T")

LOST: Final = (
    "page links: the search is made again for each page",
    "idempotent publish across replicas: repeats are recognised by this process and by the registry",
    "look-ups: the registry is asked each time",
)
"""What is missing while Redis is away, for operators."""

_FIRST_PROBE, _LAST_PROBE = 0.05, 2.0
_BATCH_BYTES = 4 * 1024 * 1024
_SEAL_IN_THREAD = 256 * 1024

_SET_PARTS = """
for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end
return #KEYS
"""
_REPLACE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_DELETE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_DIGESTS = {
    # names the script to the server, protects nothing
    script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (_SET_PARTS, _REPLACE, _DELETE)
}

log = structlog.get_logger()


ReadObserver = Callable[[str, str], None]
"""Told of each value that is asked for: its kind, and `hit`, `miss` or `away`."""


def unobserved(kind: str, result: str) -> None:
    """Nobody counts the reads."""


class _Away(Enum):
    AWAY = "away"


AWAY: Final = _Away.AWAY


class CorrelationStore:
    """Values under a kind and a key, each with a lifetime in seconds. An async context manager.

    `deadline` bounds one call in seconds. Replicas share state when they share `ring` and `prefix`.
    """

    def __init__(
        self,
        client: RedisClient,
        ring: KeyRing,
        *,
        prefix: str = "gw:",
        deadline: float = 3.0,
        observe: ReadObserver = unobserved,
    ) -> None:
        # the classes of client share commands, not a base that type checkers know them by
        self._client: Any = client
        self._prefix = prefix
        self._deadline = deadline
        self._observe = observe
        self._sealer = Sealer(ring, "stored value")
        self._name_key = ring.derive("stored name")[0]
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._available = True
        self._epoch = 0
        self._away_since = 0.0
        self._away_error = ""
        self._probe_name = f"{prefix}probe"
        self._probing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._call(self._probe_name, self._touch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing
        with suppress(Exception):
            await close(self._client)

    @property
    def available(self) -> bool:
        """False while Redis is away."""
        return self._available

    def status(self) -> dict[str, object]:
        """For a readiness report: whether Redis is there, else why not, for how long and what is lost."""
        if self._available:
            return {"available": True}
        return {
            "available": False,
            "error": self._away_error,
            "seconds": round(time.monotonic() - self._away_since, 1),
            "lost": list(LOST),
        }

    async def ask(self) -> bool:
        """Whether Redis takes writes now."""
        await self._call(self._probe_name, self._touch)
        return self._available

    async def get(self, kind: str, key: str) -> bytes | None:
        """The value, or None."""
        name = self._name(kind, key)
        with span("correlation read", attributes={"gateway.kind": kind}) as step:
            sealed = await self._call(name, lambda: self._client.get(name))
            value = self._open(name, sealed)
            result = "away" if sealed is AWAY else "miss" if value is None else "hit"
            step.set("gateway.result", result)
        self._observe(kind, result)
        return value

    async def set(self, kind: str, key: str, value: bytes, lifetime: float) -> bool:
        """Store a value in place of any other; False where Redis is away."""
        name = self._name(kind, key)
        sealed = self._sealer.seal_bytes(value, name.encode())
        done = await self._call(name, lambda: self._client.set(name, sealed, px=_milliseconds(lifetime)))
        return done is not AWAY

    async def set_nx(self, kind: str, key: str, value: bytes, lifetime: float) -> bool | None:
        """Store a value where there is none: True when it was stored, None where Redis is away.

        A repeat inside the client after a lost answer finds its own value and says False: compare it.
        """
        name = self._name(kind, key)
        sealed = self._sealer.seal_bytes(value, name.encode())
        done = await self._call(
            name, lambda: self._client.set(name, sealed, px=_milliseconds(lifetime), nx=True)
        )
        return None if done is AWAY else bool(done)

    async def replace(self, kind: str, key: str, old: bytes, new: bytes, lifetime: float) -> bool | None:
        """Store `new` where there is `old` or nothing, in one step; None where Redis is away."""
        name = self._name(kind, key)
        context = name.encode()
        arguments = (
            self._sealer.seal_bytes(old, context),
            self._sealer.seal_bytes(new, context),
            _milliseconds(lifetime),
        )
        done = await self._call(name, lambda: self._run(_REPLACE, [name], arguments))
        return None if done is AWAY else bool(done)

    async def delete(self, kind: str, key: str, value: bytes) -> bool | None:
        """Delete the key where it holds `value`, in one step; None where Redis is away."""
        name = self._name(kind, key)
        sealed = self._sealer.seal_bytes(value, name.encode())
        done = await self._call(name, lambda: self._run(_DELETE, [name], (sealed,)))
        return None if done is AWAY else bool(done)

    async def set_parts(self, kind: str, key: str, parts: Sequence[bytes], lifetime: float) -> bool:
        """Store numbered parts of one value, many to a round trip; False where one was not stored."""
        names = self._part_names(kind, key, range(len(parts)))
        start = 0
        while start < len(parts):
            end, size = start, 0
            while end < len(parts) and (end == start or size + len(parts[end]) <= _BATCH_BYTES):
                size += len(parts[end])
                end += 1
            if await self._set_batch(names[start:end], parts[start:end], lifetime) is AWAY:
                return False
            start = end
        return True

    async def _set_batch(self, names: Sequence[str], parts: Sequence[bytes], lifetime: float) -> Any:
        if sum(map(len, parts)) > _SEAL_IN_THREAD:
            sealed = await asyncio.to_thread(self._seal_all, names, parts)
        else:
            sealed = self._seal_all(names, parts)
        return await self._call(
            names[0], lambda: self._run(_SET_PARTS, names, (_milliseconds(lifetime), *sealed))
        )

    def _seal_all(self, names: Sequence[str], parts: Sequence[bytes]) -> list[bytes]:
        return [self._sealer.seal_bytes(part, name.encode()) for name, part in zip(names, parts, strict=True)]

    async def get_parts(self, kind: str, key: str, numbers: Sequence[int]) -> list[bytes] | None:
        """The parts with these numbers in one round trip; None unless all are there."""
        names = self._part_names(kind, key, numbers)
        values = await self._call(names[0], lambda: self._client.mget(names))
        if values is AWAY:
            self._observe(kind, "away")
            return None
        opened = [self._open(name, value) for name, value in zip(names, values, strict=True)]
        parts = [part for part in opened if part is not None]
        whole = len(parts) == len(opened)
        self._observe(kind, "hit" if whole else "miss")
        return parts if whole else None

    def _name(self, kind: str, key: str) -> str:
        digest = hmac.digest(self._name_key, f"{kind}\0{key}".encode(), "sha256")[:18]
        return f"{self._prefix}{kind}:{base64.urlsafe_b64encode(digest).decode()}"

    def _part_names(self, kind: str, key: str, numbers: Sequence[int]) -> list[str]:
        # braces keep the parts in one slot of a Cluster
        prefix, _, digest = self._name(kind, key).rpartition(":")
        return [f"{prefix}:{{{digest}}}:{number}" for number in numbers]

    def _open(self, name: str, sealed: bytes | Literal[_Away.AWAY] | None) -> bytes | None:
        if sealed is None or sealed is AWAY:
            return None
        try:
            return self._sealer.open_bytes(sealed, name.encode())
        except NotOurs:
            return None

    async def _run(self, script: str, names: Sequence[str], arguments: Sequence[bytes | int]) -> Any:
        try:
            return await self._client.evalsha(_DIGESTS[script], len(names), *names, *arguments)
        except NoScriptError:
            return await self._client.eval(script, len(names), *names, *arguments)

    async def _touch(self) -> Any:
        # a write, since a server that is full or a replica answers reads
        return await self._client.set(self._probe_name, b"1", px=10_000)

    async def _call(self, name: str, operation: Callable[[], Awaitable[T]]) -> T | Literal[_Away.AWAY]:
        if not self._available:
            return AWAY
        epoch = self._epoch
        task = asyncio.current_task()
        cancelled = task.cancelling() if task else 0
        try:
            with span("redis", "client", {"db.system.name": "redis"}):
                async with asyncio.timeout(self._deadline), self._slots:
                    # others may have found the server away while this call waited for its turn
                    result = await operation() if self._available else AWAY
                    # the client sends by asyncio.wait_for, which before Python 3.12 can swallow a
                    # cancellation
                    if task and task.cancelling() > cancelled:
                        raise asyncio.CancelledError
                    return result
        # transport, protocol and cluster layers fail with types of no common base
        except Exception as error:
            if epoch == self._epoch:
                self._lose(name, error)
            return AWAY

    def _lose(self, name: str, error: Exception) -> None:
        self._available = False
        self._epoch += 1
        self._away_since = time.monotonic()
        self._away_error = type(error).__name__
        # in a Cluster the slot that failed is the one to ask
        tag = name[name.find("{") + 1 : name.find("}")] if "{" in name else name
        self._probe_name = f"{self._prefix}probe:{{{tag}}}"
        log.warning("correlation.unavailable", error=self._away_error, lost=list(LOST))
        self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        pause = _FIRST_PROBE
        while not self._available:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PROBE)
            with suppress(Exception):
                async with asyncio.timeout(self._deadline):
                    await self._touch()
                self._available = True
        seconds = round(time.monotonic() - self._away_since, 1)
        log.warning("correlation.available", seconds_away=seconds)


def _milliseconds(lifetime: float) -> int:
    return max(1, round(lifetime * 1000))


__all__ = ["LOST", "CorrelationStore", "ReadObserver"]
