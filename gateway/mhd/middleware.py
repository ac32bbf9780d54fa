"""What every FHIR request has in common: one log line, and an OperationOutcome for every error."""

import time
from contextlib import nullcontext
from typing import Final

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.hdrs import METH_ALL
from aiohttp.typedefs import Handler, Middleware

from gateway.crossborder.deadlines import within
from gateway.ebxml.errors import MetadataError, StoredQueryError
from gateway.fhir.error_table import known_code
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.outcome import outcome_of_failure, outcome_of_peer_error, write_outcome
from gateway.legs import collected
from gateway.mhd.negotiation import respond
from gateway.mhd.retrieve import AlteredDocument
from gateway.model.errors import PeerError, RegistryFailure
from gateway.telemetry.logs import where
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.recent import RecentRequests, Request
from gateway.telemetry.traces import Traced
from gateway.telemetry.tracing import REQUEST_ID, Asked, asked_by
from gateway.telemetry.transactions import CONSOLE, EXPLORER, UNKNOWN, transaction_of

log = structlog.get_logger()

_ASKED = web.RequestKey("asked", Asked)
_HTTP_ISSUES = {400: "structure", 404: "not-found", 405: "not-supported", 413: "too-long"}


@web.middleware
async def outcomes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into OperationOutcomes; texts of unexpected errors stay out of answer and log."""
    try:
        return await handler(request)
    except OutcomeError as error:
        return await _write(request, error)
    except RegistryFailure as failure:
        log.warning(
            "peer.failure",
            peer=failure.peer,
            transaction=failure.transaction,
            codes=[known_code(e.code) for e in failure.errors],
        )
        return await _write(request, outcome_of_failure(failure))
    except PeerError as error:
        log.warning("peer.error", peer=error.peer, transaction=error.transaction, error=type(error).__name__)
        return await _write(request, outcome_of_peer_error(error))
    except MetadataError as error:
        return await _write(
            request,
            fail(422, "value", f"ITI-41 cannot carry this: {error.context}.", details_code=error.code),
        )
    except StoredQueryError as error:
        return await _write(request, fail(400, "value", f"ITI-18 cannot ask for this: {error.context}."))
    except AlteredDocument as error:
        log.error("retrieve.altered", peer=error.peer, reason=str(error))
        text = f"{error.peer} (ITI-43): The document is not the one that is registered: {error}."
        return await _write(request, fail(502, "exception", text))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return await _write(request, _of_http(request, error))
    except Exception as error:
        log.error("request.unexpected", route=_route(request), **where(error))
        return await _write(
            request, fail(500, "exception", "The server failed on this request; its log says where.")
        )


def observed(metrics: Metrics, traced: Traced, recent: RecentRequests | None = None) -> Middleware:
    """Each request is counted and has one log line: method, route, status and milliseconds, and the ids that
    name it; never the query, ids of resources or addresses. Its span says the same, and `recent` keeps it."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        status, sent = 499, 0
        with (
            traced(request.headers) as (asked, span),
            asked_by(asked),
            metrics.in_flight.track_inprogress(),
            nullcontext() if recent is None else collected() as legs,
        ):
            request[_ASKED] = asked
            try:
                response = await handler(request)
                status, sent = response.status, _bytes_of(response)
                return response
            finally:
                seconds = time.perf_counter() - started
                route = _route(request)
                name = transaction_of(request.method, route, request.match_info.get("type", ""))
                received = request.content_length or 0
                metrics.request(name, status, seconds, received, sent)
                span.name(name)
                span.set("http.request.method", _method(request))
                span.set("http.route", route)
                span.set("http.response.status_code", status)
                if status >= 500:
                    span.fail(str(status))
                log.info(
                    "request",
                    method=_method(request),
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                )
                if recent is not None and legs is not None and name not in _NOT_KEPT:
                    recent.add(
                        Request(
                            asked.request_id,
                            name,
                            status,
                            time.time(),
                            seconds,
                            received,
                            sent,
                            tuple(legs.kept),
                            legs.more,
                        )
                    )

    return observe


_NOT_KEPT: Final = frozenset({CONSOLE, EXPLORER, "health", "metrics"})
"""Who looks at the gateway would see himself."""


def bounded(seconds: float) -> Middleware:
    """What a request asks of several communities ends after so many seconds."""

    @web.middleware
    async def bound(request: web.Request, handler: Handler) -> web.StreamResponse:
        with within(seconds):
            return await handler(request)

    return bound


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: the answer tells the id by which the request is found in the log, and no
    versions of libraries."""
    response.headers[hdrs.SERVER] = "mhd-xds-gateway"
    if (asked := request.get(_ASKED)) is not None:
        response.headers[REQUEST_ID] = asked.request_id


def _bytes_of(response: web.StreamResponse) -> int:
    return response.body_length if response.prepared else response.content_length or 0


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNKNOWN


def _method(request: web.Request) -> str:
    # a client may send any word as method
    return request.method if request.method in METH_ALL else UNKNOWN


def _of_http(request: web.Request, error: web.HTTPException) -> OutcomeError:
    code = _HTTP_ISSUES.get(error.status, "processing")
    if error.status == 404:
        text = "Nothing is served at this path; GET [base]/metadata says what is."
    elif error.status == 405:
        text = f"{request.method} is not supported here; Allow says what is."
    else:
        text = error.reason
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return OutcomeError(error.status, (Issue("error", code, text),), headers)


async def _write(request: web.Request, error: OutcomeError) -> web.Response:
    outcome = orjson.dumps(write_outcome(error.issues))
    return await respond(
        request, outcome, status=error.status, headers=error.headers, in_release=error.as_sent
    )
