"""Registry objects <-> rows: which column, which multi-valued attribute, which blob.

A blob is the msgpack of the model value. A column only ever serves to find a row; answers come from blobs.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import TypeVar

from msgspec import Struct, msgpack

from gateway.ebxml.hl7 import write_reference_id, write_xcn
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    SubmissionSet,
)
from gateway.model.codes import IS_SNAPSHOT_OF, ON_DEMAND_DOCUMENT, STABLE_DOCUMENT
from gateway.model.dtm import dtm_start, to_dtm

RegistryObject = DocumentEntry | SubmissionSet | Folder | Association
ObjectT = TypeVar("ObjectT", bound=Struct)

_SEPARATOR = "\x1f"
_encode = msgpack.Encoder().encode
decode_entry = msgpack.Decoder(DocumentEntry).decode
decode_submission_set = msgpack.Decoder(SubmissionSet).decode
decode_folder = msgpack.Decoder(Folder).decode
decode_association = msgpack.Decoder(Association).decode


class EntryAttribute(IntEnum):
    """Multi-valued attributes of a DocumentEntry that queries filter by."""

    EVENT_CODE = 1
    CONFIDENTIALITY = 2
    AUTHOR_PERSON = 3
    REFERENCE_ID = 4


def code_key(code: Code) -> str:
    """Column text of a code: equal when code and scheme are; the display name does not count."""
    return f"{code.code}{_SEPARATOR}{code.scheme}"


def patient_key(patient: Cx) -> str:
    """Column text of a patient id."""
    return f"{patient.id}{_SEPARATOR}{patient.authority}"


def instant_key(dtm: str) -> str:
    """14 digits of the first instant that a DTM stands for, so that text order is time order."""
    return to_dtm(dtm_start(dtm))


def _optional_code(code: Code | None) -> str | None:
    return None if code is None else code_key(code)


def _optional_patient(patient: Cx | None) -> str:
    return "" if patient is None else patient_key(patient)


def _optional_instant(dtm: str | None) -> str | None:
    return None if dtm is None else instant_key(dtm)


def author_persons(authors: Iterable[Author]) -> Iterator[str]:
    """authorPerson texts (XCN) that LIKE patterns are compared with."""
    for author in authors:
        if author.person is not None:
            yield write_xcn(author.person)


def _entry_values(entry: DocumentEntry) -> set[tuple[int, str]]:
    values = {(EntryAttribute.EVENT_CODE.value, code_key(c)) for c in entry.event_codes}
    values |= {(EntryAttribute.CONFIDENTIALITY.value, code_key(c)) for c in entry.confidentiality}
    values |= {(EntryAttribute.AUTHOR_PERSON.value, text) for text in author_persons(entry.authors)}
    values |= {(EntryAttribute.REFERENCE_ID.value, write_reference_id(r)) for r in entry.reference_ids}
    return values


def insert_entry(connection: sqlite3.Connection, entry: DocumentEntry) -> None:
    """Add one DocumentEntry as the latest of its versions; without logicalID it is the first."""
    seq = connection.execute(
        "INSERT INTO document_entry (uuid, unique_id, patient, approved, object_type, hash, creation_time,"
        " service_start_time, service_stop_time, class_code, type_code, practice_setting, facility_type,"
        " format_code, body, logical_id, version, latest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        (
            entry.entry_uuid,
            entry.unique_id,
            _optional_patient(entry.patient_id),
            entry.status is AvailabilityStatus.APPROVED,
            entry.object_type,
            entry.hash,
            _optional_instant(entry.creation_time),
            _optional_instant(entry.service_start_time),
            _optional_instant(entry.service_stop_time),
            _optional_code(entry.class_code),
            _optional_code(entry.type_code),
            _optional_code(entry.practice_setting),
            _optional_code(entry.facility_type),
            _optional_code(entry.format_code),
            _encode(entry),
            entry.logical_id or entry.entry_uuid,
            int(entry.version or 1),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO entry_value (seq, attribute, value) VALUES (?, ?, ?)",
        [(seq, attribute, value) for attribute, value in _entry_values(entry)],
    )


def insert_submission_set(connection: sqlite3.Connection, submission_set: SubmissionSet) -> None:
    """Add one SubmissionSet."""
    seq = connection.execute(
        "INSERT INTO submission_set (uuid, unique_id, patient, approved, source_id, submission_time,"
        " content_type, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            submission_set.entry_uuid,
            submission_set.unique_id,
            _optional_patient(submission_set.patient_id),
            submission_set.status is AvailabilityStatus.APPROVED,
            submission_set.source_id,
            instant_key(submission_set.submission_time),
            _optional_code(submission_set.content_type),
            _encode(submission_set),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO submission_set_author (seq, value) VALUES (?, ?)",
        [(seq, text) for text in set(author_persons(submission_set.authors))],
    )


def insert_folder(connection: sqlite3.Connection, folder: Folder) -> None:
    """Add one Folder; its lastUpdateTime is set by then."""
    seq = connection.execute(
        "INSERT INTO folder (uuid, unique_id, patient, approved, last_update_time, body)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            folder.entry_uuid,
            folder.unique_id,
            _optional_patient(folder.patient_id),
            folder.status is AvailabilityStatus.APPROVED,
            instant_key(folder.last_update_time or ""),
            _encode(folder),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO folder_code (seq, value) VALUES (?, ?)",
        [(seq, code) for code in {code_key(c) for c in folder.code_list}],
    )


def insert_association(connection: sqlite3.Connection, association: Association) -> None:
    """Add one Association."""
    connection.execute(
        "INSERT INTO association (uuid, type, source, target, approved, body) VALUES (?, ?, ?, ?, ?, ?)",
        (
            association.entry_uuid,
            association.type,
            association.source,
            association.target,
            association.status is AvailabilityStatus.APPROVED,
            _encode(association),
        ),
    )


def update_entry_status(connection: sqlite3.Connection, entry: DocumentEntry) -> None:
    """Write the availabilityStatus of a registered DocumentEntry."""
    connection.execute(
        "UPDATE document_entry SET approved = ?, body = ? WHERE uuid = ?",
        (entry.status is AvailabilityStatus.APPROVED, _encode(entry), entry.entry_uuid),
    )


def end_version(connection: sqlite3.Connection, entry: DocumentEntry) -> None:
    """Write that a registered DocumentEntry is no longer the latest of its versions, with its status."""
    connection.execute("UPDATE document_entry SET latest = 0 WHERE uuid = ?", (entry.entry_uuid,))
    update_entry_status(connection, entry)


def update_folder_status(connection: sqlite3.Connection, folder: Folder) -> None:
    """Write the availabilityStatus of a registered Folder."""
    connection.execute(
        "UPDATE folder SET approved = ?, body = ? WHERE uuid = ?",
        (folder.status is AvailabilityStatus.APPROVED, _encode(folder), folder.entry_uuid),
    )


def update_association_status(connection: sqlite3.Connection, association: Association) -> None:
    """Write the availabilityStatus of a registered Association."""
    connection.execute(
        "UPDATE association SET approved = ?, body = ? WHERE uuid = ?",
        (
            association.status is AvailabilityStatus.APPROVED,
            _encode(association),
            association.entry_uuid,
        ),
    )


def update_folder_time(connection: sqlite3.Connection, folder: Folder) -> None:
    """Write the lastUpdateTime of a registered Folder."""
    connection.execute(
        "UPDATE folder SET last_update_time = ?, body = ? WHERE uuid = ?",
        (instant_key(folder.last_update_time or ""), _encode(folder), folder.entry_uuid),
    )


def entry_by_uuid(connection: sqlite3.Connection, uuid: str) -> DocumentEntry | None:
    """The registered DocumentEntry of an entryUUID."""
    row = connection.execute("SELECT body FROM document_entry WHERE uuid = ?", (uuid,)).fetchone()
    return None if row is None else decode_entry(row[0])


def entries_by_unique_id(connection: sqlite3.Connection, unique_id: str) -> list[DocumentEntry]:
    """The registered DocumentEntries of a uniqueId: copies are legal in XDS.b."""
    rows = connection.execute(
        "SELECT body FROM document_entry WHERE unique_id = ? ORDER BY seq", (unique_id,)
    )
    return [decode_entry(body) for (body,) in rows]


def folder_by_uuid(connection: sqlite3.Connection, uuid: str) -> Folder | None:
    """The registered Folder of an entryUUID."""
    row = connection.execute("SELECT body FROM folder WHERE uuid = ?", (uuid,)).fetchone()
    return None if row is None else decode_folder(row[0])


def submission_set_by_uuid(connection: sqlite3.Connection, uuid: str) -> SubmissionSet | None:
    """The registered SubmissionSet of an entryUUID."""
    row = connection.execute("SELECT body FROM submission_set WHERE uuid = ?", (uuid,)).fetchone()
    return None if row is None else decode_submission_set(row[0])


def association_by_uuid(connection: sqlite3.Connection, uuid: str) -> Association | None:
    """The registered Association of an entryUUID."""
    row = connection.execute("SELECT body FROM association WHERE uuid = ?", (uuid,)).fetchone()
    return None if row is None else decode_association(row[0])


def object_by_uuid(connection: sqlite3.Connection, uuid: str) -> RegistryObject | None:
    """The registered object of an entryUUID, of whatever kind."""
    return (
        entry_by_uuid(connection, uuid)
        or submission_set_by_uuid(connection, uuid)
        or folder_by_uuid(connection, uuid)
        or association_by_uuid(connection, uuid)
    )


def latest_version(connection: sqlite3.Connection, logical_id: str) -> tuple[DocumentEntry, int] | None:
    """The latest version of a DocumentEntry, and its number."""
    row = connection.execute(
        "SELECT body, version FROM document_entry WHERE logical_id = ? AND latest = 1", (logical_id,)
    ).fetchone()
    return None if row is None else (decode_entry(row[0]), row[1])


def is_latest(connection: sqlite3.Connection, uuid: str) -> bool:
    """True where the DocumentEntry of this entryUUID is the latest of its versions."""
    row = connection.execute("SELECT latest FROM document_entry WHERE uuid = ?", (uuid,)).fetchone()
    return row is not None and bool(row[0])


def version_uuids(connection: sqlite3.Connection, uuid: str) -> list[str]:
    """entryUUIDs of all versions of the DocumentEntry that this entryUUID is a version of, in order."""
    rows = connection.execute(
        "SELECT uuid FROM document_entry WHERE logical_id ="
        " (SELECT logical_id FROM document_entry WHERE uuid = ?) ORDER BY version",
        (uuid,),
    )
    return [found for (found,) in rows]


def on_demand_by_unique_id(connection: sqlite3.Connection, unique_id: str) -> DocumentEntry | None:
    """The approved On-Demand DocumentEntry of a uniqueId, in its latest version."""
    row = connection.execute(
        "SELECT body FROM document_entry WHERE unique_id = ? AND object_type = ? AND latest = 1"
        " AND approved = 1 ORDER BY seq DESC",
        (unique_id, ON_DEMAND_DOCUMENT),
    ).fetchone()
    return None if row is None else decode_entry(row[0])


def approved_entries(connection: sqlite3.Connection, patient: Cx) -> list[DocumentEntry]:
    """The approved stable DocumentEntries of a patient that are no snapshots, in order of registration."""
    rows = connection.execute(
        "SELECT body FROM document_entry e WHERE patient = ? AND approved = 1 AND latest = 1"
        " AND object_type = ? AND NOT EXISTS (SELECT 1 FROM association a WHERE a.source = e.uuid"
        " AND a.type = ?) ORDER BY seq",
        (patient_key(patient), STABLE_DOCUMENT, IS_SNAPSHOT_OF),
    )
    return [decode_entry(body) for (body,) in rows]


def associations_touching(connection: sqlite3.Connection, uuid: str) -> list[Association]:
    """Registered Associations, of whatever type and status, with one end at `uuid`."""
    rows = connection.execute(
        "SELECT body FROM association WHERE seq IN (SELECT seq FROM association WHERE source = :u"
        " UNION SELECT seq FROM association WHERE target = :u) ORDER BY seq",
        {"u": uuid},
    )
    return [decode_association(body) for (body,) in rows]


def delete(connection: sqlite3.Connection, value: RegistryObject) -> None:
    """Take one object out of the registry."""
    of_values: str | None = None
    match value:
        case DocumentEntry():
            table, of_values = "document_entry", "entry_value"
        case SubmissionSet():
            table, of_values = "submission_set", "submission_set_author"
        case Folder():
            table, of_values = "folder", "folder_code"
        case Association():
            table = "association"
    if of_values is not None:
        connection.execute(
            f"DELETE FROM {of_values} WHERE seq = (SELECT seq FROM {table} WHERE uuid = ?)",  # noqa: S608
            (value.entry_uuid,),
        )
    connection.execute(f"DELETE FROM {table} WHERE uuid = ?", (value.entry_uuid,))  # noqa: S608


def associations_to(connection: sqlite3.Connection, target: str, association_type: str) -> list[Association]:
    """Registered Associations of one type that end at `target`."""
    rows = connection.execute(
        "SELECT body FROM association WHERE target = ? AND type = ? ORDER BY seq", (target, association_type)
    )
    return [decode_association(body) for (body,) in rows]


def is_registered(connection: sqlite3.Connection, uuid: str) -> bool:
    """True where any registry object has this entryUUID."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM document_entry WHERE uuid = :u)"
        " OR EXISTS (SELECT 1 FROM submission_set WHERE uuid = :u)"
        " OR EXISTS (SELECT 1 FROM folder WHERE uuid = :u)"
        " OR EXISTS (SELECT 1 FROM association WHERE uuid = :u)",
        {"u": uuid},
    ).fetchone()
    return bool(row[0])
