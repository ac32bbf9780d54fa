"""Whatever a file holds: a manifest with findings or a DicomError, in bounded time and memory.

`FUZZ_CASES` sets how many mutated files are read; each has its number as seed.
"""

import os
import random
import tracemalloc
import zlib
from functools import cache
from io import BytesIO
from struct import pack

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.elements import ReadLimits
from gateway.dicom.errors import DicomError, NotAManifest
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from tests.dicom.deviations import FILE, LEGACY
from tests.dicom.samples import edited, group_case_files

CASES = int(os.environ.get("FUZZ_CASES", "1000"))
BATCH = 250
VRS = b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SQ SS ST TM UC UI UL UN UR US UT UV ZZ \0\0 ??".split()
LENGTHS = (b"\0\0", b"\1\0", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0")
MARKS = tuple(
    bytes.fromhex(mark)
    for mark in ("feff00e0ffffffff", "feff00e000000000", "feff0de000000000", "feffdde000000000")
)


@cache
def _corpus() -> tuple[bytes, ...]:
    files = list(group_case_files().values())
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        document = pydicom.dcmread(BytesIO(FILE))
        document.file_meta.TransferSyntaxUID = syntax
        out = BytesIO()
        document.save_as(out, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True)
        files.append(out.getvalue())
    return tuple(files)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _overwrite(data: bytearray, chance: random.Random) -> None:
    new = chance.choice((*LENGTHS, *MARKS))
    at = chance.randrange(len(data))
    data[at : at + len(new)] = new


def _length(data: bytearray, chance: random.Random) -> None:
    """Another length in front of a sequence or an item."""
    at = data.find(
        chance.choice((b"SQ\0\0", b"\xfe\xff\x00\xe0", b"UT\0\0", b"UI")), chance.randrange(len(data))
    )
    if at >= 0:
        data[at + 4 : at + 8] = pack(
            "<I", chance.choice((0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(9999)))
        )


def _vr(data: bytearray, chance: random.Random) -> None:
    at = data.find(chance.choice(VRS), chance.randrange(len(data)))
    if at >= 0:
        data[at : at + 2] = chance.choice(VRS)


def _nest(data: bytearray, chance: random.Random) -> None:
    """A piece of the file wrapped into sequences."""
    at = chance.randrange(132, len(data)) if len(data) > 132 else 0
    for _ in range(chance.randint(1, 40)):
        data[at:at] = bytes.fromhex("400030a7") + b"SQ\0\0\xff\xff\xff\xff" + MARKS[0]


def _double(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randrange(1, 600)]
    at = chance.randrange(len(data))
    data[at:at] = piece


def _drop(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 200)]


def _insert(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = chance.choice((*MARKS, chance.randbytes(chance.randrange(1, 30))))


def _swap_values(data: bytearray, chance: random.Random) -> None:
    """Values that are of another kind: a UID in a date, text in a number."""
    texts = (
        b"1.2.840.10008.2.16.4",
        b"20260310",
        b"\x1b$B",
        b"\\\\",
        b"\xff\xfe",
        b"(50, UCUM",
        b"ISO 2022 IR 87",
    )
    new, at = chance.choice(texts), chance.randrange(len(data))
    data[at : at + len(new)] = new


MUTATIONS = (_flip, _cut, _overwrite, _length, _vr, _nest, _double, _drop, _insert, _swap_values)


def mutated(seed: int) -> bytes:
    """A damaged file; the same for the same seed."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(_corpus()))
    for _ in range(chance.randint(1, 4)):
        if data:
            chance.choice(MUTATIONS)(data, chance)
    return bytes(data)


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_a_damaged_file_is_read_with_findings_or_refused(first: int) -> None:
    for seed in range(first, min(first + BATCH, CASES)):
        try:
            read = read_kos(mutated(seed))
        except DicomError as error:
            assert str(error), seed
            continue
        mended = write_kos(read_kos(write_kos(read.manifest)).manifest)
        assert write_kos(read_kos(mended).manifest) == mended, seed


def test_the_damage_is_such_that_both_happen() -> None:
    refused = read = unscathed = 0
    for seed in range(200):
        try:
            findings = {one.rule for one in read_kos(mutated(seed)).findings}
        except DicomError:
            refused += 1
        else:
            read += 1
            unscathed += findings <= {"series-repeated", "modality-derived", "no-image-library"}
    assert refused > 10
    assert read > 100
    assert unscathed < read / 2


def _sequences(depth: int) -> bytes:
    opening = bytes.fromhex("400030a7") + b"SQ\0\0\xff\xff\xff\xff" + MARKS[0]
    return FILE + opening * depth


def test_nesting_has_a_limit() -> None:
    assert read_kos(_sequences(20)).manifest.study
    with pytest.raises(DicomError, match="nested deeper than 24"):
        read_kos(_sequences(5000))


def test_the_number_of_elements_has_a_limit() -> None:
    items = MARKS[1] * 50_000
    flood = FILE + bytes.fromhex("400030a7") + b"SQ\0\0" + pack("<I", len(items)) + items
    with pytest.raises(DicomError, match="more than 20000 data elements"):
        read_kos(flood, ReadLimits(elements=20_000))


def test_the_size_has_a_limit() -> None:
    with pytest.raises(DicomError, match="larger than 1000 bytes"):
        read_kos(FILE, ReadLimits(size=1000))


def test_a_file_that_inflates_without_end_is_refused_in_bounded_memory() -> None:
    head = edited(FILE, lambda d: setattr(d.file_meta, "TransferSyntaxUID", DeflatedExplicitVRLittleEndian))
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = 132 + 12 + int.from_bytes(head[140:144], "little")
    bomb = head[:start] + packer.compress(bytes(50_000_000)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(DicomError, match="larger than 1000000 bytes when inflated"):
            read_kos(bomb, ReadLimits(size=1_000_000))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no DICOM file"),
        (b"%PDF-1.7 " + b"x" * 200, "no DICOM file"),
        (b"\0" * 128 + b"DICM", "ends with its meta information"),
        (FILE.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0", 1), "Big Endian"),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100", "big endian"),
    ],
    ids=["empty", "pdf", "meta only", "big endian", "big endian without meta"],
)
def test_what_is_no_little_endian_dicom_file_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(DicomError, match=text):
        read_kos(data)


def test_another_kind_of_object_is_no_manifest() -> None:
    image = edited(LEGACY, lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"))
    with pytest.raises(NotAManifest, match="SOP class"):
        read_kos(image)


def test_a_document_that_names_no_study_is_no_manifest() -> None:
    def edit(document: pydicom.Dataset) -> None:
        del document.StudyInstanceUID
        del document.CurrentRequestedProcedureEvidenceSequence

    with pytest.raises(NotAManifest, match="Study Instance UID"):
        read_kos(edited(FILE, edit))
