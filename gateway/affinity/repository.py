"""Document Repository over model values: storing documents (ITI-41), finding them again (ITI-43) and removing
them (ITI-86).

A submission and its documents become one: files are durable first, then one write of the database names
them and registers the metadata. Everything here blocks and belongs on a thread.
"""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from msgspec import structs

from gateway.affinity.assembly import document_list, new_unique_id_of, snapshot_of
from gateway.affinity.database import Database
from gateway.affinity.documents import ContentCollision, DocumentFiles
from gateway.affinity.errors import Refusal, Refused, refused
from gateway.affinity.objects import (
    approved_entries,
    associations_to,
    entry_by_uuid,
    on_demand_by_unique_id,
)
from gateway.affinity.options import AffinityOptions
from gateway.affinity.registry import Registry
from gateway.model import (
    AvailabilityStatus,
    DocumentEntry,
    DocumentHeader,
    DocumentRequest,
    RegistryError,
    Submission,
)
from gateway.model.codes import IS_SNAPSHOT_OF

_TRIES = 4
_OVERTAKEN = frozenset({Refusal.DEPRECATED_DOCUMENT, Refusal.UNRESOLVED_REFERENCE})
"""What the registry says of a snapshot when another one came first."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes of one document as they came in; `sha1` in hex, `size` in bytes."""

    sha1: str
    size: int
    source: Path | bytes

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Bytes in memory."""
        return cls(hashlib.sha1(data, usedforsecurity=False).hexdigest(), len(data), data)


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One document of an answer: its header, and its bytes or the file that holds them, `size` bytes long."""

    header: DocumentHeader
    content: Path | bytes
    size: int


@dataclass(frozen=True, slots=True)
class OnDemandDocument:
    """A document of an answer that is still to be assembled."""

    request: DocumentRequest


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What an On-Demand entry was assembled to; `is_stored` until the document is removed."""

    entry: DocumentEntry
    is_stored: bool


class Repository:
    """The repository of one affinity domain."""

    def __init__(
        self, options: AffinityOptions, database: Database, files: DocumentFiles, registry: Registry
    ) -> None:
        self._options = options
        self._database = database
        self._files = files
        self._registry = registry

    def provide(self, submission: Submission, contents: Mapping[str, Content]) -> None:
        """Store documents, given by id of their DocumentEntry, and register them. Raises Refused.

        Durable when this returns; after a refusal nothing of it is left.
        """
        completed = structs.replace(
            submission, entries=tuple(self._complete(e, contents[e.entry_uuid]) for e in submission.entries)
        )
        prepared = self._registry.prepare(completed)
        by_unique_id = {
            entry.unique_id: (entry.mime_type, contents[given.entry_uuid])
            for given, entry in zip(submission.entries, prepared.entries, strict=True)
        }
        hashes = [content.sha1 for _, content in by_unique_id.values()]
        stored = False
        try:
            with self._files.pinned(hashes):
                self._place(by_unique_id)
                self._registry.register(
                    prepared, lambda connection: _name_documents(connection, by_unique_id)
                )
            stored = True
        finally:
            if not stored:
                self._database.write(
                    lambda connection: self._files.discard_unused(connection, hashes)
                ).result()

    def find(
        self, connection: sqlite3.Connection, requests: Sequence[DocumentRequest]
    ) -> tuple[tuple[StoredDocument | OnDemandDocument, ...], tuple[RegistryError, ...]]:
        """Documents that are there and an error, with the uniqueId as location, for each that is not."""
        documents: list[StoredDocument | OnDemandDocument] = []
        errors: list[RegistryError] = []
        for request in requests:
            try:
                documents.append(self._find_one(connection, request))
            except Refused as error:
                errors.extend(error.errors)
        return tuple(documents), tuple(errors)

    def assemble(self, wanted: OnDemandDocument) -> StoredDocument:
        """Make the document of an On-Demand entry, and store it as a snapshot where the options say so.

        Raises Refused where the entry has gone meanwhile. Two retrievals at once make one snapshot: the
        second one finds that of the first.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._assemble(wanted.request)
            except Refused as error:
                if not _OVERTAKEN.issuperset(e.code for e in error.errors):
                    raise
        return self._assemble(wanted.request)

    def _assemble(self, request: DocumentRequest) -> StoredDocument:
        entry, data, newest = self._database.read(lambda c: _assembled(c, request)).result()
        content = Content.of(data)
        if newest is not None and newest.is_stored and newest.entry.hash == content.sha1:
            new_unique_id = newest.entry.unique_id
        elif self._options.snapshots:
            new_unique_id = self._store_snapshot(entry, content, newest.entry if newest else None)
        else:
            new_unique_id = new_unique_id_of(content.sha1)
        header = DocumentHeader(
            repository_unique_id=request.repository_unique_id,
            document_unique_id=request.document_unique_id,
            mime_type=entry.mime_type,
            home_community_id=request.home_community_id,
            new_document_unique_id=new_unique_id,
        )
        return StoredDocument(header, data, len(data))

    def _store_snapshot(self, entry: DocumentEntry, content: Content, replaced: DocumentEntry | None) -> str:
        submission = snapshot_of(
            entry,
            (content.sha1, content.size),
            replaced,
            self._options.repository_unique_id,
            datetime.now(UTC),
        )
        (snapshot,) = submission.entries
        self.provide(submission, {snapshot.entry_uuid: content})
        return snapshot.unique_id

    def remove(self, requests: Sequence[DocumentRequest]) -> None:
        """Remove documents, all or none. Durable when this returns.

        Raises Refused with an error for each that is not there. What the registry says of them is the
        registry's: its metadata is deleted before.
        """

        def forget(connection: sqlite3.Connection) -> list[str]:
            errors: list[RegistryError] = []
            hashes: list[str] = []
            for request in dict.fromkeys(requests):
                try:
                    hashes.append(self._row(connection, request)[0])
                except Refused as error:
                    errors.extend(error.errors)
            if errors:
                raise Refused(*errors)
            connection.executemany(
                "DELETE FROM document WHERE unique_id = ?", [(r.document_unique_id,) for r in requests]
            )
            return hashes

        hashes = self._database.write(forget).result()
        # only now: had the process ended before the commit, rows would name files that are gone
        self._database.write(lambda connection: self._files.discard_unused(connection, hashes)).result()

    def _complete(self, entry: DocumentEntry, content: Content) -> DocumentEntry:
        """The entry with what the repository knows: hash, size, repositoryUniqueId (ITI TF-2 3.41.4.1.3)."""
        if entry.hash is not None and entry.hash.lower() != content.sha1:
            raise refused(
                Refusal.REPOSITORY_METADATA,
                f"DocumentEntry {entry.entry_uuid}: hash is not the SHA-1 of the document",
            )
        if entry.size is not None and entry.size != content.size:
            raise refused(
                Refusal.REPOSITORY_METADATA,
                f"DocumentEntry {entry.entry_uuid}: size is not that of the document, {content.size} bytes",
            )
        return structs.replace(
            entry,
            hash=content.sha1,
            size=content.size,
            repository_unique_id=self._options.repository_unique_id,
        )

    def _place(self, documents: Mapping[str, tuple[str, Content]]) -> None:
        for unique_id, (_, content) in documents.items():
            try:
                self._files.place(content.sha1, content.source)
            except ContentCollision:
                raise refused(
                    Refusal.REPOSITORY,
                    f"the document {unique_id} has the SHA-1 of a stored document and another content",
                    unique_id,
                ) from None

    def _find_one(
        self, connection: sqlite3.Connection, request: DocumentRequest
    ) -> StoredDocument | OnDemandDocument:
        unique_id = request.document_unique_id
        try:
            sha1, size, mime_type = self._row(connection, request)
        except Refused as error:
            if error.errors[0].code == Refusal.DOCUMENT_UNIQUE_ID and on_demand_by_unique_id(
                connection, unique_id
            ):
                return OnDemandDocument(request)
            raise
        path = self._files.path(sha1)
        if not path.is_file() or path.stat().st_size != size:
            raise refused(Refusal.REPOSITORY, "the file of the document is damaged or missing", unique_id)
        header = DocumentHeader(
            repository_unique_id=request.repository_unique_id,
            document_unique_id=unique_id,
            mime_type=mime_type,
            home_community_id=request.home_community_id,
        )
        return StoredDocument(header, path, size)

    def _row(self, connection: sqlite3.Connection, request: DocumentRequest) -> tuple[str, int, str]:
        """SHA-1, size and media type of a stored document. Raises Refused."""
        unique_id = request.document_unique_id
        if self._options.is_foreign(request.home_community_id):
            raise refused(
                Refusal.UNKNOWN_COMMUNITY,
                "the homeCommunityId is not that of this repository's community",
                unique_id,
            )
        if request.repository_unique_id != self._options.repository_unique_id:
            raise refused(
                Refusal.UNKNOWN_REPOSITORY, "the repositoryUniqueId is not that of this repository", unique_id
            )
        row = connection.execute(
            "SELECT sha1, size, mime_type FROM document WHERE unique_id = ?", (unique_id,)
        ).fetchone()
        if row is None:
            raise refused(
                Refusal.DOCUMENT_UNIQUE_ID, "the repository has no document of this uniqueId", unique_id
            )
        sha1, size, mime_type = row
        return sha1, size, mime_type


def _assembled(
    connection: sqlite3.Connection, request: DocumentRequest
) -> tuple[DocumentEntry, bytes, _Snapshot | None]:
    """The On-Demand entry, its bytes as of now, and the newest of its snapshots that are approved."""
    unique_id = request.document_unique_id
    entry = on_demand_by_unique_id(connection, unique_id)
    if entry is None or entry.patient_id is None:
        raise refused(
            Refusal.DOCUMENT_UNIQUE_ID, "the repository has no document of this uniqueId", unique_id
        )
    data = document_list(entry.title, approved_entries(connection, entry.patient_id))
    for association in reversed(associations_to(connection, entry.entry_uuid, IS_SNAPSHOT_OF)):
        found = entry_by_uuid(connection, association.source)
        if found is not None and found.status is AvailabilityStatus.APPROVED:
            row = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM document WHERE unique_id = ?)", (found.unique_id,)
            ).fetchone()
            return entry, data, _Snapshot(found, bool(row[0]))
    return entry, data, None


def _name_documents(connection: sqlite3.Connection, documents: Mapping[str, tuple[str, Content]]) -> None:
    """A uniqueId that is there has the same hash, for the registration before this checked it."""
    connection.executemany(
        "INSERT INTO document (unique_id, sha1, size, mime_type) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (unique_id) DO NOTHING",
        [(unique_id, c.sha1, c.size, mime_type) for unique_id, (mime_type, c) in documents.items()],
    )
