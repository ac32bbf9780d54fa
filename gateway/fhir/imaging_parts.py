"""What stands beside an ImagingStudy: orders, endpoints, the patient and the maker of the manifest
(IHE RAD MADO 0.1.0 MadoRequestedProcedure, MadoWadoEndpoint, MadoWebViewerEndpoint, MadoPatient, MadoCreator,
MadoCreatorOrganization; HL7 Europe ServiceRequestOrderEuImaging).
"""

from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_elements import (
    ABSENT,
    FILLER_TYPE,
    PLACER_TYPE,
    accession_identifier,
    coding,
    issued_identifier,
    put,
)
from gateway.fhir.people import write_name, write_organization
from gateway.fhir.terminology import Terminology
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import Creator, ImagingPatient, ImagingRequest, RetrieveLocation
from gateway.model.metadata import Code, Person

PROCEDURE_ID_TYPE: Final[Json] = {"text": "Requested Procedure ID"}
"""Type of (0040,1001), for which no code system has a code."""
IDEOGRAPHIC: Final = "IDE"
PHONETIC: Final = "SYL"
GENDERS: Final = {"M": "male", "F": "female", "O": "other"}
"""Patient's Sex (0010,0040) in FHIR."""

_IMAGING: Final = Code(imaging.SNOMED_IMAGING, imaging.SNOMED, "Imaging")
_NO_PAYLOAD: Final[Json] = {"system": imaging.ENDPOINT_PAYLOAD, "code": "none"}


def write_order(
    request: ImagingRequest,
    resource_id: str,
    subject: Json,
    terminology: Terminology,
    profiles: tuple[str, ...] = (imaging.PROFILE_MADO_REQUEST,),
) -> Json:
    """ServiceRequest of one request of the study. It was carried out, since there are images."""
    identifiers = [accession_identifier(request.accession, terminology)]
    if request.placer is not None:
        identifiers.append(issued_identifier(request.placer, terminology, PLACER_TYPE))
    if request.filler is not None:
        identifiers.append(issued_identifier(request.filler, terminology, FILLER_TYPE))
    if request.procedure_id:
        identifiers.append({"type": PROCEDURE_ID_TYPE, "value": request.procedure_id})
    resource: Json = {
        "resourceType": "ServiceRequest",
        "id": resource_id,
        "meta": {"profile": list(profiles)},
        "identifier": identifiers,
        "status": "completed",
        "intent": "order",
        "category": [{"coding": [coding(_IMAGING, terminology)]}],
    }
    procedure: Json = {}
    put(procedure, "coding", [coding(code, terminology) for code in request.procedure_codes])
    put(procedure, "text", request.procedure_description)
    put(resource, "code", procedure)
    resource["subject"] = subject
    return resource


def write_wado_endpoint(location: RetrieveLocation | None, address: str | None, resource_id: str) -> Json:
    """Endpoint of a retrieve location; `address` is the WADO-RS base that clients are to use.

    A location without UID is no MadoWadoEndpoint, which demands one, and does not claim to be.
    """
    uid = location.uid if location is not None else None
    resource = _endpoint(resource_id, "dicom-wado-rs", imaging.PROFILE_MADO_WADO if uid else None)
    if uid:
        resource["extension"] = [{"url": imaging.EXT_MADO_LOCATION, "valueString": uid}]
    resource["name"] = "WADO-RS"
    resource["payloadType"] = [{"coding": [_NO_PAYLOAD], "text": "DICOM WADO-RS"}]
    resource["payloadMimeType"] = [imaging.MIME_DICOM]
    resource["address"] = address if address else imaging.PLACEHOLDER_ADDRESS
    if not address:
        resource["_address"] = ABSENT
    return resource


def write_viewer_endpoint(address: str, resource_id: str) -> Json:
    """Endpoint of a viewer in a browser. Its connection type is the one of FHIR for showing images."""
    resource = _endpoint(resource_id, "ihe-iid", imaging.PROFILE_MADO_VIEWER)
    resource["name"] = "Viewer"
    resource["payloadType"] = [{"coding": [_NO_PAYLOAD]}]
    resource["payloadMimeType"] = ["text/html"]
    resource["address"] = address
    return resource


def _endpoint(resource_id: str, connection: str, profile: str | None) -> Json:
    resource: Json = {"resourceType": "Endpoint", "id": resource_id}
    if profile is not None:
        resource["meta"] = {"profile": [profile]}
    resource["status"] = "active"
    resource["connectionType"] = {"system": imaging.ENDPOINT_CONNECTION, "code": connection}
    return resource


def write_patient(patient: ImagingPatient, resource_id: str, terminology: Terminology) -> Json:
    """Patient as the source of the study knows them, the primary identifier first."""
    resource: Json = {
        "resourceType": "Patient",
        "id": resource_id,
        "meta": {"profile": [imaging.PROFILE_MADO_PATIENT]},
    }
    put(resource, "identifier", [issued_identifier(issued, terminology) for issued in patient.ids])
    names = (
        _name(patient.name, None),
        _name(patient.ideographic_name, IDEOGRAPHIC),
        _name(patient.phonetic_name, PHONETIC),
    )
    put(resource, "name", [name for name in names if name is not None])
    put(resource, "gender", GENDERS.get(patient.sex or ""))
    date = patient.birth_date
    if date and len(date) == 8:
        resource["birthDate"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return resource


def _name(person: Person | None, representation: str | None) -> Json | None:
    written = write_name(person) if person is not None else None
    if written is None:
        return None
    if representation is not None:
        extension = {"url": imaging.EXT_NAME_REPRESENTATION, "valueCode": representation}
        written = {"extension": [extension], **written}
    return written


def write_creator(creator: Creator, resource_id: str, owner: str) -> Json:
    """Device that made the manifest."""
    resource: Json = {
        "resourceType": "Device",
        "id": resource_id,
        "meta": {"profile": [imaging.PROFILE_MADO_CREATOR]},
    }
    put(resource, "manufacturer", creator.manufacturer)
    kind = {"system": imaging.MADO_DEVICE_TYPES, "code": imaging.MADO_CREATOR_TYPE}
    resource["type"] = {"coding": [kind]}
    resource["owner"] = {"reference": owner}
    return resource


def write_creator_organization(creator: Creator, resource_id: str, terminology: Terminology) -> Json:
    """Organization that made the manifest; MADO demands one, so an unknown one is said to be."""
    organization = creator.organization
    if organization is None or not (organization.name or organization.id):
        written: Json = {"resourceType": "Organization", "id": resource_id, "_name": ABSENT}
    else:
        written = write_organization(organization, (), resource_id, terminology)
    return {**written, "meta": {"profile": [imaging.PROFILE_MADO_ORGANIZATION]}}
