"""Manifest -> MadoFhirBundle, a FHIR R4 document (IHE RAD MADO 0.1.0; mapping of MADO to KOS).

The same manifest gives the same bytes: ids are made of the document's UID, and no clock is read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat, write_resource
from gateway.fhir.imaging_elements import issued_identifier, json_bytes, made_id, put, uid_identifier
from gateway.fhir.imaging_parts import (
    write_creator,
    write_creator_organization,
    write_order,
    write_patient,
    write_viewer_endpoint,
    write_wado_endpoint,
)
from gateway.fhir.imaging_study import StudyLinks, write_imaging_study
from gateway.fhir.imaging_times import Zones, put_time, write_time
from gateway.fhir.manifest_narrative import series_narrative, study_narrative, study_title
from gateway.fhir.terminology import Terminology
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer, Manifest, RetrieveLocation
from gateway.model.metadata import Cx


def kept_address(location: RetrieveLocation) -> str | None:
    """The address that the manifest gives, which suits clients that can reach the source themselves."""
    return location.url


@dataclass(frozen=True, slots=True)
class ManifestContext:
    """What a manifest in FHIR needs beyond its content.

    `assembled` (with a zone) is Bundle.timestamp where the manifest does not say when it was made, for
    example the creationTime of its DocumentEntry. `address_of` gives the WADO-RS base that clients are to use
    for a location, None where there is none; `viewer_of` does so for the viewer's URL. `default_zone` is the
    zone of times without offset in this community. `patient` is the affinity domain's identifier, which is
    written beside the reference to the Patient that the source knows.
    """

    terminology: Terminology
    assembled: datetime
    address_of: Callable[[RetrieveLocation], str | None] = kept_address
    viewer_of: Callable[[str], str | None] = str
    default_zone: tzinfo | None = None
    patient: Cx | None = None


def write_manifest_bundle(manifest: Manifest, context: ManifestContext) -> Json:
    """The document Bundle as JSON values."""
    resource: Json = orjson.loads(manifest_bundle_bytes(manifest, context))
    return resource


def manifest_bundle_bytes(
    manifest: Manifest, context: ManifestContext, wire_format: FhirFormat = FhirFormat.JSON
) -> bytes:
    """The document Bundle as FHIR JSON or XML."""
    return write_resource(json_bytes(_Writer(manifest, context).bundle()), wire_format)


@dataclass(slots=True)
class _Writer:
    manifest: Manifest
    context: ManifestContext
    zones: Zones = field(init=False)
    endpoints: dict[RetrieveLocation | None, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.zones = Zones.of(self.manifest, self.context.default_zone)

    def bundle(self) -> Json:
        study, terminology = self.manifest.study, self.context.terminology
        patient = self._id("Patient")
        orders = [
            write_order(request, self._id("ServiceRequest", number), self._subject(), terminology)
            for number, request in enumerate(study.requests)
        ]
        viewer = self._viewer()
        imaging_study = self._study(viewer)
        device, organization = self._id("Device"), self._id("Organization")
        resources = [
            self._composition(),
            imaging_study,
            *self.endpoints.values(),
            *([viewer] if viewer else []),
            write_creator(self.manifest.creator, device, f"urn:uuid:{organization}"),
            write_creator_organization(self.manifest.creator, organization, terminology),
            *orders,
            write_patient(study.patient, patient, terminology),
        ]
        return {
            "resourceType": "Bundle",
            "id": self._id("Bundle"),
            "meta": {"profile": [imaging.PROFILE_MADO_BUNDLE]},
            "identifier": uid_identifier(self.manifest.sop_instance_uid),
            "type": "document",
            "timestamp": self._timestamp(),
            "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in resources],
        }

    def _id(self, kind: str, number: int | str = 0) -> str:
        return made_id(self.manifest.sop_instance_uid, kind, str(number))

    def _timestamp(self) -> str:
        """An instant, which has to have a zone."""
        created = write_time(self.manifest.created, self.zones)
        if created is not None and "T" in created.value:
            return created.value
        return self.context.assembled.isoformat()

    def _subject(self) -> Json:
        reference: Json = {"reference": f"urn:uuid:{self._id('Patient')}", "type": "Patient"}
        patient = self.context.patient
        if patient is not None:
            issued = IssuedId(patient.id, Issuer(universal_id=patient.authority, universal_id_type="ISO"))
            reference["identifier"] = issued_identifier(issued, self.context.terminology)
        return reference

    def _viewer(self) -> Json | None:
        url = self.manifest.study.viewer_url
        address = self.context.viewer_of(url) if url else None
        return write_viewer_endpoint(address, self._id("Viewer")) if address else None

    def _endpoint(self, location: RetrieveLocation | None) -> Json:
        """Reference to the endpoint of a location; each location has one, whatever series name it."""
        if location not in self.endpoints:
            resource_id = self._id("Endpoint", len(self.endpoints))
            address = self.context.address_of(location) if location is not None else None
            self.endpoints[location] = write_wado_endpoint(location, address, resource_id)
        return {"reference": f"urn:uuid:{self.endpoints[location]['id']}", "type": "Endpoint"}

    def _study(self, viewer: Json | None) -> Json:
        links = StudyLinks(
            subject=self._subject(),
            order=lambda number: f"urn:uuid:{self._id('ServiceRequest', number)}",
            endpoint=self._endpoint,
            viewer={"reference": f"urn:uuid:{viewer['id']}", "type": "Endpoint"} if viewer else None,
        )
        study_id = self._id("ImagingStudy")
        return write_imaging_study(self.manifest.study, study_id, self.zones, self.context.terminology, links)

    def _composition(self) -> Json:
        manifest, study = self.manifest, self.manifest.study
        resource: Json = {
            "resourceType": "Composition",
            "id": self._id("Composition"),
            "meta": {"profile": [imaging.PROFILE_MADO_COMPOSITION]},
            "text": study_narrative(manifest, self.zones),
            "identifier": uid_identifier(manifest.sop_instance_uid),
            "status": "final",
            "type": {"coding": [_LOINC_STUDY]},
            "category": [{"coding": [_MEDICAL_IMAGING, _LOINC_STUDY]}],
            "subject": self._subject(),
        }
        put_time(resource, "date", manifest.created, self.zones)
        resource.setdefault("date", self.context.assembled.isoformat())
        resource["author"] = [
            {"reference": f"urn:uuid:{self._id('Device')}", "type": "Device"},
            {"reference": f"urn:uuid:{self._id('Organization')}", "type": "Organization"},
        ]
        resource["title"] = study_title(study)
        detail = {"reference": f"urn:uuid:{self._id('ImagingStudy')}", "type": "ImagingStudy"}
        resource["event"] = [{"detail": [detail]}]
        put(resource, "section", [self._section(number) for number in range(len(study.series))])
        return resource

    def _section(self, number: int) -> Json:
        series = self.manifest.study.series[number]
        places: Iterable[RetrieveLocation | None] = dict.fromkeys(series.locations) or (None,)
        return {
            "title": series.description or f"Series {series.number or number + 1}",
            "text": series_narrative(series, self.zones),
            "entry": [self._endpoint(location) for location in places],
        }


_LOINC_STUDY: Json = {
    "system": imaging.LOINC_SYSTEM,
    "code": imaging.LOINC_IMAGING_STUDY,
    "display": imaging.LOINC_IMAGING_STUDY_DISPLAY,
}
_MEDICAL_IMAGING: Json = {"system": imaging.EU_PRIORITY_CATEGORIES, "code": imaging.MEDICAL_IMAGING}
