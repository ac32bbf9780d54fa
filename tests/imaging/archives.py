"""A DICOMweb archive for tests: real HTTP over a real socket, with the manners that archives have."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from gateway.soap.resilience import Peer


@dataclass
class Archive:
    """Instances by (study, series, SOP UID). `requests` are the paths asked for, `accepts` their Accept."""

    instances: Mapping[tuple[str, str, str], bytes]
    single_part: bool = False
    gone: frozenset[str] = frozenset()
    answer: Callable[[web.Request], web.StreamResponse | None] = lambda request: None
    cut_after: int | None = None
    cut_at: int = 4
    hold: asyncio.Event | None = None
    requests: list[str] = field(default_factory=list)
    accepts: list[str] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        self.accepts.append(request.headers.get("Accept", ""))
        special = self.answer(request)
        if special is not None:
            return special
        found = [
            content
            for (study, series, sop), content in self.instances.items()
            if study == request.match_info["study"]
            and request.match_info.get("series", series) == series
            and request.match_info.get("sop", sop) == sop
            and sop not in self.gone
        ]
        if not found:
            return web.Response(status=404)
        if self.single_part and len(found) == 1:
            return web.Response(body=found[0], content_type="application/dicom")
        return await self._multipart(request, found)

    async def _multipart(self, request: web.Request, found: list[bytes]) -> web.StreamResponse:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        response = web.StreamResponse(
            headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=++x++'}
        )
        try:
            await response.prepare(request)
            await response.write(b"--++x++")
            for number, content in enumerate(found):
                if number == self.cut_after:
                    assert request.transport is not None
                    head = b"\r\nContent-Type: application/dicom\r\n\r\n"
                    await response.write(head + content[: self.cut_at])
                    await asyncio.sleep(0.05)
                    request.transport.close()
                    return response
                if self.hold is not None and number:
                    await self.hold.wait()
                head = b"\r\nContent-Type: application/dicom\r\n\r\n"
                await response.write(head + content + b"\r\n--++x++")
            await response.write(b"--\r\n")
        finally:
            self.open_now -= 1
        return response

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """The base URL while the archive is up."""
        app = web.Application()
        study = "/dicomweb/studies/{study}"
        for path in (study, study + "/series/{series}", study + "/series/{series}/instances/{sop}"):
            app.router.add_get(path, self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}/dicomweb"
        finally:
            await runner.cleanup()


def peer(url: str, name: str = "archive", **limits: float) -> Peer:
    """A peer that gives up quickly."""
    settings = {
        "connect_timeout": 2.0,
        "read_timeout": 5.0,
        "total_timeout": 10.0,
        "max_attempts": 1,
        **limits,
    }
    return Peer(name=name, url=url, **settings)  # type: ignore[arg-type]
