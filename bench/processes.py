"""Children of the benchmark: each prints a ready line and ends when its standard input is closed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

KEY = bytes(range(32)).hex()
REPOSITORY = "2.999.10.1"


class ChildEnded(Exception):
    """A child ended before its time; the text has what it logged."""


class Child:
    """A process and the URL of its ready line."""

    def __init__(self, arguments: list[str], environment: dict[str, str] | None, log: IO[bytes]) -> None:
        self.started = time.perf_counter()
        self._log = log
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | (environment or {}),
            text=True,
        )
        self.url = self._line().split()[1]
        self.seconds_to_ready = time.perf_counter() - self.started

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise ChildEnded(
                f"a process of the benchmark ended:\n{self._log.read().decode(errors='replace')}"
            )
        return line

    def ask(self) -> dict[str, Any]:
        """What the probe measured since the last time."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def cpu_seconds(self) -> float:
        """Time that its threads have spent on a processor so far."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def end(self) -> None:
        """Stop the process."""
        self.process.terminate()
        self.process.communicate(timeout=30)


@contextmanager
def child(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Child]:
    """A child for the time of the context."""
    # what it logs belongs into the report only where it explains why there is none
    with TemporaryFile() as log:
        running = Child(list(arguments), environment, log)
        try:
            yield running
        finally:
            running.end()


def gateway_settings(folder: Path, peer: str, entries: int, size: int) -> dict[str, str]:
    """Settings of a gateway whose peers answer with `entries` matches and documents of `size` bytes."""
    repository = {"unique_id": REPOSITORY, "url": f"{peer}/repository/{size}"}
    return {
        "GATEWAY_STATE_DIR": str(folder),
        "GATEWAY_SERVER__PORT": "0",
        "GATEWAY_REGISTRY__URL": f"{peer}/registry/{entries}",
        "GATEWAY_SECURITY__ACCESS": "open",
        "GATEWAY_REPOSITORIES": json.dumps([repository]),
        "GATEWAY_SECURITY__KEYS": json.dumps([KEY]),
        "GATEWAY_LOG__LEVEL": "warning",
    }


@contextmanager
def gateway(peer: str, entries: int = 10, size: int = 1 << 20, **more: str) -> Iterator[Child]:
    """A gateway with a probe, in front of the bench peer; `more` is set in its environment."""
    with TemporaryDirectory(prefix="bench") as folder:
        settings = gateway_settings(Path(folder), peer, entries, size) | more
        with child("-m", "bench.probed", environment=settings) as running:
            yield running
