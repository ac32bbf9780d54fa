"""Settings of audit records and of the repositories that they go to: section `audit`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.setting_types import ClientTlsSettings, Count, HttpUrl, Seconds, Section

Text = Annotated[str, Field(min_length=1, max_length=200)]


class SyslogSettings(Section):
    """An Audit Record Repository that takes DICOM audit messages by syslog over TLS (ITI-20; RFC 5425)."""

    host: Text
    port: Annotated[int, Field(ge=1, le=65535)] = 6514
    transport: Literal["tls", "tcp"] = "tls"
    """`tcp` sends in the clear (RFC 6587), to a forwarder on this machine."""
    tls: ClientTlsSettings | None = None
    """TLS to the repository; security.tls by default."""
    connect_timeout: Seconds = 5.0
    confirm_wait: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Syslog acknowledges nothing: what was sent counts as delivered when the connection has lasted that many
    seconds longer, and is sent again where it has not."""


class AuditFhirSettings(Section):
    """An Audit Record Repository that takes FHIR AuditEvents (ITI-20, ATX: FHIR Feed Option)."""

    url: HttpUrl
    tls: ClientTlsSettings | None = None
    """TLS to the repository; security.tls by default."""
    token_file: Path | None = None
    """File with an access token, read whenever it is needed."""
    batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """AuditEvents of one Bundle; 1 sends each by itself."""
    send_as: Literal["create", "update"] = "create"
    """`create` is what IHE says, made conditional so that a repeat stores nothing twice; `update` puts each
    event at its own id, for repositories that know no conditional create."""
    timeout: Seconds = 30.0


class AuditSettings(Section):
    """Who did what with whose data. Without repository the records are kept here, and the log says so."""

    enabled: bool = True
    source_id: Text | None = None
    """What the gateway is called in the records (AuditSourceID); server.base_url by default."""
    site: str = ""
    """AuditEnterpriseSiteID."""
    syslog: SyslogSettings | None = None
    fhir: AuditFhirSettings | None = None
    keep: Annotated[float, Field(ge=0)] = 7 * 86_400.0
    """Seconds for which records are kept after every repository has them, for local queries."""
    max_records: Count = 500_000
    """Records in the queue, those that are kept included."""
    when_full: Literal["lose", "refuse"] = "lose"
    """Where repositories are away for so long that the queue is full: `refuse` answers requests with 503,
    `lose` answers them without a record, each of which the log and a metric tell."""
    local_query: bool | None = None
    """True: GET [base]/AuditEvent (ITI-81) answers from what is queued or kept, to tokens with that scope. By
    default only where tokens are asked for."""
