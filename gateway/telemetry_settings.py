"""Settings of metrics, traces and logs."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.setting_types import HttpUrl, Seconds, Section, ServerTlsSettings


class MetricsSettings(Section):
    """Metrics for Prometheus, at /metrics."""

    enabled: bool = False
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of an own listener on `server.host`; without it they are at the FHIR listener, where clients see
    them too. There /health, /health/live and /health/ready are as well."""
    tls: ServerTlsSettings | None = None
    """TLS of the own listener."""

    @model_validator(mode="after")
    def _own_listener(self) -> Self:
        if self.tls is not None and self.port is None:
            raise ValueError("tls is that of an own listener, which needs a port")
        return self


class TracesSettings(Section):
    """Traces of requests (OpenTelemetry): to a collector, by OTLP over HTTP."""

    endpoint: HttpUrl | None = None
    """Base URL of the collector, such as http://collector.example:4318; without it nothing is traced."""
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the requests that are traced, where the traceparent of a request has not decided."""
    service_name: Annotated[str, Field(min_length=1)] = "mhd-xds-gateway"
    timeout: Seconds = 10.0
    """Seconds for one delivery to the collector."""
    token_file: Path | None = None
    """File with the token by which the collector knows the gateway (Bearer); read at the start."""


class LogSettings(Section):
    """Logs go to standard error, one JSON object per line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
