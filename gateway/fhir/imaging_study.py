"""Study -> ImagingStudy R4, in a manifest (MadoImagingStudy) and as a resource by itself (the same and
ImagingStudyEuImaging); IHE RAD MADO 0.1.0, HL7 Europe Imaging Report 1.0.0-ballot, mapping of MADO to KOS.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_elements import (
    ABSENT,
    accession_identifier,
    coding,
    concept,
    put,
    region_for,
    study_identifier,
    whole_number,
)
from gateway.fhir.imaging_times import Zones, put_time
from gateway.fhir.people import write_practitioner
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import Instance, RetrieveLocation, Series, Study
from gateway.model.metadata import Code

_REFERRER: Final = "referrer"


@dataclass(frozen=True, slots=True)
class StudyLinks:
    """What an ImagingStudy refers to, as References.

    `order` gives the reference of a request by its number in the study, `endpoint` that of a location (None:
    a series whose location nobody knows). With `european` the elements of HL7 Europe are written too.
    """

    subject: Json
    order: Callable[[int], str]
    endpoint: Callable[[RetrieveLocation | None], Json]
    viewer: Json | None = None
    profiles: tuple[str, ...] = (imaging.PROFILE_MADO_STUDY,)
    european: bool = False


def write_imaging_study(
    study: Study, resource_id: str, zones: Zones, terminology: Terminology, links: StudyLinks
) -> Json:
    """ImagingStudy with every series and instance that the manifest lists."""
    series = [_write_series(s, zones, terminology, links) for s in study.series]
    resource: Json = {
        "resourceType": "ImagingStudy",
        "id": resource_id,
        "meta": {"profile": list(links.profiles)},
    }
    if study.referring_physician is not None:
        practitioner = write_practitioner(study.referring_physician, (), _REFERRER, terminology)
        resource["contained"] = [practitioner]
        resource["referrer"] = {"reference": f"#{_REFERRER}"}
    put(resource, "extension", list(_regions(study, terminology, european=links.european)))
    resource["identifier"] = [study_identifier(study.study_instance_uid)]
    if study.study_id and not links.european:
        # the profile of HL7 Europe takes each identifier for the Study Instance UID
        resource["identifier"].append({"use": "usual", "value": study.study_id})
    resource["status"] = "available"
    put(resource, "modality", [coding(c, terminology) for c in study.modalities or study.all_modalities])
    resource["subject"] = links.subject
    put_time(resource, "started", study.started, zones)
    put(resource, "basedOn", _orders(study, terminology, links))
    if links.viewer is not None:
        resource["endpoint"] = [links.viewer]
    resource["numberOfSeries"] = len(series) if study.stated_series is None else study.stated_series
    resource["numberOfInstances"] = sum(s["numberOfInstances"] for s in series)
    resource["procedureCode"] = _procedures(study, terminology)
    put(resource, "description", study.description)
    put(resource, "series", series)
    return resource


def _regions(study: Study, terminology: Terminology, *, european: bool) -> Iterator[Json]:
    for region in study.regions:
        code = region_for(region, imaging.SPINE_MADO)
        yield {"url": imaging.EXT_MADO_REGION, "valueCodeableConcept": concept((code,), terminology)}
    for region in study.regions if european else ():
        code = region_for(region, imaging.SPINE_EU)
        # HL7 Europe binds its extension to its value set; another region has only that of MADO
        if code.code in imaging.EU_REGIONS and code.scheme in (imaging.SNOMED, imaging.SNOMED_DESIGNATOR):
            bound = Code(code.code, imaging.SNOMED, code.display)
            yield {"url": imaging.EXT_EU_REGION, "valueCodeableConcept": concept((bound,), terminology)}


def _orders(study: Study, terminology: Terminology, links: StudyLinks) -> list[Json]:
    return [
        {
            "reference": links.order(number),
            "type": "ServiceRequest",
            "identifier": accession_identifier(request.accession, terminology),
        }
        for number, request in enumerate(study.requests)
    ]


def _procedures(study: Study, terminology: Terminology) -> list[Json]:
    """procedureCode, which MADO wants to be legible: codes, else the description, else known as absent."""
    if not study.procedure_codes:
        return [{"text": study.description} if study.description else {"_text": ABSENT}]
    written = [concept((code,), terminology) for code in study.procedure_codes]
    if not any(code.display for code in study.procedure_codes):
        for procedure, code in zip(written, study.procedure_codes, strict=True):
            procedure["text"] = code.code
    return written


def _write_series(series: Series, zones: Zones, terminology: Terminology, links: StudyLinks) -> Json:
    written: Json = {"uid": series.series_instance_uid}
    put(written, "number", whole_number(series.number))
    written["modality"] = ABSENT if series.modality is None else coding(series.modality, terminology)
    put(written, "description", series.description)
    count = len(series.instances) if series.stated_instances is None else series.stated_instances
    written["numberOfInstances"] = count
    locations: Sequence[RetrieveLocation | None] = series.locations or (None,)
    written["endpoint"] = [links.endpoint(location) for location in locations]
    if series.body_sites:
        written["bodySite"] = coding(series.body_sites[0], terminology)
    elif series.body_site_text:
        written["bodySite"] = {"display": series.body_site_text}
    if series.laterality is not None:
        written["laterality"] = coding(series.laterality, terminology)
    put_time(written, "started", series.started, zones)
    put(written, "instance", [_write_instance(i, terminology, links) for i in series.instances])
    return written


def _write_instance(instance: Instance, terminology: Terminology, links: StudyLinks) -> Json:
    extensions: list[Json] = []
    if instance.frames is not None:
        extensions.append({"url": imaging.EXT_MADO_FRAMES, "valueInteger": instance.frames})
        if links.european:
            extensions.append({"url": imaging.EXT_EU_FRAMES, "valueInteger": instance.frames})
    if instance.title is not None:
        title = concept((instance.title,), terminology)
        extensions.append({"url": imaging.EXT_MADO_KO_TITLE, "valueCodeableConcept": title})
    if links.european and instance.description:
        description = instance.description
        extensions.append({"url": imaging.EXT_EU_INSTANCE_DESCRIPTION, "valueString": description})
    written: Json = {}
    put(written, "extension", extensions)
    written["uid"] = instance.sop_instance_uid
    written["sopClass"] = _sop_class(instance.sop_class_uid)
    put(written, "number", whole_number(instance.number))
    put(written, "title", instance.description)
    return written


def _sop_class(uid: str) -> Json:
    if not uid:
        return ABSENT
    return {"system": codes.URI_SYSTEM, "code": f"urn:oid:{uid}"}
