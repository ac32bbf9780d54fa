"""Types that settings are made of."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.model.oids import bare_oid, is_oid


def _oid(value: str) -> str:
    bare = bare_oid(value)
    if not is_oid(bare):
        raise ValueError("must be an OID such as 2.999.1")
    return bare


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    return value.rstrip("/")


def _host_and_port(value: str) -> str:
    try:
        parts = urlsplit(f"//{value}")
        is_host = bool(parts.hostname) and parts.netloc == value and "@" not in value
        has_port = parts.port is not None or not value.endswith(":")
    except ValueError:
        is_host = has_port = False
    if not (is_host and has_port):
        raise ValueError("must be a host or host:port such as directory.example:8443")
    return value.lower().replace("[", "").replace("]", "")


def _home(value: str) -> str:
    return f"urn:oid:{_oid(value)}"


def _zone_name(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone such as Europe/Vienna") from None
    return value


HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
Oid = Annotated[str, AfterValidator(_oid)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
HomeCommunityId = Annotated[str, AfterValidator(_home)]
ZoneName = Annotated[str, AfterValidator(_zone_name)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the tree: no key that it does not know, and nothing changes after the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(Section):
    """Own certificate and what TLS may be. Files are read again when they change, or on SIGHUP."""

    certificate_file: Path | None = None
    """Own certificate and what follows it up to an authority, in PEM."""
    key_file: Path | None = None
    key_password_file: Path | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: str | None = None
    """Of TLS 1.2, as OpenSSL writes them; by default those with forward secrecy that authenticate."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("set both certificate_file and key_file")
        return self


class ClientTlsSettings(TlsSettings):
    """TLS of calls to https: URLs. With a certificate of the gateway's own they are mutual."""

    authorities_file: Path | None = None
    """Authorities that certify the peer, or the peer's own certificate, in PEM; the system's by default."""
    revocation_file: Path | None = None
    """Revocation lists of every authority up to the root, in PEM: a peer that is listed is not believed, nor
    one that no list which is current covers."""
    server_name: str | None = None
    """What the peer's certificate says, where it is another name than that of its URL."""


class ServerTlsSettings(TlsSettings):
    """TLS of a listener."""

    certificate_file: Path
    key_file: Path
    client_authorities_file: Path | None = None
    """Authorities that certify clients, in PEM."""
    revocation_file: Path | None = None
    """Their revocation lists, in PEM: clients that are listed are turned away, and those that no list which
    is current covers."""
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, and whether those without one are turned away."""

    @model_validator(mode="after")
    def _clients(self) -> Self:
        if (self.client_authorities_file is None) != (self.client_certificates == "none"):
            raise ValueError("set client_certificates and client_authorities_file together")
        if self.revocation_file is not None and self.client_authorities_file is None:
            raise ValueError("revocation_file is about the authorities of client_authorities_file: set it")
        return self


class PeerLimits(Section):
    """How to treat one peer. Times in seconds."""

    connect_timeout: Seconds = 5.0
    read_timeout: Seconds = 60.0
    total_timeout: Seconds = 120.0
    max_in_flight: Count = 32
    max_waiting: Annotated[int, Field(ge=0)] = 256
    max_answer_bytes: Count = 64 * 1024 * 1024
    max_attempts: Count = 3
    circuit_threshold: Count = 8
    circuit_reset: Seconds = 10.0
    external: bool = False
    """True: it is told nothing of the trace of requests (X-Request-Id, traceparent, tracestate)."""
    assertion: Literal["none", "issue", "pass_on"] = "none"
    """SAML assertion in its SOAP requests: none, one that the gateway makes (security.assertions.issue), or
    that of the client, where it brought one for this audience, else one that the gateway makes."""
    treatment: bool = False
    """True: beside an assertion goes one of the treatment relationship (eHDSI TRC); requests about no known
    patient fail, but those of ITI-55, which have none."""
    audience: Annotated[str, Field(min_length=1)] | None = None
    """What the peer is called in assertions; security.assertions.issue.audience by default."""
    tls: ClientTlsSettings | None = None
    """TLS to the peer; security.tls by default."""
