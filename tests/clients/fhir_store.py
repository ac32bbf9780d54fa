"""A FHIR server of another make, as far as IHE MHD asks it: numeric ids, no entryUUIDs, pages at URLs of their own,
Patients of its own, Binaries. What it does otherwise is said by `Habits`."""

import base64
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.clients.fhir_server import FhirClient, FhirServer
from gateway.clients.mhd_exchange import unrecorded
from gateway.clients.mhd_peer import MhdPeer
from gateway.clients.mhd_resources import MhdRules
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.soap.client import Peer
from tests.system.stack import site

AUTHORITY = "2.999.1.1"
SYSTEM = "https://hospital.example/patients"
LOINC = "http://loinc.org"
KNOWN = {"_id", "identifier", "patient", "patient.identifier", "status", "code", "type", "_count"}
TERMS = Terminology(assigning_authorities={SYSTEM: AUTHORITY})


@dataclass
class Habits:
    """What is particular about a server."""

    page: int = 2
    ignores: frozenset[str] = frozenset()
    """Parameters that it neither knows nor refuses."""
    strict: bool = True
    """It refuses parameters that it does not know."""
    next_url: str = "{base}?_getpages={token}"
    token: str | None = None
    """The only Authorization header that it takes."""
    no_lists: bool = False
    self_link: bool = True


@dataclass
class Store:
    """What the server has, and what it was asked."""

    habits: Habits
    resources: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    headers: list[str | None] = field(default_factory=list)
    contents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    interfere: Any = None
    base: str = ""

    def add(self, **resource: Any) -> dict[str, Any]:
        """A resource with the next number as id."""
        stored = {"id": str(len(self.resources) + 1), **resource}
        self.resources.append(stored)
        return stored

    def patient(self, value: str) -> dict[str, Any]:
        return self.add(resourceType="Patient", identifier=[{"system": SYSTEM, "value": value}])

    def document(
        self, patient: dict[str, Any], content: bytes = b"text\r\n", **changes: Any
    ) -> dict[str, Any]:
        """A DocumentReference with a document."""
        number = str(len(self.resources) + 1)
        self.contents[number] = ("text/plain", content)
        attachment = {
            "contentType": "text/plain",
            "url": f"Binary/{number}",
            "size": len(content),
            "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),
            "creation": "2024-03-01T10:00:00Z",
        }
        content_of = [{"attachment": attachment | changes.pop("attachment", {})}]
        usual = {"status": "current", "subject": {"reference": f"Patient/{patient['id']}"}}
        return self.add(resourceType="DocumentReference", **{**usual, "content": content_of, **changes})

    def list(self, patient: dict[str, Any], kind: str, *members: dict[str, Any], **changes: Any) -> Any:
        return self.add(
            resourceType="List",
            status="current",
            mode="working",
            code={
                "coding": [
                    {"system": "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes", "code": kind}
                ]
            },
            subject={"reference": f"Patient/{patient['id']}"},
            date="2024-03-02T00:00:00Z",
            entry=[{"item": {"reference": f"{m['resourceType']}/{m['id']}"}} for m in members],
            **changes,
        )

    # --- HTTP -------------------------------------------------------------------------------------------
    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Authorization"))
        if self.interfere is not None and (told := await self.interfere(request)) is not None:
            return told
        if self.habits.token is not None and request.headers.get("Authorization") != self.habits.token:
            return outcome(401, "no")
        path = request.match_info["path"].strip("/").split("/")
        if "_getpages" in request.query:
            return self.page(int(request.query["_getpages"]))
        if path[0] == "Binary":
            media_type, content = self.contents[path[1]]
            return web.Response(body=content, content_type=media_type)
        parameters = dict(request.query)
        if request.method == "POST":
            parameters |= dict(await request.post())
            path.remove("_search")
        if len(path) == 2:
            found = self.named(*path)
            return resource(found) if found else outcome(404, "not there")
        return self.search(path[0], parameters)

    def named(self, kind: str, number: str) -> dict[str, Any] | None:
        return next((r for r in self.resources if (r["resourceType"], r["id"]) == (kind, number)), None)

    def search(self, kind: str, parameters: dict[str, str]) -> web.Response:
        self.asked.append((kind, parameters))
        if kind == "List" and self.habits.no_lists:
            return outcome(404, "Unknown resource type 'List'")
        unknown = set(parameters) - KNOWN
        if unknown and self.habits.strict:
            return outcome(400, f"Unknown search parameter {sorted(unknown)}")
        self.found = [r for r in self.resources if r["resourceType"] == kind and self.fits(r, parameters)]
        self.query = "&".join(f"{k}={v}" for k, v in parameters.items())
        return self.page(0)

    def fits(self, item: dict[str, Any], parameters: dict[str, str]) -> bool:
        wanted = {k: v.split(",") for k, v in parameters.items() if k not in self.habits.ignores}
        tokens = [
            f"{i.get('system')}|{i['value']}"
            for i in (item.get("masterIdentifier"), *item.get("identifier", ()))
            if isinstance(i, dict)
        ]
        subject = item.get("subject", {}).get("reference", "").rpartition("/")[2]
        patient = self.named("Patient", subject) or {"identifier": []}
        of = [f"{i['system']}|{i['value']}" for i in patient["identifier"]]
        coded = {"code": item.get("code"), "type": item.get("type")}
        return (
            ("_id" not in wanted or item["id"] in wanted["_id"])
            and ("identifier" not in wanted or bool(set(tokens) & set(wanted["identifier"])))
            and ("status" not in wanted or item["status"] in wanted["status"])
            and ("patient.identifier" not in wanted or bool(set(of) & set(wanted["patient.identifier"])))
            and all(
                any(w.rpartition("|")[2] == c["code"] for w in wanted[name] for c in concept["coding"])
                for name, concept in coded.items()
                if name in wanted and concept
            )
        )

    def page(self, start: int) -> web.Response:
        end = start + self.habits.page
        links = [{"relation": "self", "url": f"{self.base}?{self.query if self.habits.self_link else ''}"}]
        if end < len(self.found):
            links.append({"relation": "next", "url": self.habits.next_url.format(base=self.base, token=end)})
        entries = [
            {"fullUrl": f"{self.base}/{r['resourceType']}/{r['id']}", "resource": r}
            for r in self.found[start:end]
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": links}
        return resource({**bundle, "entry": entries} if entries else bundle)


def resource(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(value, status=status, content_type="application/fhir+json")


def outcome(status: int, text: str) -> web.Response:
    issue = {"severity": "error", "code": "processing", "diagnostics": text}
    return resource({"resourceType": "OperationOutcome", "issue": [issue]}, status)


@asynccontextmanager
async def fhir_store(
    *,
    access=None,
    hosts=(),
    rules=None,
    images=None,
    peer=None,
    record=unrecorded,
    **habits: Any,
):
    """The server, and the gateway's client of it."""
    store = Store(Habits(**habits))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/fhir{path:.*}", store.answer)
    async with site(app) as url, FhirClient(record=record) as client:
        store.base = f"{url}/fhir"
        known = Peer("store", store.base, **{"max_attempts": 1, **(peer or {})})
        more = {} if access is None else {"access": access}
        server = FhirServer(known, hosts=frozenset(hosts), **more)
        yield store, MhdPeer(client, server, TERMS, rules=rules or MhdRules(), images=images)


def cx(value: str) -> Cx:
    return Cx(value, AUTHORITY)
