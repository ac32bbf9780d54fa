"""Bodies are bounded one by one and together, and give back what they held."""

import pytest

from gateway.fhir.issues import OutcomeError
from gateway.mhd.admission import Admission


async def chunks(*parts):
    for part in parts:
        yield part


async def test_the_body_is_the_chunks_joined():
    async with Admission(10, 10).read(chunks(b"ab", b"", b"cd"), None) as body:
        assert body == b"abcd"


async def test_an_announced_body_that_is_too_large_is_refused_before_it_is_read():
    async def must_not_be_read():
        raise AssertionError
        yield b""

    with pytest.raises(OutcomeError) as refused:
        async with Admission(10, 100).read(must_not_be_read(), 11):
            pass
    assert refused.value.status == 413


async def test_a_body_that_grows_too_large_is_refused():
    with pytest.raises(OutcomeError) as refused:
        async with Admission(3, 100_000).read(chunks(b"ab", b"cd"), None):
            pass
    assert refused.value.status == 413


async def test_more_than_can_be_held_together_is_told_to_come_back():
    admission = Admission(10, 15)
    async with admission.read(chunks(b"0123456789"), 10):
        with pytest.raises(OutcomeError) as refused:
            async with admission.read(chunks(b"0123456789"), 10):
                pass
        assert refused.value.status == 503
        assert refused.value.headers["Retry-After"]
    async with admission.read(chunks(b"0123456789"), 10) as body:
        assert len(body) == 10


async def test_a_failed_read_gives_back_what_it_held():
    admission = Admission(10, 10)

    async def broken():
        yield b"01"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with admission.read(broken(), 10):
            pass
    async with admission.read(chunks(b"0123456789"), 10) as body:
        assert len(body) == 10
