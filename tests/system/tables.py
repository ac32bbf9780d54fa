"""Everything that the embedded affinity domain holds, as one value to compare."""

import hashlib
import sqlite3
from pathlib import Path


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
