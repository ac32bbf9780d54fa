"""Signing in with an access token, and signing out."""

from typing import Final

import structlog
from aiohttp import web

from gateway.console.errors import PageError
from gateway.console.protection import GATE, SIGN_IN
from gateway.console.rendering import PREFIX, page
from gateway.console.viewers import CookieTooLong, viewer_of

_HOW_LONG: Final = 200

log = structlog.get_logger()


class SignIn:
    """The pages without a viewer. `token_endpoint` is where tokens are had, where that is known."""

    def __init__(self, token_endpoint: str | None) -> None:
        self._token_endpoint = token_endpoint

    def table(self) -> list[web.RouteDef]:
        """Routes below /console."""
        return [
            web.get("/sign-in", self.show),
            web.post("/sign-in", self.sign_in),
            web.post("/sign-out", self.sign_out),
        ]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The form; who is signed in already needs none."""
        wanted = _wanted(request.query.get("next", ""))
        if viewer_of(request) is not None:
            raise web.HTTPSeeOther(wanted)
        return self._form(request, wanted)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """A token becomes a session."""
        gate = request.config_dict[GATE]
        form = await request.post()
        wanted = _wanted(str(form.get("next", "")))
        if gate.verify is None:
            raise web.HTTPSeeOther(wanted)
        try:
            token = await gate.verified(str(form.get("token", "")).strip())
            cookie = gate.sessions.begin(token)
        except PageError as error:
            return self._form(request, wanted, error)
        except CookieTooLong:
            text = "The token says more than a browser keeps. Ask for one with fewer scopes."
            return self._form(request, wanted, PageError(400, "Too long", text))
        log.info("console.signed_in", client_id=token.client_id)
        response = web.Response(status=303, headers={"Location": wanted})
        response.set_cookie(
            gate.cookie_name,
            cookie,
            path=PREFIX,
            max_age=int(gate.sessions.lifetime),
            httponly=True,
            secure=gate.secure,
            samesite="Strict",
        )
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """The session ends, for all replicas."""
        gate, viewer = request.config_dict[GATE], viewer_of(request)
        if viewer is not None:
            await gate.sessions.end(viewer)
        response = web.Response(status=303, headers={"Location": SIGN_IN})
        # browsers drop a cookie of the prefix __Secure- only where the answer that ends it is Secure too
        response.del_cookie(
            gate.cookie_name, path=PREFIX, httponly=True, secure=gate.secure, samesite="Strict"
        )
        return response

    def _form(self, request: web.Request, wanted: str, error: PageError | None = None) -> web.Response:
        return page(
            request,
            "sign_in.html",
            status=200 if error is None else error.status,
            wanted=wanted.removeprefix(PREFIX),
            problem=None if error is None else error.text,
            token_endpoint=self._token_endpoint,
        )


def _wanted(path: str) -> str:
    """Where a browser goes after the sign-in: a page of the console, never another site."""
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) <= _HOW_LONG
    return f"{PREFIX}{path}" if plain and path.startswith("/") and not path.startswith("//") else PREFIX
