import pytest
import structlog
from structlog.testing import LogCapture

from gateway.correlation import embedded, store
from gateway.correlation.connection import RedisOptions, connect
from gateway.correlation.store import CorrelationStore
from gateway.security.sealing import KeyRing

from .servers import Server

RING = KeyRing([bytes(range(32))])


@pytest.fixture
def server(tmp_path):
    """A running server without persistence."""
    started = Server(tmp_path / "server").start()
    yield started
    started.kill()


@pytest.fixture
def open_store(server):
    """Makes stores on the server; `async with open_store() as store`."""

    def make(ring: KeyRing = RING, **options) -> CorrelationStore:
        # time-outs that a busy machine does not reach, where they are not what is tested
        fields = {"connect_timeout": 10.0, "operation_timeout": 10.0, **options}
        deadline = fields.pop("deadline", 20.0)
        return CorrelationStore(connect(RedisOptions(url=server.url, **fields)), ring, deadline=deadline)

    return make


@pytest.fixture
def logged(monkeypatch):
    """Events that the store and the embedded server log, in order."""
    capture = LogCapture()
    for module in (store, embedded):
        monkeypatch.setattr(module, "log", structlog.wrap_logger(None, processors=[capture]))
    return lambda: [(entry["log_level"], entry["event"]) for entry in capture.entries]
