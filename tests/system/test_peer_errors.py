"""Each way in which a peer fails has its own status and an OperationOutcome that names peer and transaction.

Through the gateway over real sockets; the affinity domain's answers are replaced on their way.
"""

import asyncio
import contextlib
import hashlib
import os
import signal

import aiohttp
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.fhir.error_table import TABLE, row_of
from gateway.model import Cx, DocumentEntry, QueryResult, RegistryError, ResponseStatus, Severity
from gateway.model.query import FindDocuments
from tests.ports import free_port
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import REPOSITORY, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLISH, FIND, RETRIEVE = "ITI-41", "ITI-18", "ITI-43"
ENDPOINT = {PUBLISH: wire.REPOSITORY, FIND: wire.REGISTRY, RETRIEVE: wire.REPOSITORY}
PEER = {PUBLISH: f"repository {REPOSITORY}", FIND: "registry", RETRIEVE: f"repository {REPOSITORY}"}
FIND_DOCUMENTS = FindDocuments.query_id.encode()
MARK = "PATIENT-4711"
LARGE = bytes(range(256)) * 8192  # 2 MiB: its first bytes are sent before its last ones are there

WIRE = {
    "fault-sender": (wire.fault("Sender", reason=MARK), 500, "processing"),
    "fault-receiver": (wire.fault("Receiver", reason=MARK), 502, "exception"),
    "fault-must-understand": (wire.fault("MustUnderstand"), 502, "not-supported"),
    "fault-with-status-200": (wire.fault("Receiver", status=200), 502, "exception"),
    "fault-wsse": (wire.fault("Sender", "FailedAuthentication", reason=MARK), 403, "forbidden"),
    "cut-before-headers": (wire.cut_before_headers, 502, "incomplete"),
    "cut-after-headers": (wire.cut_after_headers, 502, "incomplete"),
    "html": (wire.answering(f"<html><p>{MARK}<br></html>", "text/html"), 502, "structure"),
    "html-as-soap": (wire.answering(f"<html><p>{MARK}<br></html>"), 502, "structure"),
    "not-xml": (wire.answering(MARK), 502, "structure"),
    "other-element": (wire.answering(wire.envelope("<x/>")), 502, "structure"),
    "doctype": (wire.answering(f"<!DOCTYPE x>{wire.envelope('<x/>')}"), 502, "structure"),
    "empty": (wire.answering(b""), 502, "structure"),
    "redirect": (wire.answering("", "text/html", 302, Location="http://127.0.0.1:1/"), 502, "structure"),
    "http-500": (wire.answering("<html>Traceback</html>", "text/html", 500), 502, "structure"),
    "http-401": (wire.answering("who?", "text/plain", 401), 403, "forbidden"),
    "http-403": (wire.answering("no", "text/plain", 403), 403, "forbidden"),
    "http-503": (wire.answering("busy", "text/plain", 503), 503, "throttled"),
    "http-504": (wire.answering("late", "text/plain", 504), 504, "timeout"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_stack(tmp_path_factory):
    # one attempt keeps the tests quick; what is repeated and when is shown by the tests of the SOAP client
    peers = {"max_attempts": 1, "circuit_threshold": 10_000}
    redis = {"connect_timeout": 0.2, "operation_timeout": 0.2}
    async with running_stack(tmp_path_factory.mktemp("peers"), peers=peers, redis=redis) as running:
        yield running


@pytest.fixture
def stack(module_stack):
    module_stack.interfere = None
    yield module_stack
    module_stack.interfere = None


class Case:
    """A document of one patient that is there, and what a client may ask for."""

    def __init__(self, stack, content=b"text\r\n"):
        self.stack, self.content = stack, content
        self.patient = a_patient()
        self.cx = Cx(self.patient.id, self.patient.token.partition("|")[0].removeprefix("urn:oid:"))
        self.document = a_document(content=content)
        self.found = {}

    async def prepare(self):
        status, answer = await self.stack.publish(provide_bundle([self.document], patient=self.patient))
        assert status == 200, answer
        (self.found,) = await self.stack.find(patient__identifier=self.patient.token, status="current")
        return self

    async def ask(self, transaction):
        """Status, headers and JSON of the request that leads to `transaction`."""
        stack = self.stack
        if transaction == PUBLISH:
            bundle = provide_bundle([a_document()], patient=self.patient)
            request = stack.session.post(
                stack.base_url, json=bundle, headers={"Content-Type": "application/fhir+json"}
            )
        elif transaction == FIND:
            parameters = {"patient.identifier": self.patient.token, "status": "current"}
            request = stack.session.get(f"{stack.base_url}/DocumentReference", params=parameters)
        else:
            request = stack.session.get(self.found["content"][0]["attachment"]["url"])
        async with request as answer:
            return answer.status, answer.headers, await answer.json(content_type=None)


def assert_outcome(outcome, transaction, code, *, patient):
    assert outcome["resourceType"] == "OperationOutcome", outcome
    issue = outcome["issue"][0]
    assert (issue["severity"], issue["code"]) == ("error", code), outcome
    assert f"{PEER[transaction]} ({transaction})" in issue["diagnostics"]
    for leak in (MARK, patient.id, patient.family, "Traceback", ".py", "127.0.0.1", "0x"):
        assert leak not in str(outcome), leak


@pytest.mark.parametrize("failure", WIRE)
@pytest.mark.parametrize("transaction", [PUBLISH, FIND, RETRIEVE])
async def test_a_failure_of_the_wire_has_its_status(stack, transaction, failure):
    handler, expected, code = WIRE[failure]
    case = await Case(stack).prepare()
    stack.interfere = wire.at(ENDPOINT[transaction], handler)
    status, headers, outcome = await case.ask(transaction)
    assert status == expected, outcome
    assert headers["Content-Type"].partition(";")[0] == "application/fhir+json"
    assert_outcome(outcome, transaction, code, patient=case.patient)
    assert ("Retry-After" in headers) == (expected == 503)
    stack.interfere = None
    status, _, _ = await stack.download(case.found)
    assert status == 200, "the next request finds the peer well"


CODES = {
    (PUBLISH, "XDSUnknownPatientId"): 422,
    (PUBLISH, "XDSRegistryMetadataError"): 422,
    (PUBLISH, "XDSNonIdenticalHash"): 409,
    (PUBLISH, "XDSRepositoryBusy"): 503,
    (PUBLISH, "XDSRepositoryOutOfResources"): 503,
    (PUBLISH, "XDSRepositoryError"): 502,
    (PUBLISH, "AcmeSpecialError"): 502,
    (FIND, "XDSTooManyResults"): 400,
    (FIND, "XDSUnknownStoredQuery"): 501,
    (FIND, "XDSRegistryNotAvailable"): 503,
    (FIND, "XDSRegistryError"): 502,
    (RETRIEVE, "XDSDocumentUniqueIdError"): 404,
    (RETRIEVE, "XDSUnknownRepositoryId"): 404,
    (RETRIEVE, "XDSRepositoryBusy"): 503,
    (RETRIEVE, "XDSRepositoryError"): 502,
}


def failing(transaction, *errors, status=ResponseStatus.FAILURE):
    answer = {
        PUBLISH: lambda: wire.submission_answer(status, *errors),
        FIND: lambda: wire.query_answer(QueryResult(status=status, errors=errors)),
        RETRIEVE: lambda: wire.retrieve_answer(status, *errors),
    }[transaction]()
    return wire.at(ENDPOINT[transaction], answer)


@pytest.mark.parametrize(("transaction", "code"), CODES)
async def test_an_error_code_has_its_status_and_is_handed_on(stack, transaction, code):
    case = await Case(stack).prepare()
    stack.interfere = failing(transaction, RegistryError(code, "what the peer says"))
    status, headers, outcome = await case.ask(transaction)
    assert status == CODES[transaction, code], outcome
    (issue,) = outcome["issue"]
    assert issue["details"]["coding"][0]["code"] == code
    assert f"{PEER[transaction]} ({transaction})" in issue["diagnostics"]
    assert "what the peer says" in issue["diagnostics"]
    assert ("Retry-After" in headers) == (status == 503)


@pytest.mark.parametrize("transaction", [PUBLISH, FIND, RETRIEVE])
async def test_every_code_of_the_table_has_its_published_status(stack, transaction):
    case = await Case(stack).prepare()
    for code in dict.fromkeys(row.code for row in TABLE):
        row = row_of(code, transaction)
        stack.interfere = failing(transaction, RegistryError(code, "what the peer says"))
        status, _, answer = await case.ask(transaction)
        if row.no_match:
            assert (status, answer["resourceType"]) == (200, "Bundle"), code
            continue
        # what is a warning by nature does not make a failure a success
        assert status == (row.status if row.status >= 400 else 502), code
        (issue,) = answer["issue"]
        assert issue["code"] == row.issue, code
        assert issue["details"]["coding"][0]["code"] == (row.written or row.code), code


async def test_every_code_beside_results_is_a_warning_beside_resources(stack):
    case = await Case(stack).prepare()
    errors = tuple(RegistryError(code, "what the peer says") for code in dict.fromkeys(r.code for r in TABLE))
    held = (
        DocumentEntry(entry_uuid=f"urn:uuid:{case.found['id']}", unique_id="2.999.2.1", patient_id=case.cx),
    )
    for error in (e for e in errors if e.code != "XDSTooManyResults"):
        partial = QueryResult(status=ResponseStatus.PARTIAL, entries=held, errors=(error,))
        stack.interfere = wire.at(wire.REGISTRY, wire.query_answer(partial), asked_for=FIND_DOCUMENTS)
        status, _, bundle = await case.ask(FIND)
        assert (status, bundle["total"]) == (200, 1), error.code
        outcomes = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
        (issue,) = [i for outcome in outcomes for i in outcome["issue"]]
        row = row_of(error.code, FIND)
        assert (issue["severity"], issue["code"]) == ("warning", row.issue), error.code


async def test_a_patient_that_the_registry_does_not_know_has_no_documents(stack):
    case = await Case(stack).prepare()
    stack.interfere = failing(FIND, RegistryError("XDSUnknownPatientId", MARK))
    status, _, bundle = await case.ask(FIND)
    assert (status, bundle["type"], bundle["total"]) == (200, "searchset", 0)


async def test_half_a_result_is_shown_with_what_is_missing(stack):
    case = await Case(stack).prepare()
    error = RegistryError("XDSUnavailableCommunity", "one community does not answer")
    stack.interfere = failing(FIND, error, status=ResponseStatus.PARTIAL)
    status, _, bundle = await case.ask(FIND)
    assert status == 200
    (issue,) = [e["resource"]["issue"][0] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    assert issue["severity"] == "warning"
    assert issue["details"]["coding"][0]["code"] == "XDSUnavailableCommunity"


async def test_warnings_of_a_publish_reach_the_client(stack):
    case = await Case(stack).prepare()
    warning = RegistryError("XDSExtraMetadataNotSaved", "slot x", Severity.WARNING)
    stack.interfere = failing(PUBLISH, warning, status=ResponseStatus.SUCCESS)
    status, _, answer = await case.ask(PUBLISH)
    assert status == 200
    assert "XDSExtraMetadataNotSaved" in str(answer["entry"][0]["response"]["outcome"])


@pytest.mark.parametrize(
    "failure",
    [
        wire.fault("Receiver"),
        wire.answering("busy", "text/plain", 503),
        wire.query_answer(
            QueryResult(status=ResponseStatus.FAILURE, errors=(RegistryError("XDSRegistryError"),))
        ),
    ],
    ids=["fault", "busy", "failure"],
)
async def test_a_page_without_its_associations_says_so(stack, failure):
    case = await Case(stack).prepare()
    stack.interfere = wire.at(wire.REGISTRY, failure, asked_for=b"a7ae438b-4bc2-4642-93e9-be891f7bb155")
    status, _, bundle = await case.ask(FIND)
    assert (status, bundle["total"]) == (200, 1)
    resources = {e["search"]["mode"]: e["resource"] for e in bundle["entry"]}
    assert resources["match"] == case.found
    (issue,) = resources["outcome"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "incomplete")
    assert issue["diagnostics"].startswith("registry ")


async def test_success_without_the_document_is_an_error(stack):
    case = await Case(stack).prepare()
    stack.interfere = failing(RETRIEVE, status=ResponseStatus.SUCCESS)
    status, _, outcome = await case.ask(RETRIEVE)
    assert status == 502
    assert_outcome(outcome, RETRIEVE, "structure", patient=case.patient)


@pytest.mark.parametrize(
    "altered", [b"texT\r\n", b"text\r\n ", b"text\r", b""], ids=["changed", "longer", "shorter", "empty"]
)
async def test_a_small_document_that_was_altered_is_refused(stack, altered):
    case = await Case(stack).prepare()
    answer = wire.document_answer(case.document.unique_id, altered)
    stack.interfere = wire.at(wire.REPOSITORY, answer)
    status, _, outcome = await case.ask(RETRIEVE)
    assert status == 502, outcome
    assert_outcome(outcome, RETRIEVE, "exception", patient=case.patient)


@pytest.mark.parametrize("content", [b"text\r\n", b"t" * 3000])
async def test_half_of_a_small_document_is_refused(stack, content):
    case = await Case(stack, content).prepare()
    answer = wire.document_answer(
        case.document.unique_id, content, cut_at=-(len(content) // 2 + len("\r\n--b1--\r\n"))
    )
    stack.interfere = wire.at(wire.REPOSITORY, answer)
    status, _, outcome = await case.ask(RETRIEVE)
    assert status == 502, outcome
    assert_outcome(outcome, RETRIEVE, "incomplete", patient=case.patient)


@pytest.mark.parametrize(
    ("content", "cut_at"),
    [(LARGE, 1 << 20), (LARGE, -10), (LARGE[:-1] + b"x", None), (LARGE + b"x", None), (LARGE[:-1], None)],
    ids=["cut-in-the-middle", "cut-in-the-last-delimiter", "changed", "longer", "shorter"],
)
async def test_a_client_never_takes_a_broken_large_document_for_a_complete_one(stack, content, cut_at):
    case = await Case(stack, LARGE).prepare()
    answer = wire.document_answer(case.document.unique_id, content, cut_at=cut_at)
    stack.interfere = wire.at(wire.REPOSITORY, answer)
    received = bytearray()
    async with stack.session.get(case.found["content"][0]["attachment"]["url"]) as response:
        if response.status == 200:
            with pytest.raises(aiohttp.ClientPayloadError):
                async for chunk in response.content.iter_any():
                    received += chunk
        else:
            assert response.status == 502
    assert len(received) < len(LARGE)
    stack.interfere = None
    status, _, body = await stack.download(case.found)
    assert (status, hashlib.sha1(body).digest()) == (200, hashlib.sha1(LARGE).digest())


async def test_a_peer_that_refuses_connections_is_a_bad_gateway(tmp_path, stack):
    case = await Case(stack).prepare()
    away = f"http://127.0.0.1:{free_port()}/xds"
    peers = {
        "registry": {"url": f"{away}/registry", "max_attempts": 1},
        "repositories": [{"unique_id": REPOSITORY, "url": f"{away}/repository", "max_attempts": 1}],
        "security": {"keys": [(stack.settings.state_dir / "keys").read_text().strip()]},
    }
    async with running_stack(tmp_path, **peers) as alone:
        url = case.found["content"][0]["attachment"]["url"].replace(stack.base_url, alone.base_url)
        case.stack = alone
        case.found = {"content": [{"attachment": {"url": url}}]}
        for transaction in (PUBLISH, FIND, RETRIEVE):
            status, _, outcome = await case.ask(transaction)
            assert status == 502
            assert_outcome(outcome, transaction, "transient", patient=case.patient)
            assert len(outcome["issue"]) == 1, "it is known that nothing was sent"


async def test_a_silent_peer_is_a_gateway_timeout_and_opens_its_circuit(tmp_path):
    peers = {"max_attempts": 1, "read_timeout": 0.8, "circuit_threshold": 1, "circuit_reset": 600}
    async with running_stack(tmp_path, peers=peers) as stack:
        case = await Case(stack).prepare()
        asked = (PUBLISH, FIND, RETRIEVE)
        stack.interfere = wire.silent
        answers = await asyncio.gather(*(case.ask(transaction) for transaction in asked))
        for transaction, (status, _, outcome) in zip(asked, answers, strict=True):
            assert status == 504
            assert_outcome(outcome, transaction, "timeout", patient=case.patient)
            assert ("Send the same Bundle again" in str(outcome)) == (transaction == PUBLISH)
        stack.soap_calls.clear()
        for transaction in asked:
            status, headers, outcome = await case.ask(transaction)
            assert status == 503
            assert int(headers["Retry-After"]) > 0
            assert_outcome(outcome, transaction, "transient", patient=case.patient)
        assert not stack.soap_calls, "an open circuit asks nobody"
        _, health = await stack.get(stack.base_url.replace("/fhir", "/health/ready"))
        assert health["status"] == "down"
        assert health["abilities"] == {"find": "down", "publish": "down", "retrieve": "down"}
        assert health["circuits"][f"{PEER[PUBLISH]} {PUBLISH}"] == "open"


async def test_a_publish_that_was_stored_too_late_can_be_sent_again(tmp_path):
    async def answers_late(request):
        await wire.forwarded(request)
        return await wire.silent(request)

    async def all_late(request):
        if request.path == wire.REGISTRY:
            return await wire.silent(request)
        return await wire.at(wire.REPOSITORY, answers_late)(request)

    async with running_stack(tmp_path, peers={"max_attempts": 1, "read_timeout": 0.8}) as stack:
        case = await Case(stack).prepare()
        for handler, expected in ((wire.at(wire.REPOSITORY, answers_late), 200), (all_late, 504)):
            bundle = provide_bundle([a_document(content=b"new")], patient=case.patient)
            stack.interfere = handler
            status, answer = await stack.publish(bundle)
            assert status == expected, answer
            stack.interfere = None
            status, answer = await stack.publish(bundle)
            assert status == 200
            await stored_once(stack, case, bundle, answer)


async def stored_once(stack, case, bundle, answer):
    """The documents of the Bundle are there once, at the Locations of the answer."""
    expected = {e["resource"]["masterIdentifier"]["value"] for e in bundle["entry"][1:2]}
    found = await stack.find(patient__identifier=case.patient.token, status="current")
    new = [f for f in found if f["masterIdentifier"]["value"] in expected]
    assert [f["id"] for f in new] == [answer["entry"][1]["response"]["location"].rsplit("/", 1)[-1]]
    status, _, body = await stack.download(new[0])
    assert (status, body) == (200, b"new")


@contextlib.asynccontextmanager
async def redis_state(stack, kind):
    if kind == "redis":
        yield
        return
    pid = int((stack.settings.state_dir / "redis" / "redis" / "server.lock").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        for _ in range(500):
            _, health = await stack.get(stack.base_url.replace("/fhir", "/health/ready"))
            if health["redis"]["available"]:
                break
            await asyncio.sleep(0.02)
        assert health["redis"]["available"]


@pytest.mark.parametrize("redis", ["redis", "without redis"])
async def test_a_publish_that_was_stored_is_answered_although_its_answer_was_lost(stack, redis):
    case = await Case(stack).prepare()
    bundle = provide_bundle([a_document(content=b"new")], patient=case.patient)
    async with redis_state(stack, redis):
        stack.interfere = wire.at(wire.REPOSITORY, wire.carried_out_then_cut)
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
        assert answer["type"] == "transaction-response"
        assert len(answer["entry"]) == len(bundle["entry"])
        stack.interfere = None
        assert await stack.publish(bundle) == (200, answer)
        await stored_once(stack, case, bundle, answer)


@pytest.mark.parametrize("redis", ["redis", "without redis"])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [(wire.carried_out_then_cut, 502), (wire.cut_before_headers, 502)],
    ids=["stored", "not-stored"],
)
async def test_a_publish_of_unknown_outcome_can_be_sent_again(stack, redis, loss, expected):
    case = await Case(stack).prepare()
    bundle = provide_bundle([a_document(content=b"new")], patient=case.patient)

    async def all_away(request):
        if request.path == wire.REGISTRY:
            return await wire.cut_before_headers(request)
        return await wire.at(wire.REPOSITORY, loss)(request)

    async with redis_state(stack, redis):
        stack.interfere = all_away
        status, outcome = await stack.publish(bundle)
        assert status == expected
        assert_outcome(outcome, PUBLISH, "incomplete", patient=case.patient)
        assert "Send the same Bundle again" in outcome["issue"][1]["diagnostics"]
        stack.interfere = None
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
        assert await stack.publish(bundle) == (200, answer)
        await stored_once(stack, case, bundle, answer)


@pytest.mark.parametrize("redis", ["redis", "without redis"])
async def test_clients_that_publish_at_once_share_one_lost_answer(stack, redis):
    case = await Case(stack).prepare()
    bundle = provide_bundle([a_document(content=b"new")], patient=case.patient)
    async with redis_state(stack, redis):
        stack.interfere = wire.at(wire.REPOSITORY, wire.carried_out_then_cut)
        stack.soap_calls.clear()
        answers = await asyncio.gather(*(stack.publish(bundle) for _ in range(5)))
        stack.interfere = None
        assert {status for status, _ in answers} == {200}
        assert all(answer == answers[0][1] for _, answer in answers)
        assert len({str(a) for _, a in answers}) == 1
        await stored_once(stack, case, bundle, answers[0][1])


async def test_a_refusal_stands_when_the_registry_cannot_be_asked(stack):
    case = await Case(stack).prepare()

    async def refused(request):
        if request.path == wire.REGISTRY:
            return await wire.cut_before_headers(request)
        return await wire.submission_answer(
            ResponseStatus.FAILURE, RegistryError("XDSRegistryMetadataError", "slot x")
        )(request)

    stack.interfere = refused
    status, _, outcome = await case.ask(PUBLISH)
    assert status == 422, outcome
    assert "XDSRegistryMetadataError" in outcome["issue"][0]["diagnostics"]


async def test_a_duplicate_that_cannot_be_told_from_a_repeat_is_sent_again(stack):
    case = await Case(stack).prepare()

    async def refused(request):
        if request.path == wire.REGISTRY:
            return await wire.cut_before_headers(request)
        return await wire.submission_answer(
            ResponseStatus.FAILURE, RegistryError("XDSDuplicateUniqueIdInRegistry")
        )(request)

    stack.interfere = refused
    status, _, outcome = await case.ask(PUBLISH)
    assert status == 502, outcome
    assert_outcome(outcome, FIND, "incomplete", patient=case.patient)


async def test_who_waits_too_long_for_the_same_bundle_is_told_to_come_back(tmp_path):
    waits = asyncio.Event()

    async def until_told(request):
        await waits.wait()
        return await wire.forwarded(request)

    async with running_stack(tmp_path, lifetimes={"publish_lock": 0.4}) as stack:
        case = Case(stack)
        bundle = provide_bundle([a_document(content=b"new")], patient=case.patient)
        stack.interfere = wire.at(wire.REPOSITORY, until_told)
        first = asyncio.create_task(stack.publish(bundle))
        while not stack.soap_calls[wire.REPOSITORY]:
            await asyncio.sleep(0.01)
        headers = {"Content-Type": "application/fhir+json"}
        async with stack.session.post(stack.base_url, json=bundle, headers=headers) as answer:
            assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        waits.set()
        status, response = await first
        assert status == 200
        stack.interfere = None
        assert await stack.publish(bundle) == (200, response)
        assert stack.soap_calls[wire.REPOSITORY] == 2, "one to the gateway's peer, one from the test to it"
