"""Document Repository: storing documents (ITI-41) and finding them again (ITI-43), over model values.

A submission and its documents become one: files are durable first, then one write of the database names
them and registers the metadata. Everything here blocks and belongs on a thread.
"""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from msgspec import structs

from gateway.affinity.database import Database
from gateway.affinity.documents import ContentCollision, DocumentFiles
from gateway.affinity.errors import Refusal, Refused, refused
from gateway.affinity.options import AffinityOptions
from gateway.affinity.registry import Registry
from gateway.model import DocumentEntry, DocumentHeader, DocumentRequest, RegistryError, Submission


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
    """One document of an answer: its header and the file that holds it, `size` bytes long."""

    header: DocumentHeader
    path: Path
    size: int


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
    ) -> tuple[tuple[StoredDocument, ...], tuple[RegistryError, ...]]:
        """Documents that are there and an error, with the uniqueId as location, for each that is not."""
        documents: list[StoredDocument] = []
        errors: list[RegistryError] = []
        for request in requests:
            try:
                documents.append(self._find_one(connection, request))
            except Refused as error:
                errors.extend(error.errors)
        return tuple(documents), tuple(errors)

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

    def _find_one(self, connection: sqlite3.Connection, request: DocumentRequest) -> StoredDocument:
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


def _name_documents(connection: sqlite3.Connection, documents: Mapping[str, tuple[str, Content]]) -> None:
    """A uniqueId that is there has the same hash, for the registration before this checked it."""
    connection.executemany(
        "INSERT INTO document (unique_id, sha1, size, mime_type) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (unique_id) DO NOTHING",
        [(unique_id, c.sha1, c.size, mime_type) for unique_id, (mime_type, c) in documents.items()],
    )
