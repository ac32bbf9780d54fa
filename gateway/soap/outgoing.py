"""Messages as they go out: simple SOAP, or MTOM/XOP with attachments streamed behind the envelope.

Sources: W3C MTOM and XOP 1.0, RFC 2387, ITI TF-2 Appendix V.3.6 and V.8 (MTOM transactions are packaged
even when they carry no attachment).
"""

import re
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pybase64
from lxml.etree import _Element

from gateway.soap.mtom import INCLUDE, SOAP_MEDIA_TYPE, XOP_MEDIA_TYPE, MtomError, cid_of_href

Source = bytes | AsyncIterable[bytes] | Callable[[], AsyncIterable[bytes]]

_CONTENT_ID = re.compile(r"[!-;=?-~]{1,500}")
_MEDIA_TYPE = re.compile(
    r'[\w!#$&^.+\-]+/[\w!#$&^.+\-]+(?:\s*;\s*[\w\-]+=(?:"[^"\\\r\n]*"|[\w.+\-]+))*', re.ASCII
)
_OPAQUE: Final = "application/octet-stream"
_SLICE: Final = 256 * 1024


class AttachmentError(Exception):
    """The source of an attachment gave another number of bytes than announced."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document that travels beside the envelope.

    `content_id` without angle brackets; `size` in bytes, None where unknown; `source` its bytes, an async
    iterable of chunks (which can be sent once), or a function that makes such an iterable for each attempt.
    """

    content_id: str
    content_type: str
    size: int | None
    source: Source

    def __post_init__(self) -> None:
        if not _CONTENT_ID.fullmatch(self.content_id):
            raise ValueError("a Content-ID is ASCII text without blanks and angle brackets")

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return isinstance(self.source, bytes) or callable(self.source)

    @property
    def known_size(self) -> int | None:
        """Bytes of the content, where known before it is read."""
        return len(self.source) if isinstance(self.source, bytes) else self.size

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content. Raises AttachmentError where it is not as long as announced."""
        expected = self.known_size
        total = 0
        async for chunk in self._raw_chunks():
            total += len(chunk)
            if expected is not None and total > expected:
                raise AttachmentError("an attachment is longer than announced")
            yield chunk
        if expected is not None and total != expected:
            raise AttachmentError("an attachment is shorter than announced")

    async def _raw_chunks(self) -> AsyncIterator[bytes]:
        source = self.source
        if isinstance(source, bytes):
            for at in range(0, len(source), _SLICE):
                yield source[at : at + _SLICE]
            return
        async for chunk in source() if callable(source) else source:
            yield chunk


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """Content-Type, Content-Length (None where unknown) and the bytes of one message.

    `start` is everything before the first attachment; `whole` says that nothing follows it.
    """

    content_type: str
    content_length: int | None
    start: bytes
    whole: bool
    _rest: Callable[[], AsyncIterator[bytes]]

    async def chunks(self) -> AsyncIterator[bytes]:
        """The whole body. Raises AttachmentError and what the sources raise."""
        yield self.start
        async for chunk in self._rest():
            yield chunk


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk


def simple_message(envelope: bytes, action: str) -> OutgoingMessage:
    """An envelope alone as `application/soap+xml`."""
    content_type = f'{SOAP_MEDIA_TYPE}; charset=UTF-8; action="{_parameter(action)}"'
    return OutgoingMessage(content_type, len(envelope), envelope, True, _nothing)


def mtom_message(envelope: bytes, action: str, attachments: Sequence[Attachment] = ()) -> OutgoingMessage:
    """An envelope as the root part of multipart/related, with the attachments after it."""
    unique = uuid.uuid4().hex
    boundary = f"MIMEBoundary_{unique}"
    root_id = f"root.{unique}@gateway"
    content_type = (
        f'multipart/related; type="{XOP_MEDIA_TYPE}"; start="<{root_id}>"; start-info="{SOAP_MEDIA_TYPE}"; '
        f'boundary="{boundary}"; action="{_parameter(action)}"'
    )
    root = (
        f"--{boundary}\r\n"
        f'Content-Type: {XOP_MEDIA_TYPE}; charset=UTF-8; type="{SOAP_MEDIA_TYPE}"\r\n'
        "Content-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{root_id}>\r\n\r\n"
    ).encode("ascii") + envelope
    heads = [_part_head(boundary, attachment) for attachment in attachments]
    end = f"\r\n--{boundary}--\r\n".encode("ascii")
    if not attachments:
        return OutgoingMessage(content_type, len(root) + len(end), root + end, True, _nothing)

    async def rest() -> AsyncIterator[bytes]:
        for head, attachment in zip(heads, attachments, strict=True):
            yield head
            async for chunk in attachment.chunks():
                yield chunk
        yield end

    sizes = [attachment.known_size for attachment in attachments]
    length = (
        None
        if None in sizes
        else len(root) + len(end) + sum(map(len, heads)) + sum(size for size in sizes if size is not None)
    )
    return OutgoingMessage(content_type, length, root, False, rest)


def inline_message(
    body: _Element,
    attachments: Sequence[Attachment],
    action: str,
    envelope_around: Callable[[_Element], bytes],
) -> OutgoingMessage:
    """Simple SOAP with base64 text where the body has xop:Include, still streamed.

    `envelope_around` serialises the envelope. Raises MtomError where an attachment is missing.
    """
    by_id = {attachment.content_id: attachment for attachment in attachments}
    order: list[Attachment] = []
    mark = f"@{uuid.uuid4().hex}@"
    changed: list[tuple[_Element, _Element]] = []
    for include in list(body.iter(INCLUDE)):
        parent = include.getparent()
        attachment = by_id.get(cid_of_href(include.get("href") or ""))
        if parent is None or attachment is None:
            raise MtomError("the message names an attachment that it lacks")
        parent.remove(include)
        parent.text = mark
        changed.append((parent, include))
        order.append(attachment)
    pieces = envelope_around(body).split(mark.encode("ascii"))
    for parent, include in changed:
        parent.text = None
        parent.append(include)
    if not order:
        return simple_message(pieces[0], action)

    async def rest() -> AsyncIterator[bytes]:
        for attachment, piece in zip(order, pieces[1:], strict=True):
            async for text in _base64(attachment.chunks()):
                yield text
            yield piece

    sizes = [attachment.known_size for attachment in order]
    length = (
        None
        if None in sizes
        else sum(map(len, pieces)) + sum((size + 2) // 3 * 4 for size in sizes if size is not None)
    )
    simple = simple_message(pieces[0], action)
    return OutgoingMessage(simple.content_type, length, pieces[0], False, rest)


async def _base64(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        data = rest + chunk if rest else chunk
        usable = len(data) // 3 * 3
        rest = data[usable:]
        yield pybase64.b64encode(data[:usable])
    if rest:
        yield pybase64.b64encode(rest)


def _part_head(boundary: str, attachment: Attachment) -> bytes:
    # a mimeType from metadata that is no media type must not break the framing; the metadata keeps it
    known = _MEDIA_TYPE.fullmatch(attachment.content_type)
    return (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: {attachment.content_type if known else _OPAQUE}\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{attachment.content_id}>\r\n\r\n"
    ).encode("ascii")


def _parameter(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
