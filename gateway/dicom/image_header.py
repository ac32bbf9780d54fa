"""Which instance a DICOM file holds, read from its beginning (PS3.10 section 7.1, PS3.3 C.7.3, C.12.1).

Reading stops at the Instance Number (0020,0013), long before any pixel data; pydicom is imported where it is
used.
"""

import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from gateway.dicom.part10 import MAX_META, NotDicom, read_file_meta
from gateway.model.transfer_syntaxes import DEFLATED, EXPLICIT_LITTLE_ENDIAN

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_CLASS: Final = 0x00080016
_INSTANCE: Final = 0x00080018
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_NUMBER: Final = 0x00200013
_WANTED: Final = (_CLASS, _INSTANCE, _STUDY, _SERIES, _NUMBER)
_META_START: Final = 132
_SAME_LENGTH: Final = EXPLICIT_LITTLE_ENDIAN.encode() + b"\0\0\0"
"""Explicit VR little endian, padded to the length of the deflated syntax: that is what is inside of it."""
_MOST_DEFLATED: Final = 64 * 1024
_MOST_INFLATED: Final = 1024 * 1024
"""Bytes of a deflated file that are looked at, before and after: a few bytes may inflate to gigabytes."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """UIDs of one instance, bare; `number` is its Instance Number, 0 where it has none."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax: str
    number: int = 0


def read_image_header(path: Path) -> ImageHeader:
    """Read the beginning of a file. Blocks. Raises NotDicom where it is no instance, and OSError."""
    with path.open("rb") as file:
        try:
            dataset = _read(file)
        except (OSError, NotDicom):
            raise
        except Exception as error:
            # pydicom raises whatever the damaged bytes lead to; its texts quote them
            raise NotDicom(f"cannot be read as DICOM ({type(error).__name__})") from None
    found = {tag: _text(dataset, tag) for tag in _WANTED}
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "") or "")
    if not (syntax and found[_INSTANCE] and found[_STUDY] and found[_SERIES]):
        raise NotDicom("has no transfer syntax, SOP Instance UID, Study or Series Instance UID")
    number = found[_NUMBER]
    return ImageHeader(
        study_instance_uid=found[_STUDY],
        series_instance_uid=found[_SERIES],
        sop_instance_uid=found[_INSTANCE],
        sop_class_uid=found[_CLASS],
        transfer_syntax=syntax,
        number=int(number) if number.lstrip("+-").isascii() and number.lstrip("+-").isdigit() else 0,
    )


@cache
def _silent() -> None:
    """pydicom complains of damaged files on standard error, where only log lines belong; once is enough, and
    safe whatever threads there are."""
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def _read(file: BinaryIO) -> "FileDataset":
    from pydicom.filereader import read_partial

    _silent()

    def beyond(tag: int, _vr: str | None, _length: int) -> bool:
        return tag > _NUMBER

    dataset: FileDataset = read_partial(_undeflated(file), stop_when=beyond, specific_tags=list(_WANTED))
    return dataset


def _undeflated(file: BinaryIO) -> BinaryIO:
    """The file; of a deflated one its beginning, as if it had not been deflated."""
    head = file.read(MAX_META)
    meta = read_file_meta(head, complete=True)
    file.seek(0)
    if meta is None or meta.transfer_syntax != DEFLATED:
        return file
    tag, length, size = struct.unpack_from("<I2xHI", head, _META_START)
    if (tag, length) != (0x00000002, 4):
        raise NotDicom("has no File Meta Information Group Length")
    start = _META_START + 12 + size
    file.seek(start)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS).decompress
    body = inflate(file.read(_MOST_DEFLATED), _MOST_INFLATED)
    return BytesIO(head[:start].replace(DEFLATED.encode(), _SAME_LENGTH) + body)


def _text(dataset: "FileDataset", tag: int) -> str:
    """The raw value: pydicom's own conversion complains of what is only passed on here."""
    if tag not in dataset:
        return ""
    value = dataset.get_item(tag).value
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ")
