"""Resources that searches of studies answer with: ImagingStudy, ServiceRequest, Endpoint, Patient, Provenance
(HL7 Europe Imaging Report 1.0.0-ballot and IHE RAD MADO 0.1.0 at once; FHIR R4).

They are made of the study's manifest, which each Provenance names. In contrast to a report's, this
ImagingStudy says where its series can be retrieved: at the gateway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

import orjson

from gateway.fhir.datatypes import Json, write_date_time
from gateway.fhir.document_reference import logical_id
from gateway.fhir.found_study import FoundStudy
from gateway.fhir.imaging_elements import json_bytes
from gateway.fhir.imaging_parts import write_order, write_viewer_endpoint, write_wado_endpoint
from gateway.fhir.imaging_study import StudyLinks, write_imaging_study
from gateway.fhir.imaging_times import Zones
from gateway.fhir.terminology import Terminology
from gateway.model import imaging_codes as imaging
from gateway.model.dtm import is_dtm
from gateway.model.imaging import RetrieveLocation
from gateway.model.metadata import Cx

_PROFILES = (imaging.PROFILE_MADO_STUDY, imaging.PROFILE_EU_STUDY)


@dataclass(frozen=True, slots=True)
class StudyContext:
    """What the resources of a study need beyond its content.

    `patient_reference` gives the Reference of a patient, `address_of` the WADO-RS base that clients are to
    use for a location of a study, None where there is none; `viewer_of` does so for a viewer's URL.
    `default_zone` is the zone of times without offset in this community; `assembler` says who made the
    resources.
    """

    terminology: Terminology
    patient_reference: Callable[[Cx], Json]
    address_of: Callable[[FoundStudy, RetrieveLocation], str | None]
    viewer_of: Callable[[FoundStudy, str], str | None] = lambda found, url: None
    default_zone: tzinfo | None = None
    assembler: str = "MHD XDS gateway"


def write_study(found: FoundStudy, context: StudyContext) -> Json:
    """ImagingStudy with all series and instances."""
    viewer = _viewer_address(found, context)
    links = StudyLinks(
        subject=_subject(found, context),
        order=lambda number: f"ServiceRequest/{found.order_id(number)}",
        endpoint=lambda place: {"reference": f"Endpoint/{found.endpoint_id(place)}"},
        viewer={"reference": f"Endpoint/{found.viewer_id}"} if viewer else None,
        profiles=_PROFILES,
        european=True,
    )
    zones = Zones(found.utc_offset, context.default_zone)
    resource = write_imaging_study(found.study, found.id, zones, context.terminology, links)
    return _finished(resource, found)


def write_orders(found: FoundStudy, context: StudyContext) -> list[Json]:
    """A ServiceRequest for each request of the study; those of one number are one."""
    subject = _subject(found, context)
    orders = {
        found.order_id(number): write_order(
            request,
            found.order_id(number),
            subject,
            context.terminology,
            (imaging.PROFILE_MADO_REQUEST, imaging.PROFILE_EU_ORDER),
        )
        for number, request in enumerate(found.study.requests)
    }
    return [_finished(order, found) for order in orders.values()]


def write_endpoints(found: FoundStudy, context: StudyContext) -> list[Json]:
    """An Endpoint for each place that the study can be retrieved from, and that of the viewer."""
    endpoints = [
        write_wado_endpoint(
            place,
            context.address_of(found, place) if place is not None else None,
            found.endpoint_id(place),
        )
        for place in found.places
    ]
    viewer = _viewer_address(found, context)
    if viewer:
        endpoints.append(write_viewer_endpoint(viewer, found.viewer_id))
    return [_finished(endpoint, found) for endpoint in endpoints]


def write_study_provenance(found: FoundStudy, context: StudyContext, recorded: str) -> Json:
    """Provenance of the study's resources: they were assembled from the document of its manifest.

    `recorded` is an instant, used where the registry does not say when the manifest was made.
    """
    updated = write_date_time(found.updated)
    targets = [f"ImagingStudy/{found.id}"]
    targets += dict.fromkeys(
        f"ServiceRequest/{found.order_id(number)}" for number in range(len(found.study.requests))
    )
    targets += [f"Endpoint/{found.endpoint_id(place)}" for place in found.places]
    assembler = {"system": imaging.PROVENANCE_PARTICIPANT, "code": "assembler"}
    resource: Json = {
        "resourceType": "Provenance",
        "id": found.provenance_id,
        "target": [{"reference": target} for target in targets],
        "recorded": updated if updated and "T" in updated else recorded,
        "agent": [{"type": {"coding": [assembler]}, "who": {"display": context.assembler}}],
        "entity": [
            {
                "role": "source",
                "what": {"reference": f"DocumentReference/{logical_id(found.entry_uuid)}"},
            }
        ],
    }
    return _finished(resource, found)


def _viewer_address(found: FoundStudy, context: StudyContext) -> str | None:
    url = found.study.viewer_url
    return context.viewer_of(found, url) if url else None


def _subject(found: FoundStudy, context: StudyContext) -> Json:
    if found.patient_id is not None:
        return context.patient_reference(found.patient_id)
    return {"display": "unknown"}


def _key(identifier: Json) -> tuple[object, object]:
    return identifier.get("system"), identifier.get("value")


def _finished(resource: Json, found: FoundStudy) -> Json:
    """The resource with clean texts and the time of its manifest."""
    if found.updated and len(found.updated) == 14 and is_dtm(found.updated):
        resource.setdefault("meta", {})["lastUpdated"] = write_date_time(found.updated)
    written: Json = orjson.loads(json_bytes(resource))
    return written
