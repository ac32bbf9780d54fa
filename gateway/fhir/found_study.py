"""A study as searches see it: what its manifests say, whose it is, and the ids of its resources."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any, Final

from msgspec import Struct

from gateway.fhir.imaging_elements import made_id
from gateway.fhir.imaging_times import Zones, interval_of, moment_of, offset_of
from gateway.fhir.search_dates import Interval, microseconds
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import ImagingRequest, IssuedId, LocalTime, RetrieveLocation, Study
from gateway.model.metadata import AvailabilityStatus, Code, Cx, Person, ReferenceId


class FoundStudy(Struct, frozen=True, kw_only=True):
    """One study of one community. `id` is that of its ImagingStudy, derived of community and study UID.

    `patient_id` is the affinity domain's identifier, which need not be among those of the study. `entry_uuid`
    and `unique_id` name the DocumentEntry of its latest manifest, `updated` is a DTM. `utc_offset` holds for
    times of the study that have none of their own. `part_id` gives the ids of resources that are made of
    parts of the study, by kind and name. `is_retrievable` is false for a study that only reports name: they
    do not say where its images are. `told` is ImagingStudy as a report has it, for what manifests have no
    place for: who did it, who asked for it and why.
    """

    id: str
    study: Study
    entry_uuid: str
    unique_id: str
    patient_id: Cx | None = None
    home_community_id: str | None = None
    updated: str | None = None
    utc_offset: str | None = None
    status: AvailabilityStatus = AvailabilityStatus.APPROVED
    part_id: Callable[..., str] | None = None
    is_retrievable: bool = True
    told: dict[str, Any] = {}

    def _part_id(self, *name: str) -> str:
        return made_id(self.id, *name) if self.part_id is None else self.part_id(*name)

    @property
    def places(self) -> tuple[RetrieveLocation | None, ...]:
        """Every retrieve location once; None stands for series that can be retrieved nowhere."""
        places: dict[RetrieveLocation | None, None] = {}
        if not self.is_retrievable:
            return ()
        for series in self.study.series:
            places.update(dict.fromkeys(series.locations or (None,)))
        return tuple(places)

    def order_id(self, number: int) -> str:
        """Id of the ServiceRequest of a request, which its numbers make: their order may change."""
        request = self.study.requests[number]
        named = [_named(issued) for issued in (request.accession, request.placer)]
        return self._part_id("ServiceRequest", *(named if any(named) else [str(number)]))

    def endpoint_id(self, place: RetrieveLocation | None) -> str:
        """Id of the Endpoint of a location."""
        named = (place.uid or "", place.url or "") if place is not None else ("",)
        return self._part_id("Endpoint", *named)

    @property
    def viewer_id(self) -> str:
        """Id of the Endpoint of the viewer."""
        return self._part_id("Viewer")

    @property
    def provenance_id(self) -> str:
        """Id of the Provenance of the study's resources."""
        return self._part_id("Provenance", self.entry_uuid)


def _named(issued: IssuedId | None) -> str:
    if issued is None:
        return ""
    issuer = issued.issuer
    return "\n".join((issued.value, (issuer.universal_id or issuer.namespace or "") if issuer else ""))


# --- what reports add ------------------------------------------------------------------------------------
_TOLD: Final = (
    "encounter",
    "referrer",
    "interpreter",
    "procedureReference",
    "location",
    "reasonCode",
    "reasonReference",
    "note",
)
_TOLD_OF_SERIES: Final = ("performer", "specimen")


def tells_more(resource: Mapping[str, Any]) -> bool:
    """True where ImagingStudy of a report has what manifests have no place for."""
    if any(name in resource for name in _TOLD):
        return True
    listed = resource.get("series")
    series = listed if isinstance(listed, list) else ()
    return any(name in one for one in series if isinstance(one, dict) for name in _TOLD_OF_SERIES)


def add_told(resource: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Put into ImagingStudy of a manifest what a report tells besides."""
    resource |= {name: told[name] for name in _TOLD if name in told and name not in resource}
    by_uid = {one.get("uid"): one for one in told.get("series", ()) if isinstance(one, dict)}
    for series in resource.get("series", ()):
        own = by_uid.get(series["uid"], {})
        series |= {name: own[name] for name in _TOLD_OF_SERIES if name in own and name not in series}


# --- what parameters compare ------------------------------------------------------------------------------
def modalities_of(found: FoundStudy) -> tuple[Code, ...]:
    """Modalities of the series, as R4 has the parameter; those of the study where a series has none."""
    study = found.study
    if all(series.modality is not None for series in study.series):
        return tuple(series.modality for series in study.series if series.modality is not None)
    return study.all_modalities


def body_sites_of(found: FoundStudy) -> tuple[Code, ...]:
    """Body sites of the series and the regions of the study, the spine under each of its codes."""
    sites = [*found.study.regions, *(site for s in found.study.series for site in s.body_sites)]
    return with_synonyms(sites)


def with_synonyms(regions: "list[Code] | tuple[Code, ...]") -> tuple[Code, ...]:
    """Regions, and beside one that has several codes the others."""
    spine = (Code(code, imaging.SNOMED) for code in sorted(imaging.SPINE))
    return (*regions, *(spine if any(region.code in imaging.SPINE for region in regions) else ()))


def started_of(found: FoundStudy, zone: tzinfo | None) -> Interval | None:
    """When the study started; a day without time of day or zone is one of the server's zone."""
    return search_interval(found.study.started, Zones(found.utc_offset, zone), zone)


def search_interval(time: LocalTime | None, zones: Zones, zone: tzinfo | None) -> Interval | None:
    """Interval of a time as its dateTime shows it: what has no zone there is of the server's zone."""
    moment = moment_of(time) if time is not None else None
    if time is None or moment is None:
        return None
    if time.time is None or offset_of(time, zones) is None:
        shift = moment.replace(tzinfo=zone or UTC).strftime("%z")[:5]
        time, zones = LocalTime(time.date, offset=shift), Zones()
    interval = interval_of(time, zones)
    return Interval(microseconds(interval[0]), microseconds(interval[1])) if interval else None


def referrers_of(found: FoundStudy) -> Iterator[Person]:
    """The referring physician."""
    if found.study.referring_physician is not None:
        yield found.study.referring_physician


def study_references(study: Study) -> tuple[ReferenceId, ...]:
    """What the study is called: its UID, and the accession, placer and filler numbers of its requests.

    They are values of referenceIdList (ITI TF-3 4.2.3.2.28), each once.
    """
    found = [ReferenceId(study.study_instance_uid, None, codes.REFERENCE_STUDY)]
    for request in study.requests:
        found.extend(request_references(request))
    return tuple(dict.fromkeys(found))


def request_references(request: ImagingRequest) -> Iterator[ReferenceId]:
    """Accession and placer order number of a request with their authority, an OID where they have one."""
    for issued, kind in (
        (request.accession, codes.REFERENCE_ACCESSION),
        (request.placer, codes.REFERENCE_ORDER),
    ):
        if issued is not None:
            issuer = issued.issuer
            authority = issuer.universal_id if issuer is not None else None
            yield ReferenceId(issued.value, authority, kind)
