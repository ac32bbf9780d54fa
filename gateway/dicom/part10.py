"""The head of a DICOM file as it passes by (PS3.10 section 7.1): which instance it is, how it is encoded.

Only the file meta group is read, which stands in the first kilobyte and is always explicit VR little
endian; the file is never held.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

from gateway.chunks import Chunk, Resumed
from gateway.model.images import ImagePart

PREAMBLE: Final = 128
_MAGIC: Final = b"DICM"
_START: Final = PREAMBLE + len(_MAGIC)
_LONG: Final = frozenset(
    {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"}
)
_SHORT_HEAD: Final = struct.Struct("<HH2sH").unpack_from
"""Group, element, value representation and, where that is not one of `_LONG`, length."""
_META: Final = 0x0002
_CLASS, _INSTANCE, _SYNTAX = 0x0002, 0x0003, 0x0010
MAX_META: Final = 64 * 1024
"""Bytes of a file that are looked at; private information may make the group long."""


class NotDicom(ValueError):
    """The bytes do not start like a DICOM file."""


_SYNTAX_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileMeta:
    """File meta information: bare UIDs, None where the file lacks them."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    transfer_syntax: str | None = None


def read_file_meta(head: Chunk, *, complete: bool = False) -> FileMeta | None:
    """Read the meta group from the first bytes of a file; None where more bytes are needed.

    `complete` says that no more will come. Raises NotDicom.
    """
    if len(head) < _START:
        if complete:
            raise NotDicom("the file is shorter than the head of a DICOM file")
        return None
    if head[PREAMBLE:_START] != _MAGIC:
        raise NotDicom("the file has no DICM after its preamble")
    found: dict[int, str] = {}
    at = _START
    while True:
        if len(head) < at + 8:
            return _meta(found) if complete or at >= MAX_META else None
        group, element, representation, length = _SHORT_HEAD(head, at)
        value = at + 8
        if group != _META:
            return _meta(found)
        if representation in _LONG:
            if len(head) < at + 12:
                return _meta(found) if complete else None
            length, value = struct.unpack_from("<I", head, at + 8)[0], at + 12
        if value + length > len(head):
            return _meta(found) if complete or value + length > MAX_META else None
        if element in (_CLASS, _INSTANCE, _SYNTAX):
            found[element] = bytes(head[value : value + length]).decode("ascii", "replace").strip("\0 ")
        at = value + length


def _meta(found: dict[int, str]) -> FileMeta:
    return FileMeta(
        found.get(_CLASS) or None, found.get(_INSTANCE) or None, transfer_syntax_uid(found.get(_SYNTAX))
    )


def transfer_syntax_uid(said: str | None) -> str | None:
    """What a file or an archive calls a transfer syntax; None for what is no UID, which must not get into the
    headers of an answer."""
    return said if said and _SYNTAX_UID.fullmatch(said) else None


async def identify(part: ImagePart) -> ImagePart:
    """The part with what its own head says of it; its bytes are unchanged. Raises NotDicom."""
    chunks = aiter(part.chunks)
    # mostly the first chunk is enough, and then it is passed on as it is
    head: Chunk = await anext(chunks, b"")
    meta = read_file_meta(head, complete=not head)
    while meta is None:
        chunk = await anext(chunks, b"")
        head = b"".join((head, chunk))
        meta = read_file_meta(head, complete=not chunk)
    return ImagePart(
        part.media_type,
        Resumed(head, chunks),
        meta.sop_instance_uid or part.sop_instance_uid,
        meta.transfer_syntax or part.transfer_syntax,
        part.size,
    )
