"""Traces to a collector (OpenTelemetry, OTLP over HTTP), where the settings name one.

The packages are the extra `traces`, which the image has. Spans wait in memory and are sent by a thread of the
exporter: a collector that is away costs spans, never a request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.spans import NOTHING, Step, ids, root
from gateway.telemetry.tracing import Asked, read_ids

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer


class TracesError(Exception):
    """Traces cannot be made; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """Where spans go: `endpoint` is the base URL of a collector, `ratio` the share of requests that are
    traced where the client has not decided, `headers` what the collector asks for."""

    endpoint: str
    service_name: str
    ratio: float
    timeout: float
    headers: Mapping[str, str]


@asynccontextmanager
async def tracing(options: TraceOptions | None) -> AsyncIterator["Tracer | None"]:
    """A tracer while the gateway runs, or None without options. What waits is sent at the end.

    Raises TracesError where the packages are missing.
    """
    if options is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise TracesError("traces need the extra `traces`: pip install mhd-xds-gateway[traces]") from None
    exporter = OTLPSpanExporter(
        f"{options.endpoint}/v1/traces", headers=dict(options.headers), timeout=options.timeout
    )
    async with tracer_to(exporter, options) as tracer:
        yield tracer


@asynccontextmanager
async def tracer_to(exporter: "SpanExporter", options: TraceOptions) -> AsyncIterator["Tracer"]:
    """A tracer whose spans go to an exporter."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(options.ratio)),
        resource=Resource.create({"service.name": options.service_name}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("gateway")
    finally:
        # it waits for the collector
        await asyncio.to_thread(provider.shutdown)


Traced = Callable[[Mapping[str, str]], AbstractContextManager[tuple[Asked, Step]]]
"""Opens the span of a request with these headers and tells its ids."""


def traced_by(tracer: "Tracer | None") -> Traced:
    """What opens the spans of requests; without a tracer they have ids alone."""

    @contextmanager
    def traced(headers: Mapping[str, str]) -> Iterator[tuple[Asked, Step]]:
        asked = read_ids(headers)
        if tracer is None:
            yield asked, NOTHING
            return
        with root(tracer, "request", _parent(asked), {"gateway.request_id": asked.request_id}) as step:
            here = ids()
            assert here is not None
            yield replace(asked, trace_id=here.trace_id, flags=here.flags), step

    return traced


def _parent(asked: Asked) -> "Context":
    """The span of who sent a request, as its traceparent names it; else none."""
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if not asked.parent:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in asked.parent.split("-")[1:4])
    remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(remote), Context())
