"""What keeps others out of the console: headers of every answer, sign-in, and forms of its own pages alone.

A page of another site that makes a browser send a form here is refused twice: the cookie is not sent with it
(SameSite=Strict), and the form lacks the token that only pages of this session have.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.console.errors import PageError
from gateway.console.rendering import PREFIX
from gateway.console.viewers import (
    Granted,
    Grants,
    Sessions,
    Verify,
    Viewer,
    looked_at_by,
    name_of,
    viewer_of,
)
from gateway.security.access import acting_with
from gateway.security.subjects import asked_with
from gateway.security.tokens import InvalidToken, Token, VerificationUnavailable

SIGN_IN: Final = f"{PREFIX}/sign-in"
_PUBLIC: Final = frozenset({SIGN_IN, f"{PREFIX}/static/{{name}}"})
"""Routes that need no viewer."""
_MOST_FORM: Final = 64 * 1024
_SAFE: Final = frozenset({"GET", "HEAD"})

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_STRICT_TRANSPORT: Final = "max-age=31536000"
_UNKNOWN_HOST: Final = PageError(
    421,
    "Not under this name",
    "Nobody signs in here, so the console answers to addresses and to names of the settings alone. Set "
    "server.base_url, or console.base_url where the console has a listener of its own.",
)

log = structlog.get_logger()


class Gate:
    """Lets viewers in. Without `verify` nobody is asked who they are; `opens` is what they see of patients.

    Then only addresses and the names of `hosts` are answered: a page of another site whose name leads here
    (DNS rebinding) would read the console with the browser of somebody who reaches it.
    """

    def __init__(
        self,
        verify: Verify | None,
        sessions: Sessions,
        grants: Grants,
        *,
        secure: bool,
        opens: Granted | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        """`secure` says that browsers come by https."""
        self.verify = verify
        self.sessions = sessions
        self.secure = secure
        self._grants = grants
        self._open_viewer = Viewer("", opens)
        self._hosts = frozenset(host.lower() for host in hosts)

    @property
    def cookie_name(self) -> str:
        """Browsers take a cookie of this prefix from https alone."""
        return "__Secure-gateway-console" if self.secure else "gateway-console"

    def middleware(self) -> Middleware:
        """Inside of what turns errors into pages."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            viewer = await self._viewer(request)
            resource = request.match_info.route.resource
            if viewer is not None:
                looked_at_by(request, viewer)
                if viewer.granted is not None and viewer.granted.claims is not None:
                    asked_with(viewer.granted.claims)
            elif resource is None or resource.canonical not in _PUBLIC:
                raise self._not_signed_in(request)
            if request.method not in _SAFE:
                await self._check_form(request, viewer)
            return await handler(request)

        return guarded

    def looking(self, request: web.Request) -> AbstractContextManager[None]:
        """See `looking`."""
        viewer = viewer_of(request)
        access = self._grants.access(viewer if viewer is not None else Viewer("", Granted()))
        return nullcontext() if access is None else acting_with(access)

    async def lets_in(self, request: web.Request) -> bool:
        """Whether the session or token of a request whose answer goes on is good still."""
        try:
            return await self._viewer(request) is not None
        except PageError:
            return False

    async def _viewer(self, request: web.Request) -> Viewer | None:
        if self.verify is None:
            if not self._is_known(request.host):
                raise _UNKNOWN_HOST
            return self._open_viewer
        shown = request.headers.getall("Authorization", ())
        if shown:
            return await self._of_header(shown)
        cookie = request.cookies.get(self.cookie_name)
        return await self.sessions.of_cookie(cookie) if cookie else None

    def _is_known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name == "localhost" or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _of_header(self, shown: list[str] | tuple[str, ...]) -> Viewer:
        scheme, _, text = shown[0].strip().partition(" ")
        if len(shown) > 1 or scheme.lower() != "bearer":
            raise _unauthorised("Authorization has to be one Bearer token.")
        token = await self.verified(text.strip())
        return Viewer(name_of(token), Granted.of(token))

    async def verified(self, text: str) -> Token:
        """What a token with the scope `console` says. Raises PageError."""
        assert self.verify is not None
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise _unauthorised("This is no access token.")
        try:
            token = await self.verify(text)
        except InvalidToken as error:
            log.warning("console.refused", reason=str(error))
            raise _unauthorised(f"The access token is not good: {error}.") from None
        except VerificationUnavailable as error:
            raise PageError(503, "Not now", f"The access token cannot be verified now: {error}.") from None
        if not token.scopes.console:
            log.warning("console.refused", reason="it lacks the scope console")
            raise PageError(
                403,
                "Not for the console",
                "The access token is good, but it lacks the scope console. Ask for one that has it.",
            )
        return token

    def _not_signed_in(self, request: web.Request) -> Exception:
        # a browser that asks for a page is shown the way; what scripts fetch and others ask for is not
        if request.method == "GET" and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
            wanted = request.path.removeprefix(PREFIX)
            return web.HTTPSeeOther(f"{SIGN_IN}?next={wanted}" if wanted.strip("/") else SIGN_IN)
        return _unauthorised("Sign in, or send an access token with the scope console.")

    async def _check_form(self, request: web.Request, viewer: Viewer | None) -> None:
        if not is_from_here(request):
            raise PageError(403, "Not from here", "The form was sent by another site.")
        if request.content_type != "application/x-www-form-urlencoded":
            raise PageError(415, "No form", "Send application/x-www-form-urlencoded.")
        if (request.content_length or 0) > _MOST_FORM:
            raise PageError(413, "Too long", f"A form has at most {_MOST_FORM} bytes.")
        form = await request.post()
        text = form.get("form_token", "")
        if not isinstance(text, str) or not self.sessions.is_form_token(viewer, text):
            raise PageError(
                403, "The form is too old", "Go back, load the page again, and send the form from there."
            )


def is_from_here(request: web.Request) -> bool:
    """Whether a browser says that a page of this site sent the request, or says nothing, as other clients."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


GATE: Final = web.AppKey("gate", Gate)


def looking(request: web.Request) -> AbstractContextManager[None]:
    """What is inside may see what the viewer may."""
    return request.config_dict[GATE].looking(request)


def protected(*, secure: bool) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Signal `on_response_prepare`: headers of every answer; pages are kept by nobody."""

    async def protect(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        if secure:
            response.headers["Strict-Transport-Security"] = _STRICT_TRANSPORT

    return protect


def _unauthorised(text: str) -> PageError:
    return PageError(401, "Sign in first", text, headers={"WWW-Authenticate": 'Bearer realm="console"'})
