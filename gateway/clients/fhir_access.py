"""How the gateway shows FHIR servers who it is: a header from a file, or an access token that it gets by a
signed assertion (ITI-71; SMART Backend Services) and keeps until shortly before its end."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import structlog

from gateway.clients.token_request import ClientKey, TokenRequestError, request_token
from gateway.tls import Context, default_context

_EARLY: Final = 30.0
"""Seconds before its end in which a token is not used any more."""
_SHORTEST: Final = 5.0
_USUAL_LIFE: Final = 300.0

log = structlog.get_logger()


class NoAccess(Exception):
    """There is nothing to show; the text says why, and has no secret."""


class FhirAccess(Protocol):
    """What is shown to one server."""

    async def header(self) -> str | None:
        """Value of the Authorization header, None for none. Raises NoAccess."""

    def refused(self) -> bool:
        """The server did not take it (401). True where another one may do better."""


class Anonymous:
    """Nothing is shown."""

    async def header(self) -> str | None:
        """None."""
        return None

    def refused(self) -> bool:
        """There is no other."""
        return False


class HeaderFile:
    """The header stands in a file, which is read each time, so that it can be changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def header(self) -> str | None:
        """The first line of the file."""
        try:
            lines = (await asyncio.to_thread(self._path.read_text, "utf-8")).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise NoAccess(f"the file with its header cannot be read ({type(error).__name__})") from None
        if not lines or not lines[0].strip():
            raise NoAccess("the file with its header is empty")
        return lines[0].strip()

    def refused(self) -> bool:
        """The file has no other."""
        return False


class BackendServices:
    """Tokens of the authorisation server that the FHIR server at `base_url` names."""

    def __init__(
        self,
        base_url: str,
        client_id: str,
        key: ClientKey,
        scope: str,
        *,
        allows: Callable[[str], bool],
        tls: Context = default_context,
    ) -> None:
        """`allows` says whether a token endpoint may be asked; `tls` is that of the server and of it."""
        self._tls = tls
        self._base_url = base_url
        self._client_id = client_id
        self._key = key
        self._scope = scope
        self._allows = allows
        self._token: str | None = None
        self._ends = 0.0
        self._asking = asyncio.Lock()

    async def header(self) -> str | None:
        """`Bearer` and the token, a new one where the last one ends. Requests at once ask once."""
        async with self._asking:
            if self._token is None or time.monotonic() >= self._ends:
                await self._renew()
            return f"Bearer {self._token}"

    def refused(self) -> bool:
        """A new token may be taken."""
        self._token = None
        return True

    async def _renew(self) -> None:
        self._token = None
        try:
            connector = aiohttp.TCPConnector(ssl=self._tls())
            async with aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                answer = await request_token(
                    session, self._base_url, self._client_id, self._key, self._scope, allows=self._allows
                )
        except TokenRequestError as error:
            log.warning("fhir_access.no_token", reason=str(error))
            raise NoAccess("its authorisation server gives no access token") from None
        life = answer.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _USUAL_LIFE
        self._ends = time.monotonic() + max(seconds - _EARLY, min(seconds, _SHORTEST))
        self._token = answer["access_token"]
