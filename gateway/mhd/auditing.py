"""The record of each FHIR and DICOMweb request, made in one place: what route, status and `Subjects` say.

A record is durable before the answer goes out; of an answer that flows, before it begins.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from gateway.audit.record import AuditRecord, Document, Outcome, Party, Query, Study
from gateway.audit.trail import AuditFull, Held, Trail, record_id
from gateway.audit.transactions import Described, described
from gateway.fhir.issues import OutcomeError, fail
from gateway.mhd.alerts import alerts_of
from gateway.model import Cx
from gateway.security.subjects import Subjects, collecting
from gateway.telemetry.tracing import asked_now
from gateway.telemetry.transactions import CONSOLE, UNKNOWN, transaction_of

IS_SOAP: Final = web.RequestKey("is_soap", bool)
"""Set by handlers of SOAP, which record each exchange by what it says."""
_PLACE: Final = web.RequestKey("audit_place", tuple[str, Subjects])
_HELD: Final = web.RequestKey("audit_held", Held)

_UNRECORDED: Final = frozenset({"capabilities", "versions", "health", "metrics", CONSOLE, UNKNOWN})
_NO_PATIENT_DATA: Final = ("SearchParameter", "OperationDefinition", "/.well-known/", "/auth/jwks")
_NAMES: Final = {
    "QIDO-RS": "RAD-129",
    "search AuditEvent": "ITI-81",
    "read AuditEvent": "ITI-81",
    "POST /auth/token": "ITI-71",
    "POST /fhir/auth/token": "ITI-71",
}
_CLIENT_LEFT: Final = 499


class Auditing:
    """The middlewares and the signal of an application with a trail."""

    def __init__(self, trail: Trail, base_url: str) -> None:
        self._trail = trail
        self._server = trail.identity.at(base_url)
        self._origin = str(URL(base_url).origin())

    def recorded(self) -> Middleware:
        """Outside of what turns errors into answers."""

        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            with collecting() as subjects:
                name = _name(request)
                if name is None:
                    return await handler(request)
                request[_PLACE] = (name, subjects)
                status, headers = _CLIENT_LEFT, {}
                try:
                    response = await handler(request)
                    status, headers = response.status, dict(response.headers)
                    return response
                finally:
                    if not request.get(IS_SOAP, False):
                        self._finish(request, name, subjects, status, headers)

        return record

    def has_room(self) -> Middleware:
        """Inside of what turns errors into answers: no request without room for its record."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            if _PLACE in request:
                try:
                    self._trail.check_room()
                except AuditFull:
                    text = "What is asked for cannot be recorded now, and is refused therefore."
                    raise OutcomeError(
                        503, fail(503, "transient", text).issues, {"Retry-After": "30"}
                    ) from None
            return await handler(request)

        return admit

    async def begins(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal `on_response_prepare`: an answer that flows is recorded before its first byte."""
        place = request.get(_PLACE)
        if place is None or isinstance(response, web.Response) or request.get(IS_SOAP, False):
            return
        name, subjects = place
        records = self._records(request, name, subjects, response.status, response.headers)
        request[_HELD] = self._trail.hold(records)

    def _finish(
        self, request: web.Request, name: str, subjects: Subjects, status: int, headers: Mapping[str, str]
    ) -> None:
        held = request.get(_HELD)
        if held is not None:
            held.settle("the client left" if status == _CLIENT_LEFT else subjects.broken)
            self._trail.add(self._alerts(request, subjects))
            return
        records = self._records(request, name, subjects, status, headers)
        self._trail.add([*records, *self._alerts(request, subjects)])

    def _alerts(self, request: web.Request, subjects: Subjects) -> list[AuditRecord]:
        address = request.remote or "unknown"
        ends = Party(address, address), self._server
        # not of the Host header, which says whatever a client likes
        url = _told(f"{self._origin}{request.rel_url.raw_path}")
        return alerts_of(subjects, self._trail.clock(), ends, url)

    def _records(
        self,
        request: web.Request,
        name: str,
        subjects: Subjects,
        status: int,
        headers: Mapping[str, str],
    ) -> list[AuditRecord]:
        what = described(name)
        recorded = self._trail.clock()
        asked = asked_now()
        outcome, text = outcome_of(status, what), _text(status)
        if outcome is Outcome.SUCCESS and subjects.broken is not None:
            # a page that tells of a retrieval that failed is no retrieval
            outcome, text = Outcome.SERIOUS, subjects.broken
        client = request.remote or "unknown"
        return [
            AuditRecord(
                id=record_id(recorded),
                recorded=recorded,
                transaction=name,
                side="server",
                client=Party(client, client),
                server=self._server,
                outcome=outcome,
                outcome_text="" if outcome is Outcome.SUCCESS else text,
                actor=subjects.actor,
                patient=patient,
                query=_query(request, subjects) if what.objects in {"query", "token"} else None,
                documents=_documents(what, subjects),
                studies=_studies(what, subjects, request),
                submission_set=_submission_set(what, subjects),
                resource=_resource(request, what, headers),
                request_id=asked.request_id if asked else "",
                traceparent=asked.parent if asked else "",
            )
            for patient in _patients(subjects)
        ]


def outcome_of(status: int, what: Described) -> Outcome:
    """What an HTTP status is to the audit: refusals are more than mistakes."""
    if status == 206 and what.objects == "studies":
        return Outcome.MINOR
    if status < 400:
        return Outcome.SUCCESS
    if status in {401, 403} or status >= 500:
        return Outcome.SERIOUS
    return Outcome.MINOR


def _text(status: int) -> str:
    if status == _CLIENT_LEFT:
        return "the client left before the answer"
    return "a part of the images could not be had" if status == 206 else f"HTTP {status}"


def _name(request: web.Request) -> str | None:
    """The transaction that is recorded; None where nothing of a patient is asked for."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    return recorded_as(request.method, resource.canonical, request.match_info.get("type", ""))


def recorded_as(method: str, route: str, resource_type: str = "") -> str | None:
    """The transaction or interaction that a request to a route is in the records; None for what has none."""
    name = transaction_of(method, route, resource_type)
    if name in _UNRECORDED or any(part in name for part in _NO_PATIENT_DATA):
        return None
    return _NAMES.get(name, name)


def _patients(subjects: Subjects) -> Sequence[Cx | None]:
    if subjects.submission is not None:
        return (subjects.submission.submission_set.patient_id,)
    return tuple(subjects.patients) or (None,)


def _query(request: web.Request, subjects: Subjects) -> Query:
    """The request line and the form. A token never belongs into a URL; one that was put there is left out."""
    url = request.rel_url
    if "access_token" in url.query:
        url = url.without_query_params("access_token")
    line = f"{request.method} {request.scheme}://{request.host}{url}"
    content = _told(line).encode() + (b"\r\n\r\n" + subjects.form if subjects.form else b"")
    return Query(content, description=_told(line))


def _told(line: str) -> str:
    """A line without what stands for bytes that are no text, which no record can hold."""
    return line.encode(errors="replace").decode()


def _documents(what: Described, subjects: Subjects) -> tuple[Document, ...]:
    key = subjects.document
    if key is None or what.objects != "documents":
        return ()
    return (Document(key.document_unique_id, key.repository_unique_id or "", key.home_community_id or ""),)


def _studies(what: Described, subjects: Subjects, request: web.Request) -> tuple[Study, ...]:
    if what.objects != "studies":
        return ()
    named = request.match_info
    uid = subjects.study_instance_uid or named.get("study") or request.query.get("studyUID", "")
    series = (named["series"],) if "series" in named else ()
    return (Study(uid, series, 1 if "sop" in named else 0),) if uid else ()


def _submission_set(what: Described, subjects: Subjects) -> str:
    submission = subjects.submission
    return submission.submission_set.unique_id if submission and what.objects == "submission" else ""


def _resource(request: web.Request, what: Described, headers: Mapping[str, str]) -> str:
    if what.basic == "Create":
        return "/".join(headers.get("Location", "").split("/")[-2:])
    route = request.match_info.route.resource
    path = "" if route is None else route.canonical
    if what.basic != "Read" or not path.endswith("{id}"):
        return ""
    kind = path.split("/")[-2]
    kind = request.match_info.get("type", "") if kind == "{type}" else kind
    return f"{kind}/{request.match_info['id'][:64]}"
