"""The multipart scanner: bytes of parts come out as they went in, however the body is cut into chunks."""

import base64
import itertools
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser

from gateway.multipart import MultipartError, MultipartLimits, MultipartReader, positions
from tests.soap.wire import part, related

BOUNDARY = "bound=_1:x"


async def source(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read_all(
    chunks: Iterable[bytes], boundary: str = BOUNDARY, **limits: int
) -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(source(chunks), boundary, MultipartLimits(**limits))
    found = []
    while (one := await reader.next_part()) is not None:
        found.append((dict(one.headers), b"".join([chunk async for chunk in one])))
    await reader.finish()
    return found


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def oracle(body: bytes) -> list[bytes]:
    parts: list[bytearray] = []
    parser = MultipartParser(
        BOUNDARY.encode(),
        {
            "on_part_begin": lambda: parts.append(bytearray()),
            "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
        },
    )
    parser.write(body)
    parser.finalize()
    return [bytes(one) for one in parts]


PIECES = [
    b"\r\n--" + BOUNDARY.encode()[:-1], b"\r\n--", b"\r\n-", b"\r\n", b"\r", b"\n", b"--" + BOUNDARY.encode(),
    b"\r\r\n", b"\n--" + BOUNDARY.encode(), b"\0", b"x", b"\r\n--" + BOUNDARY.encode()[:4] + b"\r",
]  # fmt: skip


def is_framed_safely(content: bytes) -> bool:
    """No delimiter inside, and none at the start, where the empty line before would complete it."""
    return b"\r\n--" + BOUNDARY.encode() not in b"\r\n" + content + b"\r\n"


PAYLOADS = (
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12)
    .map(b"".join)
    .filter(is_framed_safely)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PAYLOADS, min_size=1, max_size=4), st.lists(st.integers(0, 5000), max_size=40))
async def test_any_payload_survives_any_chunking(payloads: list[bytes], places: list[int]) -> None:
    body = related(*(part(payload, "Content-ID: <x>") for payload in payloads), boundary=BOUNDARY)
    read = await read_all(cut(body, places))
    assert [content for _, content in read] == payloads
    assert oracle(body) == payloads


@settings(max_examples=60, deadline=None)
@given(PAYLOADS)
async def test_any_payload_survives_single_bytes(payload: bytes) -> None:
    body = related(part(payload, "A: b"), boundary=BOUNDARY)
    assert [c for _, c in await read_all(body[at : at + 1] for at in range(len(body)))] == [payload]


@settings(max_examples=100, deadline=None)
@given(st.lists(PAYLOADS, min_size=1, max_size=3), st.integers(0, 10_000))
async def test_a_body_cut_anywhere_before_its_end_is_refused(payloads: list[bytes], place: int) -> None:
    body = related(*(part(payload, "A: b") for payload in payloads), boundary=BOUNDARY)
    end = len(body) - len(b"\r\n")
    with pytest.raises(MultipartError):
        await read_all([body[: place % end]])


async def test_chunks_without_a_delimiter_are_passed_on_without_a_copy() -> None:
    first, big, last = b"--b\r\n\r\nstart", b"x" * 300_000, b"end\r\n--b--\r\n"
    reader = MultipartReader(source([first, big, last]), "b")
    one = await reader.next_part()
    assert one is not None
    chunks = [chunk async for chunk in one]
    assert chunks[1] is big
    assert b"".join(chunks) == b"start" + big + b"end"


async def test_preamble_padding_and_epilogue_are_not_content() -> None:
    body = b"a preamble\r\n--b \t\r\nA: b\r\n\r\none\r\n--b\t\r\n\r\ntwo\r\n--b--  \r\nan epilogue"
    assert await read_all([body], "b") == [({"a": "b"}, b"one"), ({}, b"two")]


async def test_a_body_may_start_with_an_empty_line() -> None:
    assert await read_all([b"\r\n--b\r\n\r\none\r\n--b--"], "b") == [({}, b"one")]


async def test_an_empty_part_may_omit_its_empty_line() -> None:
    assert await read_all([b"--b\r\nA: b\r\n\r\n--b--"], "b") == [({"a": "b"}, b"")]
    assert await read_all([b"--b\r\nA: b\r\n\r\n\r\n--b--"], "b") == [({"a": "b"}, b"")]


async def test_header_fields_may_be_folded_and_of_any_case() -> None:
    body = b"--b\r\nCONTENT-Id:<x>\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n\r\n\r\n--b--"
    assert await read_all([body], "b") == [
        ({"content-id": "<x>", "content-type": "text/plain; charset=utf-8"}, b"")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"--b\nA: b\n\none\n--b--\n",
        b"--b\r\nA: b\nC: d\r\n\r\none\r\n--b--",
        b"--b\r\nA: b\r\n\r\none\n--b--\n",
        b"--b\r\nno field\r\n\r\none\r\n--b--",
        b"--bc\r\nA: b\r\n\r\none\r\n--b--",
        b"--b\r\nA: b\r\n\r\none\r\n--bc\r\n--b--",
        b"",
        b"no delimiter at all",
    ],
)
async def test_broken_framing_is_refused(body: bytes) -> None:
    with pytest.raises(MultipartError):
        await read_all([body], "b")


@pytest.mark.parametrize("boundary", ["", "x" * 257, "a\r\nb", "ä"])
async def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    with pytest.raises(MultipartError):
        await read_all([b"--b--"], boundary)


async def test_preamble_header_and_number_of_parts_are_bounded() -> None:
    with pytest.raises(MultipartError, match="no delimiter"):
        await read_all([b"x" * 500] * 3, "b", preamble=1000)
    with pytest.raises(MultipartError, match="larger than 100"):
        await read_all([b"--b\r\nA: " + b"x" * 200 + b"\r\n\r\n\r\n--b--"], "b", header=100)
    with pytest.raises(MultipartError, match="more than 2"):
        await read_all([related(*[part(b"")] * 3, boundary="b")], "b", parts=2)
    with pytest.raises(MultipartError, match="goes on"):
        await read_all([b"--b--" + b"x" * 200], "b", epilogue=100)


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7BIT", "8Bit", " Binary "])
async def test_identity_encodings_of_any_case_leave_the_bytes(encoding: str) -> None:
    body = related(part(b"a=3D\r\n", f"Content-Transfer-Encoding: {encoding}"), boundary="b")
    assert [c for _, c in await read_all([body], "b")] == [b"a=3D\r\n"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 600), max_size=20))
async def test_base64_parts_are_decoded_however_they_are_cut(content: bytes, places: list[int]) -> None:
    body = related(
        part(base64.encodebytes(content).replace(b"\n", b"\r\n"), "Content-Transfer-Encoding: Base64"),
        boundary=BOUNDARY,
    )
    assert [c for _, c in await read_all(cut(body, places))] == [content]


@pytest.mark.parametrize("text", [b"AAA", b"AA==AAAA", b"AA!=", b"A=AA"])
async def test_base64_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(MultipartError, match="base64"):
        await read_all([related(part(text, "Content-Transfer-Encoding: base64"), boundary="b")], "b")


async def test_quoted_printable_is_refused() -> None:
    with pytest.raises(MultipartError, match="Content-Transfer-Encoding"):
        await read_all(
            [related(part(b"a=3D", "Content-Transfer-Encoding: quoted-printable"), boundary="b")], "b"
        )


async def test_large_contents_can_be_had_as_views_of_what_was_read() -> None:
    contents = [b"small", b"a" * 100_000, b"b" * 200_000]
    body = related(*(part(content) for content in contents), boundary="b")
    reader = MultipartReader(source([body[:250_000], body[250_000:]]), "b")
    for content in contents:
        found = await reader.next_part()
        assert found is not None
        views = [chunk async for chunk in found.views()]
        assert b"".join(views) == content
        assert all(isinstance(chunk, memoryview) for chunk in views if len(chunk) > 20_000)


async def test_what_is_left_of_a_part_is_skipped() -> None:
    reader = MultipartReader(source([related(part(b"x" * 1000), part(b"two"), boundary="b")]), "b")
    first = await reader.next_part()
    second = await reader.next_part()
    assert second is not None
    assert [chunk async for chunk in second] == [b"two"]
    assert first is not None
    with pytest.raises(MultipartError, match="moved on"):
        [chunk async for chunk in first]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"--", b"b", b"\r\n--b", b"\r\n--", b"x"]), max_size=30))
def test_delimiters_found_from_behind_are_those_found_from_the_front(pieces: list[bytes]) -> None:
    chunk, delimiter = b"".join(pieces), b"\r\n--b"
    places = [at for at in range(len(chunk)) if chunk.startswith(delimiter, at)]
    assert positions(delimiter, chunk) == places[::-1]


async def test_text_like_the_delimiter_in_the_header_of_a_part_is_no_delimiter() -> None:
    body = b"--b\r\nA: \r\n--bc: 1\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--"
    assert [content for _, content in await read_all([body], "b")] == [b"one", b"two"]
