"""An affinity domain in a process of its own."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from tests.affinity.samples import REPOSITORY

SERVER = """
import asyncio, resource, sys
from pathlib import Path
from gateway.affinity.app import serve
from gateway.affinity.options import AffinityOptions
if sys.argv[3] != "none":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
asyncio.run(serve(AffinityOptions(state_dir=Path(sys.argv[1]), repository_unique_id=sys.argv[2])))
"""


@contextlib.contextmanager
def server(state_dir, largest_file="none"):
    """The process and its base URL. No file of it grows above `largest_file` bytes, as on a full disk."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(state_dir), REPOSITORY, str(largest_file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("ready http://127.0.0.1:")
        yield process, line.split()[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def peak_memory(process) -> int:
    """Bytes that the process has held at most so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
