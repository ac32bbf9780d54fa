from tests.ebxml.conftest import assert_valid

__all__ = ["assert_valid"]
