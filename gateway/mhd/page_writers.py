"""What writes the resources of a page: DocumentReferences with their relations, Lists with their members
(IHE MHD 4.2.4 2:3.66.4.2 and 2:3.67.4.2; ITI TF-3 4.2.2).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from gateway.clients.community import Queries
from gateway.fhir.document_reference import WriteContext
from gateway.fhir.imaging_documents import imaging_document_json
from gateway.fhir.issues import Issue
from gateway.fhir.list_elements import RegistryList
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.outcome import issues_of_warnings
from gateway.mhd.members import DOCUMENT, LIST, members_of, memberships
from gateway.model import Association, DocumentEntry, Folder, RegistryFailure, SubmissionSet
from gateway.model.codes import DOCUMENT_RELATIONS
from gateway.model.errors import PeerError
from gateway.model.query import GetFolders

T = TypeVar("T")

RELATIONS = "DocumentReference.relatesTo"
MEMBERS = "List.entry"


@dataclass(frozen=True, slots=True)
class Writer(Generic[T]):
    """Writes the resource of each object of a page; `issues` belong to the page as a whole."""

    write: Callable[[T, WriteContext], bytes]
    issues: tuple[Issue, ...] = ()


def missing(error: PeerError | RegistryFailure, element: str) -> Issue:
    """Warning that what is asked for besides the search could not be had; `element` is a FHIRPath."""
    return Issue(
        "warning",
        "incomplete",
        f"{error.peer} did not give what {element} is made of, so it is missing here. Read the resource by "
        "id to see it.",
        expression=element,
    )


def is_relation_of(association: Association, entry_uuid: str) -> bool:
    """True where the association makes a relatesTo of the document."""
    return association.source == entry_uuid and association.type in DOCUMENT_RELATIONS


def document_writer(
    entries: Sequence[DocumentEntry], associations: Iterable[Association]
) -> Writer[DocumentEntry]:
    """The writer of `entries`; `associations` are those that touch one of them, and perhaps others."""
    own = {entry.entry_uuid for entry in entries}
    relations: dict[str, list[Association]] = defaultdict(list)
    for association in associations:
        if association.source in own and is_relation_of(association, association.source):
            relations[association.source].append(association)
    return Writer(
        lambda entry, context: imaging_document_json(entry, context, relations.get(entry.entry_uuid, ()))
    )


async def list_writer(
    registry: Queries, items: Sequence[RegistryList], associations: Sequence[Association]
) -> Writer[RegistryList]:
    """The writer of Lists; `associations` as above.

    What a SubmissionSet brought besides documents can be a Folder or an association. GetFolders tells them
    apart, with one call for a page that has such members.
    """
    own = {item.entry_uuid: item for item in items}
    by_owner: dict[str, list[Association]] = defaultdict(list)
    for association in memberships(associations):
        if association.source in own:
            by_owner[association.source].append(association)
    kinds = {uuid: LIST for uuid, item in own.items() if isinstance(item, Folder)}
    unknown: dict[str, None] = {}
    no_resources = {association.entry_uuid for association in associations}
    for owner, members in by_owner.items():
        for member in members:
            # the slot is required of documents in a SubmissionSet and has no meaning for other members
            if isinstance(own[owner], Folder) or member.submission_set_status is not None:
                kinds[member.target] = DOCUMENT
            elif member.target not in kinds and member.target not in no_resources:
                unknown[member.target] = None
    folders, issues = await _folders_among(registry, tuple(uuid for uuid in unknown if uuid not in kinds))
    kinds |= dict.fromkeys(folders, LIST)

    def write(item: RegistryList, context: WriteContext) -> bytes:
        members = members_of(item.entry_uuid, by_owner.get(item.entry_uuid, ()), kinds)
        if isinstance(item, SubmissionSet):
            return orjson.dumps(write_submission_set_list(item, members, context))
        return orjson.dumps(write_folder_list(item, members, context))

    return Writer(write, issues)


async def _folders_among(
    registry: Queries, uuids: tuple[str, ...]
) -> tuple[Iterable[str], tuple[Issue, ...]]:
    """Those of `uuids` that are Folders."""
    if not uuids:
        return (), ()
    try:
        found = await registry.query(GetFolders(entry_uuids=uuids))
    except (PeerError, RegistryFailure) as error:
        return (), (missing(error, MEMBERS),)
    return (folder.entry_uuid for folder in found.folders), issues_of_warnings(found.errors)
