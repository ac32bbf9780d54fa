"""The Host header of requests (RFC 9110 7.2): what cannot be a host is refused before anything is done.

aiohttp takes any bytes there, and fails only when the URL of the request is asked for, which may be after a
document has been stored.
"""

import re
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.fhir.issues import OutcomeError, fail

_HOST: Final = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.~%-]+)?\]|[\w.~%!$&'()*+,;=-]*)(?::(?P<port>[0-9]{0,5}))?", re.ASCII
)
_LAST_PORT: Final = 65535


@web.middleware
async def plausible_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Inside of what turns errors into answers and records them, outside of all else. Raises OutcomeError."""
    if _is_plausible(request):
        return await handler(request)
    if request.protocol is not None:
        # whoever sends this may see other borders between requests than the gateway does
        request.protocol.close()
    text = "The Host header is no host or host:port, with a port up to 65535; send what the URL names."
    raise OutcomeError(400, fail(400, "structure", text).issues, {hdrs.CONNECTION: "close"})


def _is_plausible(request: web.Request) -> bool:
    if hdrs.HOST in request.headers:
        match = _HOST.fullmatch(request.host)
        if match is None or int(match["port"] or 0) > _LAST_PORT:
            return False
    try:
        # it is kept: nobody who asks for it later sees it fail
        return bool(request.url)
    except ValueError:
        return False
