"""One registered document with its versions and all that refers to it, as ITI-18 tells it."""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, structs

from gateway.clients.registry import DocumentRegistry
from gateway.model import Association, DocumentEntry, QueryResult, RegistryFailure
from gateway.model.codes import HAS_MEMBER, UPDATE_AVAILABILITY_STATUS
from gateway.model.oids import bare_oid
from gateway.model.query import ANY_STATUS, GetAssociations, GetDocuments, GetFolders

_UUID: Final = re.compile(r"(?:urn:uuid:)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
_EVERY_VERSION: Final = 2
_FIRST: Final = "1"
_OF_SUBMISSION_SETS: Final = frozenset({HAS_MEMBER, UPDATE_AVAILABILITY_STATUS})


class NotOne(Exception):
    """An id that names no document, or more than one; the text says which."""


class Document(Struct, frozen=True, kw_only=True):
    """The versions of one DocumentEntry, oldest first, and the Associations around them.

    `memberships` are those of SubmissionSets that hold an Association to or from the document. `folders` are
    the entryUUIDs among the sources of `associations` that are Folders. `copies` are the entryUUIDs of other
    entries with the same uniqueId.
    """

    versions: tuple[DocumentEntry, ...]
    associations: tuple[Association, ...] = ()
    memberships: tuple[Association, ...] = ()
    folders: frozenset[str] = frozenset()
    copies: tuple[str, ...] = ()

    @property
    def current(self) -> DocumentEntry:
        """The latest version."""
        return self.versions[-1]

    @property
    def logical_id(self) -> str:
        """What stays through updates."""
        return self.current.logical_id or self.current.entry_uuid

    @property
    def version(self) -> str:
        """Number of the latest version; the first where the registry gives none."""
        return self.current.version or _FIRST

    @property
    def uuids(self) -> frozenset[str]:
        """entryUUIDs of all versions."""
        return frozenset(entry.entry_uuid for entry in self.versions)

    @property
    def submission_sets(self) -> frozenset[str]:
        """entryUUIDs of the SubmissionSets that brought or changed it."""
        own = self.uuids
        holding = {a.source for a in self.associations if a.target in own and a.type in _OF_SUBMISSION_SETS}
        return frozenset((holding - self.folders) | {a.source for a in self.memberships})


class Documents:
    """Finds documents of one registry."""

    def __init__(self, registry: DocumentRegistry) -> None:
        self._registry = registry

    async def find(self, text: str) -> Document:
        """The document of an entryUUID, a logicalID (which is the id in FHIR) or a uniqueId.

        Raises NotOne, PeerError and RegistryFailure.
        """
        found = await self._named(text)
        groups: dict[str, list[DocumentEntry]] = {}
        for entry in found:
            groups.setdefault(entry.logical_id or entry.entry_uuid, []).append(entry)
        if not groups:
            raise NotOne("the registry has no document with this id")
        if len(groups) > 1:
            ids = ", ".join(sorted(groups))
            raise NotOne(f"{len(groups)} documents have this uniqueId; name one by its entryUUID: {ids}")
        ((logical_id, entries),) = groups.items()
        return await self._whole(await self._versions(logical_id, entries))

    async def _named(self, text: str) -> tuple[DocumentEntry, ...]:
        uuid = _UUID.fullmatch(text.strip())
        if uuid is None:
            unique_id = bare_oid(text.strip())
            return await self._documents(GetDocuments(unique_ids=(unique_id,)))
        urn = f"urn:uuid:{uuid[1].lower()}"
        found = await self._documents(GetDocuments(entry_uuids=(urn,)))
        if not found:
            found = await self._if_known(GetDocuments(logical_ids=(urn,)))
        return found or await self._documents(GetDocuments(unique_ids=(urn,)))

    async def _documents(self, query: GetDocuments) -> tuple[DocumentEntry, ...]:
        return (await self._every_version(query)).entries

    async def _every_version(self, query: GetDocuments | GetAssociations) -> QueryResult:
        """The answer with versions and associations of the past, or without where those are refused.

        A registry without Metadata Update should pass over parameters that it does not know; not all do.
        """
        more = structs.replace(query, metadata_level=_EVERY_VERSION, association_status=ANY_STATUS)
        try:
            return await self._registry.query(more)
        except RegistryFailure:
            return await self._registry.query(query)

    async def _if_known(self, query: GetDocuments) -> tuple[DocumentEntry, ...]:
        """As `_documents`; a registry without Metadata Update refuses a logicalID, and has no versions."""
        try:
            return await self._documents(query)
        except RegistryFailure:
            return ()

    async def _versions(self, logical_id: str, entries: Iterable[DocumentEntry]) -> tuple[DocumentEntry, ...]:
        known = {entry.entry_uuid: entry for entry in entries}
        if any(entry.logical_id for entry in known.values()):
            known |= {e.entry_uuid: e for e in await self._if_known(GetDocuments(logical_ids=(logical_id,)))}
        return tuple(sorted(known.values(), key=_number))

    async def _whole(self, versions: tuple[DocumentEntry, ...]) -> Document:
        own = tuple(entry.entry_uuid for entry in versions)
        associations = await self._touching(own)
        known = {association.entry_uuid for association in associations}
        of_associations = await self._touching(tuple(a.entry_uuid for a in associations))
        holders = tuple(
            dict.fromkeys(a.source for a in associations if a.type == HAS_MEMBER and a.target in own)
        )
        folders = (await self._registry.query(GetFolders(entry_uuids=holders))).folders if holders else ()
        same = await self._documents(GetDocuments(unique_ids=(versions[-1].unique_id,)))
        return Document(
            versions=versions,
            associations=associations,
            memberships=tuple(a for a in of_associations if a.entry_uuid not in known),
            folders=frozenset(folder.entry_uuid for folder in folders),
            copies=tuple(e.entry_uuid for e in same if e.entry_uuid not in own),
        )

    async def _touching(self, uuids: tuple[str, ...]) -> tuple[Association, ...]:
        if not uuids:
            return ()
        return (await self._every_version(GetAssociations(uuids=uuids))).associations

    async def left_empty(self, submission_sets: Iterable[str], gone: frozenset[str]) -> tuple[str, ...]:
        """Of the SubmissionSets those that hold nothing more when the Associations `gone` are gone."""
        wanted = tuple(submission_sets)
        held = await self._touching(wanted)
        return tuple(
            uuid for uuid in wanted if not any(a.source == uuid and a.entry_uuid not in gone for a in held)
        )


def _number(entry: DocumentEntry) -> int:
    version = entry.version or _FIRST
    return int(version) if version.isascii() and version.isdigit() else 0
