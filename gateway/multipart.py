"""Streaming reader of multipart bodies (RFC 2046 section 5.1) that never alters a byte of a part.

MTOM messages and DICOMweb answers are both read with it.

The delimiter is exactly CRLF--boundary: line feeds alone do not end a part, and nothing is stripped. A
chunk of the source without any sign of a delimiter is passed on as it is, without a copy.
"""

import binascii
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import pybase64

from gateway.chunks import Chunk, Copied
from gateway.safe_xml import MessageError

_PASSED_AS_IS: Final = frozenset({"", "binary", "8bit", "7bit"})
_CRLF: Final = b"\r\n"
_VIEWED: Final = 16 * 1024
"""Bytes from which on a view costs less than a copy."""
_NO_TEXT: Final = frozenset(range(32)) | {127}

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')


class MultipartError(MessageError):
    """The multipart framing is broken, cut short or beyond the limits."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """`name` such as `multipart/related` in lower case; parameters by lower-case name."""

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """Bounds, in bytes, on what is neither a part's content nor known before."""

    preamble: int = 64 * 1024
    header: int = 16 * 1024
    epilogue: int = 64 * 1024
    parts: int = 10_000
    """Number of parts."""


DEFAULT_LIMITS: Final = MultipartLimits()


class BodyPart:
    """One part: its headers by lower-case name, and its bytes as an async iterable that runs once."""

    def __init__(self, reader: "MultipartReader", headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Content with its transfer encoding undone. Raises MultipartError where the body ends too early."""
        return Copied(self.views())

    def views(self) -> AsyncIterator[Chunk]:
        """The same without copies; who keeps a view keeps the whole chunk that it shows a part of."""
        encoding = self.headers.get("content-transfer-encoding", "").strip().lower()
        content = _Content(self._reader, self)
        return content if encoding in _PASSED_AS_IS else _decoded(content, encoding)


class _Content(AsyncIterator[Chunk]):
    """The bytes of a part as they come."""

    __slots__ = ("_part", "_reader")

    def __init__(self, reader: "MultipartReader", part: BodyPart) -> None:
        self._reader = reader
        self._part = part

    async def __anext__(self) -> Chunk:
        chunk = await self._reader.read_content(self._part)
        if not chunk:
            raise StopAsyncIteration
        return chunk


async def _decoded(content: AsyncIterator[Chunk], encoding: str) -> AsyncIterator[bytes]:
    if encoding != "base64":
        raise MultipartError("a part has a Content-Transfer-Encoding other than binary, 8bit, 7bit, base64")
    decoder = Base64Decoder()
    async for chunk in content:
        if decoded := decoder.decode(bytes(chunk)):
            yield decoded
    if decoded := decoder.finish():
        yield decoded


class MultipartReader:
    """Reads the parts of one body in order from an async iterator of byte chunks."""

    def __init__(
        self, source: AsyncIterator[bytes], boundary: str, limits: MultipartLimits = DEFAULT_LIMITS
    ) -> None:
        """Raises MultipartError for a boundary that is empty, over 256 characters or not ASCII text."""
        if not 0 < len(boundary) <= 256 or not boundary.isascii() or _NO_TEXT & set(boundary.encode()):
            raise MultipartError("the boundary of the multipart message is missing or not ASCII text")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._source = source
        self._limits = limits
        self._chunk = b""
        self._at = 0
        self._found: list[int] = []
        # The first delimiter needs no line before it, so the body starts as if CRLF had just been read.
        self._held = _CRLF
        self._unreal = len(_CRLF)
        self._at_delimiter = False
        self._closed = False
        self._current: BodyPart | None = None
        self._count = 0

    async def next_part(self) -> BodyPart | None:
        """The next part, or None after the last. What is left of the current part is read and dropped."""
        if self._closed:
            return None
        if self._current is None:
            await self._skip_preamble()
        else:
            while await self.read_content(self._current):
                pass
        if await self._after_delimiter():
            self._closed = True
            self._current = None
            return None
        self._count += 1
        if self._count > self._limits.parts:
            raise MultipartError(f"the multipart message has more than {self._limits.parts} parts")
        headers = parse_part_headers(await self._header_block())
        # RFC 2046: a part without content may omit the empty line, so the CRLF just read counts twice.
        self._held, self._unreal, self._at_delimiter = _CRLF, len(_CRLF), False
        self._current = BodyPart(self, headers)
        return self._current

    @property
    def between_parts(self) -> bool:
        """True where the current part has been read to its end."""
        return self._at_delimiter or self._closed

    async def read_content(self, part: BodyPart) -> Chunk:
        """Next raw bytes of the current part; empty at its end. Raises MultipartError for an earlier part."""
        if part is not self._current:
            raise MultipartError("a part was read after the reader had moved on")
        return b"" if self._at_delimiter else await self._until_delimiter()

    async def finish(self) -> None:
        """Read what follows the closing delimiter, so that the connection can be used again."""
        chunk: bytes | None = self._chunk[self._at :]
        self._chunk, self._at = b"", 0
        size = 0
        while chunk is not None:
            size += len(chunk)
            if size > self._limits.epilogue:
                raise MultipartError("the multipart message goes on after its closing delimiter")
            chunk = await anext(self._source, None)

    async def _fill(self) -> None:
        while (chunk := await anext(self._source, None)) is not None:
            if chunk:
                self._chunk, self._at = chunk, 0
                self._found = positions(self._delimiter, chunk)
                return
        raise MultipartError("the multipart message ends before its closing delimiter")

    async def _until_delimiter(self) -> Chunk:
        """Bytes before the next delimiter; empty once it is consumed."""
        delimiter = self._delimiter
        while True:
            if self._at >= len(self._chunk):
                await self._fill()
            chunk, at = self._chunk, self._at
            if self._held:
                missing = len(delimiter) - len(self._held)
                candidate = self._held + chunk[at : at + missing]
                if not delimiter.startswith(candidate):
                    content = self._held[self._unreal :]
                    self._held, self._unreal = b"", 0
                    if content:
                        return content
                    continue
                self._at = min(at + missing, len(chunk))
                if len(candidate) < len(delimiter):
                    self._held = candidate
                    continue
                self._held, self._unreal, self._at_delimiter = b"", 0, True
                return b""
            while self._found and self._found[-1] < at:
                self._found.pop()
            if self._found:
                found = self._found.pop()
                self._at = found + len(delimiter)
                self._at_delimiter = True
                return _part_of(chunk, at, found)
            self._at = len(chunk)
            # only the last CR of a chunk can begin a delimiter that its end cuts: a boundary holds no CR
            cut = chunk.rfind(b"\r", max(at, len(chunk) - len(delimiter) + 1))
            if cut >= 0 and delimiter.startswith(chunk[cut:]):
                self._held = chunk[cut:]
                if cut > at:
                    return _part_of(chunk, at, cut)
                continue
            return _part_of(chunk, at, len(chunk)) if at else chunk

    async def _skip_preamble(self) -> None:
        size = 0
        while not self._at_delimiter:
            size += len(await self._until_delimiter())
            if size > self._limits.preamble:
                raise MultipartError("the multipart message has no delimiter near its start")

    async def _after_delimiter(self) -> bool:
        """Read the rest of a delimiter line. True where it is the closing delimiter."""
        if self._chunk.startswith(_CRLF, self._at):
            self._at += len(_CRLF)
            return False
        line = b""
        while len(line) < 2 or (not line.startswith(b"--") and not line.endswith(_CRLF)):
            if self._at >= len(self._chunk):
                await self._fill()
            line += self._chunk[self._at : self._at + 1]
            self._at += 1
            if len(line) > 256 or line[:1] not in (b" ", b"\t", b"\r", b"-"):
                raise MultipartError("a delimiter line of the multipart message has text after the boundary")
        if line.startswith(b"--"):
            return True
        if line.strip(b" \t") != _CRLF:
            raise MultipartError("a delimiter line of the multipart message has text after the boundary")
        return False

    async def _header_block(self) -> bytes:
        """The header fields of a part; the empty line after them is consumed."""
        start = self._at
        end = self._chunk.find(b"\r\n\r\n", start, start + self._limits.header + 4)
        if end > start and not self._chunk.startswith(_CRLF, start):
            # mostly the whole of it is at hand
            self._at = end + 4
            return self._chunk[start : end + len(_CRLF)]
        block = b""
        while True:
            if self._at >= len(self._chunk):
                await self._fill()
            before = len(block)
            block += self._chunk[self._at : self._at + self._limits.header + 4 - before]
            end = 0 if block.startswith(_CRLF) else block.find(b"\r\n\r\n") + 2
            if end != 1:
                self._at += end + 2 - before
                return block[:end]
            self._at += len(block) - before
            if len(block) >= self._limits.header:
                raise MultipartError(f"the header of a part is larger than {self._limits.header} bytes")


def _part_of(chunk: bytes, start: int, end: int) -> Chunk:
    return memoryview(chunk)[start:end] if end - start >= _VIEWED else chunk[start:end]


def positions(delimiter: bytes, chunk: bytes) -> list[int]:
    """Where a delimiter stands in a chunk, the last place first.

    From behind, a long delimiter is found in half the time. Each place is looked at once, however many parts
    begin in the chunk.
    """
    found = []
    end = len(chunk)
    while (at := chunk.rfind(delimiter, 0, end)) >= 0:
        found.append(at)
        end = at
    return found


def parse_media_type(value: str | None) -> MediaType:
    """Read a Content-Type value; parameters may be quoted or not and in any order and case."""
    name, semicolon, rest = (value or "").partition(";")
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(semicolon + rest):
        quoted, bare = match[2], match[3]
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare.strip()
        parameters.setdefault(match[1].lower(), text)
    return MediaType(name.strip().lower(), parameters)


def parse_part_headers(block: bytes) -> dict[str, str]:
    """Header fields by lower-case name, unfolded and trimmed; the first of repeated fields counts."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    fields: list[str] = []
    for line in text.removesuffix("\r\n").split("\r\n") if text else []:
        if "\n" in line or "\r" in line:
            raise MultipartError("the header of a part has lines that do not end with CR LF")
        if line[:1] in (" ", "\t") and fields:
            fields[-1] += " " + line.strip()
        else:
            fields.append(line)
    headers: dict[str, str] = {}
    for item in fields:
        name, colon, value = item.partition(":")
        if not colon or not name.strip():
            raise MultipartError("the header of a part has a line that is no field")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers


class Base64Decoder:
    """Base64 (RFC 2045 section 6.8) undone chunk by chunk; white space is skipped, all else must be valid."""

    def __init__(self) -> None:
        self._rest = b""
        self._padded = False

    def decode(self, chunk: bytes) -> bytes:
        """Bytes that are complete so far. Raises MultipartError for characters outside the alphabet."""
        text = self._rest + chunk.translate(None, b" \t\r\n")
        usable = len(text) // 4 * 4
        self._rest = text[usable:]
        return self._decoded(text[:usable])

    def finish(self) -> bytes:
        """Raises MultipartError where the text ends inside a group of four characters."""
        if self._rest:
            raise MultipartError("the base64 of a part is cut short")
        return b""

    def _decoded(self, text: bytes) -> bytes:
        if not text:
            return b""
        if self._padded:
            raise MultipartError("the base64 of a part goes on after its padding")
        self._padded = text.endswith(b"=")
        try:
            return pybase64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise MultipartError("the base64 of a part is not valid") from None
