"""Processes that the demonstration starts: wait until each is ready, end all of them whatever happens."""

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_READY = "ready "
_SHOWN_LINES = 20
_PR_SET_PDEATHSIG = 1


class ChildError(Exception):
    """A child did not start or ended; the text is one line, `errors` are the last ones it wrote."""

    def __init__(self, text: str, errors: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.errors = tuple(errors)


class Child:
    """One process with its standard error in `log`; its output line `ready <url>` says that it listens."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - own program and own arguments
                [sys.executable, "-m", "gateway.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                text=True,
                # Ctrl-C reaches the demonstration alone, which ends its children in order
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - calls no Python that takes locks
            )
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait_until_ready(self, seconds: float) -> str:
        """URL after `ready`. Raises ChildError where the process ends or says nothing in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise self._failure(f"was not ready within {seconds:.0f} s") from None
            if line is None:
                raise self._failure(f"ended with code {self._process.wait()} before it was ready")
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()

    def signal(self, number: int) -> None:
        """Send it a signal, where it has not ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def require_running(self) -> None:
        """Raise ChildError where the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise self._failure(f"ended with code {code}")

    def _failure(self, what: str) -> ChildError:
        return ChildError(f"{self.name} {what}", self.errors())

    def errors(self) -> list[str]:
        """The last lines of its standard error."""
        with contextlib.suppress(OSError):
            return self._log.read_text("utf-8", "replace").splitlines()[-_SHOWN_LINES:]
        return []

    def end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL where it does not end in time."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: what a child runs first so that it ends when the demonstration is killed."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def run() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return run
