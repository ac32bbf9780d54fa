"""What a search request says: parameters of URL and form, and how strict the client wants it (FHIR R4 search
3.1.1.1; ITI TF-2 Appendix Z.6).
"""

import re
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.fhir.issues import fail
from gateway.fhir.version_search import in_r4
from gateway.mhd.bases import own_values, release_of, type_of
from gateway.mhd.negotiation import body_chunks, negotiate
from gateway.model.releases import FhirRelease
from gateway.security.subjects import searched_with

_FORM = "application/x-www-form-urlencoded"
_MAX_FORM_BYTES = 256 * 1024


async def search_parameters(request: web.Request) -> list[tuple[str, str]]:
    """Parameters of URL and form together, by which the answer is negotiated; those of R5 as R4 has them."""
    parameters = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    if request.method == "POST":
        parameters += await _form(request)
    negotiate(request, parameters)
    return _understood(request, parameters)


def view_parameters(request: web.Request) -> list[tuple[str, str]]:
    """Parameters of a read by id."""
    return _understood(request, parse_qsl(request.rel_url.raw_query_string))


def _understood(request: web.Request, parameters: list[tuple[str, str]]) -> list[tuple[str, str]]:
    own = own_values(request, parameters)
    if release_of(request) is not FhirRelease.R5:
        return own
    return [in_r4(name, value, type_of(request)) for name, value in own]


def is_strict(request: web.Request) -> bool:
    """True where the client prefers an error to a parameter that is left out."""
    return "handling=strict" in re.sub(r'[\s"]', "", request.headers.get("Prefer", "")).lower()


async def _form(request: web.Request) -> list[tuple[str, str]]:
    if request.content_type != _FORM:
        if not request.can_read_body:
            return []
        raise fail(415, "not-supported", f"A POST _search takes {_FORM}.")
    body = bytearray()
    async for chunk in body_chunks(request):
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise fail(413, "too-long", f"The form has more than {_MAX_FORM_BYTES} bytes.")
    searched_with(bytes(body))
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError:
        raise fail(400, "structure", "The form is not UTF-8.") from None
