"""Follows an id through correlation store, registries, repositories and sources of images."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from gateway.clients.community import DocumentPlaces, Queries
from gateway.clients.dicomweb import DicomWebSource
from gateway.clients.image_leg import ImageLeg
from gateway.clients.repository import WholeDocument
from gateway.correlation.manifests import ManifestStore
from gateway.crossborder.communities import Communities
from gateway.fhir.document_ids import read_document_id
from gateway.fhir.document_reference import resource_id
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.imaging.manifests import ManifestError, Reader
from gateway.imaging.plan import Locations
from gateway.imaging.retrieve import MISSING
from gateway.model import (
    AvailabilityStatus,
    Cx,
    DocumentEntry,
    DocumentRequest,
    QueryResult,
    RegistryFailure,
    ResponseStatus,
)
from gateway.model.errors import PeerError
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation, Series, Study
from gateway.model.object_ids import unmarked
from gateway.model.oids import bare_oid
from gateway.model.query import ANY_DOCUMENT, ANY_STATUS, FindDocuments, GetDocuments, StoredQuery
from gateway.security.study_urls import StudyKey
from gateway.trace.findings import HeldDocument, HeldSeries, Trace, Way

_FORMATS: Final = frozenset(form.code for form in MANIFEST_FORMATS)
_URN_UUID: Final = re.compile(r"urn:uuid:[0-9a-f-]{36}", re.IGNORECASE)
_NOT_FOUND: Final = (
    "no registry that was asked has a document with this id, and no manifest of such a study was read here; "
    "a study that was not yet seen is found with --patient 'system|value'"
)


@dataclass(frozen=True, slots=True)
class Reached:
    """What a gateway asks and remembers; `readers` read manifests by MIME type."""

    registry: Queries
    places: DocumentPlaces
    locations: Locations
    store: ManifestStore
    communities: Communities
    readers: Mapping[str, Reader]


class Tracer:
    """Traces. With `retrieve` what leads somewhere is tried, with documents of `max_bytes` at most."""

    def __init__(self, reached: Reached, *, retrieve: bool, max_bytes: int) -> None:
        self._registry = reached.registry
        self._places = reached.places
        self._locations = reached.locations
        self._store = reached.store
        self._communities = reached.communities
        self._readers = reached.readers
        self._retrieve = retrieve
        self._max_bytes = max_bytes

    async def trace(self, text: str, patient: Cx | None = None) -> Trace:
        """What is known of a study or document: by UID, uniqueId, entryUUID or id of a DocumentReference."""
        uid = bare_oid(text)
        silent: dict[str, None] = {}
        entries: dict[str, DocumentEntry] = {}
        seen = await self._store.of_study(uid)
        queries = list(self._queries(text, uid, seen))
        if patient is not None:
            queries.append(
                FindDocuments(
                    patient_id=patient,
                    status=ANY_STATUS,
                    format_code=MANIFEST_FORMATS,
                    document_type=ANY_DOCUMENT,
                )
            )
        for query in queries:
            found = await self._asked(query, silent)
            entries |= {entry.entry_uuid: entry for entry in found.entries}
        documents = [await self._document(entry) for entry in entries.values()]
        wanted = {key.entry_uuid for key in seen}
        shown = tuple(d for d in documents if _is_about(d, text, uid) or d.entry_uuid in wanted)
        return Trace(id=uid, documents=shown, silent=tuple(silent), hint=None if shown else _NOT_FOUND)

    # --- registries ---------------------------------------------------------------------------------------
    def _queries(self, text: str, uid: str, seen: Sequence[StudyKey]) -> Iterable[StoredQuery]:
        if seen:
            yield GetDocuments(entry_uuids=tuple(dict.fromkeys(key.entry_uuid for key in seen)))
        homes = self._communities.homes
        if (named := read_document_id(text)) is not None:
            yield GetDocuments(entry_uuids=(named.entry_uuid,))
        elif _URN_UUID.fullmatch(text):
            yield GetDocuments(entry_uuids=(text.lower(),), target_communities=homes)
            yield GetDocuments(unique_ids=(text.lower(),), target_communities=homes)
        else:
            yield GetDocuments(unique_ids=(uid,), target_communities=homes)

    async def _asked(self, query: StoredQuery, silent: dict[str, None]) -> QueryResult:
        try:
            found = await self._registry.query(query)
        except PeerError as error:
            silent[f"{error.peer} ({error.transaction}): {error.detail}"] = None
            return _NOTHING
        except RegistryFailure as failure:
            silent[f"{failure.peer} ({failure.transaction}): {_codes(failure)}"] = None
            return _NOTHING
        for told in found.errors:
            silent[f"{told.code}: {told.context}"] = None
        return found

    # --- documents ----------------------------------------------------------------------------------------
    async def _document(self, entry: DocumentEntry) -> HeldDocument:
        home = entry.home_community_id
        member = self._communities.of_home(home)
        is_manifest = entry.format_code is not None and entry.format_code.code in _FORMATS
        way, content = await self._content(entry)
        study, problem = self._read(entry, content) if is_manifest and content is not None else (None, None)
        remembered = None
        if is_manifest:
            remembered = await self._store.find(_key_of(entry))
            study = study or (remembered.manifest.study if remembered else None)
        return HeldDocument(
            community="the own community" if member is None else member.name,
            home_community_id=home,
            entry_uuid=entry.entry_uuid,
            fhir_id=resource_id(entry),
            document_unique_id=entry.unique_id,
            repository_unique_id=entry.repository_unique_id,
            mime_type=entry.mime_type,
            status="current" if entry.status is AvailabilityStatus.APPROVED else "superseded",
            way=way,
            study_instance_uid=study.study_instance_uid if study else None,
            remembered=remembered is not None,
            series=tuple([await self._series(study, s, home) for s in study.series]) if study else (),
            problem=problem,
        )

    async def _content(self, entry: DocumentEntry) -> tuple[Way, bytes | None]:
        home = entry.home_community_id
        transaction = "ITI-43" if self._communities.is_own(home) else "ITI-39"
        unique_id = self._places.repository_of(home, entry.repository_unique_id)
        place = self._places.of(home, unique_id)
        if place is None or unique_id is None:
            problem = f"repository {unique_id or '(not said by the registry)'} is not in the settings"
            return Way(transaction="", peer="no way to the document", problem=problem), None
        if not self._retrieve:
            return Way(transaction=transaction, peer=place.name), None
        request = DocumentRequest(unique_id, entry.unique_id, home)
        failure: str | None = None
        content: bytes | None = None
        async with aclosing(place.retrieve_many([request], max_bytes=self._max_bytes)) as found:
            async for _, outcome in found:
                if isinstance(outcome, WholeDocument):
                    content, failure = outcome.content, _difference(entry, outcome.content)
                else:
                    failure = _problem(outcome)
        return Way(transaction=transaction, peer=place.name, tried=True, problem=failure), content

    def _read(self, entry: DocumentEntry, content: bytes) -> tuple[Study | None, str | None]:
        reader = self._readers.get(entry.mime_type.partition(";")[0].strip().lower())
        if reader is None:
            return None, f"a manifest of type {entry.mime_type} cannot be read"
        try:
            return reader(content).manifest.study, None
        except ManifestError as error:
            return None, f"the manifest cannot be used: {error}"

    # --- images -------------------------------------------------------------------------------------------
    async def _series(self, study: Study, series: Series, home: str | None) -> HeldSeries:
        ways = [await self._images(study, series, place, home) for place in series.locations]
        if not ways:
            ways = [Way(transaction="", peer="no way to the images", problem="the manifest says no location")]
        return HeldSeries(
            series_instance_uid=series.series_instance_uid,
            instances=len(series.instances),
            retrieve_location_uids=tuple(place.uid for place in series.locations if place.uid is not None),
            ways=tuple(ways),
        )

    async def _images(self, study: Study, series: Series, place: RetrieveLocation, home: str | None) -> Way:
        leg = self._locations.leg(place, home)
        if leg is None:
            return Way(transaction="", peer="no way to the images", problem=self._why_no_leg(place, home))
        transaction = _transaction(leg, is_own=self._communities.is_own(home))
        if not self._retrieve or not series.instances:
            return Way(transaction=transaction, peer=leg.name)
        one = series.instances[0].sop_instance_uid
        wanted = SeriesWanted(
            study_instance_uid=study.study_instance_uid,
            series_instance_uid=series.series_instance_uid,
            sop_instance_uids=(one,),
            location=place,
            home_community_id=None if self._communities.is_own(home) else home,
        )
        problem: str | None = "it gives no image"
        try:
            async with leg.retrieve([wanted], ()) as items:
                async for item in items:
                    if isinstance(item, ImageError):
                        problem = "it does not have the image" if item.code == MISSING else item.code
                        continue
                    async for _ in item.chunks:
                        problem = None
                    break
        except (PeerError, RegistryFailure) as error:
            problem = _problem(error)
        return Way(transaction=transaction, peer=leg.name, tried=True, problem=problem)

    def _why_no_leg(self, place: RetrieveLocation, home: str | None) -> str:
        if self._communities.is_own(home):
            where = place.uid or place.url
            return (
                f"location {where} is neither in imaging.locations nor allowed by imaging.retrieve_url_hosts"
            )
        if self._communities.of_home(home) is None:
            return f"community {home} is not in the settings"
        return "the settings of the community say no way to images, or the manifest names no location UID"


_NOTHING: Final = QueryResult(status=ResponseStatus.FAILURE)


def _transaction(leg: ImageLeg, *, is_own: bool) -> str:
    if isinstance(leg, DicomWebSource):
        return "RAD-107" if is_own else "RAD-160"
    return "RAD-69" if is_own else "RAD-75"


def _is_about(document: HeldDocument, text: str, uid: str) -> bool:
    uuid, _ = unmarked(document.entry_uuid)
    named = {document.document_unique_id, document.study_instance_uid, uuid, document.fhir_id}
    return not named.isdisjoint({text, text.lower(), uid}) or read_document_id(text) is not None


def _key_of(entry: DocumentEntry) -> StudyKey:
    return StudyKey(
        study_instance_uid="",
        repository_unique_id=entry.repository_unique_id or "",
        document_unique_id=entry.unique_id,
        entry_uuid=entry.entry_uuid,
        home_community_id=entry.home_community_id,
    )


def _difference(entry: DocumentEntry, content: bytes) -> str | None:
    if entry.size is not None and entry.size != len(content):
        return f"it gives {len(content)} bytes, {entry.size} are registered"
    # the hash of the standard is SHA-1
    if entry.hash and hashlib.sha1(content, usedforsecurity=False).hexdigest() != entry.hash:
        return "it gives another document than the one that is registered (SHA-1)"
    return None


def _problem(error: PeerError | RegistryFailure) -> str:
    return error.detail if isinstance(error, PeerError) else _codes(error)


def _codes(failure: RegistryFailure) -> str:
    return ", ".join(dict.fromkeys(error.code for error in failure.errors)) or "Failure without a code"
