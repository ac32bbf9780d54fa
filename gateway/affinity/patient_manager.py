"""The embedded patient manager: a Patient Identifier Cross-reference Manager (ITI-83 and, for its feed,
ITI-104; IHE PIXm 3.1.0) and a Patient Demographics Supplier (ITI-78, IHE PDQm 3.2.0) over the patients of a
folder.

It speaks FHIR R4 in JSON, at /patients.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson
from aiohttp import web

from gateway.affinity.patient_records import (
    Identifier,
    Patient,
    PatientRecords,
    identifiers,
    is_active,
    matches,
)

BASE: Final = "/patients"
"""Where it is."""

_FHIR: Final = "application/fhir+json"
_JSON: Final = frozenset({"*/*", "application/*", _FHIR, "application/json", "json", ""})
_PROFILES: Final = "https://profiles.ihe.net/ITI/"
_DEFAULT_COUNT: Final = 50
_MOST_COUNT: Final = 500
_MAX_BODY: Final = 1 << 20
_CONTROLS: Final = frozenset({"_format", "_count", "_offset"})

Parameters = Sequence[tuple[str, str]]


class _Refused(Exception):
    def __init__(self, status: int, code: str, text: str, severity: str = "error") -> None:
        super().__init__(text)
        self.status = status
        self.outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": severity, "code": code, "diagnostics": text}],
        }


class PatientManagerServer:
    """The handlers."""

    def __init__(self, records: PatientRecords) -> None:
        self._records = records

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve at `BASE`."""
        for method, path, handler in (
            ("GET", "/metadata", self._metadata),
            ("GET", "/Patient/$ihe-pix", self._cross_reference),
            ("POST", "/Patient/$ihe-pix", self._cross_reference),
            ("GET", "/Patient", self._search),
            ("POST", "/Patient/_search", self._search),
            ("PUT", "/Patient", self._feed),
            ("GET", "/Patient/{id}", self._read),
        ):
            router.add_route(method, BASE + path, _answered(handler))

    # --- ITI-83 -----------------------------------------------------------------------------------------
    async def _cross_reference(self, request: web.Request) -> web.Response:
        parameters = await _operation_parameters(request)
        sources = [value for name, value in parameters if name == "sourceIdentifier"]
        if len(sources) != 1:
            raise _Refused(400, "required", "give sourceIdentifier once")
        source, targets = _token(sources[0]), [v for name, v in parameters if name == "targetSystem"]
        if not source[0] or not source[1]:
            raise _Refused(400, "invalid", "sourceIdentifier has system and value")
        systems = self._records.systems
        if any(target not in systems for target in targets):
            raise _Refused(403, "code-invalid", "targetSystem not found")
        found = self._known_as(source, f"{request.url.origin()}{BASE}")
        answer: list[dict[str, Any]] = []
        for patient in filter(is_active, found):
            answer += (
                {"name": "targetIdentifier", "valueIdentifier": {"system": system, "value": value}}
                for system, value in identifiers(patient)
                if (system, value) != source and (not targets or system in targets)
            )
            answer.append({"name": "targetId", "valueReference": {"reference": f"Patient/{patient['id']}"}})
        return _resource({"resourceType": "Parameters", "parameter": answer})

    def _known_as(self, source: Identifier, base: str) -> list[Patient]:
        system, value = source
        if system == base:
            named = self._records.get(value.removeprefix("Patient/"))
            found = [named] if named is not None else []
        elif system not in self._records.systems:
            raise _Refused(400, "code-invalid", "sourceIdentifier Assigning Authority not found")
        else:
            found = self._records.with_identifier(source)
        if not found:
            raise _Refused(404, "not-found", "sourceIdentifier Patient Identifier not found")
        return found

    # --- ITI-78 -----------------------------------------------------------------------------------------
    async def _search(self, request: web.Request) -> web.Response:
        parameters = [*request.query.items()]
        if request.method == "POST":
            form = await request.post()
            parameters += [(name, value) for name, value in form.items() if isinstance(value, str)]
        wanted = [(name, value) for name, value in parameters if name not in _CONTROLS]
        returned: set[str] = set()
        found = list(self._records)
        for name, value in wanted:
            values = _split(value)
            if name == "identifier":
                tokens = [_token(each) for each in values]
                domains = {system for system, code in tokens if system and not code}
                if not domains <= self._records.systems:
                    raise _Refused(404, "not-found", "targetSystem not found", "warning")
                returned |= domains
                tokens = [token for token in tokens if token[1]]
                found = [p for p in found if not tokens or any(_has(p, token) for token in tokens)]
            else:
                found = [p for p in found if self._fits(p, name, values)]
        count, offset = _number(parameters, "_count", _DEFAULT_COUNT), _number(parameters, "_offset", 0)
        count = min(count, _MOST_COUNT)
        page = [_shown(patient, returned) for patient in found[offset : offset + count]]
        base = f"{request.url.origin()}{BASE}/Patient"
        links = [{"relation": "self", "url": _url(base, [*wanted, ("_count", str(count))])}]
        if count and offset + count < len(found):
            further = [*wanted, ("_count", str(count)), ("_offset", str(offset + count))]
            links.append({"relation": "next", "url": _url(base, further)})
        bundle: dict[str, Any] = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(found),
            "link": links,
        }
        if page:
            bundle["entry"] = [
                {"fullUrl": f"{base}/{patient['id']}", "resource": patient, "search": {"mode": "match"}}
                for patient in page
            ]
        return _resource(bundle)

    @staticmethod
    def _fits(patient: Patient, name: str, values: Sequence[str]) -> bool:
        try:
            return matches(patient, name, values)
        except KeyError:
            raise _Refused(400, "not-supported", "a search parameter is not supported") from None

    async def _read(self, request: web.Request) -> web.Response:
        found = self._records.get(request.match_info["id"])
        if found is None:
            raise _Refused(404, "not-found", "there is no such Patient")
        return _resource(found)

    # --- ITI-104 ----------------------------------------------------------------------------------------
    async def _feed(self, request: web.Request) -> web.Response:
        named = [_token(value) for name, value in request.query.items() if name == "identifier"]
        if len(named) != 1 or not all(named[0]):
            raise _Refused(400, "required", "PUT names the patient by ?identifier=system|value")
        patient = _json(await request.read())
        if patient.get("resourceType") != "Patient" or named[0] not in identifiers(patient):
            raise _Refused(400, "invalid", "the body is a Patient with the identifier of the URL")
        try:
            stored, is_new = self._records.put(named[0], patient)
        except ValueError as error:
            raise _Refused(412, "multiple-matches", str(error)) from None
        return _resource(stored, 201 if is_new else 200)

    async def _metadata(self, request: web.Request) -> web.Response:
        names = ("PIXm/CapabilityStatement/IHE.PIXm.Manager",
                 "PDQm/CapabilityStatement/IHE.PDQm.PatientDemographicsSupplier")  # fmt: skip
        return _resource(
            {
                "resourceType": "CapabilityStatement",
                "status": "active",
                "date": "2026-01-01",
                "kind": "instance",
                "fhirVersion": "4.0.1",
                "format": [_FHIR],
                "implementation": {
                    "description": "Patient manager of the embedded affinity domain",
                    "url": f"{request.url.origin()}{BASE}",
                },
                "instantiates": [_PROFILES + name for name in names],
                "rest": [
                    {
                        "mode": "server",
                        "resource": [
                            {
                                "type": "Patient",
                                "interaction": [
                                    {"code": "read"},
                                    {"code": "search-type"},
                                    {"code": "update"},
                                ],
                                "conditionalUpdate": True,
                                "operation": [
                                    {
                                        "name": "ihe-pix",
                                        "definition": f"{_PROFILES}PIXm/OperationDefinition/IHE.PIXm.pix",
                                    }
                                ],
                            }
                        ],
                    }
                ],
            }
        )


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answered(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            wanted = request.query.get("_format", request.headers.get("Accept", "*/*"))
            kinds = {kind.partition(";")[0].strip() for kind in wanted.replace(" json", "+json").split(",")}
            if kinds.isdisjoint(_JSON):
                raise _Refused(406, "not-supported", "this server writes JSON")
            return await handler(request)
        except _Refused as refused:
            return _resource(refused.outcome, refused.status)

    return handle


async def _operation_parameters(request: web.Request) -> Parameters:
    """Those of the URL, and those of a Parameters resource that is posted."""
    listed = [*request.query.items()]
    if request.method == "POST":
        for each in _json(await request.read()).get("parameter") or ():
            value = next((v for k, v in each.items() if k.startswith("value")), None)
            if isinstance(value, str):
                listed.append((str(each.get("name")), value))
    return listed


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or len(content) > _MAX_BODY:
        raise _Refused(400, "structure", "the body is no resource in JSON")
    return value


def _shown(patient: Patient, domains: set[str]) -> Patient:
    """The Patient with the identifiers of the domains that are to be returned."""
    if not domains:
        return patient
    kept = [each for each in patient.get("identifier") or () if each.get("system") in domains]
    return {**patient, "identifier": kept}


def _has(patient: Patient, token: Identifier) -> bool:
    system, code = token
    return any(value == code and (not system or system == held) for held, value in identifiers(patient))


def _token(text: str) -> Identifier:
    system, bar, value = text.partition("|")
    return (_plain(system), _plain(value)) if bar else ("", _plain(text))


def _plain(text: str) -> str:
    return text.replace("\\|", "|").replace("\\,", ",").replace("\\$", "$").replace("\\\\", "\\")


def _split(value: str) -> list[str]:
    held = value.replace("\\,", "\0")
    return [part.replace("\0", "\\,") for part in held.split(",") if part]


def _number(parameters: Parameters, name: str, default: int) -> int:
    text = next((value for key, value in parameters if key == name), "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _url(base: str, parameters: Parameters) -> str:
    return f"{base}?{urlencode(list(parameters), quote_via=quote)}"


def _resource(resource: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(resource), status=status, content_type=_FHIR)
