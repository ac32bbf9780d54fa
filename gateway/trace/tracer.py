"""Follows an id through correlation store, registries, repositories and sources of images."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.clients.community import Queries
from gateway.correlation.manifests import ACCESSION, PLACER, ManifestStore
from gateway.crossborder.communities import Communities
from gateway.fhir.document_ids import read_document_id
from gateway.fhir.document_reference import resource_id
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.imaging.fetched_documents import UnknownRepository
from gateway.imaging.manifests import ManifestError, Manifests, Reader, WantedManifest
from gateway.model import (
    AvailabilityStatus,
    Cx,
    DocumentEntry,
    QueryResult,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
    codes,
)
from gateway.model.errors import PeerError
from gateway.model.imaging import IssuedId, Manifest, Series, Study
from gateway.model.object_ids import unmarked
from gateway.model.oids import bare_oid, is_oid
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    GetAssociations,
    GetDocuments,
    StoredQuery,
)
from gateway.progress import Steps
from gateway.security.access import is_limited
from gateway.security.study_urls import StudyKey
from gateway.trace.findings import HeldDocument, HeldSeries, Trace, Unconfirmed, Way
from gateway.trace.ways import Ways, problem_of, tried

OWN_COMMUNITY: Final = "the own community"
_FORMATS: Final = frozenset(form.code for form in MANIFEST_FORMATS)
_NUMBERS: Final = {ACCESSION: codes.REFERENCE_ACCESSION, PLACER: codes.REFERENCE_ORDER}
_URN_UUID: Final = re.compile(r"urn:uuid:[0-9a-f-]{36}", re.IGNORECASE)
_NOT_FOUND: Final = (
    "no registry that was asked has a document with this id, and no manifest of such a study was read here; "
    "a study that was not yet seen is found with --patient 'system|value'"
)
_GONE: Final = "it is superseded, and retrieve.deprecated: gone refuses it"


@dataclass(frozen=True, slots=True)
class Reached:
    """What a gateway asks and remembers.

    `readers` read manifests by MIME type, `manifests` are those that it reads for its answers.
    `authority_of` gives the OID of an assigning authority (URI or OID), None where it is not known.
    `gone` says that superseded documents are not served.
    """

    registry: Queries
    ways: Ways
    store: ManifestStore
    manifests: Manifests
    communities: Communities
    readers: Mapping[str, Reader]
    authority_of: Callable[[str], str | None]
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """A document with its entry, and the manifest that it is; None where it is none, or is not known."""

    entry: DocumentEntry
    held: HeldDocument
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Following:
    """What became of an id: the trace, and what it was made of."""

    trace: Trace
    documents: tuple[Followed, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an id may stand for. `number` is an accession or placer order number, with its authority."""

    text: str
    uid: str
    number: tuple[str, str | None] | None


class Tracer:
    """Traces. With `retrieve` what leads somewhere is tried; without it manifests are read alone.

    `steps` is told of documents and series.
    """

    def __init__(self, reached: Reached, *, retrieve: bool, steps: Steps | None = None) -> None:
        self._at = reached
        self._retrieve = retrieve
        self._steps = steps or Steps()

    async def trace(self, text: str, patient: Cx | None = None) -> Trace:
        """What is known of a study or document: by UID, uniqueId, entryUUID, id of a DocumentReference, or by
        accession or placer order number (`value`, or `authority|value`)."""
        return (await self.follow(text, patient)).trace

    async def follow(self, text: str, patient: Cx | None = None) -> Following:
        """The same with what it is made of."""
        asked = self._asked_for(text)
        silent: dict[str, None] = {}
        seen = await self._seen(asked)
        entries: dict[str, DocumentEntry] = {}
        self._steps.begin("asking the registries")
        for query in self._queries(asked, seen, patient):
            found = await self._answer(query, silent)
            entries |= {entry.entry_uuid: entry for entry in found.entries}
        successors = await self._successors(entries, silent)
        self._steps.expect(len(entries))
        followed = [await self._document(entry, successors) for entry in entries.values()]
        wanted = {key.entry_uuid for key in seen}
        wanted |= {uuid for uuids in successors.values() for uuid in uuids}
        shown = tuple(each for each in followed if each.entry.entry_uuid in wanted or _is_about(each, asked))
        unconfirmed = () if is_limited() else tuple(self._unconfirmed(seen, entries, bool(silent)))
        trace = Trace(
            id=asked.uid if asked.number is None else asked.text,
            documents=tuple(each.held for each in shown),
            unconfirmed=unconfirmed,
            silent=tuple(silent),
            hint=None if shown else _NOT_FOUND,
        )
        return Following(trace, shown)

    # --- what is asked for --------------------------------------------------------------------------------
    def _asked_for(self, text: str) -> _Asked:
        uid = bare_oid(text)
        # the uniqueId of a CDA document is root^extension
        if is_oid(uid.partition("^")[0]) or _URN_UUID.fullmatch(text) or read_document_id(text) is not None:
            return _Asked(text, uid, None)
        authority, bar, value = text.rpartition("|")
        if not bar:
            return _Asked(text, uid, (text, None))
        known = self._at.authority_of(authority) or bare_oid(authority)
        return _Asked(text, uid, (value, known or None))

    async def _seen(self, asked: _Asked) -> tuple[StudyKey, ...]:
        if asked.number is None:
            return await self._at.store.of_study(asked.uid)
        keys: dict[StudyKey, None] = {}
        for kind in _NUMBERS:
            keys |= dict.fromkeys(await self._at.store.of_number(kind, *asked.number))
        return tuple(keys)

    def _queries(self, asked: _Asked, seen: Sequence[StudyKey], patient: Cx | None) -> Iterable[StoredQuery]:
        if seen:
            yield GetDocuments(entry_uuids=tuple(dict.fromkeys(key.entry_uuid for key in seen)))
        homes, text = self._at.communities.homes, asked.text
        if asked.number is None and (named := read_document_id(text)) is not None:
            yield GetDocuments(entry_uuids=(named.entry_uuid,))
        elif _URN_UUID.fullmatch(text):
            yield GetDocuments(entry_uuids=(text.lower(),), target_communities=homes)
            yield GetDocuments(unique_ids=(text.lower(),), target_communities=homes)
        elif asked.number is None:
            yield GetDocuments(unique_ids=(asked.uid,), target_communities=homes)
        if patient is not None:
            # what a number stands for may be a report, which no format tells
            formats = MANIFEST_FORMATS if asked.number is None else ()
            yield FindDocuments(
                patient_id=patient, status=ANY_STATUS, format_code=formats, document_type=ANY_DOCUMENT
            )

    # --- registries ---------------------------------------------------------------------------------------
    async def _answer(self, query: StoredQuery, silent: dict[str, None]) -> QueryResult:
        try:
            found = await self._at.registry.query(query)
        except PeerError as error:
            silent[f"{error.peer} ({error.transaction}): {error.detail}"] = None
            return _NOTHING
        except RegistryFailure as failure:
            silent[f"{failure.peer} ({failure.transaction}): {problem_of(failure)}"] = None
            return _NOTHING
        for told in found.errors:
            # the text beside the code is the peer's own, and may quote a patient's identifier
            silent[f"{self._who_told(told)}: {told.code}"] = None
        return found

    def _who_told(self, told: RegistryError) -> str:
        home = told.location
        member = self._at.communities.of_home(home)
        return f"{member.name} ({home})" if member is not None else OWN_COMMUNITY

    async def _successors(
        self, entries: dict[str, DocumentEntry], silent: dict[str, None]
    ) -> dict[str, tuple[str, ...]]:
        """What replaced superseded documents, which is put among `entries`."""
        old = tuple(uuid for uuid, e in entries.items() if e.status is AvailabilityStatus.DEPRECATED)
        if not old:
            return {}
        related = await self._answer(GetAssociations(uuids=old), silent)
        found: dict[str, tuple[str, ...]] = {}
        for each in related.associations:
            if each.type in codes.REPLACEMENTS and each.target in old:
                found[each.target] = (*found.get(each.target, ()), each.source)
        missing = tuple({uuid for uuids in found.values() for uuid in uuids} - entries.keys())
        if missing:
            later = await self._answer(GetDocuments(entry_uuids=missing), silent)
            entries |= {entry.entry_uuid: entry for entry in later.entries}
        return found

    def _unconfirmed(
        self, seen: Sequence[StudyKey], entries: Mapping[str, DocumentEntry], silent: bool
    ) -> Iterable[Unconfirmed]:
        for key in seen:
            if key.entry_uuid in entries:
                continue
            yield Unconfirmed(
                community=self._name_of(key.home_community_id),
                home_community_id=key.home_community_id,
                entry_uuid=key.entry_uuid,
                document_unique_id=key.document_unique_id,
                repository_unique_id=key.repository_unique_id,
                reason="its registry cannot be asked now" if silent else "its registry has it no more",
            )

    def _name_of(self, home: str | None) -> str:
        member = self._at.communities.of_home(home)
        return OWN_COMMUNITY if member is None else member.name

    # --- documents ----------------------------------------------------------------------------------------
    async def _document(self, entry: DocumentEntry, successors: Mapping[str, tuple[str, ...]]) -> Followed:
        is_manifest = entry.format_code is not None and entry.format_code.code in _FORMATS
        remembered = await self._at.store.find(_key_of(entry)) if is_manifest else None
        self._steps.begin("getting documents")
        way, manifest, problem = await self._content(entry, is_manifest=is_manifest)
        self._steps.end()
        if manifest is None and remembered is not None:
            manifest = remembered.manifest
        deprecated = entry.status is not AvailabilityStatus.APPROVED
        if deprecated and self._at.gone and problem is None:
            problem = _GONE
        study, home = manifest.study if manifest else None, entry.home_community_id
        held = HeldDocument(
            community=self._name_of(home),
            home_community_id=home,
            entry_uuid=entry.entry_uuid,
            fhir_id=resource_id(entry),
            document_unique_id=entry.unique_id,
            repository_unique_id=entry.repository_unique_id,
            mime_type=entry.mime_type,
            status="superseded" if deprecated else "current",
            registered=self._at.ways.registered(home),
            way=way,
            study_instance_uid=study.study_instance_uid if study else None,
            remembered=remembered is not None,
            series=await self._series(study, home) if study else (),
            problem=problem,
            replaced_by=tuple(
                uuid.removeprefix("urn:uuid:") for uuid in successors.get(entry.entry_uuid, ())
            ),
            names_studies=tuple(r.id for r in entry.reference_ids if r.type == codes.REFERENCE_STUDY),
        )
        return Followed(entry, held, manifest)

    async def _content(
        self, entry: DocumentEntry, *, is_manifest: bool
    ) -> tuple[Way, Manifest | None, str | None]:
        """The way to a document, what it says where it is a manifest, and why that cannot be told."""
        if self._retrieve:
            way, content = await self._at.ways.fetched(entry)
            if not is_manifest or content is None:
                return way, None, None
            return way, *self._read(entry, content)
        way = self._at.ways.document(entry)
        wanted = WantedManifest.of(entry) if is_manifest and way.problem is None else None
        if wanted is None or await self._at.store.find(wanted.key) is not None:
            return way, None, None
        try:
            return tried(way, None), (await self._at.manifests.one(wanted)).manifest, None
        except (PeerError, RegistryFailure) as error:
            return tried(way, problem_of(error)), None, None
        except (ManifestError, UnknownRepository) as error:
            return tried(way, None), None, f"the manifest cannot be used: {error}"

    def _read(self, entry: DocumentEntry, content: bytes) -> tuple[Manifest | None, str | None]:
        reader = self._at.readers.get(entry.mime_type.partition(";")[0].strip().lower())
        if reader is None:
            return None, f"a manifest of type {entry.mime_type} cannot be read"
        try:
            return reader(content).manifest, None
        except ManifestError as error:
            return None, f"the manifest cannot be used: {error}"

    async def _series(self, study: Study, home: str | None) -> tuple[HeldSeries, ...]:
        self._steps.expect(len(study.series))
        self._steps.begin("getting an image of each series")
        return tuple([await self._one_series(study, each, home) for each in study.series])

    async def _one_series(self, study: Study, series: Series, home: str | None) -> HeldSeries:
        ways = await self._at.ways.of_series(study, series, home, try_each=self._retrieve)
        self._steps.end()
        return HeldSeries(
            series_instance_uid=series.series_instance_uid,
            instances=len(series.instances),
            retrieve_location_uids=tuple(p.uid for p in series.locations if p.uid is not None),
            ways=ways,
            modality=series.modality.code if series.modality is not None else None,
        )


_NOTHING: Final = QueryResult(status=ResponseStatus.FAILURE)


def _is_about(followed: Followed, asked: _Asked) -> bool:
    held = followed.held
    if asked.number is not None:
        return _has_number(followed, *asked.number)
    uuid, _ = unmarked(held.entry_uuid)
    named = {held.document_unique_id, held.study_instance_uid, uuid, held.fhir_id}
    if not named.isdisjoint({asked.text, asked.text.lower(), asked.uid}):
        return True
    return read_document_id(asked.text) is not None


def _has_number(followed: Followed, value: str, authority: str | None) -> bool:
    for reference in followed.entry.reference_ids:
        of_issuer = authority is None or reference.authority == authority
        if of_issuer and reference.type in _NUMBERS.values() and reference.id == value:
            return True
    requests = followed.manifest.study.requests if followed.manifest else ()
    return any(_is_number(issued, value, authority) for r in requests for issued in (r.accession, r.placer))


def _is_number(issued: IssuedId | None, value: str, authority: str | None) -> bool:
    if issued is None or issued.value != value:
        return False
    return authority is None or (issued.issuer is not None and issued.issuer.oid == authority)


def _key_of(entry: DocumentEntry) -> StudyKey:
    return StudyKey(
        study_instance_uid="",
        repository_unique_id=entry.repository_unique_id or "",
        document_unique_id=entry.unique_id,
        entry_uuid=entry.entry_uuid,
        home_community_id=entry.home_community_id,
    )


__all__ = ["OWN_COMMUNITY", "Followed", "Following", "Reached", "Tracer", "Way"]
