"""Sample content: three kinds of documents about people who do not exist, the same for the same seed."""

from dataclasses import dataclass, replace

from gateway.demo import samples
from gateway.demo.cda import write_cda
from gateway.demo.ct_manifest import manifest_of
from gateway.demo.ct_study import KOS_CLASS, SampleStudy, sample_study
from gateway.demo.fhir_document import write_fhir_document
from gateway.demo.samples import (
    IdSource,
    SampleAuthor,
    SampleCode,
    SampleDocument,
    SampleFolder,
    SamplePatient,
    SampleReferenceId,
)
from gateway.dicom.kos_writer import write_kos
from gateway.model import codes

RADIOLOGIST = SampleCode(samples.SNOMED, "66862007", "Radiologist")
PHYSICIAN = SampleCode(samples.SNOMED, "309343006", "Physician")
THORAX = SampleCode(samples.SNOMED, "51185008", "Thoracic structure")
CT = SampleCode(samples.DICOM_CODES, "CT", "Computed Tomography")
ADMISSION = SampleCode(samples.SNOMED, "32485007", "Hospital admission")
IMAGING_REPORT = SampleCode(samples.LOINC, "85430-7", "Diagnostic imaging report")
DISCHARGE_SUMMARY = SampleCode(samples.LOINC, "18842-5", "Discharge summary")
IMAGING_STUDY = SampleCode(samples.LOINC, "18748-4", "Diagnostic imaging study")
MEDICAL_SUMMARY_FORMAT = SampleCode(samples.FORMAT_CODES, "urn:ihe:pcc:xds-ms:2007", "Medical Summaries")
KOS_FORMAT = SampleCode(samples.DICOM_UIDS, KOS_CLASS, "Key Object Selection Document")
EPISODE = SampleCode(samples.FOLDER_CODES, "EPISODE", "Episode of care")

HOSPITAL_NAME = "Example Hospital"
READER = SampleAuthor("Sample", "Rita", "S-100", HOSPITAL_NAME, role=RADIOLOGIST, specialty=samples.RADIOLOGY)
SECOND_READER = SampleAuthor("Specimen", "Otto", "S-101")
DEPARTMENT = SampleAuthor(organization="Example Radiology Department", organization_id="2.999.1.10")
WARD_PHYSICIAN = SampleAuthor(
    "Template", "Paula", "S-200", HOSPITAL_NAME, role=PHYSICIAN, specialty=samples.GENERAL_MEDICINE
)


@dataclass(frozen=True, slots=True)
class SampleContent:
    """What one seed gives.

    `report` (FHIR document with PDF), `manifest` (KOS of the same study, which `images` makes) and
    `discharge` (CDA) belong to `patient`, `other_report` to `other_patient`; `corrected_report` is the
    replacement of `report`.
    """

    patient: SamplePatient
    other_patient: SamplePatient
    report: SampleDocument
    discharge: SampleDocument
    manifest: SampleDocument
    corrected_report: SampleDocument
    other_report: SampleDocument
    folder: SampleFolder
    accession: SampleReferenceId
    study: SampleReferenceId
    images: SampleStudy


def sample_content(seed: str, patient_id: str = "DEMO-1", other_patient_id: str = "DEMO-2") -> SampleContent:
    """Sample content; the same seed and patient ids give the same bytes."""
    ids = IdSource(seed)
    patient = SamplePatient(patient_id, "Muster", "Maria", "1975-04-12", "female", "Exampleton")
    other = SamplePatient(other_patient_id, "Beispiel", "Bernd", "1958-11-30", "male", "Sampleville")
    accession, study = _study(ids)
    report = _report(ids, patient, accession, study, "2024-03-10T09:30:00+01:00")
    other_accession, other_study = _study(ids)
    discharge = _discharge(ids, patient)
    images = _images(ids, patient, accession, study)
    return SampleContent(
        patient=patient,
        other_patient=other,
        report=report,
        discharge=discharge,
        manifest=_manifest(ids, images, accession, study),
        corrected_report=replace(
            _report(ids, patient, accession, study, "2024-03-11T08:00:00+01:00"),
            title="Diagnostic imaging report, corrected",
        ),
        other_report=_report(ids, other, other_accession, other_study, "2025-07-01T12:00:00+02:00"),
        folder=SampleFolder(ids.oid(4), "Chest CT of March 2024", EPISODE),
        accession=accession,
        study=study,
        images=images,
    )


def _study(ids: IdSource) -> tuple[SampleReferenceId, SampleReferenceId]:
    accession = SampleReferenceId(
        value=f"A{ids.number(9)}", type=codes.REFERENCE_ACCESSION, authority=samples.ACCESSION_AUTHORITY
    )
    return accession, SampleReferenceId(value=ids.oid(3), type=codes.REFERENCE_STUDY)


def _report(
    ids: IdSource,
    patient: SamplePatient,
    accession: SampleReferenceId,
    study: SampleReferenceId,
    written: str,
) -> SampleDocument:
    unique_id = ids.oid(2)
    content = write_fhir_document(
        ids,
        identifier=unique_id,
        patient=patient,
        author=READER,
        accession=accession,
        study_uid=study.value,
        written=written,
    )
    return SampleDocument(
        unique_id=unique_id,
        content=content,
        content_type="application/fhir+json",
        title="Diagnostic imaging report",
        description="CT of the chest, with the report as PDF",
        type=IMAGING_REPORT,
        category=samples.REPORTS,
        facility=samples.HOSPITAL,
        setting=samples.RADIOLOGY,
        events=(CT, THORAX),
        authors=(READER, SECOND_READER, DEPARTMENT),
        reference_ids=(accession, study),
        creation=written,
        period=("2024-03-10T07:00:00Z", "2024-03-10T07:20:00Z"),
    )


def _discharge(ids: IdSource, patient: SamplePatient) -> SampleDocument:
    # a document that the source identifies by UUID, which XDS allows as uniqueId
    identifier = ids.oid(2)
    content = write_cda(
        ids,
        identifier=identifier,
        patient=patient,
        author=WARD_PHYSICIAN,
        written="20231105101500+0000",
    )
    return SampleDocument(
        unique_id=ids.uuid(),
        content=content,
        content_type="text/xml",
        title="Discharge summary",
        type=DISCHARGE_SUMMARY,
        category=samples.SUMMARIES,
        format=MEDICAL_SUMMARY_FORMAT,
        facility=samples.HOSPITAL,
        setting=samples.GENERAL_MEDICINE,
        security_labels=(samples.NORMAL, samples.RESTRICTED),
        events=(ADMISSION,),
        authors=(WARD_PHYSICIAN,),
        creation="2023-11-05T10:15:00Z",
        period=("2023-11-01T08:00:00Z", "2023-11-05T10:00:00Z"),
    )


def _images(
    ids: IdSource, patient: SamplePatient, accession: SampleReferenceId, study: SampleReferenceId
) -> SampleStudy:
    return sample_study(
        ids,
        study_uid=study.value,
        patient=patient,
        accession=accession.value,
        accession_authority=accession.authority or "",
        institution=HOSPITAL_NAME,
        date="20240310",
        time="072500",
    )


def _manifest(
    ids: IdSource, images: SampleStudy, accession: SampleReferenceId, study: SampleReferenceId
) -> SampleDocument:
    sop_instance_uid = ids.oid(2)
    content = write_kos(manifest_of(ids, sop_instance_uid, images))
    return SampleDocument(
        unique_id=sop_instance_uid,
        content=content,
        content_type="application/dicom",
        title="Images of the CT of the chest",
        type=IMAGING_STUDY,
        category=samples.IMAGES,
        format=KOS_FORMAT,
        facility=samples.HOSPITAL,
        setting=samples.RADIOLOGY,
        events=(CT, THORAX),
        authors=(DEPARTMENT,),
        reference_ids=(accession, study),
        creation="2024-03-10T07:25:00Z",
        period=("2024-03-10T07:00:00Z", "2024-03-10T07:20:00Z"),
    )


__all__ = [
    "IdSource",
    "SampleAuthor",
    "SampleCode",
    "SampleContent",
    "SampleDocument",
    "SampleFolder",
    "SamplePatient",
    "SampleReferenceId",
    "sample_content",
]
