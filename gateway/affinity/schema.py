"""Tables of the affinity domain and how its database is opened.

Each registry object is one msgpack blob of its model value beside the columns that stored queries filter
by (ITI TF-2 3.18.4.1.2.3.7). `seq` is the order of registration, which is the order of answers. Codes are
stored as code and scheme joined by a control character that XML cannot carry, times as 14 digits: the
first instant that the DTM stands for. The versions of a DocumentEntry are rows with one logicalID, of which
one is the latest.
"""

import sqlite3
from pathlib import Path

VERSION = 2

_TABLES = """
CREATE TABLE document_entry (
    seq INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    unique_id TEXT NOT NULL,
    patient TEXT NOT NULL,
    approved INTEGER NOT NULL,
    object_type TEXT NOT NULL,
    hash TEXT,
    creation_time TEXT,
    service_start_time TEXT,
    service_stop_time TEXT,
    class_code TEXT,
    type_code TEXT,
    practice_setting TEXT,
    facility_type TEXT,
    format_code TEXT,
    body BLOB NOT NULL,
    logical_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    latest INTEGER NOT NULL
);
CREATE INDEX document_entry_patient ON document_entry (patient, approved, creation_time);
CREATE INDEX document_entry_unique_id ON document_entry (unique_id);
CREATE UNIQUE INDEX document_entry_version ON document_entry (logical_id, version);

CREATE TABLE entry_value (
    seq INTEGER NOT NULL REFERENCES document_entry (seq),
    attribute INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (seq, attribute, value)
) WITHOUT ROWID;

CREATE TABLE submission_set (
    seq INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    unique_id TEXT NOT NULL UNIQUE,
    patient TEXT NOT NULL,
    approved INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    submission_time TEXT NOT NULL,
    content_type TEXT,
    body BLOB NOT NULL
);
CREATE INDEX submission_set_patient ON submission_set (patient, approved, submission_time);

CREATE TABLE submission_set_author (
    seq INTEGER NOT NULL REFERENCES submission_set (seq),
    value TEXT NOT NULL,
    PRIMARY KEY (seq, value)
) WITHOUT ROWID;

CREATE TABLE folder (
    seq INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    unique_id TEXT NOT NULL UNIQUE,
    patient TEXT NOT NULL,
    approved INTEGER NOT NULL,
    last_update_time TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX folder_patient ON folder (patient, approved, last_update_time);

CREATE TABLE folder_code (
    seq INTEGER NOT NULL REFERENCES folder (seq),
    value TEXT NOT NULL,
    PRIMARY KEY (seq, value)
) WITHOUT ROWID;

CREATE TABLE association (
    seq INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    approved INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX association_source ON association (source, type);
CREATE INDEX association_target ON association (target, type);

CREATE TABLE document (
    unique_id TEXT PRIMARY KEY,
    sha1 TEXT NOT NULL,
    size INTEGER NOT NULL,
    mime_type TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX document_sha1 ON document (sha1);
"""


_TO_SCHEMA_2 = """
ALTER TABLE document_entry ADD COLUMN logical_id TEXT NOT NULL DEFAULT '';
ALTER TABLE document_entry ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE document_entry ADD COLUMN latest INTEGER NOT NULL DEFAULT 1;
UPDATE document_entry SET logical_id = uuid;
CREATE UNIQUE INDEX document_entry_version ON document_entry (logical_id, version);
"""
"""What a database of schema 1 lacks: versions of metadata."""


class StateUnusable(OSError):
    """The state directory cannot be used; the text says why."""


def open_writer(path: Path) -> sqlite3.Connection:
    """Open (or make) the database for the one writer: every commit is on disk before it returns.

    Raises StateUnusable, and sqlite3.Error where the file is not usable.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        connection.close()
        raise StateUnusable(f"{path.name} has schema {version}, this release knows {VERSION}")
    if version < VERSION:
        script = _TABLES if version == 0 else _TO_SCHEMA_2
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {VERSION}; COMMIT;")
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the database for queries only."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection
