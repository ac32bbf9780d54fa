"""Documents by their lasting id: what a metadata update leaves of an id that was handed out (ITI TF-2 3.57).

The FHIR id of a document is its logicalID, which is the entryUUID of its first version, so it stays when the
metadata is updated. A registry is asked by entryUUID first; only for what that does not settle (an old
version, a superseded document, an unknown id) it is asked by logicalID, which not every registry knows.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from gateway.clients.community import Queries
from gateway.model import AvailabilityStatus, DocumentEntry, QueryResult, RegistryFailure, Submission
from gateway.model.errors import PeerUnsupported
from gateway.model.query import GetDocuments, GetDocumentsAndAssociations

_NO_VERSION: Final = 0


async def with_current_versions(
    registry: Queries, query: GetDocuments | GetDocumentsAndAssociations, result: QueryResult
) -> QueryResult:
    """`result`, the answer to `query` by entryUUIDs, with the current versions in place of older ones.

    Raises PeerError. That a registry refuses logicalIDs, or cannot be asked for them, is no error: it has no
    versions then.
    """
    settled = {e.entry_uuid for e in result.entries if e.status is AvailabilityStatus.APPROVED}
    open_ids = tuple(uuid for uuid in query.entry_uuids if uuid not in settled)
    if not open_ids:
        return result
    try:
        later = await registry.query(structs.replace(query, entry_uuids=(), logical_ids=open_ids))
    except (RegistryFailure, PeerUnsupported):
        return result
    entries = newest_versions((*result.entries, *later.entries))
    associations = {a.entry_uuid: a for a in (*result.associations, *later.associations)}
    return structs.replace(result, entries=entries, associations=tuple(associations.values()))


OLD_TARGET: Final = frozenset({"XDSRegistryDeprecatedDocumentError", "UnresolvedReferenceException"})
"""What a registry says of an association to a version that is not the current one."""


async def with_current_targets(registry: Queries, submission: Submission) -> Submission:
    """The submission with its associations to registered documents led to their current versions.

    A client names a document by the id that stays, a registry takes associations to the current version
    only. Raises PeerError and RegistryFailure.
    """
    own = {
        submission.submission_set.entry_uuid,
        *(value.entry_uuid for value in submission.entries),
        *(value.entry_uuid for value in submission.folders),
        *(value.entry_uuid for value in submission.associations),
    }
    targets = tuple(dict.fromkeys(a.target for a in submission.associations if a.target not in own))
    if not targets:
        return submission
    query = GetDocuments(entry_uuids=targets)
    found = await with_current_versions(registry, query, await registry.query(query))
    current = {
        uuid: entry.entry_uuid for uuid in targets if (entry := named(found.entries, uuid)) is not None
    }
    return structs.replace(
        submission,
        associations=tuple(
            structs.replace(a, target=current.get(a.target, a.target)) for a in submission.associations
        ),
    )


def newest_versions(entries: Iterable[DocumentEntry]) -> tuple[DocumentEntry, ...]:
    """Of each document the version with the highest number, in the order of the first."""
    newest: dict[str, DocumentEntry] = {}
    for entry in entries:
        key = entry.logical_id or entry.entry_uuid
        if key not in newest or _number(entry) > _number(newest[key]):
            newest[key] = entry
    return tuple(newest.values())


def named(entries: Iterable[DocumentEntry], uuid: str) -> DocumentEntry | None:
    """The document that has `uuid` as its lasting id, or as the id of its current version."""
    listed = list(entries)
    lasting = (e for e in listed if (e.logical_id or e.entry_uuid) == uuid)
    return next(lasting, None) or next((e for e in listed if e.entry_uuid == uuid), None)


def _number(entry: DocumentEntry) -> int:
    """A version that is no number is the first, as where the registry gives none."""
    version = entry.version or ""
    return int(version) if version.isascii() and version.isdigit() else _NO_VERSION
