"""Plain tables on standard output."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.download import fetch
from bench.processes import Child


@dataclass
class Way:
    """One way to the same bytes; the first of several is what the others are compared with."""

    url: str
    process: Child
    probed: bool = False
    cpu: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    added: str = ""
    blocked: str = ""

    def fetch(self, size: int) -> None:
        """Get `size` bytes once more."""
        before = self.process.cpu_seconds()
        rate, first = fetch(self.url, size)
        self.cpu.append((self.process.cpu_seconds() - before) / size * 1e9)
        self.rates.append(rate)
        self.firsts.append(first)

    def measure(self, idle_kib: float) -> None:
        """Memory added since it was idle, and how long the loop was blocked."""
        after = self.process.ask()
        self.added = f"{(after['peak_kib'] - idle_kib) / 1024:.1f}"
        self.blocked = f"{after['blocked_ms']:.1f}"


def compare(title: str, ways: Mapping[str, Way]) -> None:
    """Print rates, and each as a part of the first.

    The rate depends on who else uses the machine; the seconds of a processor for each gigabyte do so less.
    """
    first = next(iter(ways.values()))
    plain, plain_cpu = statistics.median(first.rates), statistics.median(first.cpu)
    show(
        title,
        (
            "through",
            "MB/s best",
            "MB/s median",
            "of proxy",
            "CPU s/GB",
            "of proxy by CPU",
            "first byte ms",
            "added MiB",
            "blocked ms",
        ),
        [
            (
                name,
                max(way.rates),
                statistics.median(way.rates),
                f"{statistics.median(way.rates) / plain * 100:.0f} %",
                statistics.median(way.cpu),
                f"{plain_cpu / statistics.median(way.cpu) * 100:.0f} %",
                min(way.firsts),
                way.added,
                way.blocked,
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
