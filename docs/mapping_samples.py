"""Full objects, from which the tables of the mapping are found out: each attribute has a value of its own."""

from typing import Final

from gateway.model import codes
from gateway.model.imaging import (
    Creator,
    ImagingPatient,
    ImagingRequest,
    Instance,
    IssuedId,
    Issuer,
    LocalTime,
    Manifest,
    RetrieveLocation,
    RetrieveLocationUid,
    Series,
    Study,
)
from gateway.model.metadata import (
    Address,
    Author,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    IntendedRecipient,
    Organization,
    Person,
    ReferenceId,
    SourcePatientInfo,
    SubmissionSet,
    Telecom,
)

_PATIENT: Final = Cx("P-1", "2.999.1.1")
_AUTHOR: Final = Author(
    person=Person(id="A-1", family="Author", given="Ada", authority="2.999.1.2"),
    institutions=(Organization("Hospital", "H-1", "2.999.1.3"),),
    roles=("reader",),
    specialties=("radiology",),
    telecoms=(Telecom("+1 555 1"),),
)


def _code(code: str) -> Code:
    return Code(code, "2.999.5.1", code.capitalize())


def _uuid(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012}"


ENTRY: Final = DocumentEntry(
    entry_uuid=_uuid(1),
    unique_id="2.999.2.1",
    patient_id=_PATIENT,
    mime_type="application/pdf",
    home_community_id="urn:oid:2.999.7.1",
    repository_unique_id="2.999.10.1",
    source_patient_id=Cx("S-1", "2.999.1.4"),
    source_patient_info=SourcePatientInfo(
        ids=(Cx("S-1", "2.999.1.4"),),
        names=(Person(family="Sample", given="Sam"),),
        birth_date="19700102",
        gender="F",
        addresses=(Address(city="Town"),),
    ),
    authors=(_AUTHOR,),
    legal_authenticator=Person(id="L-1", family="Legal", given="Lea", authority="2.999.1.2"),
    class_code=_code("class"),
    type_code=_code("type"),
    format_code=_code("format"),
    facility_type=_code("facility"),
    practice_setting=_code("setting"),
    confidentiality=(_code("normal"),),
    event_codes=(_code("event"),),
    reference_ids=(ReferenceId("ACC-1", "2.999.1.5", codes.REFERENCE_ACCESSION),),
    creation_time="20240102030405",
    service_start_time="20240101",
    service_stop_time="20240102",
    language="en",
    hash="da39a3ee5e6b4b0d3255bfef95601890afd80709",
    size=1234,
    title="Title",
    comments="Comments",
    uri="report.pdf",
    document_availability="Online",
    limited_metadata=True,
    logical_id=_uuid(2),
    version="3",
)

SUBMISSION_SET: Final = SubmissionSet(
    entry_uuid=_uuid(3),
    unique_id="2.999.3.1",
    source_id="2.999.4.1",
    submission_time="20240102030406",
    patient_id=_PATIENT,
    content_type=_code("content"),
    authors=(_AUTHOR,),
    intended_recipients=(IntendedRecipient(organization=Organization("Clinic", "C-1", "2.999.1.3")),),
    title="Title",
    comments="Comments",
    home_community_id="urn:oid:2.999.7.1",
    limited_metadata=True,
)

FOLDER: Final = Folder(
    entry_uuid=_uuid(4),
    unique_id="2.999.6.1",
    patient_id=_PATIENT,
    code_list=(_code("stay"),),
    last_update_time="20240102030407",
    title="Title",
    comments="Comments",
    home_community_id="urn:oid:2.999.7.1",
    limited_metadata=True,
)

_ISSUER: Final = Issuer(namespace="LAB", universal_id="2.999.1.5", universal_id_type="ISO")
_DCM: Final = "1.2.840.10008.2.16.4"
_SNOMED: Final = "2.16.840.1.113883.6.96"


def _time(hour: str) -> LocalTime:
    return LocalTime("20240102", f"{hour}0000", "+0000")


_INSTANCE: Final = Instance(
    "2.999.8.1.1.1",
    "1.2.840.10008.5.1.4.1.1.88.59",
    number="1",
    frames=7,
    title=Code("113000", _DCM, "Of Interest"),
    description="Key images",
)
_SERIES: Final = Series(
    "2.999.8.1.1",
    modality=Code("CT", _DCM, "Computed Tomography"),
    number="2",
    description="Axial",
    started=_time("10"),
    body_sites=(Code("51185008", _SNOMED, "Thoracic structure"),),
    body_site_text="Chest",
    laterality=Code("7771000", _SNOMED, "Left"),
    locations=(RetrieveLocation(RetrieveLocationUid("2.999.20.1"), "https://pacs.example/dicom-web"),),
    instances=(_INSTANCE,),
    stated_instances=1,
)
_STUDY: Final = Study(
    "2.999.8.1",
    patient=ImagingPatient(
        ids=(IssuedId("P-1", Issuer(universal_id="2.999.1.1", universal_id_type="ISO")),),
        name=Person(family="Sample", given="Sam"),
        ideographic_name=Person(family="山田", given="太郎"),
        phonetic_name=Person(family="やまだ", given="たろう"),
        birth_date="19700102",
        sex="F",
    ),
    started=_time("09"),
    study_id="ID-1",
    description="CT of the chest",
    referring_physician=Person(family="Referrer", given="Rea"),
    modalities=(Code("CT", _DCM, "Computed Tomography"),),
    regions=(Code("51185008", _SNOMED, "Thoracic structure"),),
    procedure_codes=(Code("169069000", _SNOMED, "CT of chest"),),
    requests=(
        ImagingRequest(
            accession=IssuedId("ACC-1", _ISSUER),
            placer=IssuedId("PLAC-1", _ISSUER),
            filler=IssuedId("FILL-1", _ISSUER),
            procedure_id="PROC-1",
            procedure_description="CT, as ordered",
            procedure_codes=(Code("241540006", _SNOMED, "CT of thorax"),),
        ),
    ),
    viewer_url="https://viewer.example/?study=1",
    series=(_SERIES,),
    stated_series=1,
)
MANIFEST: Final = Manifest(
    sop_instance_uid="2.999.8.2",
    study=_STUDY,
    series_instance_uid="2.999.8.3",
    title=Code("113030", _DCM, "Manifest"),
    created=_time("11"),
    utc_offset="+0000",
    creator=Creator("Maker", Organization("Hospital", "H-1", "2.999.1.3")),
)
