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
    """Add one DocumentEntry."""
    seq = connection.execute(
        "INSERT INTO document_entry (uuid, unique_id, patient, approved, object_type, hash, creation_time,"
        " service_start_time, service_stop_time, class_code, type_code, practice_setting, facility_type,"
        " format_code, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
