"""Media types, Content-IDs and the two ways to package a document."""

import base64
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.multipart import parse_media_type
from gateway.soap.mtom import (
    MtomError,
    cid_of_href,
    href_of_cid,
    included_ids,
    inline_contents,
)
from gateway.soap.outgoing import Attachment, OutgoingMessage, inline_message, mtom_message

from .wire import include, retrieve_answer

CONTENT_IDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>"), min_size=1, max_size=40
)


async def bytes_of(message: OutgoingMessage) -> bytes:
    return b"".join([chunk async for chunk in message.chunks()])


@pytest.mark.parametrize(
    ("value", "name", "parameters"),
    [
        (None, "", {}),
        ("text/xml", "text/xml", {}),
        (
            "Multipart/Related;Boundary=uuid:1;START=<a@b>",
            "multipart/related",
            {"boundary": "uuid:1", "start": "<a@b>"},
        ),
        ('a/b; x="1;2=\\"3\\"" ;y=----=_Part_1.2 ', "a/b", {"x": '1;2="3"', "y": "----=_Part_1.2"}),
        ('a/b;x="";y=', "a/b", {"x": "", "y": ""}),
        ("a/b; x=1; X=2", "a/b", {"x": "1"}),
        ("a/b;;  ; x=1", "a/b", {"x": "1"}),
    ],
)
def test_media_types_as_peers_write_them(value: str | None, name: str, parameters: dict[str, str]) -> None:
    media = parse_media_type(value)
    assert (media.name, media.parameters) == (name, parameters)


@given(st.text(max_size=60))
def test_no_content_type_breaks_the_reader(value: str) -> None:
    parse_media_type(value)


@given(CONTENT_IDS)
def test_a_content_id_survives_its_href(content_id: str) -> None:
    assert cid_of_href(href_of_cid(content_id)) == content_id


@pytest.mark.parametrize("content_id", ["", "a b", "a\r\nb", "<a>", "é"])
def test_a_content_id_that_would_break_the_header_is_refused(content_id: str) -> None:
    with pytest.raises(ValueError, match="Content-ID"):
        Attachment(content_id, "text/plain", None, b"")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6), st.booleans())
async def test_inline_base64_is_the_same_however_the_source_is_cut(
    content: bytes, places: list[int], sized: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        edges = [0, *sorted(min(place, len(content)) for place in places), len(content)]
        for at, end in itertools.pairwise(edges):
            yield content[at:end]

    body = etree.fromstring(retrieve_answer(include("cid:a@x"), include("cid:b@x")))
    before = etree.tostring(body)
    attachments = [
        Attachment("b@x", "a/b", None, content),
        Attachment("a@x", "a/b", len(content) if sized else None, pieces),
    ]
    message = inline_message(body, attachments, "urn:a", etree.tostring)
    sent = await bytes_of(message)
    assert message.content_length == (len(sent) if sized else None)
    texts = [element.text or "" for element in etree.fromstring(sent).iter("{*}Document")]
    assert [base64.b64decode(text) for text in texts] == [content, content]
    assert etree.tostring(body) == before


async def test_announced_length_is_the_length() -> None:
    attachments = [Attachment("a@x", "a/b", None, b"x" * 1000), Attachment("b@x", "a/b", None, b"")]
    message = mtom_message(b"<e/>", "urn:a", attachments)
    assert len(await bytes_of(message)) == message.content_length
    assert mtom_message(b"<e/>", "urn:a").content_length == len(
        await bytes_of(mtom_message(b"<e/>", "urn:a"))
    )


def test_contents_take_the_place_of_their_includes() -> None:
    body = etree.fromstring(retrieve_answer(include("cid:a%40x"), "QUJD"))
    assert included_ids(body) == {"a@x"}
    inline_contents(body, {"a@x": b"ab"})
    assert [element.text for element in body.iter("{*}Document")] == ["YWI=", "QUJD"]
    with pytest.raises(MtomError, match="lacks"):
        inline_contents(etree.fromstring(retrieve_answer(include("cid:b"))), {"a@x": b"ab"})
