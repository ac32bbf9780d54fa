"""Settings of the listener of the FHIR side: section `server`."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.setting_types import Count, HttpUrl, Seconds, Section, ServerTlsSettings


class ServerSettings(Section):
    """The listener of the FHIR side."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    base_url: HttpUrl | None = None
    """What clients call, for example https://ncp.example/fhir; by default built from host and port."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes behind the listener, each for one core; limits hold for each of them. With several, metrics
    need `metrics.port`: each process serves its own, at that port and those after it. So does the console."""
    max_bundle_bytes: Count = 256 * 1024 * 1024
    """Largest ITI-65 request body; it is held in memory once, with its documents decoded."""
    max_publish_bytes_in_flight: Count = 1024 * 1024 * 1024
    """Bodies of ITI-65 requests handled at the same time, added up; more are told to come back (503)."""
    max_connections: Count = 4096
    """Connections that are open at once; beyond, those that have waited longest for a request are closed."""
    max_requests_per_client: Count = 256
    """Requests of one client (by its token, else by its address) at once; more are answered 429."""
    head_timeout: Seconds = 20.0
    """Seconds in which a new connection has to send the head of a request."""
    body_timeout: Seconds = 30.0
    """Seconds between two pieces of a body; a body that stops arriving is answered 408."""
    request_timeout: Seconds = 600.0
    """Seconds until an answer begins, body of the request included; then 504."""
    keepalive_timeout: Seconds = 75.0
    """Seconds for which a connection waits for its next request."""
    drain_wait: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Seconds after SIGTERM in which requests are still taken while /health/ready says 503 and every answer
    ends its connection, so that load balancers turn to others before the listener ends."""
    shutdown_timeout: Seconds = 30.0
    """Seconds that requests in flight have after the end of the listener."""
    tls: ServerTlsSettings | None = None
    """TLS of the listener; without it whoever ends TLS stands in front."""
    releases: tuple[Literal["R4", "R5"], ...] = ("R4", "R5")
    """Releases of FHIR with a base of their own below that of all, `/R4` and `/R5`. R4 is always spoken."""
    actors: Annotated[
        tuple[Literal["recipient", "responder", "resources", "patients"], ...], Field(min_length=1)
    ] = (
        "recipient",
        "responder",
        "resources",
        "patients",
    )
    """What /metadata states: who publishes, who finds documents, resources of imaging, patients. It closes
    nothing; narrow it where clients reach a part alone."""
