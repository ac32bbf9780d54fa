"""Progress of commands that take their time: on standard error, where somebody looks at it.

Nothing is shown where standard error is no terminal, so scripts and logs see results alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Advance = Callable[[int], None]
"""Told of bytes that were sent or received."""


@contextmanager
def transfer(text: str, total: int | None) -> Iterator[Advance]:
    """A bar of bytes; without `total` it only says that it goes on."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    described = TextColumn("{task.description}", markup=False)
    with _shown(described, BarColumn(), DownloadColumn(), TransferSpeedColumn()) as shown:
        task = shown.add_task(text, total=total)
        yield lambda size: shown.advance(task, size)


@dataclass(slots=True)
class Steps:
    """Work in steps of which more may turn out on the way."""

    total: int = 0
    done: int = 0
    doing: str = ""
    show: Callable[["Steps"], None] = field(default=lambda _: None)

    def expect(self, number: int) -> None:
        """There are so many steps more."""
        self.total += number
        self.show(self)

    def begin(self, doing: str) -> None:
        """What is under way now."""
        self.doing = doing
        self.show(self)

    def end(self) -> None:
        """One more is done."""
        self.done += 1
        self.show(self)


@contextmanager
def steps(text: str) -> Iterator[Steps]:
    """A bar of steps."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

    described = TextColumn("{task.description}", markup=False)
    with _shown(SpinnerColumn(), described, BarColumn(), MofNCompleteColumn()) as shown:
        task = shown.add_task(text, total=None)

        def update(now: Steps) -> None:
            shown.update(
                task, total=now.total or None, completed=now.done, description=f"{text} {now.doing}".rstrip()
            )

        yield Steps(show=update)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """A line that says what is waited for."""
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    described = TextColumn("{task.description}", markup=False)
    with _shown(SpinnerColumn(), described, TimeElapsedColumn()) as shown:
        shown.add_task(text, total=None)
        yield


def _shown(*columns: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # results on standard output are not to be sent the way of the bar
    return Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal
    )
