"""Idempotency of publish (ITI-65): the same Bundle is carried out once and answered alike.

IHE MHD leaves repeats to the recipient. A record under the digest of the content is either a lease that
its holder renews, or the answer that was given. A holder that dies loses the lease when it runs out, and
the next request carries on. Requests of one process are also kept apart without Redis; where Redis is
away, other replicas are not, and the registry is what refuses the second copy.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from gateway.correlation.store import CorrelationStore

KIND: Final = "publish"
_LEASE, _ANSWER = b"L", b"A"
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.25
_RENEWALS_PER_LEASE = 3


@dataclass(frozen=True, slots=True)
class Fresh:
    """The caller carries the publish out; `token` proves that the lease is its own."""

    digest: str
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InProgress:
    """Another request carries it out."""

    digest: str


@dataclass(frozen=True, slots=True)
class Done:
    """It was carried out; this is the answer that was given."""

    response: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class _Held:
    """A lease within this process: `until` is a time of the event loop."""

    token: bytes
    until: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answer: bytes | None = None


class IdempotencyStore:
    """Leases and answers by digest of content. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, scope: str = "") -> None:
        """`scope` keeps answers apart whose URLs differ: the same content has one for each."""
        self._store = store
        self._kind = KIND + scope
        self._held: dict[str, _Held] = {}

    async def begin(self, digest: str, lock_seconds: float) -> Fresh | InProgress | Done:
        """Take the lease for `lock_seconds`, or say who has it or what was answered."""
        self._drop_expired()
        if digest in self._held:
            return InProgress(digest)
        held = self._held[digest] = _Held(
            _LEASE + secrets.token_bytes(16), asyncio.get_running_loop().time() + lock_seconds
        )
        begun: Fresh | InProgress | Done | None = None
        try:
            begun = await self._begin_shared(Fresh(digest, held.token), lock_seconds)
        finally:
            if not isinstance(begun, Fresh):
                self._end(digest, held, begun.response if isinstance(begun, Done) else None)
        return begun

    async def _begin_shared(self, claim: Fresh, lock_seconds: float) -> Fresh | InProgress | Done:
        # a record may run out between the two commands; one that cannot be read twice protects nothing
        for _ in range(2):
            taken = await self._store.set_nx(self._kind, claim.digest, claim.token, lock_seconds)
            if taken is None or taken:
                return claim
            record = await self._store.get(self._kind, claim.digest)
            if record == claim.token or not self._store.available:
                return claim
            if record is not None:
                return _read(record) or InProgress(claim.digest)
        return claim

    async def wait(self, digest: str, seconds: float) -> Done | None:
        """The answer of the request in progress; None when it gave none, was lost or took longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._wait(digest)
        return None

    async def _wait(self, digest: str) -> Done | None:
        pause = _FIRST_PAUSE
        while True:
            self._drop_expired()
            held = self._held.get(digest)
            if held is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(held.until):
                        await held.ended.wait()
                    if held.answer is not None:
                        return Done(held.answer)
                continue
            record = await self._store.get(self._kind, digest)
            if record is None:
                return None
            if done := _read(record):
                return done
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def finish(self, claim: Fresh, answer: bytes, seconds: float) -> None:
        """Record the answer for `seconds`, and give it to those who wait."""
        held = self._held.get(claim.digest)
        if held is not None and held.token == claim.token:
            self._end(claim.digest, held, answer)
        await self._store.replace(self._kind, claim.digest, claim.token, _ANSWER + answer, seconds)

    async def abandon(self, claim: Fresh) -> None:
        """Give the lease back, so that the next request carries the publish out."""
        held = self._held.get(claim.digest)
        if held is not None and held.token == claim.token:
            self._end(claim.digest, held, None)
        await self._store.delete(self._kind, claim.digest, claim.token)

    @asynccontextmanager
    async def renewing(self, claim: Fresh, lock_seconds: float) -> AsyncIterator[None]:
        """Keep the lease alive within this context."""
        task = asyncio.create_task(self._renew(claim, lock_seconds))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _renew(self, claim: Fresh, lock_seconds: float) -> None:
        while True:
            held = self._held.get(claim.digest)
            if held is not None and held.token == claim.token:
                held.until = asyncio.get_running_loop().time() + lock_seconds
            await self._store.replace(self._kind, claim.digest, claim.token, claim.token, lock_seconds)
            await asyncio.sleep(lock_seconds / _RENEWALS_PER_LEASE)

    def _end(self, digest: str, held: _Held, answer: bytes | None) -> None:
        if self._held.get(digest) is held:
            del self._held[digest]
        held.answer = answer
        held.ended.set()

    def _drop_expired(self) -> None:
        now = asyncio.get_running_loop().time()
        for digest, held in [item for item in self._held.items() if item[1].until <= now]:
            self._end(digest, held, None)


def _read(record: bytes) -> Done | None:
    return Done(record[1:]) if record[:1] == _ANSWER else None


__all__ = ["Done", "Fresh", "IdempotencyStore", "InProgress"]
