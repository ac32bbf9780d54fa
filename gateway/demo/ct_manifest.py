"""The manifest of the sample study: what lists its instances and says where each series is (IHE RAD MADO)."""

from typing import Final

from gateway.demo.ct_study import SampleSeries, SampleStudy
from gateway.demo.samples import ORGANIZATION, IdSource
from gateway.model import Code, Organization, Person
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
    Series,
    Study,
)

_DCM: Final = "1.2.840.10008.2.16.4"
_SNOMED: Final = "2.16.840.1.113883.6.96"
_THORAX: Final = Code("51185008", _SNOMED, "Thoracic structure")
_CT_OF_CHEST: Final = Code("169069000", _SNOMED, "CT of chest")
_MODALITIES: Final = {
    "CT": Code("CT", _DCM, "Computed Tomography"),
    "KO": Code("KO", _DCM, "Key Object Selection"),
}
_OF_INTEREST: Final = Code("113000", _DCM, "Of Interest")


def manifest_of(ids: IdSource, sop_instance_uid: str, study: SampleStudy) -> Manifest:
    """The manifest of a study; it is created at the time of the study."""
    started = LocalTime(study.date, study.time, "+0000")
    patient = study.patient
    request = ImagingRequest(
        accession=IssuedId(study.accession, _issuer(study.accession_authority)),
        placer=IssuedId(f"P{ids.number(8)}", _issuer(ORGANIZATION)),
        procedure_id=f"R{ids.number(8)}",
        procedure_description="CT of the chest",
        procedure_codes=(_CT_OF_CHEST,),
    )
    return Manifest(
        sop_instance_uid=sop_instance_uid,
        series_instance_uid=ids.oid(5),
        created=started,
        utc_offset="+0000",
        creator=Creator("Sample content", Organization(study.institution, ORGANIZATION)),
        study=Study(
            study_instance_uid=study.study_instance_uid,
            patient=ImagingPatient(
                ids=(IssuedId(patient.id, _issuer(patient.authority)),),
                name=Person(family=patient.family, given=patient.given),
                birth_date=patient.birth_date.replace("-", ""),
                sex={"male": "M", "female": "F"}.get(patient.gender, "O"),
            ),
            started=started,
            study_id="1",
            description="CT of the chest",
            regions=(_THORAX,),
            procedure_codes=(_CT_OF_CHEST,),
            requests=(request,),
            series=tuple(_series(one, started) for one in study.series),
            stated_series=len(study.series),
        ),
    )


def _issuer(oid: str) -> Issuer:
    return Issuer(universal_id=oid, universal_id_type="ISO")


def _series(series: SampleSeries, started: LocalTime) -> Series:
    key_object = series.modality == "KO"
    return Series(
        series_instance_uid=series.series_instance_uid,
        modality=_MODALITIES[series.modality],
        number=str(series.number),
        description=series.description,
        started=started,
        body_sites=() if key_object else (_THORAX,),
        locations=(RetrieveLocation(series.location_uid),),
        instances=tuple(
            Instance(
                image.sop_instance_uid,
                image.sop_class_uid,
                number=str(image.number),
                title=_OF_INTEREST if key_object else None,
            )
            for image in series.images
        ),
        stated_instances=len(series.images),
    )
