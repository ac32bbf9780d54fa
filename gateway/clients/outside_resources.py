"""FHIR resources and documents of other servers, fetched because a publish refers to them (IHE MHD 4.2.4
3.65.4.1.3).

The URLs come from clients, so this is where a client could make the gateway call what only the gateway can
reach. Therefore: hosts from a list alone, each with its port; names that resolve to private addresses are
refused unless the settings say otherwise; no redirects, no credentials, no proxies; few seconds, few bytes.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle_documents import HostedDocument, Unreachable
from gateway.tls import Context, default_context

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORMATS = {
    FhirFormat.JSON.value: FhirFormat.JSON,
    "application/json": FhirFormat.JSON,
    FhirFormat.XML.value: FhirFormat.XML,
    "application/xml": FhirFormat.XML,
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutsidePolicy:
    """Which servers are asked. Each of `hosts` is `host` (for the ports 80 and 443) or `host:port`.

    `seconds` is for one resource or document, `max_bytes` for one resource, `max_document_bytes` for all
    documents of one publish; `most` is the number of resources, and of documents, of one publish.
    """

    hosts: frozenset[str] = frozenset()
    private_addresses: bool = False
    seconds: float = 5.0
    max_bytes: int = 256 * 1024
    max_document_bytes: int = 16 * 1024 * 1024
    most: int = 32
    tls: Context = default_context

    def allows(self, url: str) -> bool:
        """True for a URL of a listed host and port, without user and password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        host = (parts.hostname or "").lower()
        if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
            return False
        # two readers of URLs drop them in different ways
        if any(character < " " for character in url):
            return False
        if port is None or port == _DEFAULT_PORTS[parts.scheme]:
            return host in self.hosts or f"{host}:{_DEFAULT_PORTS[parts.scheme]}" in self.hosts
        return f"{host}:{port}" in self.hosts


class PrivateAddress(OSError):
    """A name that leads into a network that is not public."""


class PublicResolver(AbstractResolver):
    """Resolves names, but not to addresses of private networks, this machine or link-local services."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises PrivateAddress where one of the addresses is not public."""
        found = await self._resolver.resolve(host, port, family)
        if not all(ipaddress.ip_address(item["host"].partition("%")[0]).is_global for item in found):
            raise PrivateAddress("the name leads to a private address")
        return found

    async def close(self) -> None:
        """Release the inner resolver."""
        await self._resolver.close()


class OutsideResources:
    """The client; an async context manager."""

    def __init__(self, policy: OutsidePolicy) -> None:
        self._policy = policy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver: AbstractResolver = DefaultResolver()
        if not self._policy.private_addresses:
            # an address in place of a name is only called where it is listed itself
            resolver = PublicResolver(resolver)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=16, resolver=resolver, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=self._policy.seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, urls: Sequence[str]) -> dict[str, Json | Unreachable]:
        """What each URL leads to."""
        asked = urls[: self._policy.most]
        found = await asyncio.gather(*map(self._fetch, asked))
        left = dict.fromkeys(urls, Unreachable(f"a publish may refer to {self._policy.most} other resources"))
        return {**left, **dict(zip(asked, found, strict=True))}

    async def fetch_documents(self, urls: Sequence[str]) -> dict[str, HostedDocument | Unreachable]:
        """The document at each URL, one after the other, since they share `max_document_bytes`."""
        found: dict[str, HostedDocument | Unreachable] = {}
        room = self._policy.max_document_bytes
        for number, url in enumerate(urls):
            if number >= self._policy.most:
                found[url] = Unreachable(f"a publish may refer to {self._policy.most} documents elsewhere")
                continue
            answer = await self._get(url, "*/*", room)
            if isinstance(answer, Unreachable):
                found[url] = answer
                continue
            media_type, content = answer
            room -= len(content)
            found[url] = HostedDocument(media_type, content)
        return found

    async def _fetch(self, url: str) -> Json | Unreachable:
        answer = await self._get(url, FhirFormat.JSON.value, self._policy.max_bytes)
        if isinstance(answer, Unreachable):
            return answer
        media_type, body = answer
        wire_format = _FORMATS.get(media_type)
        if wire_format is None:
            return Unreachable("its server does not answer with FHIR")
        try:
            return read_resource(body, wire_format, "resource")
        except OutcomeError:
            return Unreachable("what its server answers is not FHIR")

    async def _get(self, url: str, accept: str, room: int) -> tuple[str, bytes] | Unreachable:
        """Media type and body of an answer with at most `room` bytes."""
        if not self._policy.allows(url):
            return Unreachable("its server is not one that references.allowed_hosts lists")
        assert self._session is not None
        try:
            async with self._session.get(
                url, headers={"Accept": accept}, allow_redirects=False, ssl=self._policy.tls()
            ) as answer:
                if answer.status != 200:
                    return Unreachable(f"its server answers {answer.status}")
                body = await _read(answer.content.iter_any(), room)
                media_type = answer.content_type
        except TimeoutError:
            return Unreachable("its server does not answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, PrivateAddress) or isinstance(error, PrivateAddress):
                return Unreachable("its server is in a private network")
            log.warning("reference.unreachable", error=type(error).__name__)
            return Unreachable("its server cannot be reached")
        if body is None:
            return Unreachable(f"it has more than {room} bytes")
        return media_type, body


async def _read(chunks: AsyncIterable[bytes], most: int) -> bytes | None:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)
