"""Files that are read again when they have changed: keys and certificates are renewed while the gateway runs.

Kubernetes exchanges a mounted Secret by a symbolic link, so what is compared is the file behind the name.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

import structlog

T = TypeVar("T")

_LOOK_EVERY: Final = 1.0
_State = tuple[tuple[int, int, int], ...]

log = structlog.get_logger()


def refresh_all() -> None:
    """Look at all of them now."""
    for files in list(_ALL):
        files.refresh()


class WatchedFiles(Generic[T]):
    """What `read` makes of files, made again after one of them has changed.

    Files that cannot be used then leave what was made before in place, and the log names them.
    """

    def __init__(
        self, paths: Iterable[Path], read: Callable[[], T], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Reads at once; `read` may raise OSError and ValueError, which pass through here alone."""
        self._paths = tuple(paths)
        self._read = read
        self._clock = clock
        self._looked = clock()
        self._state = self._now()
        self._value = read()
        _ALL.add(self)

    def __call__(self) -> T:
        """The present value; the files are looked at once a second at most."""
        if self._clock() - self._looked >= _LOOK_EVERY:
            self.refresh()
        return self._value

    def refresh(self) -> bool:
        """Look now; True where a change was taken over."""
        self._looked = self._clock()
        try:
            state = self._now()
            if state == self._state:
                return False
            self._value = self._read()
        except (OSError, ValueError) as error:
            # half-written pairs are looked at again, so their state is not kept
            log.error(
                "files.not_reloaded", files=[path.name for path in self._paths], error=type(error).__name__
            )
            return False
        self._state = state
        log.warning("files.reloaded", files=[path.name for path in self._paths])
        return True

    def _now(self) -> _State:
        stats = [path.stat() for path in self._paths]
        return tuple((found.st_ino, found.st_mtime_ns, found.st_size) for found in stats)


_ALL: Final[WeakSet[WatchedFiles[Any]]] = WeakSet()
