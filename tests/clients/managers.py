"""The embedded patient manager on a socket, with the gateway's client of it."""

import json
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.affinity.patient_manager import BASE, PatientManagerServer
from gateway.affinity.patient_records import PatientRecords
from gateway.clients.fhir_server import FhirClient, FhirServer
from gateway.clients.mhd_exchange import unrecorded
from gateway.clients.patient_manager import ManagerRules, PatientManager
from gateway.fhir.terminology import Terminology
from gateway.soap.client import Peer
from tests.system.stack import site

DOMAIN = "2.999.1.1"
"""The affinity domain."""
WARD = "2.999.7.1"
SHARED = "2.999.7.2"
HOSPITAL = "https://hospital.example/patients"
"""A domain whose URI no setting maps."""
TERMS = Terminology()


def identifier(system, value, **more):
    system = system if ":" in system else f"urn:oid:{system}"
    return {"system": system, "value": value, **more}


def person(
    number, *identifiers, family="Muster", given=("Anna",), born="1980-02-03", gender="female", **more
):
    """A Patient."""
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [identifier(*each) for each in identifiers],
        "name": [{"family": family, "given": list(given)}],
        "birthDate": born,
        "gender": gender,
        **more,
    }


@asynccontextmanager
async def manager_at(folder, *patients, app=None):
    """URL of the base of a manager with these patients, and the requests that it was sent."""
    folder.mkdir(parents=True, exist_ok=True)
    for patient in patients:
        (folder / f"{patient['id']}.json").write_text(json.dumps(patient))
    asked = []

    @web.middleware
    async def noted(request, handler):
        body = (await request.read()).decode()
        asked.append((request.method, request.path_qs, body))
        return await handler(request)

    server = web.Application(middlewares=[noted])
    PatientManagerServer(PatientRecords(folder)).add_routes(server.router)
    async with site(server) as url:
        yield f"{url}{BASE}", asked


@asynccontextmanager
async def client_of(base, *, record=unrecorded, peer=None, access=None, hosts=(), **rules):
    """The gateway's client of the manager at `base`."""
    known = Peer("patient manager", base, **{"max_attempts": 1, **(peer or {})})
    more = {} if access is None else {"access": access}
    async with FhirClient(record=record) as client:
        server = FhirServer(known, hosts=frozenset(hosts), **more)
        yield PatientManager(client, server, TERMS, ManagerRules(**rules))


@asynccontextmanager
async def answering(handler, **more):
    """A manager that answers everything by `handler`, and the client of it."""
    app = web.Application()
    app.router.add_route("*", "/fhir{path:.*}", handler)
    async with site(app) as url, client_of(f"{url}/fhir", **more) as manager:
        yield manager
