"""The head of a DICOM file is read as it passes by, in whatever pieces it comes."""

from collections.abc import AsyncIterator

import pytest

from gateway.dicom.part10 import FileMeta, NotDicom, identify, read_file_meta
from gateway.model.images import ImagePart

from .files import CT, EXPLICIT_LE, image_file

FILE = image_file("2.999.1", "2.999.1.1", "2.999.1.1.7", size=5000)
EXPECTED = FileMeta(CT, "2.999.1.1.7", EXPLICIT_LE)


def test_the_meta_group_names_the_instance_and_its_encoding():
    assert read_file_meta(FILE) == EXPECTED


def test_more_bytes_are_asked_for_until_the_group_is_whole():
    lengths = [n for n in range(len(FILE)) if read_file_meta(FILE[:n]) is not None]
    assert lengths == list(range(lengths[0], len(FILE)))
    assert all(read_file_meta(FILE[:n]) == EXPECTED for n in lengths)
    assert lengths[0] < 600


def test_a_file_that_ends_inside_the_group_says_what_it_has():
    cut = FILE[: FILE.index(b"2.999.1.1.7") + 3]
    assert read_file_meta(cut) is None
    assert read_file_meta(cut, complete=True) == FileMeta(sop_class_uid=CT)


@pytest.mark.parametrize("content", [b"", b"DICM", b"\0" * 131, b"\0" * 128 + b"DICX" + b"\0" * 100])
def test_what_is_no_dicom_file_is_told(content):
    with pytest.raises(NotDicom):
        read_file_meta(content, complete=True)


def test_an_element_that_claims_a_huge_length_is_not_waited_for():
    claims = FILE[:132] + b"\x02\x00\x02\x01OB\0\0\xff\xff\xff\x7f" + b"x" * 10
    assert read_file_meta(claims) == FileMeta()


@pytest.mark.parametrize("piece", [1, 7, 131, 133, 400, 10_000])
async def test_identifying_a_part_leaves_its_bytes_as_they_are(piece):
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(FILE), piece):
            yield FILE[at : at + piece]

    part = await identify(ImagePart("application/dicom", chunks()))
    assert (part.sop_instance_uid, part.transfer_syntax) == ("2.999.1.1.7", EXPLICIT_LE)
    assert b"".join([chunk async for chunk in part.chunks]) == FILE
