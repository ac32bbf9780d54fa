"""WADO-RS for studies, series and instances (RAD-107; DICOM PS3.18 10.4) and WADO-URI (RAD-55; PS3.18 9).

Three bases: `{fhir base}/wado/{token}`, which endpoints of ImagingStudies and manifests give,
`{fhir base}/dicomweb` for clients that know the UID of a study which this gateway has seen, or add the
parameter `patient` (`Patient/id`) for one that it has not, and
`{fhir base}/wado/homeCommunityId/{oid}/RetrieveLocationUID/{oid}` for who knows where it is (RAD-160).
"""

import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog
from aiohttp import web
from msgspec.structs import replace as changed

from gateway.chunks import Chunk
from gateway.fhir.issues import fail
from gateway.http_body import write_body
from gateway.imaging.archive_views import ArchiveViews
from gateway.imaging.dicom_accept import DICOM, DICOM_JSON, MULTIPART, negotiate_dicom, negotiate_json
from gateway.imaging.grants import Grants
from gateway.imaging.located import Located, LocatedImages
from gateway.imaging.plan import ImageSelection, NoSuchImage
from gateway.imaging.problems import no_images, no_such_image
from gateway.imaging.retrieve import ImageRetriever, Images, IncompleteImages, NoImages
from gateway.model import Cx
from gateway.model.errors import PeerError
from gateway.model.images import ImagePart
from gateway.model.oids import bare_oid, is_oid
from gateway.security.subjects import broken_off
from gateway.telemetry.logs import where

_UID: Final = r"[0-9.]{1,128}"
_STUDY: Final = f"/{{kind:stud(?:y|ies)}}/{{study:{_UID}}}"
_LEVELS: Final = (
    _STUDY,
    f"{_STUDY}/series/{{series:{_UID}}}",
    f"{_STUDY}/series/{{series:{_UID}}}/instances/{{sop:{_UID}}}",
)
_RENDERED: Final = ("image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "text/plain")
_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}

log = structlog.get_logger()


class WadoRoutes:
    """The routes below the FHIR base path."""

    def __init__(
        self,
        grants: Grants,
        retriever: ImageRetriever,
        views: ArchiveViews,
        *,
        located: LocatedImages,
        patient_of: Callable[[str], Cx | None],
        base_url: str,
    ) -> None:
        """`patient_of` resolves `Patient/id`; None where it is not of this server."""
        self._grants = grants
        self._located = located
        self._retriever = retriever
        self._views = views
        self._patient_of = patient_of
        self._base_url = base_url
        self._base_path = ""

    def table(self, base_path: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        self._base_path = base_path
        routes: list[web.RouteDef] = []
        located = f"{base_path}/wado/homeCommunityId/{{home:{_UID}}}/RetrieveLocationUID/{{location:{_UID}}}"
        for base in (f"{base_path}/wado/{{token}}", f"{base_path}/dicomweb", located):
            for level in _LEVELS:
                routes.append(web.get(base + level, self.retrieve, allow_head=False))
                routes.append(web.get(f"{base}{level}/metadata", self.metadata, allow_head=False))
            routes.append(web.get(f"{base}{_LEVELS[-1]}/rendered", self.rendered, allow_head=False))
            if base != located:
                routes.append(web.get(base, self.wado_uri, allow_head=False))
        return routes

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """WADO-RS Retrieve of a study, a series or an instance."""
        form = negotiate_dicom(_accept(request), one_instance="sop" in request.match_info)
        selection = await self._selection(request)
        async with _opened(self._retriever, selection, form.transfer_syntaxes) as images:
            if form.single:
                return await _send_single(request, images)
            return await _send_multipart(request, images)

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """Attributes without bulk data, from the archives that give them."""
        negotiate_json(_accept(request))
        selection = await self._selection(request)
        try:
            body, problem = await self._views.metadata(selection, self._address(request))
        except NoSuchImage as error:
            raise no_such_image(error) from None
        headers = dict(_HEADERS) | ({"Warning": problem} if problem else {})
        return web.Response(
            status=206 if problem else 200, body=body, content_type=DICOM_JSON, headers=headers
        )

    def _address(self, request: web.Request) -> str:
        """What is described, as clients reach it; a proxy in front may have changed the path."""
        path = request.path.removeprefix(self._base_path).removesuffix("/metadata")
        return self._base_url + path

    async def rendered(self, request: web.Request) -> web.StreamResponse:
        """An instance as a picture, from an archive that renders."""
        selection = await self._selection(request)
        accept = ", ".join(_accept(request)) or "image/jpeg"
        try:
            async with self._views.rendered(selection, request.query, accept) as view:
                media = view.content_type.partition(";")[0].strip().lower()
                if media not in _RENDERED:
                    raise fail(502, "exception", "The archive gives no picture of this instance.")
                response = web.StreamResponse(headers={"Content-Type": media, **_HEADERS})
                await response.prepare(request)
                return await _written(request, response, view.chunks)
        except NoSuchImage as error:
            raise no_such_image(error) from None

    async def wado_uri(self, request: web.Request) -> web.StreamResponse:
        """WADO-URI (RAD-55): one instance, named by parameters."""
        query = request.query
        if query.get("requestType") != "WADO":
            raise fail(400, "required", "requestType must be WADO; images are also at /studies/[uid].")
        named = {name: query.get(name, "") for name in ("studyUID", "seriesUID", "objectUID")}
        for name, value in named.items():
            if not is_oid(value):
                raise fail(400, "value", f"{name} must be a UID.", expression=name)
        wanted = [part for part in query.get("contentType", DICOM).split(",") if part.strip()]
        form = negotiate_dicom(wanted or [DICOM], one_instance=True)
        syntax = query.get("transferSyntax")
        selection = changed(
            await self._granted(request, named["studyUID"]),
            series_uid=named["seriesUID"],
            sop_instance_uid=named["objectUID"],
        )
        syntaxes = (syntax,) if syntax and is_oid(syntax) else form.transfer_syntaxes
        async with _opened(self._retriever, selection, syntaxes) as images:
            return await _send_single(request, images)

    async def _selection(self, request: web.Request) -> ImageSelection:
        names = request.match_info
        if "home" in names:
            granted = await self._located.selection(
                Located(
                    names["home"],
                    names["location"],
                    names["study"],
                    series=names.get("series"),
                    instance=names.get("sop"),
                ),
                self._patient(request),
            )
        else:
            granted = await self._granted(request, bare_oid(names["study"]))
        return changed(granted, series_uid=names.get("series"), sop_instance_uid=names.get("sop"))

    async def _granted(self, request: web.Request, study: str) -> ImageSelection:
        token = request.match_info.get("token")
        if token is not None:
            return await self._grants.by_token(token, study)
        return await self._grants.by_study(study, self._patient(request))

    def _patient(self, request: web.Request) -> Cx | None:
        """Whose study the request says it is."""
        named = request.query.get("patient")
        if named is None:
            return None
        patient = self._patient_of(named)
        if patient is None:
            raise fail(404, "not-found", "patient: give Patient/[id] as a search of this server shows it.")
        return patient


class _opened(AbstractAsyncContextManager[Images]):  # noqa: N801 - used as a function
    """A retrieval whose failures are OperationOutcomes."""

    def __init__(
        self, retriever: ImageRetriever, selection: ImageSelection, syntaxes: tuple[str, ...]
    ) -> None:
        self._opening = retriever.retrieve(selection, syntaxes)

    async def __aenter__(self) -> Images:
        try:
            return await self._opening.__aenter__()
        except NoSuchImage as error:
            raise no_such_image(error) from None
        except NoImages as error:
            raise no_images(error) from None

    async def __aexit__(self, *details: object) -> bool | None:
        return await self._opening.__aexit__(*details)  # type: ignore[arg-type]


def _accept(request: web.Request) -> list[str]:
    # PS3.18 8.3.3.1: the parameter is for clients that cannot set headers
    return [*request.query.getall("accept", ()), *request.headers.getall("Accept", ())]


def _warning(images: Images) -> dict[str, str]:
    if not images.partial:
        return {}
    log.warning("images.partial", missing=len(images.errors), wanted=images.wanted)
    return {"Warning": f'299 - "{len(images.errors)} of {images.wanted} instances cannot be had"'}


async def _send_multipart(request: web.Request, images: Images) -> web.StreamResponse:
    boundary = secrets.token_hex(16)
    response = web.StreamResponse(
        status=206 if images.partial else 200,
        headers={
            "Content-Type": f'{MULTIPART}; type="{DICOM}"; boundary={boundary}',
            **_HEADERS,
            **_warning(images),
        },
    )
    await response.prepare(request)
    return await _written(request, response, _framed(images.parts, boundary))


async def _framed(parts: AsyncIterator[ImagePart], boundary: str) -> AsyncIterator[Chunk]:
    lead = ""
    async for part in parts:
        syntax = f"; transfer-syntax={part.transfer_syntax}" if part.transfer_syntax else ""
        yield f"{lead}--{boundary}\r\nContent-Type: {DICOM}{syntax}\r\n\r\n".encode("ascii")
        lead = "\r\n"
        async for chunk in part.chunks:
            yield chunk
    yield f"\r\n--{boundary}--\r\n".encode("ascii")


async def _send_single(request: web.Request, images: Images) -> web.StreamResponse:
    async for part in images.parts:
        syntax = f"; transfer-syntax={part.transfer_syntax}" if part.transfer_syntax else ""
        response = web.StreamResponse(headers={"Content-Type": f"{DICOM}{syntax}", **_HEADERS})
        if part.size is not None:
            response.content_length = part.size
        await response.prepare(request)
        return await _written(request, response, part.chunks)
    raise fail(404, "not-found", "The source gives no such instance.")


async def _written(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[Chunk]
) -> web.StreamResponse:
    """Write all; what fails now can only be told by ending the connection without the end of the message."""
    try:
        await write_body(request, response, chunks)
    except ConnectionResetError:
        broken_off("the client left")
        log.info("images.client_gone")
    except IncompleteImages as error:
        log.error(
            "images.incomplete",
            missing=len(error.errors),
            codes=sorted({_code(e.code) for e in error.errors}),
        )
        _cut(request)
    except Exception as error:
        details = where(error)
        if isinstance(error, PeerError):
            details |= {"peer": error.peer, "transaction": error.transaction}
        log.error("images.cut_off", **details)
        _cut(request)
    return response


def _cut(request: web.Request) -> None:
    broken_off("the images ended before their end")
    if request.transport is not None:
        request.transport.close()


def _code(code: str) -> str:
    # peers put free text there
    return code if re.fullmatch(r"[A-Za-z0-9:. -]{1,60}", code) else "other"
