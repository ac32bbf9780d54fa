"""Where records are made and go: one trail for each gateway, with the name that it has in them."""

import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.audit.delivery import Delivery
from gateway.audit.queue import AuditQueue
from gateway.audit.record import AuditRecord, Outcome, Party

_chance: Final = random.Random(os.urandom(32))  # noqa: S311 - ids are unique, not secret
os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))


class AuditFull(Exception):
    """There is no room for the record of another request, and the settings refuse requests then."""


class Identity(Struct, frozen=True):
    """What the gateway is called in records, the enterprise that it belongs to, and its machine."""

    source_id: str
    site: str = ""
    host: str = ""
    process: str = ""

    @classmethod
    def of(cls, source_id: str, site: str = "") -> "Identity":
        """The identity of this process."""
        return cls(source_id, site, socket.gethostname() or "localhost", str(os.getpid()))

    @property
    def party(self) -> Party:
        """The own end of what the gateway asks for."""
        return self.at(self.source_id)

    def at(self, url: str) -> Party:
        """The own end of what the gateway answers at `url`."""
        return Party(url, self.host, self.process)


class Held:
    """Records of an answer that has begun."""

    def __init__(self, queue: AuditQueue, records: Sequence[AuditRecord]) -> None:
        self._queue, self._records = queue, tuple(records)

    def settle(self, failure: str | None = None) -> None:
        """The answer has got through, or not and why."""
        if failure is not None:
            self._records = tuple(
                replace(record, outcome=Outcome.SERIOUS, outcome_text=failure) for record in self._records
            )
        self._queue.settle(self._records)
        self._queue.flush()


class Trail:
    """Takes the records of a gateway."""

    def __init__(
        self,
        queue: AuditQueue,
        identity: Identity,
        *,
        refuse_when_full: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.queue = queue
        self.identity = identity
        self.clock = clock
        self.deliveries: list[Delivery] = []
        """What sends the records on."""
        self._refuse = refuse_when_full

    def named(self, source_id: str) -> None:
        """What the gateway is called, where that is only known when it listens."""
        self.identity = replace(self.identity, source_id=source_id)

    def check_room(self) -> None:
        """Raise AuditFull where a request must not be answered, since it could not be recorded."""
        if self._refuse and self.queue.full:
            raise AuditFull

    def add(self, records: Sequence[AuditRecord], *, durable: bool = True) -> None:
        """Take records; `durable` makes them outlive the process before this returns."""
        self.queue.add(records, soon=not durable)
        if durable:
            self.queue.flush()

    def tell(self, event: str) -> None:
        """What happens to the gateway itself: one of `transactions.EVENTS`."""
        own = self.identity.party
        self.add([event_record(event, self.clock(), own, own)])

    def hold(self, records: Sequence[AuditRecord]) -> Held:
        """Take records of an answer that has begun: durable, and sent when its end is known."""
        self.queue.hold(records)
        self.queue.flush()
        return Held(self.queue, records)


def event_record(
    event: str,
    recorded: float,
    client: Party,
    server: Party,
    *,
    url: str = "",
    reason: str = "",
    request_id: str = "",
    traceparent: str = "",
) -> AuditRecord:
    """The record of one of `transactions.EVENTS`; with a `reason` it is about something that went wrong."""
    return AuditRecord(
        id=record_id(recorded),
        recorded=recorded,
        transaction=event,
        side="server",
        client=client,
        server=server,
        outcome=Outcome.SERIOUS if reason else Outcome.SUCCESS,
        outcome_text=reason,
        resource=url,
        request_id=request_id,
        traceparent=traceparent,
    )


def record_id(recorded: float) -> str:
    """A UUID of version 7 (RFC 9562 5.7), which begins with the time, so that a record is found by its id."""
    chance = _chance.getrandbits(74)
    moment = f"{int(recorded * 1000):012x}"
    last = f"{0b10 << 62 | chance & (1 << 62) - 1:016x}"
    return f"{moment[:8]}-{moment[8:]}-7{chance >> 62:03x}-{last[:4]}-{last[4:]}"


def time_of_id(text: str) -> float | None:
    """The time in an id, to the millisecond; None for what is no such id."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return (value.int >> 80) / 1000 if value.version == 7 and str(value) == text else None
