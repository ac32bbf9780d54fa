"""Settings of what a publish refers to at other servers: section `references`."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import model_validator

from gateway.setting_types import ClientTlsSettings, Count, HostAndPort, HttpUrl, Seconds, Section


class ReferenceSettings(Section):
    """References of a publish to resources of other servers (IHE MHD, UnContained Reference Option)."""

    allowed_hosts: tuple[HostAndPort, ...] = ()
    """Servers whose persons, organizations, patients and documents are fetched: `host` for the ports 80 and
    443, or `host:port`. By default nothing is fetched; such references then need an identifier or a
    display, and documents have to be in the Bundle."""
    tls: ClientTlsSettings | None = None
    """TLS to those servers; security.tls by default."""
    private_addresses: bool = False
    """True where names of `allowed_hosts` lead into private networks; a listed address may be private."""
    directory: HttpUrl | None = None
    """FHIR base of a directory whose persons and organizations clients refer to as if they were here
    (`Practitioner/1`). Its host is one of `allowed_hosts`."""
    timeout: Seconds = 5.0
    max_bytes: Count = 256 * 1024
    """Largest resource."""
    max_document_bytes: Count = 16 * 1024 * 1024
    """All documents together that one publish refers to at other servers."""

    @model_validator(mode="after")
    def _directory_is_listed(self) -> Self:
        if self.directory is not None:
            parts = urlsplit(self.directory)
            usual = 443 if parts.scheme == "https" else 80
            port = parts.port or usual
            names = {f"{parts.hostname}:{port}"} | ({str(parts.hostname)} if port == usual else set())
            if names.isdisjoint(self.allowed_hosts):
                raise ValueError("the host of directory has to be one of allowed_hosts")
        return self
