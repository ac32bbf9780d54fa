"""What the audit queue has taken and not yet put into its database: one file, written at its end alone.

A write of a few kilobytes outlives the end of the process as a commit of SQLite does, at a tenth of its cost,
which is what lets every request have one. The database takes the content over a few times a second, and the
file is empty again then. A frame that was cut off by the end of the process belongs to a request that was
never answered, and is left out. What cannot be read otherwise is set aside: there may be records behind it.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from struct import Struct as Layout
from typing import Final

import msgspec
from msgspec import Struct

_HEAD: Final = Layout("!II")
"""Length and CRC-32 of what follows."""
_LARGEST: Final = 64 * 1024 * 1024

Row = tuple[int, float, bytes]
"""Place in the queue, time in seconds since 1970, sealed record."""
HeldRow = tuple[str, float, bytes]
"""Id of a record whose answer has only begun, time, sealed record."""


class JournalError(Exception):
    """A journal holds what cannot be read; the text names it."""


class Frame(Struct, array_like=True):
    """What was taken at once. `number` counts the frames of a queue from its first one on."""

    number: int
    added: Sequence[Row] = ()
    held: Sequence[HeldRow] = ()
    settled: Sequence[str] = ()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)


class Journal:
    """The file of one queue, of which only its process knows."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._descriptor = _opened(path)
        self._length = os.fstat(self._descriptor).st_size
        self.damaged = 0
        """Bytes from the first frame on that is damaged, and not just cut off; known after `frames`."""
        self._encode = msgspec.msgpack.Encoder().encode

    def append(self, frame: Frame) -> None:
        """The frame outlives the process when this returns. Raises OSError, and has taken nothing then."""
        content = self._encode(frame)
        whole = _HEAD.pack(len(content), zlib.crc32(content)) + content
        try:
            written = os.write(self._descriptor, whole)
            if written != len(whole):
                raise OSError("the disk is full")
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._length += written

    def frames(self) -> Iterator[Frame]:
        """All frames that are whole. Raises OSError and JournalError."""
        decode = msgspec.msgpack.Decoder(Frame).decode
        content = os.pread(self._descriptor, self._length, 0)
        place = 0
        while place + _HEAD.size <= len(content):
            length, checked = _HEAD.unpack_from(content, place)
            left = len(content) - place
            place += _HEAD.size
            part = content[place : place + length]
            if length <= _LARGEST and len(part) < length:
                return
            # no frame is empty: a disk that lost power may give zeros
            if not part or length > _LARGEST or zlib.crc32(part) != checked:
                self.damaged = left
                return
            try:
                yield decode(part)
            except msgspec.MsgspecError:
                raise JournalError(f"{self._path.name} was written by another version") from None
            place += length

    def clear(self) -> None:
        """Everything is in the database. Raises OSError."""
        if self._length:
            os.ftruncate(self._descriptor, 0)
            self._length = 0

    def set_aside(self) -> Path:
        """Keep the file under another name, which is returned, and go on with an empty one.

        Raises OSError.
        """
        numbered = (self._path.with_suffix(f".damaged-{number}") for number in count(1))
        aside = next(path for path in numbered if not path.exists())
        self._path.rename(aside)
        os.close(self._descriptor)
        self._descriptor = _opened(self._path)
        self._length = 0
        return aside

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
