"""Iterators over chunks: what was read already, and errors told in other words."""

from collections.abc import AsyncIterator

import pytest

from gateway.chunks import Explained, Resumed


async def chunks(*items: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for item in items:
        yield item
    if error is not None:
        raise error


@pytest.mark.parametrize(("first", "expected"), [(b"a", [b"a", b"b", b"c"]), (b"", [b"b", b"c"])])
async def test_what_was_read_already_comes_once_before_the_rest(first: bytes, expected: list[bytes]) -> None:
    resumed = Resumed(first, chunks(b"b", b"c"))
    assert [chunk async for chunk in resumed] == expected
    assert [chunk async for chunk in resumed] == []


async def test_errors_of_the_kinds_named_are_explained_and_others_are_not() -> None:
    async def explain(error: Exception) -> Exception:
        return ValueError(f"explained: {error}")

    explained = Explained(chunks(b"a", error=OSError("broken")), (OSError,), explain)
    assert await anext(explained) == b"a"
    with pytest.raises(ValueError, match="explained: broken") as raised:
        await anext(explained)
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(KeyError):
        await anext(Explained(chunks(error=KeyError("x")), (OSError,), explain))
    assert [chunk async for chunk in Explained(chunks(b"a"), (OSError,), explain)] == [b"a"]
