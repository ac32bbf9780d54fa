"""Traces of requests as a collector gets them: from the client's span to each call of a peer, without patients."""

import asyncio
import gzip
from collections.abc import Iterable
from typing import Any

import pytest
from aiohttp import web

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway import spans
from gateway.demo.bundles import provide_bundle
from gateway.telemetry.traces import TraceOptions, traced_by, tracer_to
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack, site

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENDER = "00f067aa0ba902b7"


class Collector:
    """Takes OTLP over HTTP as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.tokens: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.tokens.add(request.headers.get("Authorization", ""))
        sent = ExportTraceServiceRequest.FromString(body)
        self.spans += [s for r in sent.resource_spans for scope in r.scope_spans for s in scope.spans]
        return web.Response()

    def named(self, name: str) -> list[Any]:
        return [each for each in self.spans if each.name == name]


def below(span: Any, others: Iterable[Any]) -> list[Any]:
    return [each for each in others if each.parent_span_id == span.span_id]


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_a_trace_goes_from_the_client_through_redis_and_soap_to_each_part(tmp_path):
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    token = tmp_path / "token"
    token.write_text("of the collector\n")
    async with site(app) as url:
        traces = {"endpoint": url, "ratio": 0.0, "token_file": token}
        async with running_stack(tmp_path, traces=traces) as stack:
            patient = a_patient()
            bundle = provide_bundle([a_document()], patient=patient)
            status, _ = await stack.publish(bundle)
            assert status == 200
            parent = {"traceparent": f"00-{TRACE}-{SENDER}-01"}
            query = {"patient.identifier": patient.token, "status": "current"}
            async with stack.session.get(
                f"{stack.base_url}/DocumentReference", params=query, headers=parent
            ) as answer:
                found = await answer.json(content_type=None)
            reference = next(
                e["resource"] for e in found["entry"] if e["resource"]["resourceType"] == "DocumentReference"
            )
            _, _, content = await stack.download(reference, **parent)
            binary_url = f"{stack.base_url}/Binary/{reference['id']}"
            async with stack.session.get(binary_url, headers=parent) as answer:
                assert await answer.read() == content
        # the stack has ended, so what waited was sent
    assert collector.tokens == {"Bearer of the collector"}
    assert {s.trace_id.hex() for s in collector.spans} == {TRACE}, "the ratio is 0, the sender decides"

    (search,) = collector.named("ITI-67")
    assert search.parent_span_id.hex() == SENDER
    assert attributes(search)["http.route"] == "/fhir/DocumentReference"
    assert attributes(search)["http.response.status_code"] == 200
    assert {s.name for s in below(search, collector.spans)} >= {"ITI-18"}

    retrieve, binary = collector.named("ITI-68")
    call, _ = collector.named("ITI-43")
    assert call.parent_span_id == retrieve.span_id
    (part,) = below(call, collector.named("part"))
    assert attributes(part)["gateway.bytes"] == len(content)
    (look_up,) = below(binary, collector.named("correlation read"))
    assert attributes(look_up)["gateway.result"] in {"hit", "miss"}
    assert below(look_up, collector.named("redis"))

    said = str(collector.spans)
    for secret in (patient.id, patient.family, reference["id"]):
        assert secret not in said


async def test_peers_are_told_the_span_of_their_call(tmp_path):
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    told = []
    async with site(app) as url, running_stack(tmp_path, traces={"endpoint": url, "ratio": 1.0}) as stack:

        async def look(request: web.Request) -> None:
            told.append(request.headers["traceparent"])

        stack.interfere = look
        await stack.get(
            "DocumentReference", **{"patient.identifier": "urn:oid:2.999.1.1|1", "status": "current"}
        )
    calls = {s.span_id.hex(): s.trace_id.hex() for s in collector.named("ITI-18")}
    assert told
    for header in told:
        _, trace_id, span_id, flags = header.split("-")
        assert calls[span_id] == trace_id
        assert int(flags, 16) & 1, "sampled"


@pytest.mark.parametrize("external", [True, False])
async def test_a_peer_outside_is_not_told_of_traces(tmp_path, external):
    told = []
    async with running_stack(tmp_path, peers={"external": external}) as stack:

        async def look(request: web.Request) -> None:
            told.append({name.lower() for name in request.headers})

        stack.interfere = look
        await stack.find(patient__identifier="urn:oid:2.999.1.1|1", status="current")
    (names,) = told
    assert bool({"traceparent", "x-request-id", "tracestate"} & names) != external


async def test_a_failure_is_marked_with_its_kind_alone(tmp_path):
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with site(app) as url, running_stack(tmp_path, traces={"endpoint": url, "ratio": 1.0}) as stack:

        async def refuse(request: web.Request) -> web.Response:
            return web.Response(status=500, text="patient MARKED")

        stack.interfere = refuse
        status, _ = await stack.get(
            "DocumentReference", **{"patient.identifier": "urn:oid:2.999.1.1|1", "status": "current"}
        )
        assert status == 502
    (call,) = collector.named("ITI-18")
    assert call.status.code == 2
    assert attributes(call)["error.type"].startswith("Peer")
    assert "MARKED" not in str(collector.spans)
    (request,) = collector.named("ITI-67")
    assert request.status.code == 2


async def test_a_collector_that_is_away_costs_no_request(tmp_path):
    async with running_stack(
        tmp_path, traces={"endpoint": "http://127.0.0.1:9", "ratio": 1.0, "timeout": 0.5}
    ) as stack:
        for _ in range(20):
            status, _ = await stack.get("DocumentReference", **{"patient.identifier": "urn:oid:2.999.1.1|1"})
            assert status == 200


def test_without_a_tracer_there_are_no_spans():
    with spans.span("nothing") as step:
        step.set("a", 1)
        step.fail("b")
        assert step is spans.NOTHING
        assert spans.ids() is None
    assert spans.begin("nothing") is spans.NOTHING


async def test_a_span_may_end_in_another_task_than_it_began_in():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    options = TraceOptions("http://x", "x", 1.0, 1.0, {})
    async with tracer_to(exporter, options) as tracer:

        async def parts():
            with spans.span("open"):
                yield 1

        with traced_by(tracer)({}):
            generator = parts()
            await asyncio.create_task(anext(generator))
        await asyncio.create_task(generator.aclose())
    assert {s.name for s in exporter.get_finished_spans()} == {"request", "open"}
