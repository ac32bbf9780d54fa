"""Files on their way out, read on threads of their own."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHUNK = 512 * 1024
_THREADS = 4


class FileReader:
    """Reads files in chunks for answers that are being sent."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="affinity-file")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def chunks(self, path: Path) -> AsyncIterator[bytes]:
        """The content of a file in pieces of up to 512 KiB."""
        loop = asyncio.get_running_loop()
        offset = 0
        while chunk := await loop.run_in_executor(self._threads, _read_at, path, offset):
            offset += len(chunk)
            yield chunk
            if len(chunk) < CHUNK:
                return


def _read_at(path: Path, offset: int) -> bytes:
    """The next chunk. Opened anew each time, so that a client that leaves never leaves a file open."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK)
