"""pydicom, which shares no code with the gateway, reads what is written and writes what is read."""

from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.model.imaging import Manifest
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.strategies import manifests

# pydicom counts the bytes of a text where the standard counts characters
pytestmark = pytest.mark.filterwarnings("ignore:The value length")

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


def _listed(document: Dataset) -> list[tuple[str, list[tuple[str, str]]]]:
    """Series and instances of the evidence, by pydicom; a series that has two locations once."""
    found: dict[str, list[tuple[str, str]]] = {}
    for study in document.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            found[str(series.SeriesInstanceUID)] = [
                (str(sop.ReferencedSOPInstanceUID), str(sop.ReferencedSOPClassUID))
                for sop in series.ReferencedSOPSequence
            ]
    return list(found.items())


def _encoded_again(data: bytes, syntax: pydicom.uid.UID, *, undefined_lengths: bool) -> bytes:
    document = pydicom.dcmread(BytesIO(data))
    if undefined_lengths:
        _leave_lengths_open(document)
    document.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    document.save_as(out, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True)
    return out.getvalue()


def _leave_lengths_open(dataset: Dataset) -> None:
    for one in dataset:
        if one.VR == "SQ":
            one.value.is_undefined_length = True
            one.is_undefined_length = True
            for item in one.value:
                item.is_undefined_length_sequence_item = True
                _leave_lengths_open(item)


@settings(max_examples=30)
@given(manifests())
def test_pydicom_reads_the_same_evidence_and_the_same_texts(manifest: Manifest) -> None:
    document = pydicom.dcmread(BytesIO(write_kos(manifest)))
    study = manifest.study
    assert document.SOPInstanceUID == document.file_meta.MediaStorageSOPInstanceUID
    assert document.SOPInstanceUID == manifest.sop_instance_uid
    assert document.StudyInstanceUID == study.study_instance_uid
    assert str(document.StudyDescription if "StudyDescription" in document else "") == (
        study.description or ""
    )
    name = study.patient.name
    assert (document.PatientName.family_name or None) == (name.family if name else None)
    assert [str(item.PatientID) for item in document.get("OtherPatientIDsSequence", [])] == [
        one.value for one in study.patient.ids
    ]
    assert _listed(document) == [
        (one.series_instance_uid, [(i.sop_instance_uid, i.sop_class_uid) for i in one.instances])
        for one in study.series
    ]


@pytest.mark.parametrize("undefined_lengths", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("name", ORACLE_FILES)
def test_a_file_is_read_the_same_in_each_encoding(
    name: str, syntax: pydicom.uid.UID, undefined_lengths: bool
) -> None:
    data = oracle(name)
    again = _encoded_again(data, syntax, undefined_lengths=undefined_lengths)
    assert again != data or (syntax == ExplicitVRLittleEndian and not undefined_lengths)
    assert read_kos(again) == read_kos(data)


@settings(max_examples=20)
@given(manifests())
def test_a_manifest_is_read_the_same_in_each_encoding(manifest: Manifest) -> None:
    written = write_kos(manifest)
    for syntax in SYNTAXES:
        for undefined_lengths in (False, True):
            again = _encoded_again(written, syntax, undefined_lengths=undefined_lengths)
            assert read_kos(again).manifest == manifest


@pytest.mark.parametrize("name", ORACLE_FILES)
def test_the_evidence_of_a_file_is_what_pydicom_finds(name: str) -> None:
    data = oracle(name)
    assert _listed(pydicom.dcmread(BytesIO(data))) == [
        (one.series_instance_uid, [(i.sop_instance_uid, i.sop_class_uid) for i in one.instances])
        for one in read_kos(data).manifest.study.series
    ]
