"""An audit repository as a process that can be killed: `python -m tests.audit.archive_process PORT FILE`.

What it has acknowledged is in the file.
"""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

from tests.audit.repositories import TAG

SCHEMA = "CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, content TEXT, times INTEGER)"


def stored(path: Path) -> list[dict]:
    """AuditEvents of the file, in the order in which they came first."""
    with sqlite3.connect(path) as connection:
        return [json.loads(row[0]) for row in connection.execute("SELECT content FROM events ORDER BY rowid")]


async def main(port: int, path: str) -> None:
    """Serve until the end."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(SCHEMA)

    async def batch(request: web.Request) -> web.Response:
        bundle = await request.json()
        entries = []
        for entry in bundle["entry"]:
            match = TAG.fullmatch(entry["request"]["ifNoneExist"])
            assert match
            values = (match[1], json.dumps(entry["resource"]))
            new = connection.execute("INSERT OR IGNORE INTO events VALUES (?, ?, 1)", values).rowcount
            entries.append({"response": {"status": "201 Created" if new else "200 OK"}})
        connection.commit()
        return web.json_response({"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/fhir", batch)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"ready http://127.0.0.1:{port}/fhir", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
