"""MTOM/XOP messages as they come in: which part is the root, which parts its hrefs name.

Sources: W3C MTOM and XOP 1.0, RFC 2387 (multipart/related), RFC 2392 (cid), ITI TF-2 Appendix V.3.6. Peers
err in every direction, so a message is judged by its media types, never by what was expected.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final
from urllib.parse import quote, unquote

import pybase64
from lxml.etree import _Element

from gateway.chunks import Chunk, Copied
from gateway.model.codes import NS_XOP
from gateway.multipart import (
    DEFAULT_LIMITS,
    BodyPart,
    MediaType,
    MultipartError,
    MultipartLimits,
    MultipartReader,
    parse_media_type,
)
from gateway.safe_xml import MessageError, MessageTooLarge, XmlFeeder

INCLUDE: Final = f"{{{NS_XOP}}}Include"
SOAP_MEDIA_TYPE: Final = "application/soap+xml"
XOP_MEDIA_TYPE: Final = "application/xop+xml"
MULTIPART_RELATED: Final = "multipart/related"
_XML_TYPES: Final = frozenset({"", SOAP_MEDIA_TYPE, XOP_MEDIA_TYPE, "application/xml", "text/xml"})
_IN_MEMORY: Final = 256 * 1024
_CHUNK: Final = 256 * 1024
_PARSED_AT_ONCE: Final = 64 * 1024
"""Bytes of XML parsed before other requests get their turn: about 0.4 ms of work."""


class MtomError(MessageError):
    """The parts of a message do not fit together."""


class NotSoap(MessageError):
    """A media type that carries no SOAP message, such as an HTML page."""


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """Bounds in bytes: of the envelope, and of parts that come before it and have to be kept meanwhile."""

    envelope: int = 64 * 1024 * 1024
    before_root: int = 1024 * 1024 * 1024
    multipart: MultipartLimits = DEFAULT_LIMITS


def cid_of_href(href: str) -> str:
    """Content-ID that the href of an xop:Include names. Raises MtomError for any other kind of URL.

    Percent-encoding is undone, `+` stays as it is and letter case counts (RFC 2392). A URL that is not
    `cid:` is never followed.
    """
    scheme, colon, rest = href.strip().partition(":")
    if not colon or scheme.lower() != "cid" or not rest:
        raise MtomError("an xop:Include names something other than a part of the message (cid:)")
    return unquote(rest)


def href_of_cid(content_id: str) -> str:
    """The `cid:` URL of a Content-ID."""
    return "cid:" + quote(content_id, safe="@:!$'()*+,;=-._~")


def included_ids(root: _Element) -> frozenset[str]:
    """Content-IDs that the whole envelope refers to, header blocks too.

    Raises MtomError where an xop:Include has another href than cid: or stands beside other content.
    """
    found = set()
    for include in root.iter(INCLUDE):
        parent = include.getparent()
        if parent is None or len(parent) != 1 or (parent.text or "").strip() or (include.tail or "").strip():
            raise MtomError("an xop:Include is not the only content of its element")
        found.add(cid_of_href(include.get("href") or ""))
    return frozenset(found)


def inline_contents(root: _Element, contents: Mapping[str, bytes]) -> None:
    """Put base64 text in the place of every xop:Include. Raises MtomError where a content is missing."""
    for include in list(root.iter(INCLUDE)):
        parent = include.getparent()
        content = contents.get(cid_of_href(include.get("href") or ""))
        if parent is None or content is None:
            raise MtomError("the message names an attachment that it lacks")
        parent.remove(include)
        parent.text = pybase64.b64encode(content).decode("ascii")


class Part:
    """An attachment: an async iterable of byte chunks that runs once.

    `content_id` is without angle brackets and written as the envelope's hrefs name it; `content_type` is
    the part's own claim (the mimeType in the metadata is the one that counts).
    """

    def __init__(self, content_id: str, headers: Mapping[str, str], content: AsyncIterator[Chunk]) -> None:
        self.content_id = content_id
        self.headers = headers
        self._content = content

    @property
    def content_type(self) -> str:
        """The part's Content-Type; `application/octet-stream` where it has none."""
        return self.headers.get("content-type", "application/octet-stream")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return Copied(self._content)

    def views(self) -> AsyncIterator[Chunk]:
        """The same without copies: see `BodyPart.views`."""
        return self._content


class ReceivedMessage:
    """An envelope and the attachments behind it, which are still on the wire."""

    def __init__(
        self,
        root: _Element,
        reader: MultipartReader | None,
        early: list["_EarlyPart"],
        source: AsyncIterator[bytes],
    ) -> None:
        self.root = root
        self.packaged = reader is not None
        """True for multipart/related, False for simple SOAP."""
        self.wanted = included_ids(root)
        self._reader = reader
        self._early = early
        self._source = source
        self._exhausted = False
        if reader is None and self.wanted:
            raise MtomError("the message names an attachment that it lacks")

    async def parts(self) -> AsyncIterator[Part]:
        """Every part but the root, once, in the order of the message; each is read before the next.

        Raises MultipartError for broken framing, and MtomError at the end where the envelope names a
        Content-ID that no part has, or two parts have.
        """
        if self._reader is None:
            return
        seen: set[str] = set()
        while self._early:
            early = self._early.pop(0)
            part = self._named(early.headers, early.chunks(), seen)
            yield part
            early.close()
        while (body := await self._reader.next_part()) is not None:
            yield self._named(body.headers, body.views(), seen)
        self._exhausted = True
        if not self.wanted <= seen:
            raise MtomError("the message names an attachment that it lacks")

    def _named(self, headers: Mapping[str, str], content: AsyncIterator[Chunk], seen: set[str]) -> Part:
        raw = _content_id(headers)
        # some senders percent-encode the header as well as the href
        name = unquote(raw) if raw not in self.wanted and unquote(raw) in self.wanted else raw
        if name in seen and name in self.wanted:
            raise MtomError("two attachments have the same Content-ID")
        seen.add(name)
        return Part(name, headers, content)

    async def finish(self) -> None:
        """Read the end of the body, at most a small rest. Raises MultipartError where more follows."""
        if self._reader is None:
            return
        if not self._reader.between_parts or (
            not self._exhausted and await self._reader.next_part() is not None
        ):
            raise MultipartError("parts of the message are left unread")
        await self._reader.finish()

    def close(self) -> None:
        """Drop what was kept of parts that came before the envelope."""
        while self._early:
            self._early.pop().close()


async def read_message(
    content_type: str | None, source: AsyncIterator[bytes], *, huge: bool, limits: MessageLimits
) -> ReceivedMessage:
    """Read as far as the end of the envelope. Raises MessageError in all its kinds.

    `huge` admits inline documents above 10 MB.
    """
    media = parse_media_type(content_type)
    if media.name == MULTIPART_RELATED:
        reader = MultipartReader(source, media.parameters.get("boundary", ""), limits.multipart)
        return await _read_package(media, reader, source, huge, limits)
    if media.name not in _XML_TYPES:
        raise NotSoap(f"the media type is {_safe_name(media.name)}, not one of SOAP")
    root = await _read_root(media, source, huge, limits)
    return ReceivedMessage(root, None, [], source)


async def _read_package(
    media: MediaType, reader: MultipartReader, source: AsyncIterator[bytes], huge: bool, limits: MessageLimits
) -> ReceivedMessage:
    """Find the root part (RFC 2387 section 3.2).

    Where `start` names none of the parts, as in published samples and captures, the first XOP part is the
    root, else the first part.
    """
    start = _bare_id(media.parameters.get("start", ""))
    early: list[_EarlyPart] = []
    room = limits.before_root
    try:
        while (part := await reader.next_part()) is not None:
            kind = parse_media_type(part.headers.get("content-type"))
            is_root = _content_id(part.headers) == start if start else kind.name == XOP_MEDIA_TYPE
            if is_root:
                root = await _read_root(kind, part.__aiter__(), huge, limits)
                return ReceivedMessage(root, reader, early, source)
            early.append(await _EarlyPart.keep(part, room))
            room -= early[-1].size
        if not early:
            raise MultipartError("the multipart message has no part")
        kinds = [parse_media_type(part.headers.get("content-type")) for part in early]
        index = next((i for i, kind in enumerate(kinds) if kind.name == XOP_MEDIA_TYPE), 0)
        chosen = early.pop(index)
        try:
            root = await _read_root(kinds[index], chosen.chunks(), huge, limits)
        finally:
            chosen.close()
        return ReceivedMessage(root, reader, early, source)
    except BaseException:
        for part_kept in early:
            part_kept.close()
        raise


async def _read_root(
    media: MediaType, source: AsyncIterator[bytes], huge: bool, limits: MessageLimits
) -> _Element:
    if media.name not in _XML_TYPES:
        raise NotSoap(f"the media type of the root part is {_safe_name(media.name)}, not one of SOAP")
    feeder = XmlFeeder(huge=huge, charset=media.parameters.get("charset") or None, max_bytes=limits.envelope)
    async for chunk in source:
        for start in range(0, len(chunk), _PARSED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            feeder.feed(chunk[start : start + _PARSED_AT_ONCE])
    return feeder.close()


class _EarlyPart:
    """A part that came before the root: kept in memory while small, else in an unnamed file."""

    def __init__(self, headers: Mapping[str, str], file: IO[bytes], size: int) -> None:
        self.headers = headers
        self.size = size
        self._file = file

    @classmethod
    async def keep(cls, part: BodyPart, room: int) -> "_EarlyPart":
        file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        size = 0
        try:
            async for chunk in part:
                size += len(chunk)
                if size > room:
                    raise MessageTooLarge("the parts before the envelope are larger than allowed")
                file.write(chunk)
        except BaseException:
            file.close()
            raise
        return cls(part.headers, file, size)

    async def chunks(self) -> AsyncIterator[bytes]:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


def _content_id(headers: Mapping[str, str]) -> str:
    return _bare_id(headers.get("content-id", ""))


def _bare_id(text: str) -> str:
    text = text.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def _safe_name(name: str) -> str:
    """A media type for an error text; anything unlike one is not repeated."""
    return name if re.fullmatch(r"[\w.+\-]{1,60}/[\w.+\-]{1,60}", name) else "unreadable"
