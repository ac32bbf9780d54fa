"""A DICOM file as a whole (PS3.10 section 7): preamble, file meta information, one data set in memory."""

import zlib
from struct import unpack_from
from typing import Final

from gateway.dicom.elements import Dataset, ElementReader, ReadLimits
from gateway.dicom.errors import DicomError
from gateway.dicom.findings import Findings

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

PREAMBLE: Final = 128
MAGIC: Final = b"DICM"
_META_GROUP: Final = 0x0002
_INSTANCE: Final = 0x00020003
_SYNTAX: Final = 0x00020010
_LONG_VRS: Final = frozenset({b"OB", b"UN", b"UT", b"OW", b"SQ"})
_FIRST_GROUPS: Final = frozenset({0x0002, 0x0008})


def read_file(data: bytes, limits: ReadLimits, findings: Findings) -> tuple[Dataset, str | None]:
    """The data set of a file, and the SOP Instance UID that its meta information states.

    Raises DicomError for what is no DICOM file, for big endian, and where a limit is passed.
    """
    if len(data) > limits.size:
        raise DicomError(f"larger than {limits.size} bytes")
    start = _start(data, findings)
    meta, start = _read_meta(data, start)
    if not meta:
        findings.add("no-file-meta", "file")
    syntax = meta.get(_SYNTAX)
    if syntax == EXPLICIT_BIG_ENDIAN:
        raise DicomError("the transfer syntax is Explicit VR Big Endian, which is retired and not read")
    if syntax == DEFLATED_LITTLE_ENDIAN:
        data, start = _inflate(data[start:], limits), 0
    explicit = _is_explicit(data, start)
    if syntax is not None and explicit != (syntax != IMPLICIT_LITTLE_ENDIAN):
        findings.add("transfer-syntax", "TransferSyntaxUID")
    dataset = ElementReader(data, limits, findings).read(start, explicit=explicit)
    return dataset, meta.get(_INSTANCE)


def _start(data: bytes, findings: Findings) -> int:
    if data[PREAMBLE : PREAMBLE + 4] == MAGIC:
        return PREAMBLE + 4
    findings.add("no-preamble", "file")
    at = 4 if data[:4] == MAGIC else 0
    if len(data) >= at + 8 and unpack_from("<H", data, at)[0] in _FIRST_GROUPS:
        return at
    if len(data) >= 2 and unpack_from(">H", data, 0)[0] in _FIRST_GROUPS:
        raise DicomError("the data set is big endian, which is retired and not read")
    raise DicomError("no DICOM file: neither DICM after a preamble nor a data set from the first byte")


def _read_meta(data: bytes, at: int) -> tuple[dict[int, str], int]:
    """File meta information, which is explicit little endian in any file, and where the data set starts."""
    found: dict[int, str] = {}
    while len(data) >= at + 8:
        group, number, vr, length = unpack_from("<HH2sH", data, at)
        if group != _META_GROUP:
            break
        start = at + 8
        if vr in _LONG_VRS:
            if len(data) < at + 12:
                break
            length, start = unpack_from("<I", data, at + 8)[0], at + 12
        at = start + length
        tag = group << 16 | number
        if tag in (_INSTANCE, _SYNTAX) and at <= len(data):
            found[tag] = data[start:at].decode("ascii", "replace").strip("\0 ")
    if at >= len(data):
        raise DicomError("the file ends with its meta information")
    return found, at


def _is_explicit(data: bytes, at: int) -> bool:
    """Whether the first element has a VR: no first element is so long that its length reads as one."""
    vr = data[at + 4 : at + 6]
    return vr.isalpha() and vr.isupper()


def _inflate(data: bytes, limits: ReadLimits) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, limits.size)
    except zlib.error:
        raise DicomError("the deflated data set cannot be inflated") from None
    if inflater.unconsumed_tail:
        raise DicomError(f"larger than {limits.size} bytes when inflated")
    return inflated
