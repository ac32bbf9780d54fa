"""The gateway with a probe of its event loop. `python -m bench.probed` takes the settings of `serve`.

Each line on standard input is answered with one JSON line: the longest time in milliseconds that the loop
was blocked, and resident memory in KiB now and at its peak, since the line before.
"""

import asyncio
import json
import sys
from pathlib import Path

from gateway.app import serve
from gateway.settings import load_settings

_TICK = 0.002


class Probe:
    """Samples how late the loop is."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def watch(self) -> None:
        """Sleep and see how much longer it took."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            await asyncio.sleep(_TICK)
            self.worst = max(self.worst, loop.time() - started - _TICK)

    async def answer(self) -> None:
        """Serve standard input."""
        while await asyncio.to_thread(sys.stdin.readline):
            memory = _memory()
            print(json.dumps({"blocked_ms": self.worst * 1000, **memory}), flush=True)
            self.worst = 0.0
            _reset_peak()


def _memory() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {"rss_kib": int(values["VmRSS"].split()[0]), "peak_kib": int(values["VmHWM"].split()[0])}


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def main() -> None:
    """Gateway and probe in one loop."""
    probe = Probe()
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(probe.watch()), tasks.create_task(probe.answer())]
        await serve(load_settings())
        for task in background:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
