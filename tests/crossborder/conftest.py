import pytest

from tests.crossborder.written import watching
from tests.ebxml.conftest import ORACLE, assert_valid

__all__ = ["assert_valid"]


@pytest.fixture(autouse=True)
def only_valid_messages(request, monkeypatch):
    """Every message that a test here causes has to be valid, unless it says `sends_invalid`."""
    if not (ORACLE / "all.xsd").exists():
        yield
        return
    with watching(monkeypatch) as written:
        yield
    if not request.node.get_closest_marker("sends_invalid"):
        assert written.invalid == []
