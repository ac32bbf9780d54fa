"""Updates of Folders in a Provide Document Bundle: PUT of a List (IHE MHD 4.2.4 3.65.4.1.2).

A PUT holds the whole Folder, while XDS only adds to one. So what the List has beyond the registry is added,
and a List that leaves out what the registry has is refused, never carried out in part. The version of a
Folder, for If-Match, is its lastUpdateTime; two updates within one second share it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry, literal_uuid
from gateway.model import codes
from gateway.model.metadata import Folder, QueryResult


class FolderState(Struct, frozen=True):
    """What the registry holds of a Folder: entryUUIDs of its documents, and its version where it has one.

    `lasting` are the members by logicalID, which is what a List shows of a document that was updated.
    """

    members: frozenset[str]
    version: str | None = None
    lasting: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All that a member may be named by."""
        return self.members.union(name for name, _ in self.lasting)

    def left_out(self, listed: Iterable[str]) -> int:
        """Number of members that none of `listed` names."""
        lasting = dict(self.lasting)
        return len(self.members.difference(lasting.get(name, name) for name in listed))


Folders = Mapping[str, FolderState]
"""State by entryUUID; a Folder that does not exist is not in it."""

NO_FOLDERS: Final[Folders] = {}


def folder_version(folder: Folder) -> str | None:
    """Version of a Folder in ETag and meta.versionId: the digits of its lastUpdateTime."""
    return folder.last_update_time


def state_of(entry_uuid: str, found: QueryResult) -> FolderState | None:
    """State of a Folder in the answer to GetFolderAndContents."""
    for folder in found.folders:
        if folder.entry_uuid == entry_uuid:
            members = frozenset(
                a.target for a in found.associations if a.type == codes.HAS_MEMBER and a.source == entry_uuid
            )
            lasting = tuple(
                (e.logical_id, e.entry_uuid)
                for e in found.entries
                if e.logical_id is not None and e.logical_id != e.entry_uuid and e.entry_uuid in members
            )
            return FolderState(members, folder_version(folder), lasting)
    return None


def updated_folders(index: BundleIndex) -> tuple[str, ...]:
    """entryUUIDs of the Folders that the Bundle updates."""
    named = (
        literal_uuid(entry.url, "List", index.base_url)
        for entry in index.of(EntryKind.FOLDER)
        if entry.method == "PUT"
    )
    return tuple(dict.fromkeys(name for name in named if name is not None))


def check_version(entry: RequestEntry, state: FolderState) -> None:
    """Raises OutcomeError 412 where the Folder is not the version that the client has seen."""
    if entry.if_match is None:
        return
    wanted = {tag.strip().removeprefix("W/").strip('"') for tag in entry.if_match.split(",")}
    if "*" in wanted or state.version in wanted:
        return
    text = "The Folder is not in this version any more. Read its List again and use the ETag of that answer."
    raise OutcomeError(412, (Issue("error", "conflict", text, f"{entry.path}.request.ifMatch"),))


def check_nothing_is_removed(entry: RequestEntry, state: FolderState, listed: Iterable[str]) -> None:
    """Raises OutcomeError 409 where the List leaves out a document of the Folder."""
    left_out = state.left_out(listed)
    if left_out:
        text = (
            f"The List leaves out {left_out} of the {len(state.members)} documents of the Folder. Documents "
            "are only added to a Folder: read its List again and send it with all its entries."
        )
        raise OutcomeError(409, (Issue("error", "conflict", text, f"{entry.resource_path}.entry"),))
