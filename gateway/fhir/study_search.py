"""Searches of ImagingStudy and Endpoint over the manifests and reports of a patient
(HL7 Europe Imaging Report 1.0.0-ballot, resource access; FHIR R4 search).

Registry entries of older sources have neither modality nor study UID, so whatever is asked is compared with
what manifests and reports say themselves.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct

from gateway.fhir.found_study import (
    FoundStudy,
    body_sites_of,
    modalities_of,
    referrers_of,
    request_references,
    started_of,
    study_references,
)
from gateway.fhir.held import codes_in, reference_of, values_at
from gateway.fhir.matching import Elements, IsInTime, Registered
from gateway.fhir.patient_resources import (
    UID_SYSTEMS,
    HasAny,
    IsNumbered,
    PatientResourceParser,
    parsed,
    token_codes,
)
from gateway.fhir.search_dates import Interval, dtm_interval, read_date_in_zone
from gateway.fhir.search_request import Search, Searchable, SearchContext
from gateway.fhir.search_sort import Rules
from gateway.fhir.search_table import ParameterTable, SearchParameter
from gateway.fhir.search_values import SearchProblem, read_token, unescape
from gateway.fhir.study_parameters import ENDPOINT_PARAMETERS, STUDY_PARAMETERS
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import AvailabilityStatus, Code, Cx, ReferenceId
from gateway.model.oids import bare_oid

MANIFEST_FORMATS: Final = (
    Code(imaging.FORMAT_KOS, imaging.DCMUID),
    Code(imaging.FORMAT_FHIR_MANIFEST, imaging.MADO_FORMAT_CODES),
    # FHIR has one system for the format codes of IHE, which mostly stands for this one
    Code(imaging.FORMAT_FHIR_MANIFEST, codes.FORMAT_CODE_OID),
)
"""formatCodes that manifests are registered under."""

_CLASS_SYSTEMS: Final = UID_SYSTEMS | imaging.LEGACY_SOP_CLASS_SYSTEMS
_STATUSES: Final[dict[str, AvailabilityStatus | None]] = {
    "available": AvailabilityStatus.APPROVED,
    **dict.fromkeys(("registered", "cancelled", "entered-in-error", "unknown")),
}
_NEWEST_FIRST: Final[Rules] = (("started", True),)
_LATEST_FIRST: Final[Rules] = (("_lastUpdated", True),)


class FoundPart(Struct, frozen=True, kw_only=True):
    """A resource made of a part of a study: an endpoint."""

    found: FoundStudy
    id: str
    connection: str | None = None

    @property
    def entry_uuid(self) -> str:
        """Makes the order of results total."""
        return self.id

    @property
    def unique_id(self) -> str:
        """uniqueId of the manifest."""
        return self.found.unique_id

    @property
    def patient_id(self) -> Cx | None:
        """The patient in the affinity domain."""
        return self.found.patient_id

    @property
    def status(self) -> AvailabilityStatus:
        """That of the manifest."""
        return self.found.status


def endpoints_of(found: FoundStudy) -> tuple[FoundPart, ...]:
    """The endpoints of a study."""
    parts = [
        FoundPart(found=found, id=found.endpoint_id(place), connection="dicom-wado-rs")
        for place in found.places
    ]
    if found.study.viewer_url:
        parts.append(FoundPart(found=found, id=found.viewer_id, connection="ihe-iid"))
    return tuple(parts)


def parse_imaging_study_search(
    parameters: Sequence[tuple[str, str]],
    ctx: SearchContext,
    *,
    zone: tzinfo = UTC,
    strict: bool = False,
) -> Search[FoundStudy]:
    """Understand a search of ImagingStudy. `zone` is the server's: of days, and of times without zone.

    Raises OutcomeError 400 with every problem.
    """
    elements: Elements[FoundStudy] = Elements(
        codes={
            "modality": modalities_of,
            "bodysite": body_sites_of,
            "reason": lambda found: tuple(codes_in(values_at(found.told, _REASON), ctx.terminology)),
        },
        intervals={"started": partial(started_of, zone=zone), "_lastUpdated": _updated},
        persons=referrers_of,
        presence={
            "basedon": lambda found: bool(found.study.requests),
            "endpoint": lambda found: bool(found.places or found.study.viewer_url),
            "referrer": lambda found: found.study.referring_physician is not None or "referrer" in found.told,
            "performer": lambda found: bool(_told(_PERFORMER, found)),
        },
    )
    parser = _StudyParser(_searchable(STUDY_PARAMETERS, elements, _NEWEST_FIRST), ctx, strict=strict)
    parser.zone = zone
    return parsed(parser, parameters)


def parse_endpoint_search(
    parameters: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> Search[FoundPart]:
    """Understand a search of Endpoint. Raises OutcomeError 400 with every problem."""
    searchable = _searchable(ENDPOINT_PARAMETERS, _PARTS, _LATEST_FIRST)
    return parsed(_EndpointParser(searchable, ctx, strict=strict), parameters)


# --- parsers ----------------------------------------------------------------------------------------------
_R = TypeVar("_R", bound=Registered)


class _StudyParser(PatientResourceParser[FoundStudy]):
    zone: tzinfo = UTC

    def _read_dates(self, name: str, values: list[str]) -> None:
        conditions = []
        for value in values:
            conditions.append(read_date_in_zone(unescape(value), name, self._now, self.zone))
        self._criteria.append(IsInTime(self._elements.intervals[name], tuple(conditions)))

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        match parameter.name:
            case "_id":
                self._criteria.append(HasAny(lambda found: (found.id,), token_codes(values)))
            case "identifier":
                self._criteria.append(IsNumbered(_numbers_of, self.numbers("identifier", values)))
            case "basedon.identifier":
                tokens = self.numbers(parameter.name, values)
                self._criteria.append(IsNumbered(_order_numbers_of, tokens))
            case "basedon":
                wanted = self.ids_of(parameter.name, "ServiceRequest", values)
                self._criteria.append(HasAny(_order_ids, wanted))
            case "endpoint":
                wanted = self.ids_of(parameter.name, "Endpoint", values)
                self._criteria.append(HasAny(_endpoint_ids, wanted))
            case "series":
                self._criteria.append(HasAny(_series_uids, _uids(values, UID_SYSTEMS)))
            case "instance":
                self._criteria.append(HasAny(_instance_uids, _uids(values, UID_SYSTEMS)))
            case "dicom-class":
                self._criteria.append(HasAny(_sop_classes, _uids(values, _CLASS_SYSTEMS)))
            case "performer" | "referrer":
                path = _PERFORMER if parameter.name == "performer" else _REFERRER
                wanted = frozenset(unescape(v.strip()).removeprefix(self._ctx.base_url + "/") for v in values)
                self._criteria.append(HasAny(partial(_told, path), wanted))
            case name:
                raise SearchProblem("not-supported", f"{name} cannot be searched by.")


class _EndpointParser(PatientResourceParser[FoundPart]):
    formats = MANIFEST_FORMATS

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        if parameter.name == "_id":
            self._criteria.append(HasAny(lambda part: (part.id,), token_codes(values)))
            return
        tokens = [read_token(value) for value in values]
        wanted = {t.code or "" for t in tokens if t.system in (None, imaging.ENDPOINT_CONNECTION)}
        self._criteria.append(HasAny(lambda part: (part.connection or "",), frozenset(wanted)))


def _searchable(table: ParameterTable, elements: Elements[_R], order: Rules) -> Searchable[_R]:
    return Searchable(table, elements, _STATUSES, "http://hl7.org/fhir/imagingstudy-status", order)


# --- values -----------------------------------------------------------------------------------------------
_PARTS: Final[Elements[FoundPart]] = Elements(
    {}, {"_lastUpdated": lambda part: _updated(part.found)}, persons=lambda part: ()
)


def _updated(found: FoundStudy) -> Interval | None:
    return dtm_interval(found.updated)


def _numbers_of(found: FoundStudy) -> Iterable[ReferenceId]:
    return study_references(found.study)


def _order_numbers_of(found: FoundStudy) -> Iterable[ReferenceId]:
    return (number for request in found.study.requests for number in request_references(request))


def _order_ids(found: FoundStudy) -> Iterable[str]:
    return (found.order_id(number) for number in range(len(found.study.requests)))


def _endpoint_ids(found: FoundStudy) -> Iterable[str]:
    return (part.id for part in endpoints_of(found))


def _series_uids(found: FoundStudy) -> Iterable[str]:
    return (series.series_instance_uid for series in found.study.series)


def _instance_uids(found: FoundStudy) -> Iterable[str]:
    return (i.sop_instance_uid for series in found.study.series for i in series.instances)


def _sop_classes(found: FoundStudy) -> Iterable[str]:
    return (i.sop_class_uid for series in found.study.series for i in series.instances)


_PERFORMER: Final = "ImagingStudy.series.performer.actor"
_REFERRER: Final = "ImagingStudy.referrer"
_REASON: Final = "ImagingStudy.reasonCode"


def _told(path: str, found: FoundStudy) -> tuple[str, ...]:
    """References that a report tells, `Type/id` and the id alone."""
    literals = [reference_of(value) for value in values_at(found.told, path)]
    return tuple(name for one in literals if one is not None for name in (one, one.rpartition("/")[2]))


def _uids(values: Sequence[str], systems: frozenset[str | None]) -> frozenset[str]:
    """Bare UIDs of tokens; one of a system that UIDs do not have finds nothing."""
    tokens = [read_token(value) for value in values]
    return frozenset(bare_oid(token.code) for token in tokens if token.code and token.system in systems)
