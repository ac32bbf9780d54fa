"""DICOM files for tests, made by pydicom."""

from io import BytesIO

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"


def image_file(
    study: str, series: str, sop: str, *, size: int = 2000, syntax: str = EXPLICIT_LE, fill: bytes = b"\x17"
) -> bytes:
    """A Part 10 file with `size` bytes of content in a private element; `fill` is repeated in it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT)
    meta.MediaStorageSOPInstanceUID = UID(sop)
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID("2.999.7")
    data = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CT, sop
    data.StudyInstanceUID, data.SeriesInstanceUID = study, series
    data.PatientID, data.Modality = "P-1", "CT"
    data.private_block(0x0029, "TEST", create=True).add_new(0x10, "OB", (fill * size)[:size])
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()
