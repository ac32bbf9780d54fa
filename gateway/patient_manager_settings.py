"""Settings of the patient manager of the own affinity domain (IHE PIXm, IHE PDQm)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.mhd_settings import MhdAccessSettings
from gateway.setting_types import Count, HostAndPort, HttpUrl, Oid, PeerLimits, Seconds


class ManagerAccessSettings(MhdAccessSettings):
    """What is shown to the manager: nothing, a header from a file, or access tokens."""

    scope: Annotated[str, Field(min_length=1)] = "system/Patient.rs"
    """Scopes that are asked for."""


class PatientManagerSettings(PeerLimits):
    """Who knows the patients of the own affinity domain: a Patient Identifier Cross-reference Manager (PIXm
    ITI-83), a Patient Demographics Supplier (PDQm ITI-78), or both at one base."""

    base_url: HttpUrl
    """FHIR R4 base."""
    domain: Oid
    """Assigning authority of the patient identifiers of the affinity domain: what identifiers of other
    domains are resolved to. The manager knows it as the URI that terminology.assigning_authorities has for
    it, else as `urn:oid:`."""
    speaks: Annotated[tuple[Literal["PIXm", "PDQm"], ...], Field(min_length=1)] = ("PIXm", "PDQm")
    """Without PIXm identifiers are looked up by PDQm; without PDQm nothing is known of names and births."""
    known_as: tuple[HttpUrl, ...] = ()
    """Further bases of its FHIR server, as clients refer to its Patients."""
    allowed_hosts: tuple[HostAndPort, ...] = ()
    """Hosts besides that of `base_url` which its answers may name for further pages and tokens: `host` for
    the ports 80 and 443, or `host:port`."""
    access: ManagerAccessSettings = ManagerAccessSettings()
    search: Literal["post", "get"] = "post"
    """How ITI-78 is sent. URLs with names of patients get into the logs of servers and proxies."""
    cross_reference: Literal["get", "post"] = "get"
    """How ITI-83 is sent. IHE PIXm has GET alone, with the identifier in the URL; some managers take POST."""
    max_results: Count = 200
    """Patients of one search; of more it is not known who is meant."""
    lifetime: Seconds = 3600.0
    """Seconds for which it is remembered who somebody is, and what they are called."""
    unknown_lifetime: Seconds = 60.0
    """The same where the manager does not know them."""
