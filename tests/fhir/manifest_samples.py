"""Manifests that tests share: a CT study of two series in two places, and one of the group case."""

from datetime import UTC, datetime

from gateway.fhir.manifest_bundle import ManifestContext
from gateway.fhir.terminology import Terminology
from gateway.model import Code, Organization, Person
from gateway.model import imaging_codes as imaging
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

TERMINOLOGY = Terminology()
ASSEMBLED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CONTEXT = ManifestContext(TERMINOLOGY, ASSEMBLED)

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
CT = Code("CT", imaging.DCM, "Computed Tomography")
KO = Code("KO", imaging.DCM, "Key Object Selection")
HEAD = Code("774007", imaging.SNOMED, "Structure of head and/or neck")
RIS = Issuer("RIS", "2.999.10", "ISO")
HIS = Issuer("HIS", "2.999.11", "ISO")
MPI = Issuer("HOSPITAL", "2.999.12", "ISO")
NEAR = RetrieveLocation(RetrieveLocationUid("2.999.21"), "https://near.example/rs")
FAR = RetrieveLocation(RetrieveLocationUid("2.999.22"))
STUDY_UID = "2.999.1.100"


def instance(number, **more):
    """The instance of a number: its UID ends with it."""
    return Instance(f"2.999.1.300.{number}", CT_CLASS, number=str(number), **more)


SIMPLE = Manifest(
    sop_instance_uid="2.999.1.1",
    series_instance_uid="2.999.1.2",
    created=LocalTime("20260225", "005759", "+0100"),
    utc_offset="+0100",
    creator=Creator("Maker", Organization("Example Hospital", "2.999.50")),
    study=Study(
        STUDY_UID,
        patient=ImagingPatient(
            ids=(IssuedId("UV1", MPI),),
            name=Person(family="Müller", given="Anna"),
            birth_date="19770530",
            sex="F",
        ),
        started=LocalTime("20260224", "162310.000", "+0100"),
        study_id="S17",
        description="CT <head>",
        referring_physician=Person(family="Rossi", given="Maria", prefix="Dr."),
        modalities=(CT,),
        regions=(HEAD,),
        procedure_codes=(Code("303653007", imaging.SNOMED, "CT of head"),),
        requests=(ImagingRequest(IssuedId("A1", RIS), IssuedId("P1", HIS), procedure_id="RP1"),),
        viewer_url="https://viewer.example/?study=1",
        series=(
            Series(
                "2.999.1.200.1",
                modality=CT,
                number="1",
                description="Axial",
                started=LocalTime("20260224", "162500.337", "+0100"),
                body_sites=(Code("69536005", imaging.SNOMED, "Head"),),
                laterality=Code("7771000", imaging.SNOMED, "Left"),
                locations=(NEAR,),
                instances=(instance(1), instance(2, frames=12)),
                stated_instances=2,
            ),
            Series(
                "2.999.1.200.2",
                modality=CT,
                number="2",
                locations=(FAR,),
                instances=(instance(3),),
                stated_instances=1,
            ),
        ),
        stated_series=2,
    ),
)

GROUP = Manifest(
    sop_instance_uid="2.999.2.1",
    created=LocalTime("20260225", "101112", "-0330"),
    utc_offset="-0330",
    creator=Creator("Maker"),
    study=Study(
        "2.999.2.100",
        patient=ImagingPatient(ids=(IssuedId("UV2", MPI), IssuedId("X9", Issuer("OTHER")))),
        started=LocalTime("20260224", "2210", "-0330"),
        description="CT of the spine",
        modalities=(CT,),
        regions=(Code(imaging.SPINE_OLD, imaging.SNOMED, "Spine"),),
        requests=(
            ImagingRequest(IssuedId("B1", RIS), IssuedId("P2", HIS)),
            ImagingRequest(IssuedId("B2", RIS), IssuedId("P2", HIS)),
        ),
        series=(
            Series(
                "2.999.2.200.1", modality=CT, number="1", locations=(NEAR, FAR), instances=(instance(11),)
            ),
            Series(
                "2.999.2.200.2",
                modality=KO,
                number="2",
                locations=(FAR,),
                instances=(
                    Instance(
                        "2.999.2.300.1",
                        imaging.KOS_SOP_CLASS,
                        number="1",
                        title=Code("113000", imaging.DCM, "Of Interest"),
                        description="Significant DICOM Instances",
                    ),
                ),
            ),
        ),
    ),
)
