"""QIDO-RS over manifests (DICOM PS3.18 10.6): studies, series and instances of a patient, or of a study.

What is searched is what `ImagingStudy` is made of, so both give the same. A search that names the patient
costs one query of the registry; one that names only a study is about those that this gateway has seen.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import orjson
from msgspec.structs import replace as changed

from gateway.crossborder.named_patients import ResolvedPatients
from gateway.dicom.json_model import Item, instance_item, retrieve_url, series_item, study_item
from gateway.dicom.search_attributes import ATTRIBUTES, Level
from gateway.fhir.issues import Issue, fail
from gateway.imaging.dicom_patients import DicomPatients
from gateway.imaging.found import StudyNames
from gateway.imaging.grants import Grants
from gateway.imaging.search_request import ImageSearch
from gateway.imaging.studies import KnownStudy, StudyFinder
from gateway.model import Cx
from gateway.model.imaging import ImagingRequest, Instance, IssuedId, Issuer, LocalTime, Series, Study
from gateway.security.study_urls import StudyKey

_AT_ONCE: Final = 100
_NO_NUMBER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Listed:
    """A study that manifests list. `key_of` gives the manifest that grants a series (None: the study)."""

    study: Study
    patient: Cx | None
    key_of: Callable[[str | None], StudyKey]


@dataclass(frozen=True, slots=True)
class _Match:
    """What a search found; `series` and `instance` are None above their level."""

    listed: Listed
    request: ImagingRequest | None
    series: Series | None = None
    instance: Instance | None = None


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """DICOM JSON, None where nothing matches, and sentences about what it does not have."""

    body: bytes | None
    warnings: tuple[str, ...] = ()


class ImageSearcher:
    """Searches of every level."""

    def __init__(
        self,
        finder: StudyFinder,
        names: StudyNames,
        grants: Grants,
        patients: DicomPatients,
        *,
        max_results: int,
        named: ResolvedPatients | None = None,
    ) -> None:
        """`max_results` bounds one answer. `named` knows who patients of other domains are."""
        self._finder = finder
        self._names = names
        self._grants = grants
        self._patients = patients
        self._max_results = max_results
        self._named = named

    async def search(self, search: ImageSearch, token: str | None) -> SearchAnswer:
        """Answer a search, at the address of one study's images where there is a `token`.

        Raises OutcomeError, PeerError and RegistryFailure.
        """
        patient = self._patients.resolve(search.patient) if search.patient is not None else None
        if patient is not None and self._named is not None:
            patient, unknown = await self._named.one(patient)
            if unknown is not None:
                return SearchAnswer(None, (*search.unsupported, unknown.diagnostics))
        if token is not None:
            listed, issues = await self._of_token(token, patient)
        elif patient is not None:
            listed, issues = await self._of_patients([patient])
        else:
            listed, issues = await self._of_seen(search.study_uids)
        limit = self._max_results if search.limit is None else min(search.limit, self._max_results)
        found, more = await self._page(search, listed, limit)
        warnings = [*search.unsupported, *(issue.diagnostics for issue in issues)]
        if more and limit == self._max_results:
            warnings.append(
                "The number of results exceeded the maximum supported by the server. "
                "Additional results can be requested."
            )
        return SearchAnswer(await self._written(search, found), tuple(dict.fromkeys(warnings)))

    # --- whose studies ------------------------------------------------------------------------------------
    async def _of_token(self, token: str, patient: Cx | None) -> tuple[list[Listed], tuple[Issue, ...]]:
        key, manifest = await self._grants.listed(token)
        if patient is not None and patient != key.patient_id:
            return [], ()
        study = _in_zone(manifest.study, manifest.utc_offset)
        return [Listed(study, key.patient_id, lambda _: key)], ()

    async def _of_patients(self, patients: Iterable[Cx]) -> tuple[list[Listed], tuple[Issue, ...]]:
        listed: list[Listed] = []
        issues: list[Issue] = []
        for patient in patients:
            found = await self._finder.of_patient(patient)
            listed += map(_listed, found.studies)
            issues += found.issues
        return sorted(listed, key=_newest_first), tuple(issues)

    async def _of_seen(self, study_uids: Iterable[str]) -> tuple[list[Listed], tuple[Issue, ...]]:
        uids = tuple(study_uids)
        if not uids:
            raise fail(
                400,
                "required",
                "A search needs PatientID with IssuerOfPatientID, or the study: StudyInstanceUID of one that "
                "this gateway has seen.",
                expression="PatientID",
            )
        patients: dict[Cx, None] = {}
        for uid in uids:
            patients.update(dict.fromkeys(await self._grants.patients_of_study(uid)))
        if not patients:
            raise fail(
                404,
                "not-found",
                "This gateway has seen no manifest of this study. Search with PatientID and "
                "IssuerOfPatientID.",
            )
        return await self._of_patients(patients)

    # --- what matches -------------------------------------------------------------------------------------
    async def _page(
        self, search: ImageSearch, listed: Iterable[Listed], limit: int
    ) -> tuple[list[_Match], bool]:
        """The matches of a page, and whether there are more."""
        found: list[_Match] = []
        number = 0
        async for match in _matching(search, listed):
            if number >= search.offset + limit:
                return found, True
            if number >= search.offset:
                found.append(match)
            number += 1
        return found, False

    # --- what is given ------------------------------------------------------------------------------------
    async def _written(self, search: ImageSearch, found: list[_Match]) -> bytes | None:
        if not found:
            return None
        writer = _Writer(self._names, {a.name for a in ATTRIBUTES.all if search.gives(a)})
        items = []
        for number, match in enumerate(found, 1):
            items.append(orjson.dumps(writer.item(match)))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return b"[" + b",".join(items) + b"]"


class _Writer:
    """Results as DICOM JSON. What neighbours have in common is made once: they come together."""

    def __init__(self, names: StudyNames, tags: set[str]) -> None:
        self._names = names
        self._tags = tags
        self._above: tuple[Listed, Series | None] | None = None
        self._common: Item = {}
        self._url: str | None = None

    def item(self, match: _Match) -> Item:
        """One result with the attributes that are asked for, in the order of their tags."""
        above = (match.listed, match.series)
        if self._above is None or any(a is not b for a, b in zip(self._above, above, strict=True)):
            self._above = above
            self._common = self._chosen(self._of_parents(match))
            self._url = self._address(match)
        if match.instance is None:
            return self._sorted(self._common | retrieve_url(self._url))
        own = instance_item(match.instance)
        sop_instance_uid = match.instance.sop_instance_uid
        url = None if self._url is None else f"{self._url}/instances/{sop_instance_uid}"
        return self._sorted(self._common | self._chosen(own) | retrieve_url(url))

    def _of_parents(self, match: _Match) -> Item:
        item = _study_item(match.listed, match.request)
        if match.series is not None:
            item |= series_item(match.series, match.listed.study)
        return item

    def _chosen(self, item: Item) -> Item:
        return {name: value for name, value in item.items() if name in self._tags}

    def _sorted(self, item: Item) -> Item:
        return dict(sorted(item.items()))

    def _address(self, match: _Match) -> str | None:
        """Where the gateway gives study or series; None where it reaches none of its locations."""
        study, series = match.listed.study, match.series
        places = [place for s in ([series] if series else study.series) for place in s.locations]
        key = match.listed.key_of(series.series_instance_uid if series else None)
        if all(self._names.locations.leg(place, key.home_community_id) is None for place in places):
            return None
        url = f"{self._names.base_of(key)}/studies/{study.study_instance_uid}"
        return url if series is None else f"{url}/series/{series.series_instance_uid}"


async def _matching(search: ImageSearch, listed: Iterable[Listed]) -> AsyncIterator[_Match]:
    for each in listed:
        await asyncio.sleep(0)
        request = _matching_request(search, each)
        if request is None:
            continue
        if search.level is Level.STUDY:
            yield _Match(each, request[0])
            continue
        for series in sorted(each.study.series, key=_by_number):
            of_series = search.matchers[Level.SERIES]
            if not (of_series.universal or of_series.matches(series_item(series, each.study))):
                continue
            if search.level is Level.SERIES:
                yield _Match(each, request[0], series)
                continue
            await asyncio.sleep(0)
            of_instances = search.matchers[Level.INSTANCE]
            for instance in sorted(series.instances, key=_by_number):
                if of_instances.universal or of_instances.matches(instance_item(instance)):
                    yield _Match(each, request[0], series, instance)


def _matching_request(search: ImageSearch, listed: Listed) -> tuple[ImagingRequest | None] | None:
    """The first request with which the study matches; None where it matches with none of them.

    A study that fulfils several orders has several accession numbers, where the attribute has one value.
    """
    of_study = search.matchers[Level.STUDY]
    for request in listed.study.requests or (None,):
        if of_study.universal or of_study.matches(_study_item(listed, request)):
            return (request,)
    return None


def _study_item(listed: Listed, request: ImagingRequest | None) -> Item:
    patient = listed.patient
    issued = None if patient is None else IssuedId(patient.id, Issuer(None, patient.authority, "ISO"))
    return study_item(listed.study, issued, request)


def _listed(known: KnownStudy) -> Listed:
    def key_of(series_uid: str | None) -> StudyKey:
        return (known.sources[0] if series_uid is None else known.source_of(series_uid)).key

    study = _in_zone(known.study, known.utc_offset)
    return Listed(study, known.sources[0].entry.patient_id, key_of)


def _in_zone(study: Study, offset: str | None) -> Study:
    """The study with the offset that its manifest states for all times."""
    started = study.started
    if started is None or started.offset is not None or offset is None:
        return study
    return changed(study, started=changed(started, offset=offset))


def _newest_first(listed: Listed) -> tuple[int, str]:
    started = listed.study.started or LocalTime("0")
    digits = started.date + (started.time or "").replace(".", "").ljust(12, "0")
    return -int(digits) if digits.isdecimal() else 0, listed.study.study_instance_uid


def _by_number(item: Series | Instance) -> int:
    number = item.number or ""
    return int(number) if number.isdecimal() else _NO_NUMBER
