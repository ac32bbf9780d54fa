"""Nothing that identifies a patient, and nothing of a document, is in logs, in Redis or in URLs.

Gateway and affinity domain run as processes at log level debug; every value that may identify somebody is
marked, whatever can go wrong goes wrong, and then the marks are looked for.
"""

import asyncio
import copy
import json
import os
import signal
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from gateway.clients.token_request import ClientKey
from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SampleAuthor, SamplePatient, SampleReferenceId
from gateway.model import QueryResult, RegistryError, ResponseStatus, codes
from gateway.security.authorisation_server import ASSERTION_TYPE
from tests.ports import free_port
from tests.soap.wire import RELATED, envelope
from tests.system import wire_failures as wire
from tests.system.documents import a_document
from tests.system.issuers import running_issuer, unsigned
from tests.system.stack import REPOSITORY, Stack, affinity_service, gateway_service

MARK = "ZQMARK"
PATIENT = SamplePatient(f"{MARK}ID", f"{MARK}Family", f"{MARK}Given", "1961-02-03", "female", f"{MARK}City")
TEXT = f"{MARK} text of the document\r\n".encode()
MARKS = (MARK, MARK.lower(), b64encode(TEXT[:6]).decode(), MARK.encode().hex())

FAILING_PROGRAM = f"""
import asyncio
from gateway.cli import main
from gateway.mhd.read import Reader
from gateway.security.patient_ids import PatientIds

async def read_list(self, logical_id):
    async def background():
        raise LookupError("{MARK} in the background")
    asyncio.create_task(background())
    await asyncio.sleep(0)
    try:
        raise KeyError("{MARK} first")
    except KeyError as error:
        raise ValueError("{MARK}: " + logical_id) from error

Reader.read_list = read_list
main()
"""
"""A gateway with a defect: reading a List ends with an exception that quotes what it should not."""


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[tuple[Stack, int]]:
    """Stands between gateway and affinity domain; `interfere` answers in its place."""
    target = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        stack = Stack("", session, None)

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if stack.interfere is not None and (answer := await stack.interfere(request)) is not None:
                return answer
            kept = {"Content-Type": request.headers["Content-Type"]}
            async with session.post(target + request.path, data=body, headers=kept) as answer:
                kept = {"Content-Type": answer.headers["Content-Type"]}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield stack, runner.addresses[0][1]
        finally:
            await runner.cleanup()


def marked_document(**changes):
    author = SampleAuthor(f"{MARK}Author", f"{MARK}Name", f"{MARK}Staff")
    reference = SampleReferenceId(value=f"{MARK}ACC", type=codes.REFERENCE_ACCESSION, authority="2.999.1.3")
    values = {
        "content": TEXT,
        "title": f"{MARK} title",
        "description": f"{MARK} description",
        "authors": (author,),
        "reference_ids": (reference,),
        **changes,
    }
    return a_document(**values)


def bad_cda_documents():
    """CDA that says too little, says it wrongly, or is no XML; all that it says is marked."""
    patient = (
        f'<recordTarget><patientRole><id root="2.999.1.1" extension="{MARK}ID"/></patientRole></recordTarget>'
    )
    for inside in (
        f"<title>{MARK}</title>{patient}",
        f'<id root="{MARK}" extension="{MARK}"/><effectiveTime value="{MARK}"/>{patient}',
        f'<code code="{MARK}" codeSystem="{MARK}"/><languageCode code="{MARK}"/>{patient}',
        f"<title>{MARK}</{MARK}>",
        f"<!ENTITY {MARK}>",
    ):
        yield f'<ClinicalDocument xmlns="urn:hl7-org:v3">{inside}</ClinicalDocument>'.encode()


def bad_bundles():
    """Bundles that break a rule each, the broken element marked."""
    good = provide_bundle([marked_document()], patient=PATIENT)

    def changed(change):
        bundle = copy.deepcopy(good)
        change(bundle, bundle["entry"][1]["resource"])
        return json.dumps(bundle).encode()

    other = {"system": "urn:oid:2.999.1.1", "value": f"{MARK}OTHER"}
    unmapped = {"system": f"https://unmapped.example/{MARK}", "value": f"{MARK}ID"}
    yield json.dumps(good).encode()[:-20]
    yield f'{{"resourceType": "Bundle", "{MARK}": {MARK}}}'.encode()
    yield f'{{"resourceType": "{MARK}"}}'.encode()
    yield b'{"resourceType": "Bundle", "type": "' + MARK.encode() + b'\xff"}'
    attachment = ("content", 0, "attachment")
    for path, value in (
        ((*attachment, "hash"), b64encode(b"\0" * 20).decode()),
        ((*attachment, "hash"), MARK),
        ((*attachment, "size"), 7),
        ((*attachment, "creation"), f"{MARK}-01-01"),
        ((*attachment, "url"), f"urn:uuid:{MARK}"),
        (("subject",), {"identifier": other}),
        (("subject",), {"identifier": unmapped}),
        (("subject",), {"reference": f"Patient/{MARK}"}),
        (("subject",), {"reference": f"https://x.example/Patient/{MARK}"}),
        (("subject",), MARK),
        (("status",), MARK),
        (("type",), {"coding": [{"system": f"https://codes.example/{MARK}", "code": MARK}]}),
        (("masterIdentifier", "value"), MARK),
        (("contained", 0, "birthDate"), MARK),
        (("contained", 0, "gender"), MARK),
        (("contained", 0, "id"), MARK),
        ((f"unknown{MARK}",), MARK),
    ):

        def replace(bundle, reference, path=path, value=value):
            place = reference
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value

        yield changed(replace)
    yield changed(lambda bundle, reference: bundle["entry"][2]["resource"].update(data=f"{MARK}*"))
    yield changed(lambda bundle, reference: bundle["entry"].append(bundle["entry"][1]))
    yield changed(lambda bundle, reference: bundle.update(type=MARK))
    yield changed(lambda bundle, reference: bundle.update(meta={"profile": [f"https://x.example/{MARK}"]}))


def failures():
    """What peers answer, each quoting the patient."""
    context = f"patient {MARK}ID^^^&2.999.1.1&ISO is not known to {MARK}Family"
    for code in ("XDSUnknownPatientId", "XDSRegistryMetadataError", "XDSRegistryBusy", "SomeError"):
        error = RegistryError(code, context, location=MARK)
        yield wire.at(
            wire.REGISTRY, wire.query_answer(QueryResult(status=ResponseStatus.FAILURE, errors=(error,)))
        )
        yield wire.at(
            wire.REGISTRY, wire.query_answer(QueryResult(status=ResponseStatus.PARTIAL, errors=(error,)))
        )
        yield wire.at(wire.REPOSITORY, wire.submission_answer(ResponseStatus.FAILURE, error))
        yield wire.at(wire.REPOSITORY, wire.retrieve_answer(ResponseStatus.FAILURE, error))
    for failure in (
        wire.fault("Sender", reason=context),
        wire.fault("Receiver", f"{MARK}", reason=context),
        wire.answering(f"<html><title>{context}</title><br></html>", "text/html"),
        wire.answering(f"<a>{context}<b></a>"),
        wire.answering(envelope(f"<{MARK}>{context}</{MARK}>")),
        wire.answering(envelope("<x/>", f"<wsa:RelatesTo>{MARK}</wsa:RelatesTo>")),
        wire.answering(TEXT, f"text/{MARK}"),
        wire.answering(TEXT, RELATED),
        wire.answering(TEXT, f"multipart/related; boundary={MARK}"),
        wire.answering(context, "text/plain", 500, Location=f"http://x.example/{MARK}"),
        wire.answering(context, "text/plain", 503),
        wire.cut_before_headers,
        wire.cut_after_headers,
    ):
        yield wire.at(wire.REGISTRY, failure)
        yield wire.at(wire.REPOSITORY, failure)


BAD_SEARCHES = (
    {"patient.identifier": f"https://unmapped.example/{MARK}|{MARK}"},
    {"patient.identifier": MARK},
    {"patient.identifier": f"urn:oid:2.999.1.1|{MARK}NOBODY"},
    {"patient": f"Patient/{MARK}"},
    {"patient": f"https://x.example/Patient/{MARK}"},
    {"patient.identifier": PATIENT.token, "creation": MARK},
    {"patient.identifier": PATIENT.token, "status": MARK},
    {"patient.identifier": PATIENT.token, "type": f"https://x.example/{MARK}|{MARK}"},
    {"patient.identifier": PATIENT.token, "author.family": f"{MARK}Author"},
    {"patient.identifier": PATIENT.token, "related:identifier": f"urn:oid:2.999.1.3|{MARK}ACC"},
    {"patient.identifier": PATIENT.token, "_sort": MARK},
    {"patient.identifier": PATIENT.token, "_count": MARK},
    {"patient.identifier": PATIENT.token, f"name{MARK}": MARK},
    {"identifier": MARK},
    {"_page": MARK},
    {"_format": MARK},
    {"_id": MARK},
)


def urls_of(value, name=""):
    """Every URL and reference of an answer; not the self link, which repeats the client's own search."""
    if isinstance(value, dict):
        if value.get("relation") != "self":
            for key, each in value.items():
                yield from urls_of(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from urls_of(each, name)
    elif isinstance(value, str) and (
        name in {"url", "fullUrl", "location", "reference", "id"} or value.startswith("http://127")
    ):
        yield value


async def use_everything(stack, affinity, urls):
    """What clients do, right and wrong; collects URLs of answers."""
    parameters = {"patient.identifier": PATIENT.token, "status": "current", "_count": "2"}
    bundle = provide_bundle([marked_document() for _ in range(3)], patient=PATIENT)
    for _ in range(2):
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
        urls.update(urls_of(answer))
    status, page = await stack.get("DocumentReference", **parameters)
    assert (status, page["total"] >= 3) == (200, True)
    urls.update(urls_of(page))
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    status, rest = await stack.get(following)
    assert status == 200
    urls.update(urls_of(rest))
    found = page["entry"][0]["resource"]
    status, _, body = await stack.download(found)
    assert (status, body) == (200, TEXT)
    assert (await stack.get(found["subject"]["reference"]))[1]["identifier"] == [PATIENT.identifier]
    for url in (found["content"][0]["attachment"]["url"], f"{stack.base_url}/content/{MARK}"):
        async with stack.session.head(url) as response:
            await response.read()
    async with stack.session.post(f"{stack.base_url}/DocumentReference/_search", data=parameters) as response:
        assert response.status == 200
    for bad in bad_bundles():
        status, outcome = await stack.publish(bad)
        assert 400 <= status < 500, outcome
    for document in bad_cda_documents():
        data = b64encode(document).decode()
        binary = {"resourceType": "Binary", "contentType": "text/xml", "data": data}
        parameters_in = {
            "resourceType": "Parameters",
            "parameter": [{"name": "document", "resource": binary}],
        }
        async with stack.session.post(
            f"{stack.base_url}/DocumentReference/$generate-metadata", json=parameters_in
        ) as response:
            assert response.status == 422
            assert MARK not in await response.text()
    for search in BAD_SEARCHES:
        await stack.get("DocumentReference", **search)
    for path in ("DocumentReference", "Patient", "content", MARK, f"List/x?{MARK}="):
        await stack.get(f"{path}/{MARK}")
    await say(stack, f"GET /fhir/{MARK} HTTP/1.1\r\n{MARK}: \x01{MARK}\r\n\r\n")
    await say(stack, f"GET /fhir/DocumentReference?patient={MARK} HTTP/9.{MARK}\r\n\r\n")
    await say(stack, f"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: {MARK}\r\n\r\n{MARK}")
    for unusable in (TEXT, f"<a>{MARK}".encode(), envelope(f"<{MARK}>{MARK}</{MARK}>").encode()):
        for path in (wire.REGISTRY, wire.REPOSITORY):
            async with stack.session.post(
                affinity + path, data=unusable, headers={"Content-Type": wire.SOAP}
            ) as response:
                await response.read()
    return found, following


async def say(stack, text):
    """Bytes on a connection of their own."""
    host, port = stack.base_url.removeprefix("http://").removesuffix("/fhir").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.encode("latin-1"))
    await asyncio.wait_for(reader.read(1000), 5)
    writer.close()


async def ask_by_a_marked_id(stack):
    """What names a request may name a patient, and so may a method."""
    headers = {"X-Request-Id": f"{MARK}ID", "traceparent": f"00-{MARK}-{MARK}-00"}
    async with stack.session.get(f"{stack.base_url}/metadata", headers=headers) as answer:
        assert answer.headers["X-Request-Id"] != headers["X-Request-Id"]
    async with stack.session.request(MARK, stack.base_url) as answer:
        assert answer.status >= 400


async def fail_in_every_way(stack, peer, found, following):
    for failure in failures():
        peer.interfere = failure
        await stack.publish(provide_bundle([marked_document()], patient=PATIENT))
        await stack.get("DocumentReference", **{"patient.identifier": PATIENT.token, "status": "current"})
        await stack.get(following)
        async with stack.session.get(found["content"][0]["attachment"]["url"]) as response:
            await response.read()
    peer.interfere = None
    status, outcome = await stack.get(f"List/{MARK}")
    assert status == 500
    assert MARK not in json.dumps(outcome), "the text of an unexpected error stays inside"


@pytest.mark.timeout(120)
async def test_no_mark_is_in_a_log_in_redis_or_in_a_url(tmp_path):
    affinity_port, port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    domain = await affinity.start()
    urls: set[str] = set()
    async with relay(affinity_port) as (peer, relay_port), aiohttp.ClientSession() as session:
        gateway = gateway_service(
            tmp_path,
            port,
            relay_port,
            program=("-c", FAILING_PROGRAM),
            LOG__LEVEL="debug",
            METRICS__ENABLED="true",
            REGISTRY__MAX_ATTEMPTS="1",
            REGISTRY__CIRCUIT_THRESHOLD="1000",
            REPOSITORIES=json.dumps(
                [
                    {
                        "unique_id": REPOSITORY,
                        "url": f"http://127.0.0.1:{relay_port}{wire.REPOSITORY}",
                        "max_attempts": 1,
                        "circuit_threshold": 1000,
                    }
                ]
            ),
        )
        try:
            stack = Stack(await gateway.start(), session, None)
            found, following = await use_everything(stack, domain, urls)
            await fail_in_every_way(stack, peer, found, following)
            redis = tmp_path / "gateway" / "redis" / "redis"
            os.kill(int((redis / "server.lock").read_text()), signal.SIGKILL)
            await use_everything(stack, domain, urls)
            await affinity.kill()
            await fail_in_every_way(stack, peer, found, following)
            await ask_by_a_marked_id(stack)
            async with session.get(stack.base_url.replace("/fhir", "/metrics")) as answer:
                metrics = await answer.text()
        finally:
            await gateway.kill(signal.SIGTERM)
            await affinity.kill(signal.SIGTERM)
    assert "gateway_peer_calls_total{" in metrics
    assert_unmarked(metrics, "metrics")
    log = (tmp_path / "gateway.log").read_text()
    for event in ("request", "peer.failure", "peer.error", "request.unexpected", "publish.outcome_unknown"):
        assert f'"event":"{event}"' in log, "the log has what this test is about"
    assert "LookupError" in log
    unexpected = [line for line in log.splitlines() if '"event":"request.unexpected"' in line]
    assert all('"error":"ValueError"' in line for line in unexpected), (
        "nothing but the defect fails unexpectedly"
    )
    assert_unmarked(log, "gateway.log")
    assert_unmarked((tmp_path / "affinity.log").read_text(), "affinity.log")
    state = [file for file in (tmp_path / "gateway").rglob("*") if file.is_file()]
    written = [file for file in state if file.suffix in {".aof", ".rdb"}]
    assert sum(file.stat().st_size for file in written) > 10_000, "snapshots and answers were written"
    for file in state:
        assert_unmarked(file.read_bytes().decode("latin-1"), file.name)
    assert len(urls) > 20
    for url in urls:
        assert_unmarked(url, "a URL")


@pytest.mark.timeout(120)
async def test_no_token_and_no_claim_is_in_a_log(tmp_path):
    affinity_port, port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    await affinity.start()
    key, private = ClientKey.made()
    public = {name: value for name, value in private.items() if name != "d"}
    client = {
        "jwks": {"keys": [public]},
        "scopes": ["system/*.cruds", "patient/*.rs"],
        "patient": PATIENT.token,
    }
    sent: set[str] = set()
    async with running_issuer() as issuer, aiohttp.ClientSession() as session:
        (tmp_path / "secret").write_text("gateway-secret")
        trusted = {
            "issuer": issuer.url,
            "jwks_url": f"{issuer.url}/jwks",
            "introspection": {"url": f"{issuer.url}/introspect", "token_file": str(tmp_path / "secret")},
        }
        security = {
            "access": "token",
            "issuers": [trusted],
            "authorisation_server": {"clients": {"a": client}},
        }
        gateway = gateway_service(
            tmp_path,
            port,
            affinity_port,
            LOG__LEVEL="debug",
            SECURITY__ACCESS="token",
            SECURITY=json.dumps(security),
        )
        try:
            base = await gateway.start()
            search = f"{base}/List?patient.identifier={quote(PATIENT.token)}"
            for scope in ("system/*.cruds", "patient/*.rs", MARK):
                form = {
                    "grant_type": "client_credentials",
                    "scope": scope,
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": key.assertion("a", f"{base}/auth/token"),
                }
                sent.add(form["client_assertion"])
                for _ in range(2):
                    async with session.post(f"{base}/auth/token", data=form) as answer:
                        sent.add((await answer.json()).get("access_token", form["client_assertion"]))
            for changes in (
                {},
                {"exp": 1},
                {"aud": MARK},
                {"sub": MARK, "patient": f"{MARK}ID"},
                {"iss": MARK},
            ):
                claims = {"client_id": MARK, "jti": MARK, **changes}
                sent.add(issuer.token(base, f"patient/*.rs {MARK}", **claims))
                sent.add(issuer.token(base, f"system/*.rs {MARK}", **claims))
            sent |= {f"{MARK}-opaque", unsigned({"iss": issuer.url, "sub": MARK})}
            for token in sent:
                for url in (
                    search,
                    f"{base}/content/{MARK}",
                    f"{base}/List/{MARK}",
                    f"{search}&access_token={token}",
                ):
                    async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                        assert answer.status < 500
            issuer.down = True
            async with session.get(search, headers={"Authorization": f"Bearer {MARK}-other"}) as answer:
                assert answer.status == 503
        finally:
            await gateway.kill(signal.SIGTERM)
            await affinity.kill(signal.SIGTERM)
    log = (tmp_path / "gateway.log").read_text()
    for event in ("token.issued", "token.refused", "authorisation.refused", "introspection.failed"):
        assert f'"event":"{event}"' in log, "the log has what this test is about"
    assert_unmarked(log, "gateway.log")
    for token in sent:
        for part in token.split("."):
            assert len(part) < 8 or part not in log
    assert "gateway-secret" not in log


def assert_unmarked(text, place):
    for mark in (*MARKS, quote(PATIENT.token)):
        at = text.find(mark)
        assert at < 0, f"{place}: {text[max(0, at - 200) : at + 100]}"
