"""Several processes behind one listener (`server.workers`), and the parent that starts and ends them.

They share the listening socket, the state directory with its keys, and Redis. The first one owns the embedded
Redis where there is one: it starts before the others and ends after them. A worker that ends by itself
ends them all, so that whoever runs the gateway sees it and starts it again.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import structlog

from gateway.exit_codes import ExitCode
from gateway.settings import Settings, SettingsError
from gateway.telemetry.logs import configure, where
from gateway.wiring.start import StartError

_FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process stands: its number from 0, the socket that it listens at, and whom it tells that it
    is ready. `others` is the end of a pipe that the other workers hold open, for the one that ends last."""

    number: int
    listener: socket.socket
    ready: Callable[[str], None]
    others: int | None = None

    async def others_end(self, seconds: float) -> None:
        """Wait until the other workers have ended, so long at most."""
        if self.others is None:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.others, ended.set)
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            log.warning("workers.others_still_run")
        finally:
            loop.remove_reader(self.others)


Serve = Callable[[Settings, Place], Coroutine[Any, Any, None]]


def listen(host: str, port: int, keys: str = "server.host, server.port") -> socket.socket:
    """A listening socket. Raises StartError, which names the `keys` of the settings."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise StartError(f"{keys}: {host}:{port}: {error.strerror or error}") from None


def alone(settings: Settings) -> Place:
    """The place of the only process. Raises StartError."""
    return Place(0, listen(settings.server.host, settings.server.port), _say_ready)


def _say_ready(base_url: str) -> None:
    print(f"ready {base_url}", flush=True)


def run_workers(settings: Settings, serve: Serve) -> int:
    """Run `server.workers` processes until SIGTERM or SIGINT; the exit code. Raises StartError."""
    configure(settings.log.level)
    if settings.metrics.enabled and settings.metrics.port is None:
        raise StartError("metrics.port: has to be set where server.workers are several, each with its own")
    children: list[int] = []
    with listen(settings.server.host, settings.server.port) as listener:
        stopping = _forward_signals(children)
        others, held = os.pipe()
        base_url = ""
        for number in range(settings.server.workers):
            said, tells = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(said)
                if number == 0:
                    os.close(held)
                place = Place(number, listener, _teller(tells), others if number == 0 else None)
                _work(settings, serve, place)
            os.close(tells)
            children.append(pid)
            base_url = _wait_for(said)
            if not base_url or stopping:
                break
        os.close(held)
        os.close(others)
    if stopping:
        # the last one may have come to life after the signal
        _signal(children, signal.SIGTERM)
    elif not base_url:
        stopping.append(ExitCode.FAILED)
        _signal(children, signal.SIGTERM)
    else:
        _say_ready(base_url)
    return _watch(children, stopping)


def _teller(pipe: int) -> Callable[[str], None]:
    def tell(base_url: str) -> None:
        os.write(pipe, base_url.encode())
        os.close(pipe)

    return tell


def _wait_for(pipe: int) -> str:
    """The base URL of a worker that is ready; nothing where it ended before."""
    with os.fdopen(pipe, "rb") as said:
        return said.read().decode()


def _work(settings: Settings, serve: Serve, place: Place) -> NoReturn:
    """Be a worker."""
    code = ExitCode.FAILED
    for number in _FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    try:
        asyncio.run(serve(settings, place))
        code = ExitCode.DONE
    except (StartError, SettingsError) as error:
        print(f"gateway: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:
        log.critical("workers.failed", worker=place.number, **where(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _forward_signals(children: list[int]) -> list[int]:
    """Pass signals on to the workers. The list has something in it as soon as they are to end."""
    stopping: list[int] = []

    def forward(number: int, _: object) -> None:
        if number != signal.SIGHUP:
            stopping.append(ExitCode.DONE)
        _signal(children, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    return stopping


def _signal(children: list[int], number: int) -> None:
    for pid in children:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it has ended already, which the wait for it says


def _watch(children: list[int], stopping: list[int]) -> int:
    """Wait for all of them; one that ends although nobody asked for it ends the others."""
    code = stopping[0] if stopping else ExitCode.DONE
    while children:
        pid, status = os.waitpid(-1, 0)
        if pid not in children:
            continue
        children.remove(pid)
        ended = os.waitstatus_to_exitcode(status)
        if ended == 0 and stopping:
            continue
        code = ExitCode.FAILED
        if not stopping:
            log.critical("workers.ended", pid=pid, exit_code=ended)
            stopping.append(ExitCode.FAILED)
            _signal(children, signal.SIGTERM)
    return code
