"""The digest beside the stream is that of the whole, whatever the chunks."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.mhd.stream_digest import StreamDigest

SIZES = st.lists(st.sampled_from([0, 1, 100, 65_536, 262_144, 1_048_576, 1_048_577]), max_size=8)


@given(SIZES)
async def test_it_is_the_sha1_of_all_chunks_in_order(sizes):
    chunks = [bytes([number]) * size for number, size in enumerate(sizes, 1)]
    digest = StreamDigest()
    for chunk in chunks:
        await digest.update(chunk)
    assert await digest.hexdigest() == hashlib.sha1(b"".join(chunks)).hexdigest()


async def test_a_batch_that_is_hashed_does_not_see_what_comes_later():
    digest = StreamDigest()
    await digest.update(b"a" * 2_000_000)
    await digest.update(b"b")
    assert await digest.hexdigest() == hashlib.sha1(b"a" * 2_000_000 + b"b").hexdigest()
