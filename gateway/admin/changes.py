"""What an operator asks for, as requests to registry and repository (ITI-57, ITI-62, ITI-86).

A `Change` says what it does before it does it, and can tell afterwards whether it was done: the requests are
not repeated blindly, and after an unknown outcome the registry is asked.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from gateway.admin.attributes import changed, differences
from gateway.admin.documents import Document, Documents, NotOne
from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository
from gateway.ebxml.metadata_update import MetadataUpdate, entry_version, status_change
from gateway.model import (
    AvailabilityStatus,
    DocumentEntry,
    DocumentRequest,
    RegistryFailure,
    SubmissionSet,
)
from gateway.model.codes import DOCUMENT_RELATIONS, HAS_MEMBER
from gateway.model.dtm import to_dtm
from gateway.model.errors import PeerError


class Refused(Exception):
    """A change that would not be right; the text says why and what to do."""


class Halfway(Exception):
    """The first of two steps was done and the second not; the text says how to go on."""

    def __init__(self, text: str, cause: Exception) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Change:
    """`lines` say what will be; `carry_out` does it, `is_done` asks the registry whether it was done."""

    lines: tuple[str, ...]
    carry_out: Callable[[], Awaitable[None]]
    is_done: Callable[[], Awaitable[bool]]


def _mint() -> str:
    return uuid.uuid4().urn


class Changes:
    """Makes changes of one document. `source_id` is the OID of who submits them."""

    def __init__(self, registry: DocumentRegistry, document: Document, source_id: str) -> None:
        self._registry = registry
        self._documents = Documents(registry)
        self._document = document
        self._source_id = source_id

    def status(self, new: AvailabilityStatus) -> Change:
        """Deprecate or approve. Raises Refused where it has that status."""
        entry = self._document.current
        if entry.status is new:
            raise Refused(f"the document is {new.name.lower()} already")
        of_set = self._submission_set(entry)
        update = MetadataUpdate(
            submission_set=of_set,
            status_changes=(status_change(of_set, entry.entry_uuid, entry.status, new, _mint),),
        )

        async def is_done() -> bool:
            return (await self._again()).current.status is new

        line = f"status: {entry.status.name.lower()} -> {new.name.lower()}"
        return Change((line,), lambda: self._update(update), is_done)

    def metadata(self, values: Mapping[str, Any], *, show_text: bool) -> Change:
        """Other values for attributes, by field. Raises Refused where nothing changes."""
        entry = self._document.current
        if entry.status is not AvailabilityStatus.APPROVED:
            raise Refused("the document is deprecated; approve it first")
        wanted = changed(entry, values)
        lines = differences(entry, wanted, show_text=show_text)
        if not lines:
            raise Refused("the document has these values already")
        of_set = self._submission_set(entry)
        new = structs.replace(
            wanted,
            entry_uuid=_mint(),
            logical_id=self._document.logical_id,
            version=None,
            home_community_id=None,
        )
        version = entry_version(of_set, new, self._document.version, _mint)
        update = MetadataUpdate(submission_set=of_set, versions=(version,))

        async def is_done() -> bool:
            return (await self._again()).current.entry_uuid == new.entry_uuid

        return Change(tuple(lines), lambda: self._update(update), is_done)

    async def deletion(self) -> Change:
        """Metadata of all versions with what refers to them, and SubmissionSets that would hold nothing."""
        document = self._document
        associations = (*document.associations, *document.memberships)
        gone = frozenset(a.entry_uuid for a in associations)
        empty = await self._documents.left_empty(sorted(document.submission_sets), gone)
        named = (*(e.entry_uuid for e in document.versions), *(a.entry_uuid for a in associations), *empty)

        async def carry_out() -> None:
            await self._registry.delete(dict.fromkeys(named))

        async def is_done() -> bool:
            try:
                await self._again()
            except NotOne:
                return True
            return False

        lines = [
            f"deletes {len(document.versions)} version(s), {len(gone)} association(s) and {len(empty)} "
            "submission set(s) that would be empty",
            *what_breaks(document),
        ]
        return Change(tuple(lines), carry_out, is_done)

    async def removal(self, repositories: Mapping[str, DocumentRepository]) -> Change:
        """Metadata, then the document: no metadata may lead to a document that is not there.

        Raises Refused where another entry has the same document, and where its repository is not set.
        """
        document, entry = self._document, self._document.current
        deletion = await self.deletion()
        if entry.on_demand:
            line = "the document is made on demand: there is none to remove from a repository"
            return Change((*deletion.lines, line), deletion.carry_out, deletion.is_done)
        if document.copies:
            raise Refused(
                f"the document is also that of {', '.join(document.copies)}; delete the metadata alone"
            )
        repository = repositories.get(entry.repository_unique_id or "")
        if repository is None:
            named = entry.repository_unique_id or "(not named)"
            raise Refused(f"repository {named} is none of the setting repositories")

        async def carry_out() -> None:
            try:
                await deletion.carry_out()
            except PeerError as error:
                if error.outcome_known or not await deletion.is_done():
                    raise
            try:
                await remove_document(repository, entry.unique_id)
            except (RegistryFailure, PeerError) as error:
                if isinstance(error, PeerError) and await _came_through(error, repository, entry.unique_id):
                    return
                raise Halfway(
                    "the metadata is deleted, the document may still be there; go on with gateway admin "
                    f"remove {entry.unique_id} --repository {repository.unique_id} --yes",
                    error,
                ) from None

        line = f"removes document {entry.unique_id} from repository {repository.unique_id}"
        return Change((*deletion.lines, line), carry_out, lambda: _is_removed(repository, entry.unique_id))

    async def _again(self) -> Document:
        return await self._documents.find(self._document.logical_id)

    async def _update(self, update: MetadataUpdate) -> None:
        await self._registry.update(update)

    def _submission_set(self, entry: DocumentEntry) -> SubmissionSet:
        return SubmissionSet(
            entry_uuid=_mint(),
            unique_id=f"2.25.{uuid.uuid4().int}",
            source_id=self._source_id,
            submission_time=to_dtm(datetime.now(UTC)),
            patient_id=entry.patient_id,
            content_type=entry.type_code or entry.class_code,
        )


def what_breaks(document: Document) -> list[str]:
    """A line for each Folder and each other document that is related to this one."""
    own = document.uuids
    lines = []
    for association in document.associations:
        if association.status is not AvailabilityStatus.APPROVED:
            continue
        if association.type == HAS_MEMBER and association.source in document.folders:
            lines.append(f"takes it out of folder {association.source}")
        elif association.type in DOCUMENT_RELATIONS:
            other = association.target if association.source in own else association.source
            direction = "to" if association.source in own else "from"
            lines.append(
                f"ends the relation {association.type.rpartition(':')[2]} {direction} document {other}"
            )
    return lines


def orphan(repository: DocumentRepository, unique_id: str) -> Change:
    """The document alone, where the registry has no metadata of it any more."""
    line = f"removes document {unique_id} from repository {repository.unique_id}; the registry has none of it"
    return Change(
        (line,),
        lambda: remove_document(repository, unique_id),
        lambda: _is_removed(repository, unique_id),
    )


async def remove_document(repository: DocumentRepository, unique_id: str) -> None:
    """ITI-86 of one document. Raises RegistryFailure and PeerError."""
    await repository.remove([DocumentRequest(repository.unique_id, unique_id)])


async def _came_through(error: PeerError, repository: DocumentRepository, unique_id: str) -> bool:
    """True where the removal whose answer is missing was done after all."""
    if error.outcome_known:
        return False
    try:
        return await _is_removed(repository, unique_id)
    except (PeerError, RegistryFailure):
        return False


async def _is_removed(repository: DocumentRepository, unique_id: str) -> bool:
    return not await repository.holds(DocumentRequest(repository.unique_id, unique_id))
