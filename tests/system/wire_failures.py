"""What can go wrong on the wire to a peer: handlers that answer in place of the affinity domain."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web
from lxml import etree

from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.responses import write_registry_response
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref, write_retrieve_response
from gateway.model import DocumentHeader, QueryResult, RegistryError, RegistryResponse, ResponseStatus
from tests.soap.wire import RELATED, document_part, envelope, related, root_part
from tests.system.stack import REPOSITORY as REPOSITORY_ID

Failure = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

_PASSED = "X-Passed"
SOAP = "application/soap+xml"
REGISTRY, REPOSITORY = "/xds/registry", "/xds/repository"


def at(path: str, failure: Failure, *, asked_for: bytes = b"") -> Failure:
    """The failure at one endpoint, for requests that contain `asked_for`; others pass."""

    async def interfere(request: web.Request) -> web.StreamResponse | None:
        if request.path != path or _PASSED in request.headers:
            return None
        if asked_for and asked_for not in await request.read():
            return await forwarded(request)
        return await failure(request)

    return interfere


async def forwarded(request: web.Request) -> web.Response:
    """The affinity domain's own answer to a request whose body was read."""
    headers = {"Content-Type": request.headers["Content-Type"], _PASSED: "yes"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(request.url, data=await request.read(), headers=headers) as answer,
    ):
        return web.Response(
            status=answer.status,
            body=await answer.read(),
            headers={"Content-Type": answer.headers["Content-Type"]},
        )


async def carried_out_then_cut(request: web.Request) -> web.Response:
    """Carries the request out and drops the connection before its answer."""
    answer = await forwarded(request)
    assert answer.status == 200
    return await cut_before_headers(request)


def answering(body: str | bytes, content_type: str = SOAP, status: int = 200, **headers: str) -> Failure:
    """The same answer to every request."""
    content = body.encode() if isinstance(body, str) else body

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=content, headers={"Content-Type": content_type, **headers})

    return answer


def fault(code: str, subcode: str = "", reason: str = "no", status: int = 500) -> Failure:
    """A SOAP 1.2 fault; `subcode` is of WS-Security."""
    inner = f"<env:Subcode><env:Value>wsse:{subcode}</env:Value></env:Subcode>" if subcode else ""
    wsse = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    return answering(
        envelope(
            f'<env:Fault xmlns:wsse="{wsse}"><env:Code><env:Value>env:{code}</env:Value>{inner}</env:Code>'
            f'<env:Reason><env:Text xml:lang="en">{reason}</env:Text></env:Reason></env:Fault>'
        ),
        status=status,
    )


async def silent(request: web.Request) -> web.Response:
    """Takes the request and never answers."""
    await request.read()
    await asyncio.sleep(60)
    return web.Response()


async def cut_before_headers(request: web.Request) -> web.Response:
    """Takes the request and drops the connection."""
    await request.read()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_after_headers(request: web.Request) -> web.StreamResponse:
    """Starts an answer and drops the connection."""
    await request.read()
    answer = web.StreamResponse(headers={"Content-Type": SOAP, "Content-Length": "5000"})
    await answer.prepare(request)
    await answer.write(b"<env:Envelope")
    assert request.transport is not None
    request.transport.close()
    return answer


def soap(body: etree._Element) -> Failure:
    """An answer with this body element."""
    return answering(envelope(etree.tostring(body, encoding="unicode")))


def submission_answer(status: ResponseStatus, *errors: RegistryError) -> Failure:
    """An answer to ITI-41."""
    return soap(write_registry_response(RegistryResponse(status, errors)))


def query_answer(result: QueryResult) -> Failure:
    """An answer to ITI-18."""
    return soap(write_query_response(result))


def retrieve_answer(status: ResponseStatus, *errors: RegistryError) -> Failure:
    """An answer to ITI-43 without documents."""
    return soap(write_retrieve_response(RetrieveAnswer(status, errors, ())))


def document_answer(unique_id: str, content: bytes, *, cut_at: int | None = None) -> Failure:
    """An MTOM answer to ITI-43 with one document; the connection ends after `cut_at` bytes of the body."""
    header = DocumentHeader(REPOSITORY_ID, unique_id, "text/plain")
    found = RetrieveAnswer(ResponseStatus.SUCCESS, (), (RetrievedDocument(header, XopHref("cid:doc@peer")),))
    xml = etree.tostring(write_retrieve_response(found), encoding="unicode")
    body = related(root_part(envelope(xml)), document_part(content))

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": RELATED, "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[:cut_at])
        if cut_at is not None:
            assert request.transport is not None
            request.transport.close()
        return response

    return answer
