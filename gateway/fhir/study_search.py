"""Searches of ImagingStudy, ServiceRequest, Endpoint and Provenance over the manifests of a patient
(HL7 Europe Imaging Report 1.0.0-ballot, resource access; FHIR R4 search).

The registry is asked for the patient's manifests and nothing else: entries of older sources have neither
modality nor study UID, so whatever is asked is compared with the manifests themselves.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Final, Generic, TypeVar

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
from gateway.fhir.matching import Elements, IdentifierToken, IsInTime, IsMissing, Registered, RelatedToken
from gateway.fhir.search_dates import DateCondition, Interval, dtm_interval, microseconds, read_date
from gateway.fhir.search_parser import SearchParser
from gateway.fhir.search_request import Search, Searchable, SearchContext
from gateway.fhir.search_sort import Rules
from gateway.fhir.search_table import ParameterTable, SearchParameter
from gateway.fhir.search_tokens import read_related
from gateway.fhir.search_values import SearchProblem, read_token, unescape
from gateway.fhir.study_parameters import (
    ENDPOINT_PARAMETERS,
    ORDER_PARAMETERS,
    PROVENANCE_PARAMETERS,
    STUDY_PARAMETERS,
)
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import ImagingRequest
from gateway.model.metadata import AvailabilityStatus, Code, Cx, ReferenceId
from gateway.model.oids import bare_oid
from gateway.model.query import ANY_DOCUMENT, FindDocuments, StoredQuery

MANIFEST_FORMATS: Final = (
    Code(imaging.FORMAT_KOS, imaging.DCMUID),
    Code(imaging.FORMAT_FHIR_MANIFEST, imaging.MADO_FORMAT_CODES),
    # FHIR has one system for the format codes of IHE, which mostly stands for this one
    Code(imaging.FORMAT_FHIR_MANIFEST, codes.FORMAT_CODE_OID),
)
"""formatCodes that manifests are registered under."""

_UID_SYSTEMS: Final = frozenset({None, codes.URI_SYSTEM, codes.DICOM_UID_SYSTEM})
_CLASS_SYSTEMS: Final = _UID_SYSTEMS | imaging.LEGACY_SOP_CLASS_SYSTEMS
_WITH_ZONE: Final = re.compile(r"T.*(?:Z|[+\- ]\d\d:\d\d)$")
_EPOCH: Final = datetime(1, 1, 1)
_STATUSES: Final[dict[str, AvailabilityStatus | None]] = {
    "available": AvailabilityStatus.APPROVED,
    **dict.fromkeys(("registered", "cancelled", "entered-in-error", "unknown")),
}
_NEWEST_FIRST: Final[Rules] = (("started", True),)
_LATEST_FIRST: Final[Rules] = (("_lastUpdated", True),)


class FoundPart(Struct, frozen=True, kw_only=True):
    """A resource made of a part of a study: an order (with its request) or an endpoint."""

    found: FoundStudy
    id: str
    request: ImagingRequest | None = None
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


def orders_of(found: FoundStudy) -> tuple[FoundPart, ...]:
    """The orders of a study, each id once."""
    parts = {
        found.order_id(number): FoundPart(found=found, id=found.order_id(number), request=request)
        for number, request in enumerate(found.study.requests)
    }
    return tuple(parts.values())


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
        codes={"modality": modalities_of, "bodysite": body_sites_of},
        intervals={"started": partial(started_of, zone=zone), "_lastUpdated": _updated},
        persons=referrers_of,
        presence={
            "basedon": lambda found: bool(found.study.requests),
            "endpoint": lambda found: bool(found.study.series or found.study.viewer_url),
            "referrer": lambda found: found.study.referring_physician is not None,
            "performer": lambda found: False,
            "reason": lambda found: False,
        },
    )
    parser = _StudyParser(_searchable(STUDY_PARAMETERS, elements, _NEWEST_FIRST), ctx, strict=strict)
    parser.zone = zone
    return _parsed(parser, parameters)


def parse_order_search(
    parameters: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> Search[FoundPart]:
    """Understand a search of ServiceRequest. Raises OutcomeError 400 with every problem."""
    searchable = _searchable(ORDER_PARAMETERS, _PARTS, _LATEST_FIRST)
    return _parsed(_OrderParser(searchable, ctx, strict=strict), parameters)


def parse_endpoint_search(
    parameters: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> Search[FoundPart]:
    """Understand a search of Endpoint. Raises OutcomeError 400 with every problem."""
    searchable = _searchable(ENDPOINT_PARAMETERS, _PARTS, _LATEST_FIRST)
    return _parsed(_EndpointParser(searchable, ctx, strict=strict), parameters)


def parse_provenance_search(
    parameters: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> Search[FoundStudy]:
    """Understand a search of Provenance. Raises OutcomeError 400 with every problem."""
    elements: Elements[FoundStudy] = Elements({}, {"_lastUpdated": _updated}, persons=lambda found: ())
    searchable = _searchable(PROVENANCE_PARAMETERS, elements, _LATEST_FIRST)
    return _parsed(_ProvenanceParser(searchable, ctx, strict=strict), parameters)


# --- criteria ---------------------------------------------------------------------------------------------
_R = TypeVar("_R", bound=Registered)


@dataclass(frozen=True, slots=True)
class HasAny(Generic[_R]):
    """One of the values that `read` gives is among `values`."""

    read: Callable[[_R], Iterable[str]]
    values: frozenset[str]

    def matches(self, item: _R) -> bool:
        """True where a value is as asked."""
        return not self.values.isdisjoint(self.read(item))


@dataclass(frozen=True, slots=True)
class IsNumbered(Generic[_R]):
    """One of the numbers that `read` gives, with its issuer, is asked for."""

    read: Callable[[_R], Iterable[ReferenceId]]
    tokens: tuple[RelatedToken, ...]

    def matches(self, item: _R) -> bool:
        """True where a number is as asked."""
        return any(token.fits(number) for number in self.read(item) for token in self.tokens)


# --- parsers ----------------------------------------------------------------------------------------------
class _ManifestParser(SearchParser[_R]):
    """What the searches over manifests have in common: they start from the patient."""

    def _queries_by_id(self, groups: Sequence[Sequence[IdentifierToken]]) -> None:
        return None

    def _queries_of_patient(
        self, patient: Cx, statuses: frozenset[AvailabilityStatus]
    ) -> tuple[StoredQuery, ...]:
        return (
            FindDocuments(
                patient_id=patient,
                status=tuple(statuses),
                format_code=MANIFEST_FORMATS,
                document_type=ANY_DOCUMENT,
            ),
        )

    def _without_patient(self) -> str:
        return f" to search {self._resource.table.resource} resources"

    def _wanted_statuses(self, *, needed: bool) -> frozenset[AvailabilityStatus] | None:
        return frozenset({AvailabilityStatus.APPROVED}) if self._statuses is None else self._statuses

    def _read(self, parameter: SearchParameter, modifier: str | None, values: list[str]) -> None:
        if parameter.name in ("_id", "identifier"):
            self._read_own(parameter, modifier, values)
        else:
            super()._read(parameter, modifier, values)

    def _ids_of(self, name: str, resource_type: str, values: Sequence[str]) -> frozenset[str]:
        """Ids in references `Type/id`, `id` or an absolute URL of this server."""
        found = set()
        for value in values:
            reference = unescape(value.strip()).removeprefix(self._ctx.base_url + "/")
            kind, slash, number = reference.rpartition("/")
            if slash and kind != resource_type:
                raise SearchProblem("value", f"{name}: give {resource_type}/id of this server.")
            found.add(number)
        return frozenset(found)

    def _numbers(self, name: str, values: Sequence[str]) -> tuple[RelatedToken, ...]:
        """Tokens of numbers with issuers; a URI that the settings do not map is an issuer as it stands."""
        tokens = []
        for value in values:
            token = read_token(value)
            system = token.system or ""
            known = self._ctx.terminology.authorities.oid_or_none(system) is not None
            if ":" in system and not known and system not in _UID_SYSTEMS:
                tokens.append(RelatedToken(frozenset({token.code or ""} - {""}), frozenset({system})))
            else:
                tokens.append(read_related(value, name, self._ctx.terminology))
        return tuple(tokens)


class _StudyParser(_ManifestParser[FoundStudy]):
    zone: tzinfo = UTC

    def _read_dates(self, name: str, values: list[str]) -> None:
        conditions = []
        for value in values:
            text = unescape(value)
            condition = read_date(text, name, self._now)
            conditions.append(condition if _WITH_ZONE.search(text) else _in_zone(condition, self.zone))
        self._criteria.append(IsInTime(self._elements.intervals[name], tuple(conditions)))

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        match parameter.name:
            case "_id":
                self._criteria.append(HasAny(lambda found: (found.id,), _texts(values)))
            case "identifier":
                self._criteria.append(IsNumbered(_numbers_of, self._numbers("identifier", values)))
            case "basedon.identifier":
                tokens = self._numbers(parameter.name, values)
                self._criteria.append(IsNumbered(_order_numbers_of, tokens))
            case "basedon":
                wanted = self._ids_of(parameter.name, "ServiceRequest", values)
                self._criteria.append(HasAny(_order_ids, wanted))
            case "endpoint":
                wanted = self._ids_of(parameter.name, "Endpoint", values)
                self._criteria.append(HasAny(_endpoint_ids, wanted))
            case "series":
                self._criteria.append(HasAny(_series_uids, _uids(values, _UID_SYSTEMS)))
            case "instance":
                self._criteria.append(HasAny(_instance_uids, _uids(values, _UID_SYSTEMS)))
            case "dicom-class":
                self._criteria.append(HasAny(_sop_classes, _uids(values, _CLASS_SYSTEMS)))
            case name:
                # of what no manifest says, nothing can be as asked
                self._criteria.append(IsMissing(self._elements.presence_of(name), missing=False))
                self._criteria.append(HasAny(lambda found: (), frozenset()))


class _OrderParser(_ManifestParser[FoundPart]):
    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        if parameter.name == "_id":
            self._criteria.append(HasAny(lambda part: (part.id,), _texts(values)))
        else:
            self._criteria.append(IsNumbered(_numbers_of_order, self._numbers("identifier", values)))


class _EndpointParser(_ManifestParser[FoundPart]):
    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        if parameter.name == "_id":
            self._criteria.append(HasAny(lambda part: (part.id,), _texts(values)))
            return
        tokens = [read_token(value) for value in values]
        wanted = {t.code or "" for t in tokens if t.system in (None, imaging.ENDPOINT_CONNECTION)}
        self._criteria.append(HasAny(lambda part: (part.connection or "",), frozenset(wanted)))


class _ProvenanceParser(_ManifestParser[FoundStudy]):
    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        if parameter.name == "_id":
            self._criteria.append(HasAny(lambda found: (found.provenance_id,), _texts(values)))
            return
        references = [unescape(value.strip()).removeprefix(self._ctx.base_url + "/") for value in values]
        if not all("/" in reference for reference in references):
            raise SearchProblem("value", "target: give Type/id, for example ImagingStudy/1.")
        self._criteria.append(HasAny(_targets, frozenset(references)))


def _searchable(table: ParameterTable, elements: Elements[_R], order: Rules) -> Searchable[_R]:
    return Searchable(table, elements, _STATUSES, "http://hl7.org/fhir/imagingstudy-status", order)


def _parsed(parser: _ManifestParser[_R], parameters: Sequence[tuple[str, str]]) -> Search[_R]:
    for name, value in parameters:
        parser.add(name, value)
    return parser.finish()


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


def _numbers_of_order(part: FoundPart) -> Iterable[ReferenceId]:
    request = part.request or ImagingRequest()
    yield from request_references(request)
    if request.filler is not None:
        issuer = request.filler.issuer
        yield ReferenceId(request.filler.value, issuer.universal_id if issuer else None)


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


def _targets(found: FoundStudy) -> Iterable[str]:
    yield f"ImagingStudy/{found.id}"
    yield from (f"ServiceRequest/{number}" for number in _order_ids(found))
    yield from (f"Endpoint/{number}" for number in _endpoint_ids(found))


def _texts(values: Sequence[str]) -> frozenset[str]:
    return frozenset(read_token(value).code or "" for value in values)


def _uids(values: Sequence[str], systems: frozenset[str | None]) -> frozenset[str]:
    """Bare UIDs of tokens; one of a system that UIDs do not have finds nothing."""
    tokens = [read_token(value) for value in values]
    return frozenset(bare_oid(token.code) for token in tokens if token.code and token.system in systems)


def _in_zone(condition: DateCondition, zone: tzinfo) -> DateCondition:
    """A condition that was read as UTC, as one of the zone."""
    return replace(condition, exact=_moved(condition.exact, zone), whole=_moved(condition.whole, zone))


def _moved(interval: Interval, zone: tzinfo) -> Interval:
    return Interval(_to_utc(interval.start, zone), _to_utc(interval.end, zone))


def _to_utc(moment: int, zone: tzinfo) -> int:
    try:
        local = _EPOCH + timedelta(microseconds=moment)
        return microseconds(local.replace(tzinfo=zone).astimezone(UTC))
    except OverflowError:
        return moment
