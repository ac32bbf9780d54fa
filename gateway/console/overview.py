"""The overview: what is up, and why what is not is not."""

from aiohttp import web

from gateway.console.rendering import page
from gateway.console.state import State


class OverviewPage:
    """The first page, and the part of it that is fetched again and again."""

    def __init__(self, state: State) -> None:
        self._state = state

    def table(self) -> list[web.RouteDef]:
        """Routes below /console."""
        return [web.get("", self.show), web.get("/parts/overview", self.part)]

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        return page(request, "overview.html", state=await self._state.now())

    async def part(self, request: web.Request) -> web.Response:
        """What changes."""
        return page(request, "overview_part.html", state=await self._state.now())
