"""Traces as the settings say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.telemetry.traces import Traced, TraceOptions, TracesError, traced_by, tracing
from gateway.telemetry_settings import TracesSettings


@asynccontextmanager
async def open_traces(settings: TracesSettings) -> AsyncIterator[Traced]:
    """What opens the spans of requests. Raises TracesError where it cannot be had."""
    async with tracing(_options(settings)) as tracer:
        yield traced_by(tracer)


def _options(settings: TracesSettings) -> TraceOptions | None:
    if settings.endpoint is None:
        return None
    headers: dict[str, str] = {}
    if settings.token_file is not None:
        try:
            token = settings.token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise TracesError(f"token_file: {settings.token_file} cannot be read") from None
        headers["Authorization"] = f"Bearer {token}"
    return TraceOptions(settings.endpoint, settings.service_name, settings.ratio, settings.timeout, headers)
