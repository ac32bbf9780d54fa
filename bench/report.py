"""Plain tables on standard output."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.processes import Child


@dataclass
class Way:
    """One way to the same bytes; the first of several is what the others are compared with."""

    url: str
    probe: Child | None = None
    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    added: str = ""
    blocked: str = ""

    def measure(self, idle_kib: float) -> None:
        """Memory added since it was idle, and how long the loop was blocked."""
        assert self.probe is not None
        after = self.probe.ask()
        self.added = f"{(after['peak_kib'] - idle_kib) / 1024:.1f}"
        self.blocked = f"{after['blocked_ms']:.1f}"


def compare(title: str, ways: Mapping[str, Way]) -> None:
    """Print rates, and each as a part of the first."""
    plain = statistics.median(next(iter(ways.values())).rates)
    show(
        title,
        ("through", "MB/s best", "MB/s median", "first byte ms", "added MiB", "blocked ms", "of proxy"),
        [
            (
                name,
                max(way.rates),
                statistics.median(way.rates),
                min(way.firsts),
                way.added,
                way.blocked,
                f"{statistics.median(way.rates) / plain * 100:.0f} %",
            )
            for name, way in ways.items()
        ],
    )


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table with right-aligned figures."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(columns), *texts]) for i in range(len(columns))]
    print(f"\n{title}")
    for row in [list(columns), *texts]:
        cells = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        print("  " + "  ".join(cells).rstrip(), flush=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}" if abs(cell) < 10 else f"{cell:,.0f}"
    return str(cell)


def spread(values: Sequence[float]) -> str:
    """`min / median` of a sample."""
    return f"{min(values):,.0f} / {statistics.median(values):,.0f}"
