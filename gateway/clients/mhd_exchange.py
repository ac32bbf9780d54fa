"""What is told of each exchange with an MHD server, for whoever keeps a record of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from gateway.model import Cx, DocumentRequest, RegistryFailure
from gateway.model.errors import PeerError


class MhdExchange(Struct, kw_only=True):
    """One search, retrieve or submission at the server with the base `url`.

    `failure` is why it failed, without patient data; None where it did not. `query` is what was searched for,
    as it was sent. `submission_set` is the uniqueId of what was submitted.
    """

    transaction: str
    url: str
    failure: str | None = None
    query: bytes = b""
    patient: Cx | None = None
    document: DocumentRequest | None = None
    submission_set: str = ""


RecordMhd = Callable[[MhdExchange], None]


def unrecorded(exchange: MhdExchange) -> None:
    """Nobody keeps a record."""


@contextmanager
def recorded(record: RecordMhd, exchange: MhdExchange) -> Iterator[None]:
    """Tell `record` of the exchange that happens inside, when it has ended, however it ends."""
    exchange.failure = "it was given up"
    try:
        yield
        exchange.failure = None
    except (PeerError, RegistryFailure) as error:
        exchange.failure = str(error)
        raise
    finally:
        record(exchange)
