"""The sample CT study is one that archives and viewers take."""

from io import BytesIO

import pydicom
import pytest

from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION, SIDE
from gateway.dicom.image_header import read_image_header
from gateway.model.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS


@pytest.fixture(scope="module")
def study():
    return sample_content("test").images


@pytest.fixture(scope="module")
def files(study):
    return [(series, image, content) for series, image, content in study.files()]


def test_the_same_seed_gives_the_same_files(files):
    again = sample_content("test").images
    assert [content for *_, content in again.files()] == [content for *_, content in files]


def test_it_has_several_series_at_two_locations_in_two_transfer_syntaxes_and_a_key_object(files):
    assert {series.location_uid for series, *_ in files} == {FIRST_LOCATION, SECOND_LOCATION}
    assert {series.transfer_syntax for series, *_ in files} == {EXPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS}
    assert len({series.series_instance_uid for series, *_ in files}) == 4
    assert sum(series.modality == "KO" for series, *_ in files) == 1
    assert len({image.sop_instance_uid for _, image, _ in files}) == len(files) == 16


def test_each_file_says_what_the_study_says_of_it(study, files):
    for series, image, content in files:
        dataset = pydicom.dcmread(BytesIO(content))
        assert dataset.file_meta.TransferSyntaxUID == series.transfer_syntax
        assert (
            dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == image.sop_instance_uid
        )
        assert dataset.SOPClassUID == image.sop_class_uid
        assert dataset.StudyInstanceUID == study.study_instance_uid
        assert dataset.SeriesInstanceUID == series.series_instance_uid
        assert dataset.Modality == series.modality
        assert dataset.PatientID == study.patient.id
        assert dataset.AccessionNumber == study.accession


def pixels(content: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(content))
    if dataset.file_meta.TransferSyntaxUID == RLE_LOSSLESS:
        (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
        return unpacked(frame)
    return dataset.PixelData


def unpacked(frame: bytes) -> bytes:
    """RLE (PS3.5 Annex G) undone: two segments, high bytes and low bytes, each in PackBits."""
    count, *starts = [int.from_bytes(frame[at : at + 4], "little") for at in range(0, 64, 4)]
    assert count == 2
    planes = []
    for start, end in ((starts[0], starts[1]), (starts[1], len(frame))):
        plane, at = bytearray(), start
        while at < end and len(plane) < SIDE * SIDE:
            control = frame[at]
            if control < 128:
                plane += frame[at + 1 : at + 2 + control]
                at += 2 + control
            else:
                plane += frame[at + 1 : at + 2] * (257 - control)
                at += 2
        planes.append(plane)
    return bytes(byte for pair in zip(planes[1], planes[0], strict=True) for byte in pair)


def test_the_pixels_show_air_soft_tissue_lung_and_bone(files):
    for series, _, content in files:
        if series.modality == "KO":
            continue
        plane = pixels(content)
        assert len(plane) == SIDE * SIDE * 2
        values = {int.from_bytes(plane[at : at + 2], "little") - 1024 for at in range(0, len(plane), 2)}
        assert {-1000, 40} <= values <= {-1000, 40, -850, 60, 400}
    shown = [pixels(content) for series, _, content in files if series.modality == "CT"]
    assert len(set(shown)) > 8


def test_the_key_object_names_images_of_the_study(study, files):
    (content,) = [content for series, _, content in files if series.modality == "KO"]
    dataset = pydicom.dcmread(BytesIO(content))
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "113000"
    images = {
        image.sop_instance_uid
        for series in study.series
        for image in series.images
        if series.modality == "CT"
    }
    named = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in dataset.ContentSequence}
    assert len(named) == 3
    assert named <= images


def test_the_files_of_each_location_are_in_a_folder_of_its_own(study, files, tmp_path):
    places = study.write(tmp_path)
    assert study.write(tmp_path) == places
    found = {}
    for location, place in places.items():
        for path in place.rglob("*.dcm"):
            found[read_image_header(path).sop_instance_uid] = (location, path.read_bytes())
    assert found == {
        image.sop_instance_uid: (series.location_uid, content) for series, image, content in files
    }
    assert not list(tmp_path.rglob("*.part"))
