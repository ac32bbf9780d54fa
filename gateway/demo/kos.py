"""A Key Object Selection document as manifest of an imaging study (DICOM PS3.3 A.35.4, IHE RAD-68).

pydicom is imported where it is used: it costs a third of a second.
"""

from io import BytesIO
from typing import TYPE_CHECKING

from gateway.demo.ct_study import IMPLEMENTATION, KOS_CLASS, SampleSeries, SampleStudy
from gateway.demo.samples import IdSource, SamplePatient

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def write_kos(ids: IdSource, sop_instance_uid: str, study: SampleStudy) -> bytes:
    """Part 10 file that lists every instance of `study` and where its series are."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(KOS_CLASS)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(_EXPLICIT_LITTLE_ENDIAN)
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = "SAMPLE_1"

    kos = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    kos.SpecificCharacterSet = "ISO_IR 192"
    kos.SOPClassUID = KOS_CLASS
    kos.SOPInstanceUID = sop_instance_uid
    kos.TimezoneOffsetFromUTC = "+0000"
    _add_patient(kos, study.patient)
    kos.StudyInstanceUID = study.study_instance_uid
    kos.StudyDate = study.date
    kos.StudyTime = study.time
    kos.ReferringPhysicianName = ""
    kos.StudyID = "1"
    kos.AccessionNumber = study.accession
    kos.IssuerOfAccessionNumberSequence = [_authority(study.accession_authority)]
    kos.Modality = "KO"
    kos.SeriesInstanceUID = ids.oid(5)
    kos.SeriesNumber = 1
    kos.ReferencedPerformedProcedureStepSequence = []
    kos.Manufacturer = "Sample content"
    kos.InstitutionName = study.institution
    kos.InstanceNumber = 1
    kos.ContentDate = study.date
    kos.ContentTime = study.time
    kos.ReferencedRequestSequence = [_request(ids, study)]
    listed = [_series(one) for one in study.series]
    kos.CurrentRequestedProcedureEvidenceSequence = [
        _dataset(StudyInstanceUID=study.study_instance_uid, ReferencedSeriesSequence=listed)
    ]
    _add_content(kos, listed)
    out = BytesIO()
    kos.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _dataset(**elements: object) -> "Dataset":
    from pydicom.dataset import Dataset

    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def _authority(oid: str) -> "Dataset":
    return _dataset(UniversalEntityID=oid, UniversalEntityIDType="ISO")


def _code(value: str, scheme: str, meaning: str) -> "Dataset":
    return _dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _add_patient(kos: "Dataset", patient: SamplePatient) -> None:
    kos.PatientName = f"{patient.family}^{patient.given}"
    kos.PatientID = patient.id
    kos.IssuerOfPatientIDQualifiersSequence = [_authority(patient.authority)]
    kos.PatientBirthDate = patient.birth_date.replace("-", "")
    kos.PatientSex = {"male": "M", "female": "F"}.get(patient.gender, "O")


def _request(ids: IdSource, study: SampleStudy) -> "Dataset":
    return _dataset(
        StudyInstanceUID=study.study_instance_uid,
        ReferencedStudySequence=[],
        AccessionNumber=study.accession,
        IssuerOfAccessionNumberSequence=[_authority(study.accession_authority)],
        PlacerOrderNumberImagingServiceRequest=f"P{ids.number(8)}",
        FillerOrderNumberImagingServiceRequest="",
        RequestedProcedureID=f"R{ids.number(8)}",
        RequestedProcedureDescription="CT of the chest",
        RequestedProcedureCodeSequence=[],
    )


def _series(series: SampleSeries) -> "Dataset":
    images = [
        _dataset(ReferencedSOPClassUID=image.sop_class_uid, ReferencedSOPInstanceUID=image.sop_instance_uid)
        for image in series.images
    ]
    return _dataset(
        SeriesInstanceUID=series.series_instance_uid,
        RetrieveLocationUID=series.location_uid,
        ReferencedSOPSequence=images,
    )


def _add_content(kos: "Dataset", series: "list[Dataset]") -> None:
    """The content tree of TID 2010: title Manifest, and every image that the evidence lists."""
    kos.ValueType = "CONTAINER"
    kos.ContinuityOfContent = "SEPARATE"
    kos.ConceptNameCodeSequence = [_code("113030", "DCM", "Manifest")]
    kos.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="2010")]
    kos.ContentSequence = [
        _dataset(
            RelationshipType="CONTAINS",
            ValueType="COMPOSITE" if image.ReferencedSOPClassUID == KOS_CLASS else "IMAGE",
            ReferencedSOPSequence=[
                _dataset(
                    ReferencedSOPClassUID=image.ReferencedSOPClassUID,
                    ReferencedSOPInstanceUID=image.ReferencedSOPInstanceUID,
                )
            ],
        )
        for one in series
        for image in one.ReferencedSOPSequence
    ]
