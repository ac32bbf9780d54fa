"""An affinity domain made of prepared answers, and a gateway in front of it."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aiohttp import web
from lxml import etree

from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.responses import write_registry_response
from gateway.model import Folder, QueryResult, RegistryResponse, ResponseStatus
from gateway.model.query import GetFolderAndContents
from gateway.settings import Settings
from tests.fhir.provide_samples import FOLDER_ID, PATIENT
from tests.soap.wire import envelope
from tests.system.stack import REPOSITORY, Stack, running_gateway, site

AGAIN = 400
"""How many of the mutants are sent a second time, to see what the gateway keeps."""
SOAP = "application/soap+xml; charset=UTF-8"


def count(default: int) -> int:
    """How many mutants: `MUTATIONS` of the environment, or a number that takes seconds."""
    return int(os.environ.get("MUTATIONS", str(default)))


def first() -> int:
    """Number of the first mutant, so that a long run can be made in pieces."""
    return int(os.environ.get("MUTATIONS_FROM", "0"))


def numbered(kind: str, number: int) -> Random:
    """The random generator of one mutant."""
    return Random(f"{kind} {number}")


def enveloped(body: etree._Element) -> bytes:
    """A SOAP answer with this body element."""
    return envelope(etree.tostring(body, encoding="unicode")).encode()


_FOLDER = Folder(
    entry_uuid=f"urn:uuid:{FOLDER_ID}", unique_id="2.999.1.3", patient_id=PATIENT, last_update_time="2026"
)
EMPTY = enveloped(write_query_response(QueryResult(status=ResponseStatus.SUCCESS)))
FOLDER = enveloped(write_query_response(QueryResult(status=ResponseStatus.SUCCESS, folders=(_FOLDER,))))
STORED = enveloped(write_registry_response(RegistryResponse(ResponseStatus.SUCCESS)))

Answer = Callable[[web.Request, bytes], web.Response]


def agreeing(request: web.Request, body: bytes) -> web.Response:
    """Success to every submission, and nothing found by a query but one Folder."""
    if b"ProvideAndRegisterDocumentSetRequest" in body:
        answer = STORED
    else:
        answer = FOLDER if GetFolderAndContents.query_id.encode() in body else EMPTY
    return web.Response(body=answer, headers={"Content-Type": SOAP})


class Domain:
    """Answers as `answer` says."""

    def __init__(self) -> None:
        self.answer: Answer = agreeing

    async def handle(self, request: web.Request) -> web.Response:
        return self.answer(request, await request.read())


@asynccontextmanager
async def gateway_before_a_domain(folder: Path) -> AsyncIterator[tuple[Stack, Domain]]:
    """A gateway that asks each peer once and never gives one up."""
    domain = Domain()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/{path:.*}", domain.handle)
    async with site(app) as url:
        common = {"max_attempts": 1, "circuit_threshold": 10**9, "read_timeout": 5}
        settings = Settings(
            state_dir=folder,
            registry={"url": f"{url}/registry", **common},
            repositories=[{"unique_id": REPOSITORY, "url": f"{url}/repository", **common}],
            publish={"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE},
            lifetimes={"idempotency": 1, "snapshot": 1, "lookup": 1},
        )
        async with running_gateway(settings) as stack:
            yield stack, domain
