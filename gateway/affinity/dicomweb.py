"""WADO-RS of the imaging document sources: studies, series, instances and their metadata (RAD-107;
DICOM PS3.18 10.4).

`/dicomweb/{Retrieve Location UID}` is the base of one location. Instances are sent as they are stored, never
transcoded: what is not in an acceptable transfer syntax is left out, with status 206, or 406 where nothing is
left. Rendered images and frames are not offered.
"""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from gateway.affinity.file_chunks import FileReader
from gateway.affinity.image_folder import StoredImage
from gateway.affinity.imaging_source import ImagingSource
from gateway.affinity.options import is_oid
from gateway.model.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gateway.multipart import parse_media_type

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
MULTIPART: Final = "multipart/related"
BASE: Final = "/dicomweb/{location}"
_STUDY: Final = BASE + "/studies/{study}"
_PATHS: Final = (_STUDY, _STUDY + "/series/{series}", _STUDY + "/series/{series}/instances/{instance}")
_ITEM: Final = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')
_ALL: Final = "*"
_BULK_FROM: Final = 1024
"""Bytes from which on a value is left out of metadata."""


class DicomWeb:
    """The routes over the locations of one domain."""

    def __init__(self, source: ImagingSource, offered: frozenset[str], files: FileReader) -> None:
        """`offered` are the Retrieve Location UIDs that speak WADO-RS."""
        self._source = source
        self._offered = offered
        self._files = files

    async def instances(self, request: web.Request) -> web.StreamResponse:
        """Part 10 files as multipart/related."""
        found = await self._select(request)
        syntaxes = _accepted_syntaxes(_accept(request))
        sent = [image for image in found if _ALL in syntaxes or image.header.transfer_syntax in syntaxes]
        if not sent:
            raise web.HTTPNotAcceptable(
                text='instances are sent as multipart/related; type="application/dicom", in the transfer '
                "syntax in which they are stored; transfer-syntax=* takes any\n"
            )
        boundary = uuid.uuid4().hex
        heads = [_part_head(boundary, image) for image in sent]
        end = f"\r\n--{boundary}--\r\n".encode()
        response = web.StreamResponse(
            status=200 if len(sent) == len(found) else 206,
            headers={"Content-Type": f'{MULTIPART}; type="{DICOM}"; boundary={boundary}'},
        )
        if len(sent) < len(found):
            left = len(found) - len(sent)
            response.headers["Warning"] = f'299 gateway "{left} instances have no acceptable transfer syntax"'
        response.content_length = sum(map(len, heads)) + sum(image.size for image in sent) + len(end)
        await response.prepare(request)
        for head, image in zip(heads, sent, strict=True):
            await response.write(head)
            # a file that is cut short meanwhile ends the connection: the length is not reached
            async for chunk in self._files.chunks(image.path):
                await response.write(chunk)
        await response.write(end)
        await response.write_eof()
        return response

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """DICOM JSON of each instance, without pixel data and other long values."""
        found = await self._select(request)
        names = {parse_media_type(item).name for item in _items(_accept(request))}
        if not names & {DICOM_JSON, "application/json", "application/*", "*/*"}:
            raise web.HTTPNotAcceptable(text="metadata is sent as application/dicom+json\n")
        response = web.StreamResponse(headers={"Content-Type": DICOM_JSON})
        await response.prepare(request)
        async for text in _metadata(found):
            await response.write(text)
        await response.write_eof()
        return response

    async def _select(self, request: web.Request) -> tuple[StoredImage, ...]:
        names = request.match_info
        if not all(is_oid(value) for value in names.values()):
            raise web.HTTPBadRequest(text="a UID in the path is none\n")
        folder = self._source.locations.get(names["location"])
        if folder is None or names["location"] not in self._offered:
            raise web.HTTPNotFound(text="there is no such location\n")
        index = await folder.index()
        found = index.select(names["study"], names.get("series"), names.get("instance"))
        found = await asyncio.to_thread(lambda: tuple(image for image in found if image.is_there))
        if not found:
            raise web.HTTPNotFound(text="the location has nothing of this study, series or instance\n")
        return found


def add_routes(router: web.UrlDispatcher, key: web.AppKey[DicomWeb]) -> None:
    """The routes, for an application that has its DicomWeb under `key` once it has started."""

    async def instances(request: web.Request) -> web.StreamResponse:
        return await request.app[key].instances(request)

    async def metadata(request: web.Request) -> web.StreamResponse:
        return await request.app[key].metadata(request)

    for path in _PATHS:
        router.add_route("GET", path, instances)
        router.add_route("GET", path + "/metadata", metadata)


def _accept(request: web.Request) -> str:
    return ", ".join(request.headers.getall("Accept", [])) or "*/*"


def _items(accept: str) -> Iterator[str]:
    for item in _ITEM.findall(accept):
        if parse_media_type(item).parameters.get("q", "1").strip("0."):
            yield item


def _accepted_syntaxes(accept: str) -> frozenset[str]:
    """Transfer syntaxes of an Accept header; `*` for any. Without the parameter it is the default one of
    PS3.18 8.7.3.5.2, explicit VR little endian."""
    syntaxes: set[str] = set()
    for item in _items(accept):
        media = parse_media_type(item)
        if media.name in {"*/*", "multipart/*"}:
            syntaxes.add(_ALL)
        elif media.name == MULTIPART and media.parameters.get("type", DICOM).lower() == DICOM:
            syntaxes.add(media.parameters.get("transfer-syntax", EXPLICIT_LITTLE_ENDIAN))
    return frozenset(syntaxes)


def _part_head(boundary: str, image: StoredImage) -> bytes:
    return (
        f"\r\n--{boundary}\r\nContent-Type: {DICOM}; transfer-syntax={image.header.transfer_syntax}\r\n"
        f"Content-Length: {image.size}\r\n\r\n"
    ).encode()


async def _metadata(images: tuple[StoredImage, ...]) -> AsyncIterator[bytes]:
    opening = b"["
    for image in images:
        yield opening + await asyncio.to_thread(_as_json, image.path)
        opening = b","
    yield b"]"


def _as_json(path: Path) -> bytes:
    from pydicom import dcmread

    dataset = dcmread(path, stop_before_pixels=True)
    content = dataset.to_json_dict(_BULK_FROM, lambda _element: "", suppress_invalid_tags=True)
    return json.dumps(_without_bulk(content), ensure_ascii=False).encode()


def _without_bulk(content: dict[str, Any]) -> dict[str, Any]:
    """The elements whose values are short, in items of sequences too: there is no URL for the others."""
    kept: dict[str, Any] = {}
    for tag, element in content.items():
        if element["vr"] == "SQ" and element.get("Value"):
            kept[tag] = {**element, "Value": [_without_bulk(item) for item in element["Value"]]}
        elif "BulkDataURI" not in element:
            kept[tag] = element
    return kept
