"""JPEG Lossless files for tests: process 14, selection value 1 (ITU-T T.81 Annex H; DICOM PS3.5 A.4.2)."""

import struct
from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGLosslessSV1

from tests.dicom.files import CT

JPEG_LOSSLESS = str(JPEGLosslessSV1)
SIDE = 24
"""Rows and columns."""
PRECISION = 12


def samples(seed: int) -> list[int]:
    """A picture: a ramp with edges and some noise, another for each seed."""
    return [
        (x * 37 + y * 11 + (2000 if (x - 12) ** 2 + (y - 12) ** 2 < 40 + seed else 0) + seed * x * y % 7)
        % 4096
        for y in range(SIDE)
        for x in range(SIDE)
    ]


def encoded(values: Sequence[int]) -> bytes:
    """One frame. The Huffman table gives each of the 17 categories five bits."""
    table = bytes([0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    frame = struct.pack(">BHHBBBB", PRECISION, SIDE, SIDE, 1, 1, 0x11, 0)
    scan = bytes([1, 1, 0, 1, 0, 0])
    bits = "".join(_code(value - _predicted(values, at)) for at, value in enumerate(values))
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xC4, b"\0" + table),
            _segment(0xC3, frame),
            _segment(0xDA, scan),
            data,
            b"\xff\xd9",
        )
    )


def _segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def _predicted(values: Sequence[int], at: int) -> int:
    """The sample on the left; at the start of a row the one above, and half of the range at the very start."""
    if at == 0:
        return 1 << (PRECISION - 1)
    return values[at - 1] if at % SIDE else values[at - SIDE]


def _code(difference: int) -> str:
    category = abs(difference).bit_length()
    further = difference if difference > 0 else difference + (1 << category) - 1
    return f"{category:05b}" + (f"{further:0{category}b}" if category else "")


def lossless_file(study: str, series: str, sop: str, *, seed: int = 0) -> bytes:
    """A single-frame CT image as Part 10 file, its pixels those of `samples(seed)`."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT)
    meta.MediaStorageSOPInstanceUID = UID(sop)
    meta.TransferSyntaxUID = JPEGLosslessSV1
    meta.ImplementationClassUID = UID("2.999.7")
    data = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CT, sop
    data.StudyInstanceUID, data.SeriesInstanceUID = study, series
    data.PatientID, data.Modality = "P-1", "CT"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows = data.Columns = SIDE
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, PRECISION, PRECISION - 1
    data.PixelRepresentation = 0
    data.PixelData = encapsulate([encoded(samples(seed))])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()
