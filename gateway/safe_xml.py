"""XML from outside, SOAP and FHIR alike, parsed with every dangerous feature off (SOAP 1.2 part 1 section 5).

A document type declaration is refused before libxml2 sees it, since entities in attribute values are
expanded whatever the parser's settings. Error texts give a place in the document, never its content.
"""

import codecs
import re
from typing import Final

from lxml import etree
from lxml.etree import _Element

_PROLOG_LIMIT: Final = 64 * 1024
_FEED_ABOVE: Final = 128 * 1024
"""Larger documents are parsed piece by piece as they arrive, so that no single step holds the loop."""

MOST_MARKUP: Final = 4_000_000
"""Tags of a document, and signs of equality, of which each attribute has one: what is full of the shortest
tags takes many times its bytes in memory."""

_ENCODINGS: Final = frozenset(
    codecs.lookup(name).name
    for name in (
        "utf-8", "utf-16", "utf-16-le", "utf-16-be", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252",
    )
)  # fmt: skip
"""Each shows `<` and `!` to the prolog check as they are; exotic encodings could hide a DOCTYPE from it."""

_DECLARED = re.compile(r"\s*<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._\-]+)[\"'][^>]*\?>")
_MISC = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->", re.DOTALL)


class MessageError(ValueError):
    """A message that breaks the rules of its format. The text never quotes the message."""


class UnsafeXml(MessageError):
    """A document type declaration, or an encoding outside the short list of the web's own."""


class MalformedXml(MessageError):
    """Not well-formed, or cut short."""


class MessageTooLarge(MessageError):
    """More bytes than the settings allow, or more tags and attributes than a message has."""


def parse_xml(data: bytes, *, huge: bool = False, charset: str | None = None) -> _Element:
    """Parse one document and return its root element, without comments and processing instructions.

    `huge` lifts libxml2's limits of 10 MB per text node and depth 256 (for inline documents; the caller
    bounds the bytes). `charset` is that of the media type, which overrules the XML declaration (RFC 7303).
    Raises UnsafeXml or MalformedXml.
    """
    feeder = XmlFeeder(huge=huge, charset=charset)
    feeder.feed(data)
    return feeder.close()


class XmlFeeder:
    """The same as `parse_xml` for a document that arrives in chunks."""

    def __init__(
        self, *, huge: bool = False, charset: str | None = None, max_bytes: int | None = None
    ) -> None:
        encoding = None if charset is None else _known_encoding(charset)
        self._parser = etree.XMLParser(
            encoding=encoding,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=huge,
            remove_comments=True,
            remove_pis=True,
        )
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._size = 0
        self._tags = self._attributes = 0
        self._chunks: list[bytes] = []
        self._held = 0
        self._feeding = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises MessageTooLarge, UnsafeXml or MalformedXml as soon as it is known."""
        self._size += len(chunk)
        if self._max_bytes is not None and self._size > self._max_bytes:
            raise MessageTooLarge(f"the XML of the message is larger than {self._max_bytes} bytes")
        self._tags += chunk.count(b"<")
        self._attributes += chunk.count(b"=")
        if max(self._tags, self._attributes) > MOST_MARKUP:
            raise MessageTooLarge(f"the XML has more than {MOST_MARKUP} tags or attributes")
        if self._feeding:
            self._parse(chunk)
            return
        self._chunks.append(chunk)
        self._held += len(chunk)
        if self._held > _FEED_ABOVE:
            start = self._take_held()
            self._feeding = True
            for at in range(0, len(start), _FEED_ABOVE):
                self._parse(start[at : at + _FEED_ABOVE])

    def close(self) -> _Element:
        """The root element. Raises MalformedXml where the document is not complete."""
        try:
            if self._feeding:
                root = self._parser.close()
            else:
                root = etree.fromstring(self._take_held(), self._parser)
        except etree.XMLSyntaxError as error:
            raise _malformed(error) from None
        if root is None:
            raise MalformedXml("no XML document")
        if root.getroottree().docinfo.internalDTD is not None:
            raise UnsafeXml("the XML has a document type declaration")
        return root

    def _parse(self, chunk: bytes) -> None:
        try:
            self._parser.feed(chunk)
        except etree.XMLSyntaxError as error:
            raise _malformed(error) from None

    def _take_held(self) -> bytes:
        start = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        _check_prolog(start[:_PROLOG_LIMIT], self._encoding)
        return start


def _known_encoding(name: str) -> str:
    try:
        known = codecs.lookup(name.strip()).name
    except LookupError:
        known = ""
    if known not in _ENCODINGS:
        raise UnsafeXml("the character encoding of the XML is not one of UTF-8, UTF-16, ASCII, ISO-8859-1/15")
    return known


def _check_prolog(start: bytes, encoding: str | None) -> None:
    """Raise UnsafeXml unless only white space, comments and PIs stand before the root element."""
    text = start.decode(_encoding_of(start, encoding), "replace").removeprefix("\ufeff")
    declared = _DECLARED.match(text)
    if declared and encoding is None:
        _known_encoding(declared[1])
    at = 0
    while found := _MISC.match(text, at):
        at = found.end()
    after = text[at : at + 2]
    if after.startswith("<!"):
        raise UnsafeXml("the XML has a document type declaration")
    if len(after) < 2 or after[0] != "<" or after[1] == "?":
        raise MalformedXml("no XML element at the start")


def _encoding_of(start: bytes, encoding: str | None) -> str:
    if encoding is not None:
        return encoding
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if start[:2] == b"<\0":
        return "utf-16-le"
    if start[:2] == b"\0<":
        return "utf-16-be"
    return "latin-1" if start[:3] != codecs.BOM_UTF8 else "utf-8"


def _malformed(error: etree.XMLSyntaxError) -> MalformedXml:
    # libxml2's own text can quote names and values of the document
    return MalformedXml(f"not well-formed XML at line {error.lineno}, column {error.offset}")
