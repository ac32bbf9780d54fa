"""Every request has its record, with what was asked of peers for it, in the end and once."""

import asyncio
import base64
import json
import signal
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from gateway.audit import delivery as delivering
from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.audit.archive_process import stored
from tests.audit.repositories import FhirArchive
from tests.audit.samples import soap_messages
from tests.ports import free_port
from tests.soap.wire import envelope
from tests.system.documents import a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import (
    Service,
    affinity_service,
    gateway_service,
    running_stack,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def named(event):
    """The transaction, or the interaction where it is none."""
    for subtype in event["subtype"]:
        if subtype["system"] == "urn:ihe:event-type-code":
            return subtype["code"]
    return event["subtype"][0]["code"]


def request_id(event):
    return next(
        (
            e["what"]["identifier"]["value"]
            for e in event.get("entity", ())
            if e["type"]["code"] == "XrequestId"
        ),
        None,
    )


def parent(event):
    return next(
        (
            d["valueString"]
            for e in event.get("entity", ())
            for d in e.get("detail", ())
            if d["type"] == "traceparent"
        ),
        None,
    )


@pytest.fixture(autouse=True, scope="module")
def _soon():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(delivering, "_GATHER", 0.01)
        yield


class Audited:
    """A gateway whose records go to an archive."""

    def __init__(self, stack, archive):
        self.stack = stack
        self.archive = archive
        self.session = stack.session

    async def asked(self, method, path, **more):
        """Send a request and give its status and the records of it and of what it made the gateway ask."""
        named_by = str(uuid.uuid4())
        headers = {"X-Request-Id": named_by, **more.pop("headers", {})}
        url = path if "://" in path else f"{self.stack.base_url}{path}"
        async with self.session.request(method, url, headers=headers, **more) as answer:
            body = await answer.read()
            status = answer.status
            assert answer.headers["X-Request-Id"] == named_by
        events = await self.events_of(named_by)
        return status, body, events

    async def events_of(self, named_by):
        async with asyncio.timeout(30):
            while True:
                events = [e for e in self.archive.events.values() if request_id(e) == named_by]
                if any(e["agent"][1]["who"] == e["source"]["observer"] for e in events):
                    return events
                await asyncio.sleep(0.02)


@asynccontextmanager
async def audited(folder, **settings):
    archive = await FhirArchive().start()
    try:
        audit = {"fhir": {"url": archive.url}, **settings.pop("audit", {})}
        async with running_stack(folder, audit=audit, **settings) as stack:
            yield Audited(stack, archive)
    finally:
        await archive.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    async with audited(tmp_path_factory.mktemp("audit")) as running:
        yield running


@pytest.fixture
def content():
    return sample_content(f"audit {uuid.uuid4()}")


def outcomes(events):
    return sorted((named(event), event["outcome"]) for event in events)


async def published(gateway, content):
    bundle = provide_bundle([content.report], patient=content.patient)
    return await gateway.asked("POST", "", json=bundle, headers={"Content-Type": "application/fhir+json"})


async def test_a_publish_is_recorded_at_both_ends(gateway, content):
    status, _, events = await published(gateway, content)
    assert status == 200
    assert outcomes(events) == [("ITI-41", "0"), ("ITI-65", "0")]
    for event in events:
        people = [e for e in event["entity"] if e.get("what", {}).get("type") == "Patient"]
        assert [p["what"]["identifier"]["value"] for p in people] == [content.patient.id]
        lists = [e for e in event["entity"] if e.get("what", {}).get("type") == "List"]
        assert len(lists) == 1


async def test_a_search_and_a_retrieve_are_recorded_at_both_ends(gateway, content):
    await published(gateway, content)
    query = {"patient.identifier": content.patient.token, "status": "current"}
    status, body, events = await gateway.asked("GET", "/DocumentReference", params=query)
    assert status == 200
    assert set(outcomes(events)) == {("ITI-18", "0"), ("ITI-67", "0")}
    form = {**query}
    _, _, by_form = await gateway.asked("POST", "/DocumentReference/_search", data=form)
    (searched,) = (e for e in by_form if named(e) == "ITI-67")
    assert any("DocumentReference/_search" in e.get("description", "") for e in searched["entity"])
    url = json.loads(body)["entry"][0]["resource"]["content"][0]["attachment"]["url"]
    status, _, events = await gateway.asked("GET", url)
    assert status == 200
    assert outcomes(events) == [("ITI-43", "0"), ("ITI-68", "0")]
    for event in events:
        kinds = [e["what"]["type"] for e in event["entity"] if "type" in e.get("what", {})]
        assert sorted(kinds) == ["DocumentReference", "Patient"]
        if named(event) == "ITI-68":
            assert event["meta"]["profile"][0].endswith("RetrieveDocument.Audit.Responder")
    status, _, events = await gateway.asked("HEAD", url)
    assert (status, ("ITI-68", "0") in outcomes(events)) == (200, True)


async def test_queries_and_matches_of_patients_are_recorded_with_whom_they_found(gateway, content):
    await published(gateway, content)
    patient = content.patient
    described = {"resourceType": "Patient", "identifier": [patient.identifier]}
    for name, profile, path, more in (
        ("ITI-78", "Query", "/Patient/_search", {"data": {"identifier": patient.token}}),
        ("ITI-119", "Match", "/Patient/$match", {"json": described}),
    ):
        headers = {"Content-Type": "application/fhir+json"} if "json" in more else {}
        status, _, events = await gateway.asked("POST", path, headers=headers, **more)
        assert status == 200
        (event,) = (e for e in events if named(e) == name)
        assert event["meta"]["profile"] == [
            f"https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm.{profile}.Audit.Supplier"
        ]
        assert [c["code"] for c in event["subtype"]] == ["search", name]
        people = [e["what"]["identifier"]["value"] for e in event["entity"] if e["type"]["code"] == "1"]
        assert people == [patient.id]
        (query,) = (e["query"] for e in event["entity"] if e.get("query"))
        assert patient.id in base64.b64decode(query).decode()


async def test_other_requests_of_fhir_are_recorded(gateway, content):
    query = {"patient.identifier": content.patient.token, "status": "current"}
    for path, params, name in (
        ("/List", {**query, "code": "submissionset"}, "ITI-66"),
        ("/ImagingStudy", {"patient.identifier": content.patient.token}, "search"),
        ("/dicomweb/studies", {"PatientID": "NOBODY", "IssuerOfPatientID": "2.999.1.1"}, "RAD-129"),
    ):
        status, _, events = await gateway.asked("GET", path, params=params)
        assert status < 300, path
        assert (name, "0") in outcomes(events), path
    status, _, events = await gateway.asked("GET", "/dicomweb/studies/2.999.7")
    assert (status, outcomes(events)) == (404, [("RAD-107", "4")])
    status, _, events = await gateway.asked("GET", "/DocumentReference/nothing")
    assert (status, outcomes(events)) == (404, [("read", "4")])


async def test_what_says_nothing_of_patients_is_not_recorded(gateway):
    async with gateway.session.get(f"{gateway.stack.base_url}/metadata") as answer:
        silent = answer.headers["X-Request-Id"]
    await gateway.asked("GET", "/DocumentReference/nothing")
    assert silent not in {request_id(event) for event in gateway.archive.events.values()}


async def test_the_trace_goes_through_all_records_and_to_peers(gateway, content):
    await published(gateway, content)
    seen = []

    async def look(request):
        seen.append(
            (request.headers["X-Request-Id"], request.headers["traceparent"], request.headers["tracestate"])
        )

    gateway.stack.interfere = look
    given = f"00-{TRACE}-00f067aa0ba902b7-01"
    query = {"patient.identifier": content.patient.token, "status": "current"}
    try:
        _, _, events = await gateway.asked(
            "GET",
            "/DocumentReference",
            params=query,
            headers={"traceparent": given, "tracestate": "vendor=1"},
        )
    finally:
        gateway.stack.interfere = None
    (own,) = (e for e in events if named(e) == "ITI-67")
    assert parent(own) == given
    legs = [parent(e) for e in events if named(e) == "ITI-18"]
    assert sorted(legs) == sorted(sent for _, sent, _ in seen)
    assert all(leg.split("-")[1] == TRACE and leg != given for leg in legs)
    assert {(request, state) for request, _, state in seen} == {(request_id(own), "vendor=1")}


async def test_failures_are_recorded_at_both_ends(gateway, content):
    await published(gateway, content)
    query = {"patient.identifier": content.patient.token, "status": "current"}
    _, body, _ = await gateway.asked("GET", "/DocumentReference", params=query)
    url = json.loads(body)["entry"][0]["resource"]["content"][0]["attachment"]["url"]

    async def fail(_):
        return aiohttp.web.Response(status=400, text="no")

    gateway.stack.interfere = fail
    try:
        status, _, events = await gateway.asked("GET", "/DocumentReference", params=query)
        assert (status, set(outcomes(events))) == (502, {("ITI-18", "8"), ("ITI-67", "8")})
        status, _, events = await gateway.asked("GET", url)
        assert (status, set(outcomes(events))) == (502, {("ITI-43", "8"), ("ITI-68", "8")})
        status, _, events = await published(gateway, sample_content(f"x {uuid.uuid4()}"))
        assert status == 502
        assert {("ITI-41", "8"), ("ITI-65", "8")} <= set(outcomes(events))
    finally:
        gateway.stack.interfere = None
    for event in events:
        assert "profile" not in event["meta"]
    status, _, events = await gateway.asked(
        "POST", "", data=b"{", headers={"Content-Type": "application/fhir+json"}
    )
    assert (status, outcomes(events)) == (400, [("ITI-65", "4")])


async def test_who_asks_is_who_the_token_says_and_a_refusal_is_recorded(tmp_path):
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(running_issuer())
        security = {"access": "token", "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]}
        gateway = await stack.enter_async_context(audited(tmp_path, security=security))
        base = gateway.stack.base_url
        query = {"patient.identifier": a_patient("t").token, "status": "current"}

        def bearer(scope, **claims):
            return {"Authorization": f"Bearer {issuer.token(base, scope, **claims)}"}

        good = bearer("system/*.rs", sub="eva", jti="j-1", client_id="ward")
        _, _, events = await gateway.asked("GET", "/DocumentReference", params=query, headers=good)
        for event in events:
            (user,) = (a for a in event["agent"] if a["type"]["coding"][0]["code"] == "IRCP")
            assert user["who"]["identifier"] == {"system": issuer.url, "value": "eva"}
            assert user["policy"] == ["urn:ietf:params:oauth:jti:j-1"]
            assert event["outcome"] == "0"
        status, _, (refused,) = await gateway.asked("GET", "/DocumentReference", params=query)
        assert (status, refused["outcome"], len(refused["agent"])) == (401, "8", 2)
        few = bearer("system/List.rs", sub="eva", jti="j-2", client_id="ward")
        status, _, (refused,) = await gateway.asked("GET", "/DocumentReference", params=query, headers=few)
        assert (status, refused["outcome"]) == (403, "8")
        assert any(a.get("policy") == ["urn:ietf:params:oauth:jti:j-2"] for a in refused["agent"])
        leaked = {**query, "access_token": "SECRET"}
        status, _, (refused,) = await gateway.asked("GET", "/DocumentReference", params=leaked)
        assert status == 400
        assert "SECRET" not in json.dumps(refused)
        # what speaks of an attempt has a record of its own
        false = {"Authorization": "Bearer not.a.token"}
        status, _, events = await gateway.asked("GET", "/DocumentReference", params=query, headers=false)
        assert (status, kinds(events)) == (401, [("110114", "110122", "8"), ("rest", "search", "8")])
        alert = next(event for event in events if event["type"]["code"] == "110114")
        assert "access token is not good" in alert["outcomeDesc"]
        assert "not.a.token" not in json.dumps(events)


async def test_what_was_never_given_out_raises_an_alert(gateway, content):
    await published(gateway, content)
    query = {"patient.identifier": content.patient.token, "status": "current"}
    _, body, _ = await gateway.asked("GET", "/DocumentReference", params=query)
    url = json.loads(body)["entry"][0]["resource"]["content"][0]["attachment"]["url"]
    place = len(url) // 2
    swapped = url[:place] + ("A" if url[place] != "A" else "B") + url[place + 1 :]
    for other in (swapped, f"{gateway.stack.base_url}/wado/AAAA/studies/2.999.1"):
        status, _, events = await gateway.asked("GET", other)
        assert status == 404
        assert ("110113", "110132", "8") in kinds(events), other
        assert len(events) == 2
    status, _, events = await gateway.asked("GET", url)
    assert status == 200
    assert not any(event["type"]["code"] == "110113" for event in events)


NO_HOSTS = [b"h:99999", b"a:b", b"h\xf6st", b"a b", b"http://h/", b"u@h", b"[::1", b"h:1:2"]


async def sent_as_it_is(gateway, method, path, host, body=b"", **headers):
    """A request over a socket; head and body of the answer, which ends with the connection, and the records
    under the name of the request."""
    named_by = str(uuid.uuid4())
    address = URL(gateway.stack.base_url)
    lines = [
        f"{method} {path} HTTP/1.1".encode(),
        b"Host: " + host,
        f"X-Request-Id: {named_by}\r\nContent-Length: {len(body)}".encode(),
        *(f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()),
    ]
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    async with asyncio.timeout(30):
        head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, answer, await gateway.events_of(named_by)


@pytest.mark.parametrize("host", NO_HOSTS)
async def test_a_request_to_what_is_no_host_is_refused_and_recorded_and_nothing_done(gateway, content, host):
    await published(gateway, content)
    query = {"patient.identifier": content.patient.token, "status": "current"}
    _, body, _ = await gateway.asked("GET", "/DocumentReference", params=query)
    url = json.loads(body)["entry"][0]["resource"]["content"][0]["attachment"]["url"]
    bundle = provide_bundle([sample_content(f"other {uuid.uuid4()}").report], patient=content.patient)
    stored_before = gateway.stack.soap_calls.copy()
    soap = envelope("<a/>", headers="<wsa:Action>urn:nothing</wsa:Action>").encode()
    for method, path, more in (
        ("POST", "/fhir", {"body": json.dumps(bundle).encode(), "Content_Type": "application/fhir+json"}),
        ("GET", URL(url).raw_path_qs, {}),
        ("POST", "/xds/imaging", {"body": soap, "Content_Type": "application/soap+xml"}),
    ):
        head, answer, events = await sent_as_it_is(gateway, method, path, host, **more)
        assert head.startswith(b"HTTP/1.1 400 "), (path, head)
        assert b"connection: close" in head.lower()
        outcome = json.loads(answer)
        assert outcome["resourceType"] == "OperationOutcome"
        assert "Host header" in outcome["issue"][0]["diagnostics"]
        assert [event["outcome"] for event in events] == ["4"], path
    assert gateway.stack.soap_calls == stored_before


@pytest.mark.parametrize("host", [b"gw_1.example.org", b"h:65535", b"[::1]:8080", b"10.0.0.1", b"h:", b""])
async def test_a_host_of_another_name_is_answered(gateway, host):
    head, _, events = await sent_as_it_is(
        gateway, "GET", "/fhir/DocumentReference/nothing", host, Connection="close"
    )
    assert head.startswith(b"HTTP/1.1 404 ")
    assert outcomes(events) == [("read", "4")]


def kinds(events):
    """Type, first subtype and outcome of each."""
    return sorted((e["type"]["code"], e["subtype"][0]["code"], e["outcome"]) for e in events)


async def test_a_full_queue_refuses_requests_where_the_settings_say_so(tmp_path):
    audit = {"when_full": "refuse", "max_records": 3}
    async with audited(tmp_path, audit=audit) as gateway:
        await gateway.archive.stop()
        statuses = []
        for _ in range(6):
            async with gateway.session.get(f"{gateway.stack.base_url}/DocumentReference/x") as answer:
                statuses.append(answer.status)
        assert statuses == [404, 404, 404, 503, 503, 503]
        async with gateway.session.get(f"{gateway.stack.base_url}/metadata") as answer:
            assert answer.status == 200, "what is not recorded is answered"


async def test_what_is_asked_by_soap_is_recorded_as_the_server_that_was_asked(tmp_path):
    community = {"home_community_id": "2.999.60.2", "responding_gateway": {"enabled": True}}
    async with (
        audited(tmp_path, xds_server={"enabled": True}, **community) as gateway,
        SoapClient(load_contract()) as soap,
    ):
        site = gateway.stack.base_url.removesuffix("/fhir")
        paths = {
            "ITI-18": "/xds/registry",
            "ITI-43": "/xds/repository",
            "RAD-69": "/xds/imaging",
            "ITI-38": "/xca/gateway",
            "ITI-39": "/xca/gateway",
            "RAD-75": "/xca-i/imaging",
        }
        for transaction, path in paths.items():
            body, _ = soap_messages(transaction)
            await soap.call(Peer("gateway", site + path), transaction, body)
        # neither a message of this transaction, nor one at all
        wrong = envelope("<a/>", headers=f"<wsa:Action>{load_contract()['ITI-18'].action}</wsa:Action>")
        async with gateway.session.post(
            site + "/xds/registry", data=wrong, headers={"Content-Type": "application/soap+xml"}
        ) as answer:
            assert answer.status >= 400
        unknown = envelope("<a/>", headers="<wsa:Action>urn:nothing</wsa:Action>")
        async with gateway.session.post(
            site + "/xca/gateway", data=unknown, headers={"Content-Type": "application/soap+xml"}
        ) as answer:
            assert answer.status >= 400

        def served():
            return [
                e for e in gateway.archive.events.values() if e["agent"][1]["who"] == e["source"]["observer"]
            ]

        async with asyncio.timeout(30):
            while len({named(e) for e in served()}) <= len(paths) or not any(
                e["outcome"] == "8" and named(e) == "ITI-18" for e in served()
            ):
                await asyncio.sleep(0.05)
    found = {named(event): event for event in served() if event["outcome"] == "0"}
    assert {"ITI-18", "ITI-38"} <= set(found)
    # an operation that there is not is nothing but an alert
    assert {named(event) for event in served()} == {*paths, "110132"}
    for event in served():
        client, server = event["agent"][:2]
        assert client["network"] == {"address": "127.0.0.1", "type": "2"}
        assert server["requestor"] is False
        assert "/fhir" not in json.dumps(server["network"])


async def test_records_can_be_asked_for_here_by_those_who_may(tmp_path):
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(running_issuer())
        security = {"access": "token", "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]}
        gateway = await stack.enter_async_context(audited(tmp_path, security=security))
        base, patient = gateway.stack.base_url, a_patient("asked")

        def bearer(scope, **claims):
            return {"Authorization": f"Bearer {issuer.token(base, scope, jti=str(uuid.uuid4()), **claims)}"}

        query = {"patient.identifier": patient.token, "status": "current"}
        await gateway.asked("GET", "/DocumentReference", params=query, headers=bearer("system/*.rs"))
        at = {
            "date": ["ge2026-01-01", "le2100-01-01"],
            "patient.identifier": patient.token,
            "subtype": "ITI-67",
        }

        async def ask(scope, path="/AuditEvent", params=at, **claims):
            pairs = [(n, v) for n, vs in params.items() for v in (vs if isinstance(vs, list) else [vs])]
            status, body, _ = await gateway.asked("GET", path, params=pairs, headers=bearer(scope, **claims))
            return status, json.loads(body)

        for scope in ("system/AuditEvent.rs", "ITI-81"):
            status, bundle = await ask(scope)
            assert (status, bundle["total"]) == (200, 1), bundle
        event = bundle["entry"][0]["resource"]
        assert named(event) == "ITI-67"
        assert (await ask("ITI-81", f"/AuditEvent/{event['id']}", {}))[1] == event
        assert (await ask("ITI-81", "/AuditEvent/nothing", {}))[0] == 404
        for scope in ("system/*.rs", "system/DocumentReference.rs", "patient/*.rs"):
            assert (await ask(scope, patient=patient.token))[0] == 403, scope
        assert (
            await ask("ITI-81", patient=patient.token, extensions={"ihe_bppc": {"patient_id": patient.token}})
        )[0] == 403
        assert (await ask("ITI-81", params={"subtype": "ITI-67"}))[1]["issue"][0]["code"] == "required"
        assert (await ask("ITI-81", params={**at, "date": "soon"}))[0] == 400
        assert (await ask("ITI-81", params={**at, "entity-name": "x"}))[0] == 400
        assert (await ask("ITI-81", params={**at, "outcome": "8"}))[1]["total"] == 0
        assert (await ask("ITI-81", params={**at, "date": "lt2026-01-01"}))[1]["total"] == 0
        status, bundle = await ask("ITI-81", params={"date": "ge2026-01-01", "subtype": "ITI-81"})
        assert bundle["total"] >= 5, "each look is recorded"
        async with gateway.session.get(f"{base}/AuditEvent?date=ge2026-01-01") as answer:
            assert answer.status == 401


async def test_with_open_access_the_records_are_not_shown_unless_that_is_said(gateway, tmp_path):
    async with gateway.session.get(f"{gateway.stack.base_url}/AuditEvent?date=ge2026-01-01") as answer:
        assert answer.status == 404


REQUESTS = 2000


def archive_service(folder: Path, port: int) -> Service:
    """The audit repository as a process."""
    program = ("-m", "tests.audit.archive_process")
    return Service([str(port), str(folder / "archive.db")], {}, folder / "archive.log", program=program)


@pytest.mark.timeout(280)
async def test_nothing_acknowledged_is_without_record_though_repository_and_gateway_are_killed(tmp_path):
    affinity_port, port, archive_port = free_port(), free_port(), free_port()
    affinity, archive = affinity_service(tmp_path, affinity_port), archive_service(tmp_path, archive_port)
    await affinity.start()
    url = await archive.start()
    gateway = gateway_service(tmp_path, port, affinity_port, AUDIT__FHIR__URL=url)
    base = await gateway.start()
    patient = a_patient("killed")
    acknowledged, sent = [], 0

    async def client(session):
        nonlocal sent
        # those that find nobody are sent on top, however long a start takes
        while len(acknowledged) < REQUESTS:
            sent += 1
            number, named_by = sent, str(uuid.uuid4())
            # one in ten asks the registry too
            path = (
                f"/DocumentReference?status=current&patient.identifier={patient.token}"
                if number % 10 == 0
                else "/DocumentReference/nothing"
            )
            try:
                async with session.get(base + path, headers={"X-Request-Id": named_by}) as answer:
                    await answer.read()
                    acknowledged.append(named_by)
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)

    async def trouble():
        async def until(count):
            while len(acknowledged) < count:
                await asyncio.sleep(0.01)

        await until(REQUESTS // 4)
        await archive.kill()
        await until(REQUESTS // 2)
        await gateway.kill(signal.SIGKILL)
        await gateway.start()
        await until(REQUESTS * 3 // 4)
        await archive.start()

    try:
        async with aiohttp.ClientSession() as session:
            disturbing = asyncio.create_task(trouble())
            await asyncio.gather(*(client(session) for _ in range(8)))
            await disturbing
            wanted = set(acknowledged)
            assert len(wanted) >= REQUESTS

            def there():
                return [
                    request_id(e) for e in stored(tmp_path / "archive.db") if named(e) in {"ITI-67", "read"}
                ]

            async with asyncio.timeout(120):
                while not wanted <= set(there()):
                    await asyncio.sleep(0.3)
        found = there()
        assert len(found) == len(set(found)), "each once"
        starts = [e for e in stored(tmp_path / "archive.db") if e["type"]["code"] == "110100"]
        assert [named(event) for event in starts] == ["110120", "110120"], "the gateway started twice"
    finally:
        for service in (gateway, affinity, archive):
            await service.kill(signal.SIGTERM)
