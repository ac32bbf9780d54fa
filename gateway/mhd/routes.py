"""The FHIR endpoints of IHE MHD: each handler parses, calls one use case and writes the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
import structlog
from aiohttp import web

from gateway.fhir.issues import OutcomeError
from gateway.fhir.resource_view import View, read_view
from gateway.fhir.search_values import SearchProblem
from gateway.http_body import write_body
from gateway.mhd.admission import Admission
from gateway.mhd.binary import binary_resource, wants_resource
from gateway.mhd.definitions import Definitions
from gateway.mhd.document_types import is_active
from gateway.mhd.find import Finder
from gateway.mhd.find_all import AllFinder
from gateway.mhd.find_lists import ListFinder
from gateway.mhd.find_patients import PatientFinder
from gateway.mhd.match_patients import PatientMatcher
from gateway.mhd.negotiation import body_chunks, body_format, negotiate, respond
from gateway.mhd.publish import Publisher
from gateway.mhd.read import Reader
from gateway.mhd.retrieve import Conditions, Retrieval, Retriever
from gateway.mhd.search_requests import is_strict, search_parameters, view_parameters
from gateway.mhd.sources import ClientOf, nobody
from gateway.model.errors import PeerError
from gateway.security.subjects import broken_off
from gateway.telemetry.logs import where

_NOTHING_RUNS = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_DEFINED = "SearchParameter|OperationDefinition"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the routes call."""

    publisher: Publisher
    finder: Finder
    list_finder: ListFinder
    all_finder: AllFinder
    definitions: Definitions
    retriever: Retriever
    reader: Reader
    patient_finder: PatientFinder
    patient_matcher: PatientMatcher
    capability_statement: Callable[[], bytes]
    base_url: str
    client_of: ClientOf = nobody


class MhdRoutes:
    """The routes below the FHIR base path (`/fhir`)."""

    def __init__(self, use_cases: UseCases, admission: Admission) -> None:
        self._use = use_cases
        self._admission = admission

    def table(self, base_path: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        return [
            web.get(f"{base_path}/metadata", self.metadata),
            web.get(base_path or "/", self.search_all),
            web.get(f"{base_path}/", self.search_all),
            web.post(f"{base_path}/_search", self.search_all),
            web.post(base_path or "/", self.provide_bundle),
            web.post(f"{base_path}/", self.provide_bundle),
            web.post(f"{base_path}/DocumentReference", self.publish_document),
            web.post(f"{base_path}/DocumentReference/$generate-metadata", self.generate_metadata),
            web.get(f"{base_path}/DocumentReference", self.search),
            web.post(f"{base_path}/DocumentReference/_search", self.search),
            web.get(f"{base_path}/DocumentReference/{{id}}", self.read_document_reference),
            web.get(f"{base_path}/List", self.search_lists),
            web.post(f"{base_path}/List/_search", self.search_lists),
            web.get(f"{base_path}/List/{{id}}", self.read_list),
            web.get(f"{base_path}/Patient", self.search_patients),
            web.post(f"{base_path}/Patient/_search", self.search_patients),
            web.post(f"{base_path}/Patient/$match", self.match_patients),
            web.get(f"{base_path}/Patient/{{id}}", self.read_patient),
            web.get(f"{base_path}/{{type:{_DEFINED}}}", self.search_definitions),
            web.post(f"{base_path}/{{type:{_DEFINED}}}/_search", self.search_definitions),
            web.get(f"{base_path}/{{type:{_DEFINED}}}/{{id}}", self.read_definition),
            web.get(f"{base_path}/Binary/{{id}}", self.read_binary, allow_head=False),
            web.get(f"{base_path}/content/{{token}}", self.retrieve, allow_head=False),
            web.head(f"{base_path}/content/{{token}}", self.describe),
        ]

    async def metadata(self, request: web.Request) -> web.Response:
        """CapabilityStatement."""
        negotiate(request)
        return await respond(request, self._use.capability_statement())

    async def provide_bundle(self, request: web.Request) -> web.Response:
        """ITI-65."""
        negotiate(request)
        wire_format = body_format(request)
        async with self._admission.read(body_chunks(request), request.content_length) as body:
            answer = await self._use.publisher.publish(body, wire_format)
        return await respond(request, answer)

    async def publish_document(self, request: web.Request) -> web.Response:
        """ITI-105."""
        negotiate(request)
        wire_format, client = body_format(request), self._use.client_of(request)
        async with self._admission.read(body_chunks(request), request.content_length) as body:
            resource = await self._use.publisher.publish_document(body, wire_format, client)
        location = f"{self._use.base_url}/DocumentReference/{orjson.loads(resource)['id']}"
        return await respond(request, resource, status=201, headers={"Location": location})

    async def generate_metadata(self, request: web.Request) -> web.Response:
        """ITI-106."""
        negotiate(request)
        wire_format, client = body_format(request), self._use.client_of(request)
        async with self._admission.read(body_chunks(request), request.content_length) as body:
            answer = await self._use.publisher.generate_metadata(body, wire_format, client)
        return await respond(request, answer)

    async def search(self, request: web.Request) -> web.Response:
        """ITI-67, with GET and with POST `_search`."""
        return await _search(request, self._use.finder, await search_parameters(request))

    async def search_lists(self, request: web.Request) -> web.Response:
        """ITI-66, with GET and with POST `_search`."""
        return await _search(request, self._use.list_finder, await search_parameters(request))

    async def search_all(self, request: web.Request) -> web.Response:
        """Search at the base; over one type it is that of the type."""
        parameters = await search_parameters(request)
        types = self._use.all_finder.types(parameters)
        if len(types) > 1:
            return await _search(request, self._use.all_finder, parameters)
        others = [parameter for parameter in parameters if parameter[0] != "_type"]
        one = self._use.list_finder if types == ("List",) else self._use.finder
        return await _search(request, one, others)

    async def search_definitions(self, request: web.Request) -> web.Response:
        """Search of SearchParameter or OperationDefinition."""
        parameters = await search_parameters(request)
        found = self._use.definitions.search(
            request.match_info["type"], parameters, strict=is_strict(request)
        )
        return await respond(request, found)

    async def read_definition(self, request: web.Request) -> web.Response:
        """Read of one SearchParameter or OperationDefinition."""
        negotiate(request)
        resource = self._use.definitions.read(request.match_info["type"], request.match_info["id"])
        return await respond(request, resource)

    async def read_document_reference(self, request: web.Request) -> web.Response:
        """Read of one DocumentReference."""
        negotiate(request)
        view = _view(request, "DocumentReference")
        return await respond(request, view.apply(await self._use.finder.read(request.match_info["id"])))

    async def read_list(self, request: web.Request) -> web.Response:
        """Read of one SubmissionSet or Folder."""
        negotiate(request)
        view = _view(request, "List")
        resource = await self._use.reader.read_list(request.match_info["id"])
        version = orjson.loads(resource)["meta"].get("versionId")
        headers = {"ETag": f'W/"{version}"'} if version else {}
        return await respond(request, view.apply(resource), headers=headers)

    async def search_patients(self, request: web.Request) -> web.Response:
        """ITI-78, with GET and with POST `_search`."""
        parameters = await search_parameters(request)
        found = await self._use.patient_finder.search(parameters, strict=is_strict(request))
        return await respond(request, found)

    async def match_patients(self, request: web.Request) -> web.Response:
        """ITI-119."""
        negotiate(request)
        wire_format, named = body_format(request), parse_qsl(request.rel_url.raw_query_string)
        async with self._admission.read(body_chunks(request), request.content_length) as body:
            found = await self._use.patient_matcher.match(body, wire_format, named)
        return await respond(request, found)

    async def read_patient(self, request: web.Request) -> web.Response:
        """ITI-78: read of the Patient that stands for an identifier."""
        negotiate(request)
        view = _view(request, "Patient")
        found = await self._use.patient_finder.read(request.match_info["id"])
        return await respond(request, view.apply(found))

    async def describe(self, request: web.Request) -> web.Response:
        """HEAD of a document."""
        found = await self._use.retriever.describe(request.match_info["token"], _conditions(request))
        headers = _document_headers(found)
        if found.status == 200 and found.size is not None:
            headers["Content-Length"] = str(found.size)
        return web.Response(status=found.status, headers=headers)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """ITI-68."""
        async with self._use.retriever.retrieve(request.match_info["token"], _conditions(request)) as found:
            return await _stream(request, found)

    async def read_binary(self, request: web.Request) -> web.StreamResponse:
        """Read of one Binary: the resource where a FHIR format is asked for, else the document itself."""
        logical_id = request.match_info["id"]
        key = await self._use.retriever.find_binary(logical_id)
        if not wants_resource(request, key.media_type):
            async with self._use.retriever.retrieve_binary(key, _conditions(request)) as found:
                return await _stream(request, found)
        negotiate(request)
        async with self._use.retriever.retrieve_binary(key, Conditions()) as found:
            return await respond(request, await binary_resource(logical_id, found))


async def _stream(request: web.Request, found: Retrieval) -> web.StreamResponse:
    """The document as it comes, in constant memory."""
    if found.chunks is None:
        return web.Response(status=found.status, headers=_document_headers(found))
    response = web.StreamResponse(status=found.status, headers=_document_headers(found))
    if found.length is not None:
        response.content_length = found.length
    await response.prepare(request)
    try:
        await write_body(request, response, found.chunks)
    except ConnectionResetError:
        broken_off("the client left")
        log.info("retrieve.client_gone")
    except Exception as error:
        _cut_off(request, error)
    return response


async def _search(
    request: web.Request, finder: Finder | ListFinder | AllFinder, parameters: list[tuple[str, str]]
) -> web.Response:
    page = next((value for name, value in parameters if name == "_page"), None)
    if page is not None:
        return await respond(request, await finder.page(page, parameters))
    return await respond(request, await finder.search(parameters, strict=is_strict(request)))


def _view(request: web.Request, resource_type: str) -> View:
    """How much of the resource a read by id asks for."""
    try:
        return read_view(view_parameters(request), resource_type)
    except SearchProblem as problem:
        raise OutcomeError(400, (problem.issue,)) from None


def _cut_off(request: web.Request, error: Exception) -> None:
    """End the connection in the middle: the status is sent already, so only this tells the client."""
    broken_off("the document ended before its end")
    details = where(error)
    if isinstance(error, PeerError):
        details |= {"peer": error.peer, "transaction": error.transaction}
    log.error("retrieve.cut_off", **details)
    if request.transport is not None:
        request.transport.close()


def _conditions(request: web.Request) -> Conditions:
    headers = request.headers
    return Conditions(
        accept=headers.get("Accept"),
        if_none_match=headers.get("If-None-Match"),
        if_range=headers.get("If-Range"),
        range=headers.get("Range"),
    )


def _document_headers(found: Retrieval) -> dict[str, str]:
    headers = {
        "Content-Type": found.media_type,
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if is_active(found.media_type):
        # a browser that opens it at this address runs nothing of it
        headers["Content-Security-Policy"] = _NOTHING_RUNS
    if found.negotiated:
        headers["Vary"] = "Accept"
    if found.etag is not None:
        headers["ETag"] = found.etag
    if found.size is not None:
        headers["Accept-Ranges"] = "bytes"
    if found.range is not None:
        headers["Content-Range"] = f"bytes {found.range.first}-{found.range.last}/{found.size}"
    return headers
