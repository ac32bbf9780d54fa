"""Errors of the console as pages; texts of unexpected errors stay out of page and log."""

from collections.abc import Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.console.rendering import page
from gateway.fhir.issues import OutcomeError
from gateway.fhir.outcome import outcome_of_failure, outcome_of_peer_error
from gateway.model.errors import PeerError, RegistryFailure
from gateway.security.access import NotGranted, OtherPatient
from gateway.security.policy import Denied, PolicyUnavailable
from gateway.security.scopes import as_scope
from gateway.telemetry.logs import where

log = structlog.get_logger()

_TITLES = {404: "Nothing is here", 405: "Not that way", 413: "Too long"}
_TEXTS = {404: "The console has no page at this address.", 405: "This address takes another method."}


class PageError(Exception):
    """What a page cannot show: HTTP status, a title of few words, and what happened and what to do.

    No part of it may hold data of a patient.
    """

    def __init__(
        self, status: int, title: str, text: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.text = status, title, text
        self.headers = dict(headers or {})


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into pages."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            # raised further it would count as a client that left
            return web.Response(status=error.status, headers={"Location": error.headers["Location"]})
        title = _TITLES.get(error.status, "That did not work")
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _shown(
            request, PageError(error.status, title, _TEXTS.get(error.status, error.reason), headers=allowed)
        )
    except Exception as error:
        return _shown(request, _page_error(error))


def _page_error(error: Exception) -> PageError:
    match error:
        case PageError():
            return error
        case NotGranted():
            return PageError(
                403, "Not granted", f"Your token does not grant this. It needs {as_scope(error.needed)}."
            )
        case OtherPatient() | Denied():
            return PageError(403, "Not granted", "Your token does not open what was asked for.")
        case PolicyUnavailable():
            return PageError(503, "Not now", "The policy of this site cannot be asked now.")
        case RegistryFailure():
            return _of_outcome(outcome_of_failure(error))
        case PeerError():
            return _of_outcome(outcome_of_peer_error(error))
        case OutcomeError():
            return _of_outcome(error)
        case _:
            log.error("console.unexpected", **where(error))
            return PageError(500, "An error of the gateway", "The log of the gateway says where.")


def _of_outcome(error: OutcomeError) -> PageError:
    text = " ".join(issue.diagnostics for issue in error.issues)
    return PageError(error.status, "That did not work", text, headers=error.headers)


def _shown(request: web.Request, error: PageError) -> web.Response:
    response = page(request, "error.html", status=error.status, title=error.title, text=error.text)
    response.headers.update(error.headers)
    return response
