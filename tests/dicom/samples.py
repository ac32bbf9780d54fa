"""A manifest of the group case, and its file in each dialect that is met.

A CT series in two places, one in another, and a key object; two accession numbers under one placer order.
The files of the two older dialects are made by pydicom from one that the gateway wrote.
"""

import warnings
from collections.abc import Callable
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from gateway.dicom.concepts import Dialect
from gateway.dicom.kos_writer import write_kos
from gateway.dicom.sop_classes import KEY_OBJECT_SELECTION
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
from gateway.model.metadata import Code, Organization, Person

DCM = "1.2.840.10008.2.16.4"
SNOMED_CT = "2.16.840.1.113883.6.96"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ROOT = "2.999.7"
FIRST = RetrieveLocation(RetrieveLocationUid("2.999.8.1"), "https://first.example/dicom-web")
SECOND = RetrieveLocation(RetrieveLocationUid("2.999.8.2"))
ACCESSIONS = Issuer("RIS", "2.999.5.1", "ISO")
ORDERS = Issuer(None, "2.999.5.2", "ISO")
CHEST = Code("67734004", SNOMED_CT, "Upper trunk structure")
_PLACEHOLDERS = {"131560": "ddd001", "131561": "ddd003", "131562": "ddd004", "131563": "ddd002"}
_PLACEHOLDERS |= {"131564": "ddd007", "131565": "ddd009"}


def _request(accession: str) -> ImagingRequest:
    return ImagingRequest(
        accession=IssuedId(accession, ACCESSIONS),
        placer=IssuedId("ORDER-7", ORDERS),
        filler=IssuedId(f"F-{accession}", ACCESSIONS),
        procedure_id=f"RP-{accession}",
        procedure_description="CT of the chest",
        procedure_codes=(Code("24627-2", "2.16.840.1.113883.6.1", "CT Chest"),),
    )


def _series(number: int, *locations: RetrieveLocation, description: str, count: int) -> Series:
    return Series(
        f"{ROOT}.2.{number}",
        modality=Code("CT", DCM, "Computed Tomography"),
        number=str(number),
        description=description,
        started=LocalTime("20260310", f"08{number:02d}15.25", "+0100"),
        body_sites=(CHEST,),
        locations=locations,
        instances=tuple(
            Instance(f"{ROOT}.3.{number}.{at}", CT_IMAGE, number=str(at)) for at in range(1, count + 1)
        ),
        stated_instances=count,
    )


def group_case() -> Manifest:
    """The manifest."""
    key_object = Instance(
        f"{ROOT}.3.4.1",
        KEY_OBJECT_SELECTION,
        number="1",
        title=Code("113000", DCM, "Of Interest"),
        description="Significant DICOM Instances",
    )
    frames = Instance(f"{ROOT}.3.3.1", ENHANCED_CT, number="1", frames=120)
    series = (
        _series(1, FIRST, SECOND, description="Thorax axial", count=4),
        _series(2, SECOND, description="Thorax koronär", count=3),
        Series(
            f"{ROOT}.2.3",
            modality=Code("CT", DCM, "Computed Tomography"),
            body_site_text="left lung",
            laterality=Code("7771000", SNOMED_CT, "Left"),
            locations=(SECOND,),
            instances=(frames,),
            stated_instances=1,
        ),
        Series(
            f"{ROOT}.2.4",
            modality=Code("KO", DCM, "Key Object Selection"),
            locations=(FIRST,),
            instances=(key_object,),
            stated_instances=1,
        ),
    )
    return Manifest(
        sop_instance_uid=f"{ROOT}.4.1",
        series_instance_uid=f"{ROOT}.4",
        title=Code("131560", DCM, "Manifest with Description"),
        created=LocalTime("20260310", "0930", "+0100"),
        utc_offset="+0100",
        creator=Creator("Example Maker", Organization("Example Hospital", "H-1", "2.999.5.3")),
        study=Study(
            f"{ROOT}.1",
            patient=ImagingPatient(
                ids=(
                    IssuedId("P-1", Issuer("HIS", "2.999.5.4", "ISO")),
                    IssuedId("N-77", Issuer(None, "2.999.5.5", "ISO")),
                ),
                name=Person(family="Müller", given="Jörg", further_given="K.", prefix="Dr.", suffix="Jr."),
                birth_date="19600229",
                sex="M",
            ),
            started=LocalTime("20260310", "080000", "+0100"),
            study_id="7",
            description="CT Thorax",
            referring_physician=Person(family="Überweiser", given="Ute"),
            modalities=(Code("CT", DCM, "Computed Tomography"),),
            regions=(CHEST,),
            procedure_codes=(Code("169069000", SNOMED_CT, "CT of chest"),),
            requests=(_request("A-1"), _request("A-2")),
            viewer_url="https://viewer.example/?study=7",
            series=series,
            stated_series=len(series),
        ),
    )


def edited(data: bytes, edit: Callable[[Dataset], None]) -> bytes:
    """The file after an edit by pydicom, which writes what it is given."""
    out = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = pydicom.dcmread(BytesIO(data))
        edit(document)
        document.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _with_placeholders(document: Dataset) -> None:
    for one in document.iterall():
        if one.keyword == "CodeValue" and one.value in _PLACEHOLDERS:
            one.value = _PLACEHOLDERS[one.value]


def _as_before_mado(document: Dataset) -> None:
    """XDS-I.b: title Manifest, references without an image library."""
    title = document.ConceptNameCodeSequence[0]
    title.CodeValue, title.CodeMeaning = "113030", "Manifest"
    document.ContentSequence = [item for item in document.ContentSequence if "ReferencedSOPSequence" in item]


def group_case_files() -> dict[str, bytes]:
    """The manifest as file in each dialect."""
    final = write_kos(group_case())
    return {
        "dcm": final,
        "ti": write_kos(group_case(), dialect=Dialect.TI),
        "placeholder": edited(final, _with_placeholders),
        "legacy": edited(final, _as_before_mado),
    }
