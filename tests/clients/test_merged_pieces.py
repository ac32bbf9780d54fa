"""Several generators read at once: all that they give, and nobody left behind."""

import asyncio

import pytest

from gateway.clients.pieces import merged


class Source:
    """A generator that says when it was closed."""

    def __init__(self, *items, failure=None, endless=False):
        self.items, self.failure, self.endless = items, failure, endless
        self.closed = False

    async def __call__(self):
        try:
            for item in self.items:
                await asyncio.sleep(0)
                yield item
            if self.failure is not None:
                raise self.failure
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_everything_comes_and_a_slow_source_holds_up_no_other():
    slow = Source("slow", endless=True)
    got = set()
    async for item in merged([slow(), Source(1, 2, 3)(), Source(4)()]):
        got.add(item)
        if len(got) == 5:
            break
    assert got == {"slow", 1, 2, 3, 4}


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_any_number_of_sources_can_be_read(count):
    got = [item async for item in merged([Source(n)() for n in range(count)])]
    assert sorted(got) == list(range(count))


async def test_the_first_failure_ends_all():
    other = Source(1, endless=True)
    with pytest.raises(ValueError, match="broken"):
        async for _ in merged([Source(failure=ValueError("broken"))(), other()]):
            pass
    assert other.closed


async def test_closing_early_closes_all():
    sources = [Source(1, endless=True), Source(2, endless=True)]
    reading = merged([source() for source in sources])
    await anext(reading)
    await reading.aclose()
    assert all(source.closed for source in sources)
