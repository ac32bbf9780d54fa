"""A gateway with tokens and a console, and visitors of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from lxml import html

from tests.system.issuers import Issuer, running_issuer
from tests.system.stack import Stack, running_stack


@dataclass
class Console:
    """A gateway, what issues its tokens, and the address of its console."""

    stack: Stack
    issuer: Issuer

    @property
    def url(self) -> str:
        return self.stack.base_url.removesuffix("/fhir") + "/console"

    def token(self, scope: str = "console", **claims: Any) -> str:
        return self.issuer.token(self.stack.base_url, scope, **claims)


@asynccontextmanager
async def running_console(folder: Path, **settings: Any) -> AsyncIterator[Console]:
    async with running_issuer() as issuer:
        security = {"access": "token", "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]}
        async with running_stack(
            folder, security=security, console={"enabled": True, **settings.pop("console", {})}, **settings
        ) as stack:
            yield Console(stack, issuer)


class Visitor:
    """A browser without its window: keeps cookies, reads forms, sends them."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def get(self, path: str = "", **options: Any) -> "Seen":
        async with self.session.get(self.url + path, allow_redirects=False, **options) as answer:
            return Seen(answer.status, answer.headers, await answer.text())

    async def post(self, path: str, form: dict[str, str], **options: Any) -> "Seen":
        async with self.session.post(self.url + path, data=form, allow_redirects=False, **options) as answer:
            return Seen(answer.status, answer.headers, await answer.text())

    async def sign_in(self, token: str, path: str = "/sign-in") -> "Seen":
        form = (await self.get(path)).form("/sign-in")
        return await self.post("/sign-in", {**form, "token": token})


@dataclass
class Seen:
    """An answer."""

    status: int
    headers: Any
    text: str

    @property
    def page(self) -> Any:
        return html.document_fromstring(self.text)

    def words(self, path: str = "//body") -> str:
        return " ".join(" ".join(each.text_content() for each in self.page.xpath(path)).split())

    def form(self, action: str) -> dict[str, str]:
        """Names and values of the hidden fields of a form."""
        [form] = [each for each in self.page.xpath("//form") if each.get("action", "").endswith(action)]
        return {each.get("name"): each.get("value") for each in form.xpath(".//input[@type='hidden']")}


@asynccontextmanager
async def visitor(console: Console, **options: Any) -> AsyncIterator[Visitor]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, **options) as session:
        yield Visitor(session, console.url)
