"""FHIR endpoints of imaging resources: search with GET and POST `_search`, read, and the operation
`$document` of DiagnosticReport.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from gateway.fhir.imaging_selections import SELECTION
from gateway.fhir.issues import fail
from gateway.fhir.version_references import ONLY_IN_R4
from gateway.imaging.report_documents import ReportDocuments
from gateway.imaging.resource_kinds import READ_ONLY, ResourceReader
from gateway.imaging.resource_search import ResourceSearch
from gateway.mhd.negotiation import negotiate, respond
from gateway.mhd.search_requests import is_strict, search_parameters
from gateway.model.releases import FhirRelease


class ImagingRoutes:
    """The routes below the FHIR base path."""

    def __init__(
        self,
        searches: Mapping[str, ResourceSearch[Any]],
        reader: ResourceReader,
        documents: ReportDocuments,
        release: FhirRelease,
    ) -> None:
        """`searches` are those of the types of `release`."""
        self._searches = searches
        self._release = release
        self._reader = reader
        self._documents = documents

    def table(self, base_path: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        # every release has the same routes; a type that one does not have is an error with words
        types = f"{{type:{'|'.join(dict.fromkeys((*self._searches, SELECTION)))}}}"
        document = f"{base_path}/DiagnosticReport/{{id}}/$document"
        return [
            web.get(f"{base_path}/{types}", self.search),
            web.post(f"{base_path}/{types}/_search", self.search),
            web.get(f"{base_path}/{types}/{{id}}", self.read),
            web.get(f"{base_path}/{{type:{'|'.join(READ_ONLY)}}}/{{id}}", self.read_only),
            web.get(document, self.document, allow_head=False),
            web.post(document, self.document),
        ]

    async def search(self, request: web.Request) -> web.Response:
        """Search of one type."""
        parameters = await search_parameters(request)
        searched = self._searched(request)
        page = next((value for name, value in parameters if name == "_page"), None)
        if page is not None:
            return await respond(request, await searched.page(page, parameters))
        return await respond(request, await searched.search(parameters, strict=is_strict(request)))

    async def read(self, request: web.Request) -> web.Response:
        """Read of one resource."""
        negotiate(request)
        searched = self._searched(request)
        return await respond(request, await searched.read(request.match_info["id"]))

    async def read_only(self, request: web.Request) -> web.Response:
        """Read of one resource of a type that is not searched."""
        negotiate(request)
        kind = request.match_info["type"]
        if self._release is FhirRelease.R5 and kind in ONLY_IN_R4:
            raise fail(404, "not-supported", f"FHIR R5 has no {kind}.")
        found = await self._reader.read(kind, request.match_info["id"])
        return await respond(request, orjson.dumps(found))

    def _searched(self, request: web.Request) -> ResourceSearch[Any]:
        kind = request.match_info["type"]
        if kind not in self._searches:
            raise fail(404, "not-supported", f"FHIR R4 has no {kind}; here it is a Basic, with the same id.")
        return self._searches[kind]

    async def document(self, request: web.Request) -> web.Response:
        """The report document of a DiagnosticReport, byte for byte unless Accept excludes its format."""
        found = await self._documents.of_report(request.match_info["id"], _accepted(request))
        headers = {"Content-Type": found.media_type, "Cache-Control": "private, no-cache", "Vary": "Accept"}
        return web.Response(body=found.content, headers=headers)


def _accepted(request: web.Request) -> str | None:
    """What the client takes: `_format` goes before Accept."""
    wanted = request.query.get("_format", "").replace("fhir ", "fhir+")
    if wanted:
        return wanted if "/" in wanted else f"application/fhir+{wanted}"
    return request.headers.get("Accept")
