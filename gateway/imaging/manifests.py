"""Manifests of studies, fetched from document repositories (ITI-43) and read at most once each.

What a client may retrieve follows from a manifest, so the manifest is always the one that the registry
names: its bytes come from the repository of its DocumentEntry, are compared with size and hash where the
entry has them, and are read as what its MIME type says.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from msgspec.structs import replace as changed

from gateway.clients.community import DocumentPlaces
from gateway.clients.repository import WholeDocument
from gateway.correlation.manifests import ManifestStore
from gateway.imaging.fetched_documents import (
    AlteredDocument,
    FetchedDocuments,
    NotFetched,
    UnknownRepository,
    media_type,
    read_aside,
)
from gateway.model import DocumentEntry, DocumentRequest, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.imaging import ReadManifest
from gateway.security.study_urls import StudyKey

Reader = Callable[[bytes], ReadManifest]
"""Reads one format. Raises ManifestError."""

log = structlog.get_logger()


class ManifestError(Exception):
    """A document is no manifest that can be used; the text has no patient data."""


class AlteredManifest(ManifestError):
    """The repository gives another document than the one that the registry describes."""


Problem = PeerError | RegistryFailure | ManifestError | UnknownRepository


@dataclass(frozen=True, slots=True)
class WantedManifest:
    """A manifest by its key; `hash` (hex SHA-1) and `size` are checked where the registry says them."""

    key: StudyKey
    hash: str | None = None
    size: int | None = None

    @property
    def request(self) -> DocumentRequest:
        """What the repository is asked for."""
        key = self.key
        return DocumentRequest(key.repository_unique_id, key.document_unique_id, key.home_community_id)

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
        self._documents = FetchedDocuments[WantedManifest](places, "manifest", max_bytes=max_bytes)
        self._store = store
        self._readers = readers

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
        async with aclosing(self._documents.many([wanted])) as found:
            async for _, outcome in found:
                if isinstance(outcome, WholeDocument):
                    return outcome.content
                raise _problem(outcome)
        raise AssertionError("a manifest was asked for and neither given nor refused")

    async def many(
        self, wanted: Iterable[WantedManifest]
    ) -> AsyncGenerator[tuple[WantedManifest, ReadManifest | Problem], None]:
        """Each manifest with its own outcome: those that are known first, the others as they come."""
        missing: list[WantedManifest] = []
        for item in wanted:
            known = await self._store.find(item.key)
            if known is not None:
                yield item, known
            else:
                missing.append(item)
        async with aclosing(self._documents.many(missing)) as found:
            async for item, outcome in found:
                if isinstance(outcome, WholeDocument):
                    yield item, await self._understood(item, outcome)
                else:
                    yield item, _problem(outcome)

    async def _understood(
        self, wanted: WantedManifest, document: WholeDocument
    ) -> ReadManifest | ManifestError:
        reader = self._readers.get(media_type(wanted.key.mime_type or document.header.mime_type))
        if reader is None:
            return ManifestError("it is of a type that is no manifest")
        try:
            read = await read_aside(reader, document.content)
        except ManifestError as error:
            log.warning("manifest.unreadable", repository=wanted.key.repository_unique_id, reason=str(error))
            return error
        await self._store.remember(_keyed(wanted.key, read), read)
        return read


def _problem(outcome: NotFetched) -> Problem:
    return AlteredManifest(str(outcome)) if isinstance(outcome, AlteredDocument) else outcome


def _keyed(key: StudyKey, read: ReadManifest) -> StudyKey:
    return changed(key, study_instance_uid=read.manifest.study.study_instance_uid)
