"""What operators see of real requests: metrics, and the ids that lead through the logs."""

import asyncio
import json
import re
import signal

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gateway.demo.bundles import provide_bundle
from tests.ports import free_port
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import affinity_service, gateway_service, running_stack

AT_LISTENER = {"enabled": True}


async def metrics_of(session, root):
    """Every sample: (name, labels) -> value."""
    async with session.get(f"{root}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        text = await answer.text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Seen:
    """Samples that can be asked for by name and labels."""

    def __init__(self, samples):
        self.samples = samples

    def value(self, name, **labels):
        return self.samples.get((f"gateway_{name}", frozenset(labels.items())), 0)


async def seen(stack):
    return Seen(await metrics_of(stack.session, stack.base_url.removesuffix("/fhir")))


async def test_requests_peers_and_the_store_are_counted_by_transaction(tmp_path):
    patient = a_patient()
    content = b"x" * 100_000
    async with running_stack(tmp_path, metrics=AT_LISTENER) as stack:
        bundle = provide_bundle([a_document(content=content)], patient=patient)
        assert (await stack.publish(bundle))[0] == 200
        [found] = await stack.find(patient__identifier=patient.token, status="current")
        for _ in range(2):
            async with stack.session.get(f"{stack.base_url}/Binary/{found['id']}") as answer:
                assert await answer.read() == content
        await stack.get("DocumentReference", creation="never")
        await stack.get("nothing/is/here")
        now = await seen(stack)
    assert now.value("requests_total", transaction="ITI-65", status="200") == 1
    assert now.value("requests_total", transaction="ITI-67", status="200") == 1
    assert now.value("requests_total", transaction="ITI-67", status="400") == 1
    assert now.value("requests_total", transaction="ITI-68", status="200") == 2
    assert now.value("requests_total", transaction="unknown", status="404") == 1
    assert now.value("request_seconds_count", transaction="ITI-67") == 2
    assert now.value("received_bytes_total", transaction="ITI-65") > len(content)
    assert 0 <= now.value("sent_bytes_total", transaction="ITI-68") - 2 * len(content) < 2000, "and the heads"
    repository = f"repository {stack.settings.repositories[0].unique_id}"
    assert now.value("peer_calls_total", peer=repository, transaction="ITI-41", outcome="ok") == 1
    assert now.value("peer_calls_total", peer=repository, transaction="ITI-43", outcome="ok") == 2
    assert now.value("peer_call_seconds_count", peer="registry", transaction="ITI-18") > 0
    stored = {"peer": repository, "transaction": "ITI-41"}
    fetched = {"peer": repository, "transaction": "ITI-43"}
    assert 0 < now.value("peer_sent_bytes_total", **stored) - len(content) < 20_000, "and the metadata"
    assert 0 < now.value("peer_received_bytes_total", **stored) < 20_000
    assert 0 < now.value("peer_received_bytes_total", **fetched) - 2 * len(content) < 20_000, "twice"
    assert now.value("peer_calls_most", **fetched) == stack.settings.repositories[0].max_in_flight
    assert now.value("correlation_reads_total", kind="document", result="miss") == 1
    assert now.value("correlation_reads_total", kind="document", result="hit") == 1, "the second time"
    assert now.value("correlation_available") == 1
    assert now.value("publish_bytes_held") == 0
    assert now.value("requests_in_flight") == 1, "the one that asks"


async def test_failures_of_peers_are_told_by_what_went_wrong(tmp_path):
    patient = a_patient()
    peers = {"max_attempts": 1, "circuit_threshold": 1, "circuit_reset": 600}
    async with running_stack(tmp_path, peers=peers, metrics=AT_LISTENER) as stack:
        stack.interfere = wire.at(wire.REGISTRY, wire.cut_before_headers)
        for _ in range(3):
            status, _ = await stack.get("DocumentReference", **{"patient.identifier": patient.token})
            assert status >= 500
        now = await seen(stack)
    of = {"peer": "registry", "transaction": "ITI-18"}
    assert now.value("peer_calls_total", **of, outcome="disconnected") == 1
    assert now.value("peer_calls_total", **of, outcome="circuit-open") == 2
    assert now.value("peer_circuit", **of) == 2
    assert now.value("peer_calls_in_flight", **of) == 0


async def test_what_clients_send_does_not_become_a_label(tmp_path):
    async with running_stack(tmp_path, metrics=AT_LISTENER) as stack:
        for number in range(30):
            await stack.get(f"made-up-{number}/{number}", **{f"name-{number}": "x"})
            await stack.get(f"List/made-up-{number}")
            async with stack.session.request(f"MADEUP{number}", stack.base_url):
                pass
        now = await seen(stack)
    names = [dict(labels) for name, labels in now.samples if name == "gateway_requests_total"]
    assert "made" not in json.dumps(names).lower()
    assert {each["transaction"] for each in names} <= {"unknown", "read List", "metrics"}


async def test_without_the_setting_there_are_no_metrics(tmp_path):
    async with running_stack(tmp_path) as stack:
        status, _ = await stack.get(stack.base_url.removesuffix("/fhir") + "/metrics")
        assert status == 404


async def test_a_request_is_found_by_its_ids_in_answer_log_and_at_peers(tmp_path):
    sent = []

    async def listen(request):
        sent.append((request.path, request.headers.get("traceparent"), request.headers.get("X-Request-Id")))

    patient = a_patient()
    trace, request_id = "4bf92f3577b34da6a3ce929d0e0e4736", "3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f"
    async with running_stack(tmp_path) as stack:
        bundle = provide_bundle([a_document()], patient=patient)
        stack.interfere = listen
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": request_id}
        async with stack.session.post(
            stack.base_url, json=bundle, headers=headers | {"Content-Type": "application/fhir+json"}
        ) as answer:
            assert answer.status == 200
            assert answer.headers["X-Request-Id"] == request_id
        assert {path for path, _, _ in sent} >= {wire.REPOSITORY}
        assert all(re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", parent) for _, parent, _ in sent)
        assert {given for _, _, given in sent} == {request_id}
        [found] = await stack.find(patient__identifier=patient.token, status="current")
        _, of_download, _ = await stack.download(found)
        assert of_download["X-Request-Id"] not in {"", request_id}, "each request has its own"


async def test_own_listener_and_one_log_line_per_request_with_its_ids(tmp_path):
    affinity_port, port, metrics_port = free_port(), free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(
        tmp_path,
        port,
        affinity_port,
        LOG__LEVEL="info",
        METRICS__ENABLED="true",
        METRICS__PORT=str(metrics_port),
    )
    try:
        await affinity.start()
        base_url = await gateway.start()
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base_url}/metadata") as answer:
                request_id = answer.headers["X-Request-Id"]
            async with session.get(f"{base_url.removesuffix('/fhir')}/metrics") as answer:
                assert answer.status == 404, "clients do not see them"
            now = Seen(await metrics_of(session, f"http://127.0.0.1:{metrics_port}"))
        assert now.value("requests_total", transaction="capabilities", status="200") == 1
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), 20) == 0
    finally:
        await gateway.kill()
        await affinity.kill()
    lines = [json.loads(line) for line in (tmp_path / "gateway.log").read_text().splitlines()]
    [line] = [each for each in lines if each.get("route") == "/fhir/metadata"]
    assert line["request_id"] == request_id
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 200)
    assert line["ms"] >= 0
