"""HTTP of QIDO-RS (DICOM PS3.18 10.6.1.1), at the two bases of WADO-RS.

200 with results, 204 without any. Sentences about what an answer lacks are Warning headers.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from gateway.dicom.search_attributes import Level
from gateway.imaging.dicom_accept import DICOM_JSON, negotiate_json
from gateway.imaging.image_search import ImageSearcher
from gateway.imaging.search_request import parse_image_search

_UID: Final = r"[0-9.]{1,128}"
_IN_STUDY: Final = f"/studies/{{study:{_UID}}}"
_RESOURCES: Final = (
    ("/studies", Level.STUDY),
    ("/series", Level.SERIES),
    ("/instances", Level.INSTANCE),
    (f"{_IN_STUDY}/series", Level.SERIES),
    (f"{_IN_STUDY}/instances", Level.INSTANCE),
    (f"{_IN_STUDY}/series/{{series:{_UID}}}/instances", Level.INSTANCE),
)
_KEYWORDS: Final = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
_MOST_WARNINGS: Final = 10
_NOT_SHOWN: Final = re.compile(r"[^\x20-\x7e]|\\")


class SearchRoutes:
    """The routes below the FHIR base path."""

    def __init__(self, searcher: ImageSearcher, *, base_url: str) -> None:
        self._searcher = searcher
        self._base_url = base_url

    def table(self, base_path: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        return [
            web.get(f"{base_path}{base}{path}", self._handler(level), allow_head=False)
            for base in ("/wado/{token}", "/dicomweb")
            for path, level in _RESOURCES
        ]

    def _handler(self, level: Level) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def search(request: web.Request) -> web.Response:
            accept = [*request.query.getall("accept", ()), *request.headers.getall("Accept", ())]
            negotiate_json(accept)
            parameters = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
            named = request.match_info
            path = {keyword: named[name] for name, keyword in _KEYWORDS.items() if name in named}
            understood = parse_image_search(parameters, level, path)
            answer = await self._searcher.search(understood, named.get("token"))
            headers = CIMultiDict({"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"})
            headers.extend(self._warnings(answer.warnings))
            if answer.body is None:
                return web.Response(status=204, headers=headers)
            return web.Response(body=answer.body, content_type=DICOM_JSON, headers=headers)

        return search

    def _warnings(self, texts: Iterable[str]) -> list[tuple[str, str]]:
        # the words of peers are among them, which may have line breaks
        written = (_NOT_SHOWN.sub("?", text.replace('"', "'")) for text in texts)
        return [("Warning", f'299 {self._base_url} "{text}"') for text in list(written)[:_MOST_WARNINGS]]
