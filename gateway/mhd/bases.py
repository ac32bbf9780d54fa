"""The bases of this server: one for each release of FHIR, and one that all share (FHIR R5, versioning).

A base of one release speaks that alone. The base that all share goes by the parameter fhirVersion of
Content-Type, `_format` and Accept, and speaks R4 where none is given. Ids are the same on all bases, and a
literal reference to one base is understood on the others.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.fhir.received import own_url
from gateway.mhd.conditions import quality
from gateway.model.releases import FhirRelease, release_named

_VERSION = re.compile(r"fhirversion\s*=\s*\"?([\d.]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Base:
    """One base: `path` is that of its routes, `url` what clients call, both without trailing slash.

    `release` is None for the base that all releases share.
    """

    path: str
    url: str
    release: FhirRelease | None = None


class Bases:
    """All bases of a server."""

    def __init__(self, bases: Iterable[Base]) -> None:
        # the path of one may begin with that of another
        self._bases = sorted(bases, key=lambda base: len(base.path), reverse=True)
        self.urls = tuple(base.url for base in self._bases)
        self.shared = next(base for base in self._bases if base.release is None)
        self.releases = frozenset(base.release for base in self._bases if base.release is not None)

    def __iter__(self) -> Iterator[Base]:
        return iter(self._bases)

    def at(self, path: str) -> Base | None:
        """The base that a request path is below."""
        return next((b for b in self._bases if path == b.path or path.startswith(f"{b.path}/")), None)


BASES: Final = web.AppKey("bases", Bases)
_BASE: Final = web.RequestKey("base", Base)
_RELEASE: Final = web.RequestKey("release", FhirRelease)


@web.middleware
async def releases(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out which release of FHIR a request is of, before anything is answered."""
    base = request.app[BASES].at(request.path)
    if base is not None:
        request[_BASE] = base
        request[_RELEASE] = base.release or _release_asked(request, request.app[BASES].releases)
    return await handler(request)


def release_of(request: web.Request) -> FhirRelease:
    """The release of FHIR that the answer is in."""
    release: FhirRelease = request.get(_RELEASE, FhirRelease.R4)
    return release


def type_of(request: web.Request) -> str:
    """The resource type that the path of a request names below its base, empty where it names none."""
    base = request.get(_BASE)
    name = request.path.removeprefix(base.path).split("/")[1:2] if base is not None else []
    return name[0] if name and name[0][:1].isupper() else ""


def _release_asked(request: web.Request, offered: frozenset[FhirRelease]) -> FhirRelease:
    """What is named and offered, in Content-Type before `_format` before Accept.

    Whether they agree is a matter of negotiation.
    """
    wanted = dict(parse_qsl(request.rel_url.raw_query_string)).get("_format", "")
    accepted = ",".join(request.headers.getall("Accept", ())).split(",")
    in_order = sorted(accepted, key=lambda item: quality([p.strip() for p in item.split(";")]), reverse=True)
    for text in (request.headers.get("Content-Type", ""), wanted, *in_order):
        version = _VERSION.search(text)
        named = release_named(version[1]) if version else None
        if named in offered:
            return named
    return FhirRelease.R4


# --- references to other bases ----------------------------------------------------------------------------
def own_values(request: web.Request, parameters: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Search parameters whose references to other bases are to the own one."""
    base = request.get(_BASE)
    if base is None:
        return list(parameters)
    urls = request.app[BASES].urls
    return [
        (
            name,
            ",".join(own_url(part, base.url, urls) for part in value.split(",")) if "://" in value else value,
        )
        for name, value in parameters
    ]


# --- routes -----------------------------------------------------------------------------------------------
def by_release(tables: Mapping[FhirRelease, Sequence[web.RouteDef]]) -> list[web.RouteDef]:
    """Routes of a base from those of each of its releases, which have the same paths in the same order."""
    rows = zip(*tables.values(), strict=True)
    return [row[0] if len(row) == 1 else _dispatch(dict(zip(tables, row, strict=True))) for row in rows]


def _dispatch(routes: Mapping[FhirRelease, web.RouteDef]) -> web.RouteDef:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = await routes[release_of(request)].handler(request)
        return answer

    route = next(iter(routes.values()))
    return web.RouteDef(route.method, route.path, handle, route.kwargs)
