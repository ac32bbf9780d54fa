"""Syslog feed of audit records (ITI-20): DICOM audit messages by RFC 5424 over TLS (RFC 5425) or, to a
forwarder on the same machine, over TCP (RFC 6587, octet counting).

Syslog has no acknowledgement. What was written counts as delivered when the operating system of the other
side has taken it and the connection has lasted a while longer; what was not is sent again on the next
connection, byte for byte the same.
"""

import asyncio
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from gateway.audit.delivery import WRITTEN_AT_ONCE, RepositoryAway
from gateway.audit.record import AuditRecord, Outcome
from gateway.tls import ClientTls

_NOTICE: Final = 85
"""Facility 10 (security), severity 5: PRI of a success; a failure is a warning (4)."""
_WARNING: Final = 84
_MESSAGE_ID: Final = "IHE+RFC-3881"
_UNSENT: Final = 0x5411
"""TIOCOUTQ of Linux: bytes that the other side has not acknowledged."""
_POLL: Final = 0.02


def write_frame(record: AuditRecord, message: bytes, *, host: str, application: str, process: str) -> bytes:
    """The syslog message with its length in front, in bytes. The names have no blanks and are ASCII."""
    moment = datetime.fromtimestamp(record.recorded, UTC).isoformat(timespec="milliseconds")
    priority = _NOTICE if record.outcome == Outcome.SUCCESS else _WARNING
    head = (
        f"<{priority}>1 {moment.replace('+00:00', 'Z')} {_name(host, 255)} {_name(application, 48)} "
        f"{_name(process, 128)} {_MESSAGE_ID} - "
    )
    line = head.encode("ascii") + message
    return str(len(line)).encode("ascii") + b" " + line


class SyslogRepository:
    """An audit repository that takes DICOM audit messages."""

    batch = 200

    def __init__(
        self,
        host: str,
        port: int,
        write: Callable[[AuditRecord], bytes],
        *,
        tls: ClientTls | None,
        connect_seconds: float = 5.0,
        confirm_seconds: float = 1.0,
    ) -> None:
        """`write` makes the frame of a record; without `tls` it goes in the clear."""
        self._host, self._port = host, port
        self._write = write
        self._tls = tls
        self._connect_seconds, self._confirm_seconds = connect_seconds, confirm_seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._ended: asyncio.Task[bytes] | None = None

    async def send(self, records: Sequence[AuditRecord]) -> int:
        """Write them and see that the connection outlasts them. Raises RepositoryAway."""
        try:
            writer = await self._open()
            for number, record in enumerate(records):
                writer.write(self._write(record))
                if number % WRITTEN_AT_ONCE == 0:
                    await asyncio.sleep(0)
                    await writer.drain()
            await self._confirm(writer)
        except (OSError, TimeoutError, ssl.SSLError) as error:
            await self.close()
            raise RepositoryAway(type(error).__name__) from None
        return 0

    async def close(self) -> None:
        """End the connection."""
        if self._ended is not None:
            self._ended.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await self._ended
            self._ended = None
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()

    async def _open(self) -> asyncio.StreamWriter:
        if self._streams is not None and self._ended is not None and self._ended.done():
            await self.close()
        if self._streams is None:
            async with asyncio.timeout(self._connect_seconds):
                tls = self._tls
                self._streams = await asyncio.open_connection(
                    self._host,
                    self._port,
                    ssl=tls.context if tls else None,
                    server_hostname=(tls.server_name or self._host) if tls else None,
                )
            # a repository says nothing: what can be read is the end of the connection
            self._ended = asyncio.create_task(self._streams[0].read(1))
        return self._streams[1]

    async def _confirm(self, writer: asyncio.StreamWriter) -> None:
        """Wait until everything has been taken, and a while longer. Raises OSError and TimeoutError."""
        assert self._ended is not None
        async with asyncio.timeout(self._connect_seconds + self._confirm_seconds):
            while writer.transport.get_write_buffer_size() or _unsent(writer):
                if self._ended.done():
                    break
                await asyncio.sleep(_POLL)
        await asyncio.wait({self._ended}, timeout=self._confirm_seconds)
        if self._ended.done() or writer.transport.is_closing():
            raise ConnectionResetError("the connection ended")


def _unsent(writer: asyncio.StreamWriter) -> int:
    """Bytes of the socket that the other side has not acknowledged; 0 where that cannot be told."""
    socket = writer.get_extra_info("socket")
    if socket is None or sys.platform != "linux":
        return 0
    import fcntl
    import struct

    try:
        return int(struct.unpack("i", fcntl.ioctl(socket.fileno(), _UNSENT, b"\0" * 4))[0])
    except (OSError, ValueError):
        return 0


def _name(text: str, most: int) -> str:
    kept = "".join(c for c in text if 33 <= ord(c) <= 126)
    return kept[:most] or "-"
