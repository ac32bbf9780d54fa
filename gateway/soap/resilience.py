"""What stands between a call and its peer: bound on requests in flight, time, retries, circuit breaker.

One `Lane` per peer and transaction, so that a slow transaction does not take the places of a fast one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import stamina
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from gateway.model.errors import (
    PeerBusy,
    PeerCircuitOpen,
    PeerDisconnected,
    PeerError,
    PeerFault,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
    PeerUnsupported,
)
from gateway.tls import ClientTls

T = TypeVar("T")

CallObserver = Callable[[str, str, str, float], None]
"""Told of each call: peer, transaction, outcome and seconds. Outcomes are `ok` (the peer answered), one of
`busy`, `circuit-open`, `disconnected`, `fault`, `protocol`, `timeout`, `unreachable` and `unsupported`,
`cancelled`, `failed`, and `broken` of an answer that broke after it had begun, besides its `ok`."""

_STATES: Final = {"closed": "closed", "opened": "open", "half-opened": "half-open"}
_OUTCOMES: Final[dict[type[PeerError], str]] = {
    PeerBusy: "busy",
    PeerCircuitOpen: "circuit-open",
    PeerDisconnected: "disconnected",
    PeerFault: "fault",
    PeerForbids: "protocol",
    PeerProtocolError: "protocol",
    PeerTimeout: "timeout",
    PeerUnreachable: "unreachable",
    PeerUnsupported: "unsupported",
}
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A SOAP endpoint and how to treat it. Times in seconds.

    `connect_timeout` bounds connecting, `read_timeout` each wait for bytes of an answer, `total_timeout` a
    call with its repeats (of a streamed answer: as far as its envelope), and the wait for a place before it.
    `max_in_flight` and `max_waiting` hold per transaction. `max_answer_bytes` bounds the envelope of an
    answer, and all of an answer that is not streamed. The circuit opens after `circuit_threshold` failures
    in a row and lets one request try again after `circuit_reset`. `via` are homeCommunityIds that every
    request to the peer says it came through, in front of which stand those of the request being answered.
    An `external` peer is not told of which trace a request is.
    `assertion` is what says who asks (see `gateway.soap.client.SecurityHeader`), for the `audience`;
    `tls` is for https, by default what the client has for all.
    """

    name: str
    url: str
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    total_timeout: float = 120.0
    max_in_flight: int = 32
    max_waiting: int = 256
    max_answer_bytes: int = 64 * 1024 * 1024
    max_attempts: int = 3
    circuit_threshold: int = 8
    circuit_reset: float = 10.0
    via: tuple[str, ...] = ()
    external: bool = False
    assertion: Literal["none", "issue", "pass_on"] = "none"
    treatment: bool = False
    audience: str | None = None
    tls: ClientTls | None = None


class AttemptFailed(Exception):
    """One attempt failed with `error`.

    `repeatable`: another attempt may succeed and this one delivered nothing. `counts`: the failure is one
    of the peer's transport and speaks against the peer.
    """

    def __init__(self, error: PeerError, *, repeatable: bool = False, counts: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.repeatable = repeatable
        self.counts = counts


def unobserved(peer: str, transaction: str, outcome: str, seconds: float) -> None:
    """Nobody counts the calls."""


@dataclass(slots=True)
class Traffic:
    """Bytes of the bodies that went to a peer and came from it, as far as they did."""

    sent: int = 0
    received: int = 0


class Lane:
    """Requests of one transaction to one peer."""

    def __init__(self, peer: Peer, transaction: str, observe: CallObserver = unobserved) -> None:
        self.peer = peer
        self.transaction = transaction
        self.in_flight = 0
        """Places that are held."""
        self.traffic = Traffic()
        self._observe = observe
        self._places = asyncio.Semaphore(peer.max_in_flight)
        self._waiting = 0
        self._circuits = AsyncCircuitBreakerFactory()
        self._breaker: AsyncCircuitBreaker | None = None
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return _STATES[self._breaker.context.state] if self._breaker else "closed"

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return self._waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places in flight. Raises PeerBusy where too many wait, or none becomes free."""
        if self._places.locked():
            if self._waiting >= self.peer.max_waiting:
                raise self._busy(f"{self._waiting} requests are already waiting for a free place")
            self._waiting += 1
            try:
                async with asyncio.timeout(self.peer.total_timeout):
                    await self._places.acquire()
            except TimeoutError:
                raise self._busy(f"no free place within {self.peer.total_timeout:g} s") from None
            finally:
                self._waiting -= 1
        else:
            await self._places.acquire()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self._places.release()

    async def run(self, attempt: Callable[[], Awaitable[T]], attempts: int) -> T:
        """Run attempts until one succeeds. Raises the PeerError of the last one.

        Attempts signal failure by AttemptFailed; other exceptions pass through and count as no failure.
        """
        # time spent waiting for a place is not the peer's, so the clock starts here
        started = asyncio.get_running_loop().time()
        outcome = "cancelled"
        try:
            result = await self._repeated(attempt, attempts, started + self.peer.total_timeout)
            outcome = "ok"
            return result
        except PeerError as error:
            outcome = _OUTCOMES.get(type(error), "failed")
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            seconds = asyncio.get_running_loop().time() - started
            self._observe(self.peer.name, self.transaction, outcome, seconds)

    async def _repeated(self, attempt: Callable[[], Awaitable[T]], attempts: int, deadline: float) -> T:
        try:
            async for one in stamina.retry_context(
                on=_is_repeatable,
                attempts=attempts,
                timeout=self.peer.total_timeout,
                wait_initial=_FIRST_PAUSE,
                wait_max=_LONGEST_PAUSE,
                wait_jitter=_FIRST_PAUSE,
            ):
                with one:
                    return await self._guarded(attempt, deadline)
        except AttemptFailed as failure:
            raise failure.error from failure.__cause__
        raise AssertionError("an attempt neither returned nor failed")

    async def failed(self, error: PeerError) -> None:
        """Count a failure that came after an attempt had succeeded: a stream that broke."""
        self._observe(self.peer.name, self.transaction, "broken", 0.0)
        await (await self._circuit()).__aexit__(type(error), error, None)

    async def _guarded(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """One attempt within the time that is left, its outcome told to the circuit breaker."""
        breaker = await self._circuit()
        probe = await self._admit(breaker)
        try:
            async with asyncio.timeout_at(deadline):
                result = await attempt()
        except AttemptFailed as failure:
            error = failure.error if failure.counts else None
            await breaker.__aexit__(type(error) if error else None, error, None)
            raise
        except TimeoutError:
            late = PeerTimeout(
                self.peer.name, self.transaction, f"no whole answer within {self.peer.total_timeout:g} s"
            )
            await breaker.__aexit__(PeerTimeout, late, None)
            raise AttemptFailed(late) from None
        finally:
            # a cancelled probe has shown nothing, so the next request may be one
            if probe:
                self._probing = False
        await breaker.__aexit__(None, None, None)
        return result

    async def _circuit(self) -> AsyncCircuitBreaker:
        if self._breaker is None:
            self._breaker = await self._circuits.get_breaker(
                f"{self.peer.name} {self.transaction}",
                threshold=self.peer.circuit_threshold,
                ttl=self.peer.circuit_reset,
            )
        return self._breaker

    async def _admit(self, breaker: AsyncCircuitBreaker) -> bool:
        """True where this request tries an open circuit again. Raises AttemptFailed where it stays open."""
        refusal = PeerCircuitOpen(self.peer.name, self.transaction, "it failed repeatedly and is left alone")
        if self._probing:
            raise AttemptFailed(refusal)
        try:
            await breaker.__aenter__()
        except OpenedState:
            raise AttemptFailed(refusal) from None
        self._probing = breaker.context.state == "half-opened"
        return self._probing

    def _busy(self, detail: str) -> PeerBusy:
        self._observe(self.peer.name, self.transaction, "busy", 0.0)
        return PeerBusy(self.peer.name, self.transaction, detail)


def _is_repeatable(error: Exception) -> bool:
    return isinstance(error, AttemptFailed) and error.repeatable
