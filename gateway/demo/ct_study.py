"""A CT study made for the demonstration: slices through a drawn body in three series, and a key object.

UIDs follow from a seed; the files are made when they are asked for, the same bytes each time. The first
location holds an axial series, its coronal reformation in RLE, and the key object; the second location holds
another axial series. pydicom is imported where it is used: it costs a third of a second.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.demo.samples import IdSource, SamplePatient
from gateway.model.imaging import RetrieveLocationUid
from gateway.model.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

FIRST_LOCATION: Final = RetrieveLocationUid("2.999.1.9")
SECOND_LOCATION: Final = RetrieveLocationUid("2.999.1.11")
CT_IMAGE_CLASS: Final = "1.2.840.10008.5.1.4.1.1.2"
KOS_CLASS: Final = "1.2.840.10008.5.1.4.1.1.88.59"
_IMPLEMENTATION: Final = "2.999.1.8"
SIDE: Final = 64
"""Rows and columns of a slice."""
_AIR = -1000
_ORGANS: Final = (  # centre x, y, z, half axes x, y, z in parts of the body, Hounsfield units
    ((0.0, 0.0, 0.0), (0.85, 0.6, 1.4), 40),
    ((-0.4, -0.05, 0.0), (0.3, 0.4, 0.9), -850),
    ((0.4, -0.05, 0.0), (0.3, 0.4, 0.9), -850),
    ((0.05, -0.2, -0.3), (0.18, 0.2, 0.3), 60),
    ((0.0, 0.42, 0.0), (0.1, 0.12, 1.4), 400),
)


@dataclass(frozen=True, slots=True)
class SampleImage:
    """One instance of a series."""

    sop_instance_uid: str
    sop_class_uid: str
    number: int


@dataclass(frozen=True, slots=True)
class SampleSeries:
    """One series, all of it at one location and in one transfer syntax."""

    series_instance_uid: str
    number: int
    modality: str
    description: str
    location_uid: RetrieveLocationUid
    transfer_syntax: str
    images: tuple[SampleImage, ...]


@dataclass(frozen=True, slots=True)
class SampleStudy:
    """The study. `date` is a DICOM DA, `time` a DICOM TM, both in UTC."""

    study_instance_uid: str
    patient: SamplePatient
    accession: str
    accession_authority: str
    institution: str
    date: str
    time: str
    series: tuple[SampleSeries, ...]

    def files(self) -> Iterator[tuple[SampleSeries, SampleImage, bytes]]:
        """Each instance as a Part 10 file."""
        for series in self.series:
            for image in series.images:
                yield series, image, _file(self, series, image)

    def write(self, folder: Path) -> dict[RetrieveLocationUid, Path]:
        """Write the files below `folder` and return the folder of each location."""
        places: dict[RetrieveLocationUid, Path] = {}
        for series, image, content in self.files():
            place = places.setdefault(series.location_uid, folder / series.location_uid)
            path = place / self.study_instance_uid / f"{series.number}-{image.number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                # under its own name only when it is whole: the source looks at the folder meanwhile
                part = path.with_suffix(".part")
                part.write_bytes(content)
                part.rename(path)
        return places


def sample_study(
    ids: IdSource,
    *,
    study_uid: str,
    patient: SamplePatient,
    accession: str,
    accession_authority: str,
    institution: str,
    date: str,
    time: str,
) -> SampleStudy:
    """The study of `study_uid`; the ids of its series and instances are taken from `ids`."""

    def series(
        number: int,
        description: str,
        location: RetrieveLocationUid,
        count: int,
        *,
        syntax: str = EXPLICIT_LITTLE_ENDIAN,
        modality: str = "CT",
    ) -> SampleSeries:
        sop_class = KOS_CLASS if modality == "KO" else CT_IMAGE_CLASS
        uid = ids.oid(6)
        images = tuple(SampleImage(ids.oid(7), sop_class, at + 1) for at in range(count))
        return SampleSeries(uid, number, modality, description, location, syntax, images)

    return SampleStudy(
        study_instance_uid=study_uid,
        patient=patient,
        accession=accession,
        accession_authority=accession_authority,
        institution=institution,
        date=date,
        time=time,
        series=(
            series(2, "Chest axial", FIRST_LOCATION, 6),
            series(3, "Chest coronal", FIRST_LOCATION, 4, syntax=RLE_LOSSLESS),
            series(4, "Chest axial, lung", SECOND_LOCATION, 5),
            series(5, "Key images", FIRST_LOCATION, 1, modality="KO"),
        ),
    )


def _file(study: SampleStudy, series: SampleSeries, image: SampleImage) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(image.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(image.sop_instance_uid)
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = "SAMPLE_1"
    dataset = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    _add_context(dataset, study, series, image)
    if series.modality == "KO":
        _add_key_object(dataset, study)
    else:
        _add_slice(dataset, series, image)
        if series.transfer_syntax == RLE_LOSSLESS:
            dataset.compress(UID(RLE_LOSSLESS), encoding_plugin="pydicom", generate_instance_uid=False)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _add_context(
    dataset: "FileDataset", study: SampleStudy, series: SampleSeries, image: SampleImage
) -> None:
    """Patient, study, series, equipment and instance (PS3.3 C.7.1, C.7.2, C.7.3, C.7.5, C.12.1)."""
    patient = study.patient
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.TimezoneOffsetFromUTC = "+0000"
    dataset.SOPClassUID = image.sop_class_uid
    dataset.SOPInstanceUID = image.sop_instance_uid
    dataset.PatientName = f"{patient.family}^{patient.given}"
    dataset.PatientID = patient.id
    dataset.IssuerOfPatientIDQualifiersSequence = [_authority(patient.authority)]
    dataset.PatientBirthDate = patient.birth_date.replace("-", "")
    dataset.PatientSex = {"male": "M", "female": "F"}.get(patient.gender, "O")
    dataset.StudyInstanceUID = study.study_instance_uid
    dataset.StudyID = "1"
    dataset.StudyDescription = "CT of the chest"
    dataset.ReferringPhysicianName = ""
    dataset.AccessionNumber = study.accession
    dataset.IssuerOfAccessionNumberSequence = [_authority(study.accession_authority)]
    for moment in ("Study", "Series", "Content"):
        setattr(dataset, f"{moment}Date", study.date)
        setattr(dataset, f"{moment}Time", study.time)
    dataset.SeriesInstanceUID = series.series_instance_uid
    dataset.SeriesNumber = series.number
    dataset.SeriesDescription = series.description
    dataset.Modality = series.modality
    dataset.Manufacturer = "Sample content"
    dataset.InstitutionName = study.institution
    dataset.InstanceNumber = image.number


def _add_slice(dataset: "FileDataset", series: SampleSeries, image: SampleImage) -> None:
    """Plane and pixels (PS3.3 C.7.6.2, C.7.6.3, C.8.2.1): 12 bits, Hounsfield units with offset 1024."""
    coronal = "coronal" in series.description
    depth = -0.6 + 1.2 * (image.number - 0.5) / len(series.images)
    dataset.ImageType = ["DERIVED" if coronal else "ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.BodyPartExamined = "CHEST"
    dataset.KVP = "120"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = f"{series.series_instance_uid}.1"
    dataset.PositionReferenceIndicator = ""
    dataset.SliceThickness = "5"
    dataset.PixelSpacing = ["5", "5"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1] if coronal else [1, 0, 0, 0, 1, 0]
    place = round(160 * depth, 1)
    dataset.ImagePositionPatient = [-160, place, 160] if coronal else [-160, -160, place]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    lung = "lung" in series.description
    dataset.WindowCenter, dataset.WindowWidth = ("-500", "1500") if lung else ("40", "400")
    dataset.PixelData = _pixels(depth, coronal=coronal)
    dataset["PixelData"].VR = "OW"


def _pixels(depth: float, *, coronal: bool) -> bytes:
    """One slice through the body, 16 bits little endian; `depth` from -1 to 1 along its normal."""
    values = array("H")
    steps = [2 * (at + 0.5) / SIDE - 1 for at in range(SIDE)]
    for row in steps:
        y, z = (depth, -row) if coronal else (row, depth)
        values.extend(_hounsfield(x, y, z) + 1024 for x in steps)
    if values.itemsize != 2 or array("H", [1]).tobytes() != b"\1\0":
        values.byteswap()
    return values.tobytes()


def _hounsfield(x: float, y: float, z: float) -> int:
    """What is at a place of the body: the last of the organs that holds it."""
    found = _AIR
    for (cx, cy, cz), (rx, ry, rz), unit in _ORGANS:
        if ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 <= 1:
            found = unit
    return found


def _add_key_object(dataset: "FileDataset", study: SampleStudy) -> None:
    """A Key Object Selection (PS3.3 A.35.4, TID 2010) of the middle slice of each series of images."""
    chosen = [(s, s.images[len(s.images) // 2]) for s in study.series if s.modality != "KO"]
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.ReferencedRequestSequence = []
    dataset.CurrentRequestedProcedureEvidenceSequence = [
        _dataset(
            StudyInstanceUID=study.study_instance_uid,
            ReferencedSeriesSequence=[
                _dataset(
                    SeriesInstanceUID=series.series_instance_uid,
                    RetrieveLocationUID=series.location_uid,
                    ReferencedSOPSequence=[_reference(image)],
                )
                for series, image in chosen
            ],
        )
    ]
    dataset.ValueType = "CONTAINER"
    dataset.ContinuityOfContent = "SEPARATE"
    title = _dataset(CodeValue="113000", CodingSchemeDesignator="DCM", CodeMeaning="Of Interest")
    dataset.ConceptNameCodeSequence = [title]
    dataset.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="2010")]
    dataset.ContentSequence = [
        _dataset(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[_reference(image)])
        for _, image in chosen
    ]


def _reference(image: SampleImage) -> "Dataset":
    return _dataset(
        ReferencedSOPClassUID=image.sop_class_uid, ReferencedSOPInstanceUID=image.sop_instance_uid
    )


def _authority(oid: str) -> "Dataset":
    return _dataset(UniversalEntityID=oid, UniversalEntityIDType="ISO")


def _dataset(**elements: object) -> "Dataset":
    from pydicom.dataset import Dataset

    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made
