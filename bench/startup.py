"""From the start of the process to the ready line, with the gateway's own Redis."""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import report
from bench.processes import child, gateway_settings


def run(rounds: int) -> None:
    """Start `gateway serve` some times over the same state directory."""
    seconds = []
    with TemporaryDirectory(prefix="bench") as folder:
        settings = gateway_settings(Path(folder), "http://127.0.0.1:9", 0, 0)
        for _ in range(rounds):
            with child("-m", "gateway.cli", "serve", environment=settings) as running:
                seconds.append(running.seconds_to_ready)
    report.show(
        "Start to ready",
        ("", "min s", "median s", "max s"),
        [("gateway serve", min(seconds), statistics.median(seconds), max(seconds))],
    )
