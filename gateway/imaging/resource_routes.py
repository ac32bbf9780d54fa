"""FHIR endpoints of imaging resources: search with GET and POST `_search`, and read."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.imaging.resource_search import ResourceSearch
from gateway.mhd.negotiation import negotiate, respond
from gateway.mhd.search_requests import is_strict, search_parameters


class ImagingRoutes:
    """The routes below the FHIR base path."""

    def __init__(self, searches: Mapping[str, ResourceSearch[Any]]) -> None:
        self._searches = searches

    def table(self, base_path: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        types = f"{{type:{'|'.join(self._searches)}}}"
        return [
            web.get(f"{base_path}/{types}", self.search),
            web.post(f"{base_path}/{types}/_search", self.search),
            web.get(f"{base_path}/{types}/{{id}}", self.read),
        ]

    async def search(self, request: web.Request) -> web.Response:
        """Search of one type."""
        parameters = await search_parameters(request)
        searched = self._searches[request.match_info["type"]]
        page = next((value for name, value in parameters if name == "_page"), None)
        if page is not None:
            return await respond(request, await searched.page(page, parameters))
        return await respond(request, await searched.search(parameters, strict=is_strict(request)))

    async def read(self, request: web.Request) -> web.Response:
        """Read of one resource."""
        negotiate(request)
        searched = self._searches[request.match_info["type"]]
        return await respond(request, await searched.read(request.match_info["id"]))
