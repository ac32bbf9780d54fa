"""Formats of FHIR requests and answers: Content-Type, Accept, `_format`, `_pretty`, fhirVersion, gzip
(FHIR R4 3.1.0.1.10 and 3.1.0.1.11; ITI TF-2 Appendix Z.6; RFC 9110 12.5).

Use cases speak JSON of R4. Here alone it is decided what a client sent and what it gets, errors included. A
client that takes JSON as it is gets the very bytes of the use case.
"""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.fhir.formats import FhirFormat, write_resource
from gateway.fhir.issues import OutcomeError, fail
from gateway.mhd.bases import release_of
from gateway.mhd.conditions import quality
from gateway.model.releases import FhirRelease, release_named

_MEDIA_TYPES: Final = {
    **{fhir.value: fhir for fhir in FhirFormat},
    "application/json": FhirFormat.JSON,
    "text/json": FhirFormat.JSON,
    "application/xml": FhirFormat.XML,
    "text/xml": FhirFormat.XML,
}
_NAMES: Final = {"json": FhirFormat.JSON, "xml": FhirFormat.XML, **_MEDIA_TYPES}
"""Values of `_format`."""
_WILDCARDS: Final = {"application/*": 2, "*/*": 1, "*": 1}
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_PIECE: Final = 64 * 1024
"""Bytes that are decompressed before other requests get their turn."""

_COMPRESS_ABOVE: Final = 1024
_WRITE_IN_THREAD: Final = 64 * 1024
_GZIP_LEVEL: Final = 1
"""FHIR repeats itself, so the fastest level already leaves a tenth."""
# one thread: more of them would only make the event loop wait longer for the interpreter
_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fhir-format")


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a client gets an answer. `media_type` is for Content-Type, without charset."""

    format: FhirFormat = FhirFormat.JSON
    media_type: str = FhirFormat.JSON.value
    pretty: bool = False
    gzip: bool = False
    release: FhirRelease = FhirRelease.R4


_PRESENTATION: Final = web.RequestKey("presentation", Presentation)


def negotiate(request: web.Request, form: Sequence[tuple[str, str]] = ()) -> None:
    """Decide how the answer to this request is written, an error that comes later included.

    `form` are parameters of a body, which prevail over those of the URL. Raises OutcomeError 406.
    """
    parameters = dict([*parse_qsl(request.rel_url.raw_query_string), *form])
    default = _MEDIA_TYPES.get(request.content_type, FhirFormat.JSON)
    wanted, release = parameters.get("_format"), release_of(request)
    if wanted:
        chosen = _by_name(wanted, release)
        refused = f"_format {wanted[:100]!r} is"
    else:
        accept = ",".join(request.headers.getall("Accept", ()))
        chosen = _by_accept(accept, default, release)
        refused = "What the Accept header names is"
    if chosen is None:
        raise fail(
            406,
            "not-supported",
            f"{refused} not supported; use {FhirFormat.JSON} or {FhirFormat.XML} (fhirVersion is {release}).",
        )
    request[_PRESENTATION] = Presentation(
        format=_MEDIA_TYPES[chosen.partition(";")[0]],
        media_type=chosen,
        pretty=parameters.get("_pretty") == "true",
        gzip=_accepts_gzip(request),
        release=release,
    )


async def respond(
    request: web.Request,
    resource: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    in_release: bool = False,
) -> web.Response:
    """The answer with a resource, given as JSON, in what the client was found to take.

    `resource` is of R4, or with `in_release` alike in R4 and in the release of the request.
    """
    shown = _presentation(request)
    if in_release:
        shown = replace(shown, release=FhirRelease.R4)
    body, is_compressed = resource, False
    if (
        shown.pretty
        or shown.gzip
        or shown.format is not FhirFormat.JSON
        or shown.release is not FhirRelease.R4
    ):
        if len(resource) > _WRITE_IN_THREAD:
            loop = asyncio.get_running_loop()
            body, is_compressed = await loop.run_in_executor(_writer, _write, resource, shown)
        else:
            body, is_compressed = _write(resource, shown)
    sent = {
        **(headers or {}),
        "Content-Type": f"{shown.media_type}; charset=utf-8",
        "Vary": "Accept, Accept-Encoding",
    }
    if is_compressed:
        sent["Content-Encoding"] = "gzip"
    if "ETag" in sent and shown.release is not FhirRelease.R4:
        # the same version is another representation in another release; one URL can give both
        sent["ETag"] = f'{sent["ETag"][:-1]}-{shown.release}"'
    return web.Response(status=status, body=body, headers=sent)


def body_format(request: web.Request) -> FhirFormat:
    """The format of the resource in the body. Raises OutcomeError 415."""
    name, parameters = _media_type(request.headers.get("Content-Type", ""))
    known = _MEDIA_TYPES.get(name)
    if known is None:
        problem = f"Content-Type {name[:100]!r} is not supported; send {FhirFormat.JSON} or {FhirFormat.XML}."
    elif not _is_of(release_of(request), parameters):
        served = release_of(request)
        problem = f"Content-Type has a fhirVersion that is not supported; this is a base of FHIR {served}."
    elif parameters.get("charset", "utf-8").lower() not in _CHARSETS:
        problem = "Content-Type has a charset that is not supported; FHIR is always UTF-8."
    else:
        return known
    raise fail(415, "not-supported", problem)


async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body without its Content-Encoding, in small pieces, whose sum the caller has to bound.

    Raises OutcomeError: 415 for another coding than gzip, 400 where the body is not in it.
    """
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding == "identity":
        async for chunk in request.content.iter_any():
            yield chunk
        return
    if coding not in _GZIP:
        refused = fail(415, "not-supported", "The Content-Encoding is not supported; use gzip or none.")
        raise OutcomeError(415, refused.issues, {"Accept-Encoding": "gzip"})
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        async for chunk in request.content.iter_any():
            yield unpacker.decompress(chunk, _PIECE)
            while unpacker.unconsumed_tail:
                await asyncio.sleep(0)
                yield unpacker.decompress(unpacker.unconsumed_tail, _PIECE)
    except zlib.error:
        raise fail(400, "structure", "The body is not in gzip, which is its Content-Encoding.") from None
    if not unpacker.eof or unpacker.unused_data:
        raise fail(400, "structure", "The body is not one complete gzip stream.")


def _presentation(request: web.Request) -> Presentation:
    """What was negotiated; for an error before or in that, the best that can be told from the request."""
    if _PRESENTATION not in request:
        try:
            negotiate(request)
        except OutcomeError:
            release = release_of(request)
            chosen = _by_accept(",".join(request.headers.getall("Accept", ())), FhirFormat.JSON, release)
            media_type = chosen or _with_version(FhirFormat.JSON.value, {}, release)
            wire_format = _MEDIA_TYPES[media_type.partition(";")[0]]
            request[_PRESENTATION] = Presentation(wire_format, media_type, release=release)
    return request[_PRESENTATION]


def _write(resource: bytes, shown: Presentation) -> tuple[bytes, bool]:
    """The body, and whether it is compressed."""
    body = write_resource(resource, shown.format, pretty=shown.pretty, release=shown.release)
    if shown.gzip and len(body) > _COMPRESS_ABOVE:
        return gzip.compress(body, _GZIP_LEVEL, mtime=0), True
    return body, False


def _by_name(wanted: str, release: FhirRelease) -> str | None:
    """Media type of the answer for a value of `_format`, in which `+` may have become a space."""
    name, parameters = _media_type(wanted)
    known = _NAMES.get(name.replace(" ", "+"))
    if known is None or not _is_of(release, parameters):
        return None
    return _with_version(known.value, parameters, release)


def _by_accept(accept: str, default: FhirFormat, release: FhirRelease) -> str | None:
    """Media type of the answer for an Accept header; None where it allows neither format.

    The highest weight wins, then the more specific range, then the first. A generic media type is answered
    with itself, as FHIR asks.
    """
    if not accept.strip():
        return _with_version(default.value, {}, release)
    ranges = list(_ranges(accept))
    refused = {name for weight, name, _ in ranges if weight == 0}
    best: tuple[float, int, int] | None = None
    chosen: str | None = None
    for position, (weight, name, parameters) in enumerate(ranges):
        if not weight > 0 or not _is_of(release, parameters):
            continue
        if name in _MEDIA_TYPES:
            offered, specificity = name, 3
        elif name in _WILDCARDS:
            allowed = [f for f in (default, *FhirFormat) if f.value not in refused]
            if not allowed:
                continue
            offered, specificity = allowed[0].value, _WILDCARDS[name]
        else:
            continue
        rank = (weight, specificity, -position)
        if best is None or rank > best:
            best, chosen = rank, _with_version(offered, parameters, release)
    return chosen


def _accepts_gzip(request: web.Request) -> bool:
    weights = {
        name: weight for weight, name, _ in _ranges(",".join(request.headers.getall("Accept-Encoding", ())))
    }
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0))) > 0


def _ranges(header: str) -> Iterator[tuple[float, str, dict[str, str]]]:
    """Weight, name and parameters of each item of a header such as Accept."""
    for item in header.split(","):
        name, parameters = _media_type(item)
        if name:
            weight = quality([f"q={parameters['q']}"] if "q" in parameters else [])
            yield weight, name, parameters


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """Name in lower case, and parameters with theirs in lower case."""
    name, *rest = text.split(";")
    parameters: dict[str, str] = {}
    for item in rest:
        key, _, value = item.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    return name.strip().lower(), parameters


def _is_of(release: FhirRelease, parameters: Mapping[str, str]) -> bool:
    return "fhirversion" not in parameters or release_named(parameters["fhirversion"]) is release


def _with_version(media_type: str, parameters: Mapping[str, str], release: FhirRelease) -> str:
    """R4 is what clients that do not say a version know; R5 is always said."""
    if release is FhirRelease.R4 and "fhirversion" not in parameters:
        return media_type
    return f"{media_type}; fhirVersion={release}"
