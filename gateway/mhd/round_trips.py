"""Requests that come back to the gateway through others are not answered again: a community whose own domain
is this gateway would be asked by it for ever."""

from contextlib import nullcontext
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.fhir.issues import fail
from gateway.soap.via import COMMUNITIES_HEADER, answering, read_header_value

LOOP_DETECTED: Final = 508


def not_again(own_home: str | None) -> Middleware:
    """Refuses a request that says that it came through the own community; what is asked of others while one
    is answered says through which it came."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = read_header_value(request.headers.get(COMMUNITIES_HEADER))
        if own_home is not None and own_home in named:
            raise fail(
                LOOP_DETECTED,
                "processing",
                "The request has come back to a community that it came through; gateways on its way send "
                "requests for others in a circle.",
            )
        own = () if own_home is None else (own_home,)
        with answering((*named, *own)) if named else nullcontext():
            return await handler(request)

    return check
