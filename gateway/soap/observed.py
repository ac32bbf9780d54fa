"""What is told of each exchange, of the client and of the server alike, to whoever keeps a record of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml.etree import _Element

Settle = Callable[[str | None], None]
"""Called when an answer that flows has ended; with the reason where it did not get through."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One exchange. `transaction` is empty where a request names none of those that the service has.

    `url` is the endpoint; `peer` the other side: its name in the settings where the gateway asked, its
    network address where it answered. `request` and `reply` are body elements, `reply` None where there is
    none, and `failure` says why. `headers` are the HTTP headers of the request that name it; `header` is
    the SOAP header of a request that was answered. `flows` says that the answer has only begun.
    """

    transaction: str
    served: bool
    url: str
    peer: str
    request: _Element | None
    reply: _Element | None
    failure: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    header: _Element | None = None
    reply_to: str | None = None
    flows: bool = False


Record = Callable[[Exchanged], Settle]
"""Called once for each exchange; an exchange that flows is settled by what this returns."""


def settled(_: str | None) -> None:
    """Nothing is left to say."""


def unrecorded(_: Exchanged) -> Settle:
    """Nobody keeps a record."""
    return settled
