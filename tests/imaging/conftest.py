"""A real server behind the stores."""

from tests.correlation.conftest import open_store, server

__all__ = ["open_store", "server"]
