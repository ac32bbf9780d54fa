"""What the explorer looks up: where something is held, its metadata in both worlds, its images.

Everything goes through what clients go through, with the access of who looks, so that the policy of the site
and the patient that a token is bound to hold here too.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace as changed

from gateway.clients.community import Queries
from gateway.clients.dicomweb import PassedThrough
from gateway.console.attempts import Attempt, try_document, try_images
from gateway.console.errors import PageError
from gateway.console.side_by_side import Row, document_rows, study_rows
from gateway.fhir.datatypes import Json
from gateway.fhir.document_reference import WriteContext, write_document_reference
from gateway.imaging.archive_views import ArchiveViews
from gateway.imaging.fetched_documents import UnknownRepository
from gateway.imaging.grants import Grants
from gateway.imaging.manifests import ManifestError, Manifests, WantedManifest
from gateway.imaging.plan import ImageSelection
from gateway.imaging.retrieve import ImageRetriever
from gateway.mhd.references import document_key
from gateway.mhd.retrieve import Conditions, Retrieval, Retriever
from gateway.model import Cx, DocumentEntry, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.imaging import Manifest, Study
from gateway.model.query import GetDocuments
from gateway.security.access import current_access
from gateway.security.document_urls import DocumentTokens
from gateway.security.scopes import Permission, permits
from gateway.security.sealing import KeyRing, NotOurs, Sealer
from gateway.security.study_urls import StudyTokens
from gateway.trace.tracer import Following, Tracer

THUMBNAIL: Final = 192
"""Pixels of the longer side."""
PATIENT_METADATA: Final = Permission("DocumentReference", "r")
DOCUMENTS: Final = Permission("Binary", "r")
IMAGES: Final = Permission("ImagingStudy", "r")


class Look(Struct, frozen=True):
    """What is looked for: an id as `gateway trace` takes it, and whose it is, where that is said."""

    text: str
    patient: Cx | None = None


class Looks:
    """Tokens that stand in addresses for what is looked for, and for documents: no id shows in a URL."""

    def __init__(self, ring: KeyRing) -> None:
        self._looks = Sealer(ring, "console look")
        self._documents = Sealer(ring, "console document")

    def write(self, look: Look) -> str:
        """The token."""
        return self._looks.seal(msgspec.msgpack.encode(look))

    def read(self, token: str) -> Look:
        """What a token stands for. Raises PageError 404."""
        try:
            return msgspec.msgpack.decode(self._looks.open(token), type=Look)
        except (NotOurs, msgspec.DecodeError):
            raise _no_such_address() from None

    def document(self, entry_uuid: str) -> str:
        """The token of a document."""
        return self._documents.seal(entry_uuid.encode())

    def entry_uuid(self, token: str) -> str:
        """The document of a token. Raises PageError 404."""
        try:
            return self._documents.open(token).decode()
        except (NotOurs, UnicodeDecodeError):
            raise _no_such_address() from None


def _no_such_address() -> PageError:
    return PageError(
        404, "Nothing is here", "This address is not one that this gateway has made. Search again."
    )


@dataclass(frozen=True, slots=True)
class Retrieving:
    """The paths by which clients retrieve."""

    grants: Grants
    images: ImageRetriever
    documents: Retriever
    views: ArchiveViews
    study_tokens: StudyTokens
    document_tokens: DocumentTokens


class SideBySide(Struct, frozen=True):
    """A document in both worlds. `documents` pairs its entry, `study` its manifest where it is one, `problem`
    says why that cannot be told. Resources are None where the viewer may not see all of them."""

    entry: DocumentEntry
    documents: tuple[Row, ...]
    study: tuple[Row, ...]
    problem: str | None
    document_reference: Json | None
    imaging_study: Json | None

    @property
    def shows_all(self) -> bool:
        """Whether nothing is hidden."""
        return self.document_reference is not None


ImagingStudyOf = Callable[[DocumentEntry], Awaitable[Json | None]]
"""The ImagingStudy of a manifest, None where it gives none."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What makes FHIR resources of documents."""

    context: WriteContext
    imaging_study: ImagingStudyOf


class Explorer:
    """The use cases of the explorer."""

    def __init__(
        self,
        tracer: Tracer,
        registry: Queries,
        manifests: Manifests,
        retrieving: Retrieving,
        writing: Writing,
    ) -> None:
        self._tracer = tracer
        self._registry = registry
        self._manifests = manifests
        self._retrieving = retrieving
        self._writing = writing

    async def held(self, look: Look) -> Following:
        """Where something is held."""
        return await self._tracer.follow(look.text, look.patient)

    async def entry(self, entry_uuid: str) -> DocumentEntry:
        """A document of a registry. Raises PageError 404, PeerError and RegistryFailure."""
        found = await self._registry.query(GetDocuments(entry_uuids=(entry_uuid,)))
        for entry in found.entries:
            if entry.entry_uuid == entry_uuid:
                return entry
        raise PageError(404, "No such document", "Its registry does not name this document now.")

    # --- metadata -----------------------------------------------------------------------------------------
    async def side_by_side(self, entry: DocumentEntry) -> SideBySide:
        """Both worlds, as far as the viewer may see them."""
        show_all = may(PATIENT_METADATA)
        resource = write_document_reference(entry, self._writing.context)
        manifest, study, problem = await self._study(entry)
        shown = study if show_all and may(IMAGES) else None
        return SideBySide(
            entry=entry,
            documents=document_rows(entry, resource, show_all=show_all),
            study=() if manifest is None else study_rows(manifest, study or {}, show_all=shown is not None),
            problem=problem,
            document_reference=resource if show_all else None,
            imaging_study=shown,
        )

    async def _study(self, entry: DocumentEntry) -> tuple[Manifest | None, Json | None, str | None]:
        key = document_key(entry)
        wanted = WantedManifest.of(entry) if key.manifest else None
        if wanted is None:
            return None, None, None
        try:
            read = await self._manifests.one(wanted)
            return read.manifest, await self._writing.imaging_study(entry), None
        except (PeerError, RegistryFailure) as error:
            return None, None, f"{error.peer} ({error.transaction}) does not give the manifest."
        except (ManifestError, UnknownRepository) as error:
            return None, None, f"The manifest cannot be used: {error}."

    # --- retrieving ---------------------------------------------------------------------------------------
    async def selection(self, entry: DocumentEntry, series: int | None = None) -> ImageSelection:
        """What a manifest lists, or its series number `series` (from 0). Raises PageError 404 and what
        `Grants.by_token` raises."""
        wanted = WantedManifest.of(entry)
        if wanted is None or not document_key(entry).manifest:
            raise PageError(404, "No images", "This document is no manifest, or nobody says where it is.")
        study = (await self._manifests.one(wanted)).manifest.study
        token = self._retrieving.study_tokens.write(
            changed(wanted.key, study_instance_uid=study.study_instance_uid)
        )
        granted = await self._retrieving.grants.by_token(token, study.study_instance_uid)
        if series is None:
            return granted
        return changed(granted, series_uid=_series_of(granted.study, series))

    def try_images(self, selection: ImageSelection) -> Attempt:
        """Retrieve images."""
        return try_images(self._retrieving.images, selection)

    def try_document(self, entry: DocumentEntry) -> Attempt:
        """Retrieve a document as it is stored."""
        return try_document(self._opened(entry))

    def _opened(self, entry: DocumentEntry) -> AbstractAsyncContextManager[Retrieval]:
        token = self._retrieving.document_tokens.write(document_key(entry))
        return self._retrieving.documents.retrieve(token, Conditions(accept=f"{entry.mime_type}, */*;q=0.1"))

    @asynccontextmanager
    async def thumbnail(self, selection: ImageSelection) -> AsyncIterator[PassedThrough]:
        """A small picture of the middle of a series. Raises OutcomeError, PeerError and PageError 404."""
        instances: Sequence[str] = [
            instance.sop_instance_uid
            for series in selection.study.series
            if series.series_instance_uid == selection.series_uid
            for instance in series.instances
        ]
        if not instances:
            raise PageError(404, "No picture", "The manifest lists no image of this series.")
        one = changed(selection, sop_instance_uid=instances[len(instances) // 2])
        async with self._retrieving.views.thumbnail(one, THUMBNAIL) as view:
            yield view


def _series_of(study: Study, number: int) -> str:
    if not 0 <= number < len(study.series):
        raise PageError(404, "No such series", "The manifest lists no series of this number.")
    return study.series[number].series_instance_uid


def may(permission: Permission) -> bool:
    """Whether who looks is granted this: all is where access is open."""
    access = current_access()
    return access is None or permits(access.granted, permission)


__all__ = [
    "DOCUMENTS",
    "IMAGES",
    "PATIENT_METADATA",
    "Explorer",
    "Look",
    "Looks",
    "Retrieving",
    "SideBySide",
    "may",
]
