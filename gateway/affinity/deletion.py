"""Delete Document Set: registry objects end, and nothing that is left refers to them (ITI-62; ITI TF-2
3.62.4.1.3).

A request names every object that it deletes. It is refused where an Association or another version of an
entry would stay behind without them, and where a document, Folder or SubmissionSet would be left that
nothing holds. Everything here runs inside one write of the database: a refusal undoes all of it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from gateway.affinity import objects
from gateway.affinity.errors import Refusal, Refused
from gateway.affinity.objects import RegistryObject
from gateway.affinity.registration import touch_folder
from gateway.model import Association, DocumentEntry, Folder, RegistryError, SubmissionSet
from gateway.model.codes import HAS_MEMBER
from gateway.model.dtm import to_dtm


def delete(connection: sqlite3.Connection, entry_uuids: Sequence[str], now: datetime) -> None:
    """Delete the named objects, all or none. Raises Refused."""
    found = {uuid: objects.object_by_uuid(connection, uuid) for uuid in entry_uuids}
    errors = [*_naming_errors(entry_uuids, found)]
    if not errors:
        named = {uuid: value for uuid, value in found.items() if value is not None}
        errors = [*_reference_errors(connection, named), *_left_alone_errors(connection, named)]
    if errors:
        raise Refused(*errors)
    for value in found.values():
        if value is not None:
            objects.delete(connection, value)
    for uuid in _folders_that_lose_members(found.values()):
        touch_folder(connection, uuid, to_dtm(now))


def _naming_errors(
    entry_uuids: Sequence[str], found: dict[str, RegistryObject | None]
) -> Iterator[RegistryError]:
    for uuid, count in Counter(entry_uuids).items():
        if count > 1:
            yield RegistryError(Refusal.INVALID_REQUEST, f"{uuid} is named {count} times")
        if found[uuid] is None:
            yield RegistryError(Refusal.UNRESOLVED_REFERENCE, f"{uuid} is no object of the registry")


def _reference_errors(
    connection: sqlite3.Connection, named: dict[str, RegistryObject]
) -> Iterator[RegistryError]:
    """What stays behind and refers to an object that goes."""
    for uuid, value in named.items():
        for association in objects.associations_touching(connection, uuid):
            if association.entry_uuid not in named:
                yield RegistryError(
                    Refusal.REFERENCES_EXIST,
                    f"{uuid}: the Association {association.entry_uuid} refers to it and is not named",
                )
        if isinstance(value, DocumentEntry):
            for version in objects.version_uuids(connection, uuid):
                if version not in named:
                    yield RegistryError(
                        Refusal.REFERENCES_EXIST,
                        f"{uuid}: {version} is another version of the entry and is not named",
                    )


def _left_alone_errors(
    connection: sqlite3.Connection, named: dict[str, RegistryObject]
) -> Iterator[RegistryError]:
    """Documents and Folders that no SubmissionSet would hold, SubmissionSets that would hold nothing."""
    ends = dict.fromkeys(
        end
        for value in named.values()
        if isinstance(value, Association)
        for end in (value.source, value.target)
        if end not in named
    )
    for uuid in ends:
        left = [a for a in objects.associations_touching(connection, uuid) if a.entry_uuid not in named]
        match objects.object_by_uuid(connection, uuid):
            case SubmissionSet():
                if not any(a.source == uuid for a in left):
                    yield RegistryError(
                        Refusal.UNREFERENCED_OBJECT, f"SubmissionSet {uuid} would hold nothing; name it too"
                    )
            case DocumentEntry() | Folder():
                if not any(_is_held(connection, a, uuid) for a in left):
                    yield RegistryError(
                        Refusal.UNREFERENCED_OBJECT, f"no SubmissionSet would hold {uuid}; name it too"
                    )


def _is_held(connection: sqlite3.Connection, association: Association, uuid: str) -> bool:
    return (
        association.type == HAS_MEMBER
        and association.target == uuid
        and objects.submission_set_by_uuid(connection, association.source) is not None
    )


def _folders_that_lose_members(values: Iterable[RegistryObject | None]) -> list[str]:
    return list(
        dict.fromkeys(v.source for v in values if isinstance(v, Association) and v.type == HAS_MEMBER)
    )
