"""Settings of MHD servers that the gateway asks: the own domain, or other communities."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.model.oids import oid_of_url
from gateway.setting_types import Count, HostAndPort, HttpUrl, Oid, PeerLimits, Section

_SCOPE = (
    "system/DocumentReference.crus system/List.crus system/Binary.cr system/Patient.rs system/ImagingStudy.r"
)


class MhdAccessSettings(Section):
    """What is shown to an MHD server: nothing, a header from a file, or access tokens."""

    header_file: Path | None = None
    """File whose first line is the value of the Authorization header; read for each request."""
    client_id: str | None = None
    """Client id at the authorisation server that the MHD server names (SMART Backend Services)."""
    key_file: Path | None = None
    """Private key of the client as a JWK (RSA, or EC with P-384)."""
    scope: Annotated[str, Field(min_length=1)] = _SCOPE
    """Scopes that are asked for."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.client_id is None) != (self.key_file is None):
            raise ValueError("client_id and key_file belong together")
        if self.client_id is not None and self.header_file is not None:
            raise ValueError("set only one of header_file and client_id")
        return self


class MhdServerSettings(PeerLimits):
    """An MHD server (ITI-65 to ITI-68) in the place of a registry and a repository."""

    base_url: HttpUrl
    """FHIR R4 base."""
    allowed_hosts: tuple[HostAndPort, ...] = ()
    """Hosts besides that of `base_url` which its answers may name for documents, further pages and tokens:
    `host` for the ports 80 and 443, or `host:port`."""
    repository_unique_id: Oid | None = None
    """repositoryUniqueId of its documents; by default an OID made of `base_url`. Set it where the URL may
    change: consumers keep it."""
    dicomweb_url: HttpUrl | None = None
    """Base of its WADO-RS, which `/studies` follows; without it no images are asked for."""
    access: MhdAccessSettings = MhdAccessSettings()
    search: Literal["post", "get"] = "post"
    """How searches are sent. URLs with identifiers of patients get into the logs of servers and proxies."""
    lists: bool = True
    """False: it has no Lists (ITI-66), so that queries for SubmissionSets and Folders are unknown."""
    patients: bool = False
    """True, of `mhd_domain`: it has a search of Patient (ITI-78), which searches of Patient and $match ask as
    they ask a patient manager."""
    max_results: Count = 5000
    """Resources of one search; more are XDSTooManyResults."""
    targeted: bool = False
    """True: searches name the community (targetCommunityIdList), for a server that would ask others too."""

    @property
    def repository(self) -> str:
        """The repositoryUniqueId of its documents."""
        return self.repository_unique_id or oid_of_url(self.base_url)
