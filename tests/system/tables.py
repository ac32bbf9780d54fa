"""What the embedded affinity domain holds: all of it as one value to compare, and changes behind its back."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import msgpack
from msgspec.structs import replace

from gateway.affinity.objects import decode_entry


def fingerprint(stack) -> tuple[dict[str, tuple[int, str]], frozenset[str]]:
    """Number of rows and hash of each table, and the names of the stored files."""
    folder = Path(stack.settings.state_dir).parent / "affinity"
    tables = {}
    with sqlite3.connect(f"file:{folder / 'registry.sqlite'}?mode=ro", uri=True) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in sorted(names):
            rows = sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))  # names are the schema's
            tables[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    connection.close()
    files = frozenset(str(path) for path in (folder / "documents").rglob("*") if path.is_file())
    return tables, files


def in_the_registry(stack, patient, **changes):
    """Change the DocumentEntries of a patient behind the gateway's back, as another source writes them."""
    path = stack.settings.state_dir.parent / "affinity" / "registry.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = connection.execute(
            "SELECT seq, body FROM document_entry WHERE patient LIKE ?", (f"{patient.id}%",)
        ).fetchall()
        for seq, body in rows:
            entry = replace(decode_entry(body), **changes)
            connection.execute(
                "UPDATE document_entry SET body = ? WHERE seq = ?", (msgpack.encode(entry), seq)
            )
    return len(rows)


def without_patient(stack, patient):
    """Take everything of a patient out of the registry, as its operator may."""
    path = stack.settings.state_dir.parent / "affinity" / "registry.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("document_entry", "submission_set"):
            connection.execute(
                f"UPDATE {table} SET patient = 'nobody' WHERE patient LIKE ?",
                (f"{patient.id}%",),
            )
