"""The console as an application to be put below /console."""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from aiohttp import web

from gateway.console.errors import error_pages
from gateway.console.protection import GATE, Gate, protected
from gateway.console.rendering import PAGES, PREFIX, STOPPING, Pages

_A_YEAR: Final = "public, max-age=31536000, immutable"
"""The address of a static file changes with its content."""


class PageRoutes(Protocol):
    """Pages of one subject."""

    def table(self) -> list[web.RouteDef]:
        """Routes, with paths below /console."""


def create_console(pages: Pages, gate: Gate, subjects: Iterable[PageRoutes]) -> web.Application:
    """The application; `web.Application.add_subapp(PREFIX, ...)` puts it in its place."""
    app = web.Application(middlewares=[error_pages, gate.middleware()])
    app[PAGES], app[GATE], app[STOPPING] = pages, gate, asyncio.Event()
    for subject in subjects:
        app.add_routes(subject.table())
    app.router.add_get("/static/{name}", _static)
    app.router.add_get("/", home)
    app.on_response_prepare.append(protected(secure=gate.secure))
    app.on_shutdown.append(_end_streams)
    return app


async def _end_streams(app: web.Application) -> None:
    app[STOPPING].set()


async def _static(request: web.Request) -> web.Response:
    file = request.config_dict[PAGES].static.get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    return web.Response(
        body=file.content,
        content_type=file.content_type,
        charset="utf-8",
        headers={"Cache-Control": _A_YEAR if request.query.get("v") == file.version else "no-cache"},
    )


async def home(_: web.Request) -> web.StreamResponse:
    """To the first page."""
    raise web.HTTPPermanentRedirect(PREFIX)
