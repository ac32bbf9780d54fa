"""ITI-81 Retrieve ATNA Audit Event: AuditEvents that are queued or kept here, by time and more, in FHIR R4.

The time is required. Whoever is bound to a patient sees none of them: records of a patient name who else
asked. Each look at them is recorded itself.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.audit.delivery import WRITTEN_AT_ONCE
from gateway.audit.record import AuditRecord
from gateway.audit.trail import Trail, time_of_id
from gateway.fhir.issues import fail
from gateway.mhd.bases import release_of
from gateway.mhd.negotiation import negotiate, respond
from gateway.mhd.search_requests import search_parameters
from gateway.model.releases import FhirRelease
from gateway.security.access import NotGranted, OtherPatient, bound_patient, current_access
from gateway.security.scopes import Permission

Json = dict[str, Any]
Test = Callable[[Json], bool]

_MOST_READ: Final = 5000
"""Records of a time that are looked through."""
_MOST_SHOWN: Final = 1000
_DATE = re.compile(
    r"(eq|ge|gt|le|lt)?(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2}))?"
)
_DAY: Final = timedelta(days=1)
_NEEDED: Final = frozenset({Permission("AuditEvent", "s")})


class AuditRoutes:
    """Search and read of AuditEvent."""

    def __init__(self, trail: Trail, write: Callable[[AuditRecord], Json], base_url: str) -> None:
        """`write` makes the AuditEvent of a record."""
        self._trail = trail
        self._write = write
        self._base_url = base_url

    def table(self, base_path: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application."""
        return [
            web.get(f"{base_path}/AuditEvent", self.search),
            web.post(f"{base_path}/AuditEvent/_search", self.search),
            web.get(f"{base_path}/AuditEvent/{{id}}", self.read),
        ]

    async def search(self, request: web.Request) -> web.Response:
        """The events that match, the latest first."""
        parameters = await search_parameters(request)
        self._check(request)
        since, until = _period([value for name, value in parameters if name == "date"])
        tests = [_test(name, value) for name, value in parameters if name not in _CONTROLS]
        records = list(self._trail.queue.find(since, until, _MOST_READ + 1))
        if len(records) > _MOST_READ:
            text = f"There are more than {_MOST_READ} records in this time. Narrow it by date."
            raise fail(400, "too-costly", text, expression="date")
        events = await self._events(records, tests)
        count = _count(parameters)
        bundle = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(events),
            "link": [{"relation": "self", "url": f"{self._base_url}/AuditEvent"}],
            "entry": [
                {
                    "fullUrl": f"{self._base_url}/AuditEvent/{event['id']}",
                    "resource": event,
                    "search": {"mode": "match"},
                }
                for event in events[:count]
            ],
        }
        return await respond(request, orjson.dumps(bundle if events[:count] else _without_entries(bundle)))

    async def read(self, request: web.Request) -> web.Response:
        """One event."""
        negotiate(request)
        self._check(request)
        wanted = request.match_info["id"]
        moment = time_of_id(wanted)
        if moment is not None:
            for record in self._trail.queue.find(moment - 0.001, moment + 0.002, _MOST_READ):
                if record.id == wanted:
                    return await respond(request, orjson.dumps(self._write(record)))
        raise fail(404, "not-found", "No AuditEvent with this id is queued or kept here.")

    def _check(self, request: web.Request) -> None:
        access = current_access()
        # a scope for resources of every type is given for health data, not for this
        if access is not None and not _NEEDED & access.granted:
            raise NotGranted(_NEEDED)
        if bound_patient() is not None:
            raise OtherPatient
        if release_of(request) is not FhirRelease.R4:
            raise fail(406, "not-supported", "AuditEvents are given in FHIR R4.")

    async def _events(self, records: Sequence[AuditRecord], tests: Sequence[Test]) -> list[Json]:
        found = []
        for number, record in enumerate(records):
            if number % WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            event = self._write(record)
            if all(test(event) for test in tests):
                found.append(event)
        return found


# --- parameters -------------------------------------------------------------------------------------------
_CONTROLS: Final = frozenset({"date", "_count", "_format", "_pretty"})


def _without_entries(bundle: Json) -> Json:
    return {name: value for name, value in bundle.items() if name != "entry"}


def _count(parameters: Iterable[tuple[str, str]]) -> int:
    given = next((value for name, value in parameters if name == "_count"), str(_MOST_SHOWN))
    if not given.isascii() or not given.isdigit():
        raise fail(400, "value", "_count must be a number.", expression="_count")
    return min(int(given[:9]), _MOST_SHOWN)


def _period(values: Sequence[str]) -> tuple[float, float]:
    """Seconds since 1970 from and to. Raises OutcomeError."""
    if not values:
        raise fail(
            400, "required", "date is required: date=ge2026-01-01&date=le2026-01-02.", expression="date"
        )
    since, until = 0.0, datetime.max.replace(tzinfo=UTC).timestamp()
    for value in values:
        match = _DATE.fullmatch(value)
        try:
            start = datetime.fromisoformat(f"{match[2]}{match[3] or 'T00:00:00Z'}") if match else None
        except ValueError:
            start = None
        if match is None or start is None:
            raise fail(
                400, "value", "date must be eq, ge, gt, le or lt and a date or time.", expression="date"
            )
        first = start.timestamp()
        last = first if match[3] else (start + _DAY).timestamp() - 0.000001
        prefix = match[1] or "eq"
        if prefix in {"eq", "ge"}:
            since = max(since, first)
        if prefix in {"eq", "le"}:
            until = min(until, last)
        if prefix == "gt":
            since = max(since, last + 0.000001)
        if prefix == "lt":
            until = min(until, first - 0.000001)
    return since, until


def _test(name: str, value: str) -> Test:
    """What a parameter demands of an event. Raises OutcomeError for one that is not understood."""
    made = _TESTS.get(name)
    if made is None:
        known = ", ".join(sorted({*SEARCHED_BY, "_count"}))
        raise fail(400, "not-supported", f"The parameters of AuditEvent here are {known}.")
    wanted = [_token(part) for part in value.split(",")]
    return lambda event: any(_is(held, token) for held in made(event) for token in wanted)


def _token(text: str) -> tuple[str | None, str]:
    system, bar, value = text.rpartition("|")
    return (system if bar else None), value


def _is(held: tuple[str, str], wanted: tuple[str | None, str]) -> bool:
    system, value = wanted
    return held[1] == value and (system is None or held[0] == system)


def _coding(coding: Json) -> tuple[str, str]:
    return coding.get("system", ""), coding.get("code", "")


def _identified(holder: Json) -> Iterable[tuple[str, str]]:
    identifier = holder.get("identifier")
    if identifier:
        yield identifier.get("system", ""), identifier.get("value", "")
    if "display" in holder:
        yield "", holder["display"]


def _entities(event: Json, kind: str = "") -> Iterable[tuple[str, str]]:
    for entity in event.get("entity", ()):
        what = entity.get("what", {})
        if not kind or what.get("type") == kind:
            yield from _identified(what)


def _of_entities(event: Json, name: str) -> Iterable[tuple[str, str]]:
    return (_coding(entity[name]) for entity in event.get("entity", ()) if name in entity)


_TESTS: Final[dict[str, Callable[[Json], Iterable[tuple[str, str]]]]] = {
    "action": lambda event: [("", event["action"])],
    "address": lambda event: [("", a["network"]["address"]) for a in event["agent"] if "network" in a],
    "agent.identifier": lambda event: (i for agent in event["agent"] for i in _identified(agent["who"])),
    "altid": lambda event: [("", agent["altId"]) for agent in event["agent"] if "altId" in agent],
    "entity.identifier": _entities,
    "entity-role": lambda event: _of_entities(event, "role"),
    "entity-type": lambda event: _of_entities(event, "type"),
    "outcome": lambda event: [("", event["outcome"])],
    "patient.identifier": lambda event: _entities(event, "Patient"),
    "source.identifier": lambda event: _identified(event["source"]["observer"]),
    "subtype": lambda event: map(_coding, event["subtype"]),
    "type": lambda event: [_coding(event["type"])],
}
SEARCHED_BY: Final = frozenset({*_TESTS, "date"})
