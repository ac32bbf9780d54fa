"""Who asks: the ids by which one request is found in the logs of everyone that it passes.

`traceparent` (W3C Trace Context) and `X-Request-Id` (FHIR R4 HTTP, custom headers) of a request are taken
over, else made, put on every log line of the request and sent on to peers. A request id that a client makes
up may say who a patient is, so only ids of no meaning (UUIDs and ULIDs) are taken.
"""

import re
import secrets
import uuid
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from gateway import spans

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
REQUEST_ID: Final = "X-Request-Id"

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)
_MEMBER = r"[a-z0-9][_0-9a-z\-*/@]{0,255}=[!-+\--<>-~]{1,256}"
_TRACESTATE = re.compile(rf"(?=.{{1,512}}\Z){_MEMBER}(,{_MEMBER}){{0,31}}")
"""Without blanks, and no longer than what has to be passed on (W3C Trace Context 3.3.1)."""
_MEANINGLESS = re.compile(
    r"[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25}"  # UUID or ULID
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Ids of the request that is being answered; `flags` are those of its traceparent, `parent` is that as it
    came, `state` its tracestate."""

    request_id: str
    trace_id: str
    flags: str = "00"
    parent: str = ""
    state: str = ""


_asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


def read_ids(headers: Mapping[str, str]) -> Asked:
    """The ids that a request brings, and new ones in place of those that it lacks or that are none."""
    request_id = headers.get(REQUEST_ID, "")
    if not _MEANINGLESS.fullmatch(request_id):
        request_id = str(uuid.uuid4())
    parent = _TRACEPARENT.fullmatch(headers.get(TRACEPARENT, ""))
    if parent is None:
        return Asked(request_id, secrets.token_hex(16))
    state = headers.get(TRACESTATE, "")
    kept = state if _TRACESTATE.fullmatch(state) else ""
    return Asked(request_id, parent[1], parent[2], parent[0], kept)


@contextmanager
def asked_by(asked: Asked) -> Iterator[None]:
    """Log lines and calls of peers inside belong to this request."""
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


def add_ids(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor of structlog: the ids of the request being answered."""
    if (asked := _asked.get()) is not None:
        event["request_id"] = asked.request_id
        event["trace_id"] = asked.trace_id
    return event


def headers_for_peers() -> dict[str, str]:
    """Headers of a call that is made for the request being answered; none outside of one."""
    asked = _asked.get()
    if asked is None:
        return {}
    here = spans.ids() or spans.Ids(asked.trace_id, secrets.token_hex(8), asked.flags)
    parent = f"00-{here.trace_id}-{here.span_id}-{here.flags}"
    sent = {TRACEPARENT: parent, REQUEST_ID: asked.request_id}
    return {**sent, TRACESTATE: asked.state} if asked.state else sent


def asked_now() -> Asked | None:
    """Ids of the request that is being answered."""
    return _asked.get()
