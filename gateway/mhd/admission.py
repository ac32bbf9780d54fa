"""Reading request bodies within bounds: one body, and all bodies that are held at the same time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.fhir.issues import OutcomeError, fail

_RESERVE_AT_LEAST = 64 * 1024


class Admission:
    """Bounds in bytes. Bodies over `largest` are refused (413); above `together` clients come back (503)."""

    def __init__(self, largest: int, together: int) -> None:
        self._largest = largest
        self._together = max(together, largest)
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes of the bodies that are held now."""
        return self._held

    @asynccontextmanager
    async def read(self, chunks: AsyncIterator[bytes], announced: int | None) -> AsyncIterator[bytes]:
        """The whole body; its bytes count as held until the context is left. Raises OutcomeError."""
        reserved = 0
        try:
            if announced is not None:
                self._check_one(announced)
                reserved = self._reserve(announced)
            parts: list[bytes] = []
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                self._check_one(size)
                if size > reserved:
                    step = max(size - reserved, min(_RESERVE_AT_LEAST, self._largest - reserved))
                    reserved += self._reserve(step)
                parts.append(chunk)
            body = b"".join(parts)
            parts.clear()
            yield body
        finally:
            self._held -= reserved

    def _check_one(self, size: int) -> None:
        if size > self._largest:
            raise fail(
                413,
                "too-long",
                f"The request has more than {self._largest} bytes. Publish its documents in several Bundles.",
            )

    def _reserve(self, size: int) -> int:
        if self._held + size > self._together:
            refused = fail(503, "throttled", "The server is storing as much as it can hold. Send again soon.")
            raise OutcomeError(503, refused.issues, {"Retry-After": "2"})
        self._held += size
        return size
