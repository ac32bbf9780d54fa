"""Manifests of studies, fetched from document repositories (ITI-43) and read at most once each.

What a client may retrieve follows from a manifest, so the manifest is always the one that the registry
names: its bytes come from the repository of its DocumentEntry, are compared with size and hash where the
entry has them, and are read as what its MIME type says.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec.structs import replace as changed

from gateway.clients.community import DocumentPlaces, Documents
from gateway.clients.pieces import merged
from gateway.clients.repository import Outcome, WholeDocument
from gateway.correlation.manifests import ManifestStore
from gateway.model import DocumentEntry, DocumentRequest, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.imaging import ReadManifest
from gateway.security.study_urls import StudyKey

Reader = Callable[[bytes], ReadManifest]
"""Reads one format. Raises ManifestError."""

_READ_IN_THREAD: Final = 64 * 1024

log = structlog.get_logger()


class ManifestError(Exception):
    """A document is no manifest that can be used; the text has no patient data."""


class AlteredManifest(ManifestError):
    """The repository gives another document than the one that the registry describes."""


class UnknownRepository(Exception):
    """No setting leads to the repository of a manifest."""

    def __init__(self, unique_id: str) -> None:
        super().__init__(f"repository {unique_id} is not one that this gateway reaches")
        self.unique_id = unique_id


Problem = PeerError | RegistryFailure | ManifestError | UnknownRepository


@dataclass(frozen=True, slots=True)
class WantedManifest:
    """A manifest by its key; `hash` (hex SHA-1) and `size` are checked where the registry says them."""

    key: StudyKey
    hash: str | None = None
    size: int | None = None

    @classmethod
    def of(cls, entry: DocumentEntry, study_instance_uid: str = "") -> "WantedManifest | None":
        """The manifest that an entry registers; None where the registry does not say which repository."""
        if entry.repository_unique_id is None:
            return None
        return cls(
            StudyKey(
                study_instance_uid=study_instance_uid,
                repository_unique_id=entry.repository_unique_id,
                document_unique_id=entry.unique_id,
                entry_uuid=entry.entry_uuid,
                patient_id=entry.patient_id,
                home_community_id=entry.home_community_id,
                mime_type=entry.mime_type,
            ),
            entry.hash,
            entry.size,
        )


class Manifests:
    """The manifests of the domain, and of the communities that it reaches."""

    def __init__(
        self,
        places: DocumentPlaces,
        store: ManifestStore,
        readers: Mapping[str, Reader],
        *,
        max_bytes: int,
    ) -> None:
        """`readers` by MIME type; a document of another type is no manifest."""
        self._places = places
        self._store = store
        self._readers = readers
        self._max_bytes = max_bytes

    async def one(self, wanted: WantedManifest) -> ReadManifest:
        """One manifest. Raises what `many` gives as a Problem."""
        async with aclosing(self.many([wanted])) as found:
            async for _, outcome in found:
                if isinstance(outcome, ReadManifest):
                    return outcome
                raise outcome
        raise AssertionError("a manifest was asked for and neither given nor refused")

    async def content(self, wanted: WantedManifest) -> bytes:
        """The document of a manifest as it is stored. Raises what `many` gives as a Problem."""
        key = wanted.key
        place = self._place(key)
        if place is None:
            raise UnknownRepository(key.repository_unique_id)
        async with aclosing(place.retrieve_many([_request(key)], max_bytes=self._max_bytes)) as found:
            async for _, outcome in found:
                if not isinstance(outcome, WholeDocument):
                    raise outcome
                if _altered(wanted, outcome.content):
                    raise _other_document(wanted)
                return outcome.content
        raise AssertionError("a manifest was asked for and neither given nor refused")

    async def many(
        self, wanted: Iterable[WantedManifest]
    ) -> AsyncGenerator[tuple[WantedManifest, ReadManifest | Problem], None]:
        """Each manifest with its own outcome: those that are known first, the others as they come."""
        missing: dict[str, tuple[Documents, dict[DocumentRequest, WantedManifest]]] = {}
        for item in wanted:
            known = await self._store.find(item.key)
            place = self._place(item.key) if known is None else None
            if known is not None:
                yield item, known
            elif place is None:
                yield item, UnknownRepository(item.key.repository_unique_id)
            else:
                missing.setdefault(place.name, (place, {}))[1][_request(item.key)] = item
        fetched = (self._fetched(place, requests) for place, requests in missing.values())
        async with aclosing(merged(fetched)) as found:
            async for item, outcome in found:
                if isinstance(outcome, WholeDocument):
                    yield item, await self._understood(item, outcome)
                else:
                    yield item, outcome

    async def _fetched(
        self, place: Documents, requests: Mapping[DocumentRequest, WantedManifest]
    ) -> AsyncGenerator[tuple[WantedManifest, Outcome], None]:
        async with aclosing(place.retrieve_many(requests, max_bytes=self._max_bytes)) as found:
            async for request, outcome in found:
                yield requests[request], outcome

    def _place(self, key: StudyKey) -> Documents | None:
        return self._places.of(key.home_community_id, key.repository_unique_id)

    async def _understood(
        self, wanted: WantedManifest, document: WholeDocument
    ) -> ReadManifest | ManifestError:
        content = document.content
        if _altered(wanted, content):
            return _other_document(wanted)
        mime_type = wanted.key.mime_type or document.header.mime_type
        reader = self._readers.get(mime_type.partition(";")[0].strip().lower())
        if reader is None:
            return ManifestError("it is of a type that is no manifest")
        try:
            if len(content) > _READ_IN_THREAD:
                read = await asyncio.to_thread(reader, content)
            else:
                read = reader(content)
        except ManifestError as error:
            log.warning("manifest.unreadable", repository=wanted.key.repository_unique_id, reason=str(error))
            return error
        await self._store.remember(_keyed(wanted.key, read), read)
        return read


def _request(key: StudyKey) -> DocumentRequest:
    return DocumentRequest(key.repository_unique_id, key.document_unique_id, key.home_community_id)


def _other_document(wanted: WantedManifest) -> AlteredManifest:
    log.error("manifest.altered", repository=wanted.key.repository_unique_id)
    return AlteredManifest("the repository gives another document than the one that is registered")


def _keyed(key: StudyKey, read: ReadManifest) -> StudyKey:
    return changed(key, study_instance_uid=read.manifest.study.study_instance_uid)


def _altered(wanted: WantedManifest, content: bytes) -> bool:
    if wanted.size is not None and wanted.size != len(content):
        return True
    # the hash of the standard is SHA-1
    return bool(wanted.hash) and hashlib.sha1(content, usedforsecurity=False).hexdigest() != wanted.hash
