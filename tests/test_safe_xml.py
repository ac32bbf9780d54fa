"""XML from outside: what is dangerous is refused, and no error text repeats the document."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.safe_xml import MOST_MARKUP, MalformedXml, MessageTooLarge, UnsafeXml, XmlFeeder, parse_xml

LAUGHS = (
    '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>'
    '<r x="&d;">&d;</r>'
)


def test_libxml2_is_one_that_bounds_amplification() -> None:
    assert etree.LIBXML_VERSION >= (2, 14)


@pytest.mark.parametrize("huge", [True, False])
@pytest.mark.parametrize(
    "document",
    [
        "<!DOCTYPE r><r/>",
        '<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]><r/>',
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- a -->\n<?pi <r/> ?>\t<!DOCTYPE r><r/>',
        "<!-- <r> --><!DOCTYPE r><r/>",
        LAUGHS,
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_document_type_declaration_is_refused(document: str, huge: bool, encoding: str) -> None:
    if encoding == "utf-16":
        document = document.replace("UTF-8", "UTF-16")
    with pytest.raises(UnsafeXml):
        parse_xml(document.encode(encoding), huge=huge)


@pytest.mark.parametrize("name", ["UTF-7", "IBM037", "ISO-2022-JP", "nonsense"])
def test_encodings_that_could_hide_a_declaration_are_refused(name: str) -> None:
    with pytest.raises(UnsafeXml):
        parse_xml(f'<?xml version="1.0" encoding="{name}"?><r/>'.encode())
    with pytest.raises(UnsafeXml):
        parse_xml(b"<r/>", charset=name)


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("<r>é</r>".encode(), None),
        ("<r>é</r>".encode("utf-8-sig"), "utf-8"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><r>é</r>'.encode("latin-1"), None),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><r>é</r>'.encode(), "UTF-8"),
        ("<?xml version='1.0' encoding='utf-16'?><r>é</r>".encode("utf-16"), None),
        ("<r>é</r>".encode("utf-16"), None),
        ("<r>é</r>".encode("latin-1"), "iso-8859-1"),
        (b"\n <!-- c --><?pi x?><r><!-- c -->&#xe9;<?pi y?></r> ", None),
    ],
)
def test_the_usual_encodings_are_read(data: bytes, charset: str | None) -> None:
    root = parse_xml(data, charset=charset)
    assert (root.text, len(root)) == ("é", 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  ",
        b"SECRET",
        b"<r>SECRET",
        b"<r>SECRET</s>",
        b"<r>&SECRET;</r>",
        b"<r/>SECRET",
        b"<r SECRET/>",
        b"<?x?>",
        b"<r>\xff</r>",
    ],
)
def test_errors_do_not_repeat_the_document(data: bytes) -> None:
    with pytest.raises(MalformedXml) as caught:
        parse_xml(data)
    assert "SECRET" not in str(caught.value)


def test_huge_lifts_the_bounds_of_text_and_no_other_call_does() -> None:
    data = b"<r>" + b"A" * 11_000_000 + b"</r>"
    assert len(parse_xml(data, huge=True).text or "") == 11_000_000
    with pytest.raises(MalformedXml):
        parse_xml(data)


def test_bytes_are_bounded_while_they_arrive() -> None:
    feeder = XmlFeeder(max_bytes=100)
    feeder.feed(b"<r>" + b"x" * 90)
    with pytest.raises(MessageTooLarge):
        feeder.feed(b"x" * 8)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300_000), st.integers(0, 3))
def test_a_document_is_the_same_however_it_is_fed(step: int, entries: int) -> None:
    data = b"<?xml version='1.0'?><r>" + b"<e a='1'>text</e>" * (entries * 20_000 + 3) + b"</r>"
    feeder = XmlFeeder()
    for at in range(0, len(data), max(step, 1000)):
        feeder.feed(data[at : at + max(step, 1000)])
    assert etree.tostring(feeder.close()) == etree.tostring(parse_xml(data))


def test_a_long_document_that_is_fed_is_checked_as_well() -> None:
    for start in (b"<!DOCTYPE r><r>", b"<r><a></b>"):
        feeder = XmlFeeder()
        with pytest.raises((UnsafeXml, MalformedXml)):
            for _ in range(20):
                feeder.feed(start + b"x" * 100_000)
    feeder = XmlFeeder()
    feeder.feed(b"<r>" + b"x" * 1_000_000)
    with pytest.raises(MalformedXml):
        feeder.close()


@pytest.mark.parametrize("piece", [b"<a/>", b"<a b=''/>"])
@pytest.mark.parametrize("at_once", [True, False])
def test_tags_and_attributes_are_bounded_before_they_take_memory(
    piece: bytes, at_once: bool, monkeypatch
) -> None:
    monkeypatch.setattr("gateway.safe_xml.MOST_MARKUP", 1000)

    def read(count: int):
        content = b"<r>" + piece * count + b"</r>"
        feeder = XmlFeeder()
        for part in [content] if at_once else [content[n : n + 100] for n in range(0, len(content), 100)]:
            feeder.feed(part)
        return feeder.close()

    assert len(read(998)) == 998
    with pytest.raises(MessageTooLarge):
        read(1001)


@pytest.mark.parametrize("name", ["query_response.xml", "provide_and_register.xml"])
def test_the_longest_messages_have_fewer_tags_than_are_read(name: str) -> None:
    sample = (Path(__file__).parent / "ebxml" / "golden" / name).read_bytes()
    compact = etree.tostring(etree.fromstring(sample, etree.XMLParser(remove_blank_text=True)))
    longest = 64 * 1024 * 1024  # of answers and envelopes, by default
    for mark in (b"<", b"="):
        assert compact.count(mark) * longest / len(compact) < MOST_MARKUP
