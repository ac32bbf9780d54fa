"""Settings of other communities, of asking several at once, and of what answers them (XCA, XCA-I)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.clients.quirks import CommunityQuirks
from gateway.mhd_settings import MhdServerSettings
from gateway.publish_settings import InstitutionSettings
from gateway.setting_types import (
    Count,
    HomeCommunityId,
    HostAndPort,
    HttpUrl,
    Oid,
    PeerLimits,
    Seconds,
    Section,
)


class CommunitySettings(PeerLimits):
    """Another community: its Responding Gateway, or its MHD server. The limits hold for each of its URLs."""

    home_community_id: HomeCommunityId
    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What errors and logs call it."""
    query_url: HttpUrl | None = None
    """ITI-38."""
    retrieve_url: HttpUrl | None = None
    """ITI-39, where it is not at `query_url`."""
    wado_url: HttpUrl | None = None
    """XC-WADO (RAD-160): the base that `/homeCommunityId` follows. Where it is set, images are retrieved by
    it instead of RAD-75."""
    wado_studies: Literal["study", "studies"] = "study"
    """What XC-WADO there calls `studies`: IHE says `study`, DICOM `studies`."""
    images_url: HttpUrl | None = None
    """RAD-75; without it no images are asked for."""
    patients_url: HttpUrl | None = None
    """ITI-55; without it patients are asked for by their identifiers as they are."""
    mhd: MhdServerSettings | None = None
    """Its MHD server and WADO-RS, where it has no Responding Gateway. They have limits of their own."""
    further_home_community_ids: tuple[HomeCommunityId, ...] = ()
    """Other homeCommunityIds that it answers for; what has any other is an error of it."""
    assigning_authorities: tuple[Oid, ...] = ()
    """Of the patient identifiers that it knows as they are: shared ones, and its own."""
    custodian: InstitutionSettings | None = None
    """Custodian of its manifests and reports whose entries name no institution."""
    deadline: Seconds | None = None
    """For each query of it, and for what a search retrieves from it, with the look-up of the patient;
    `fan_out.community_deadline` by default."""
    client_certificates: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What it shows when it calls this gateway (server.tls.client_certificates): SHA-256 fingerprints in hex,
    or common names, DNS names and URIs. Where one community has some, who shows none of them may not call
    /xca and /xca-i, nor speak for another community."""
    quirks: CommunityQuirks = CommunityQuirks()

    @model_validator(mode="after")
    def _homes(self) -> Self:
        if len(set(self.homes)) != len(self.homes):
            raise ValueError("further_home_community_ids: each homeCommunityId may appear once")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.query_url is None) == (self.mhd is None):
            raise ValueError("set query_url or mhd: a community is asked by ITI-38 or by MHD")
        if self.mhd is not None and (self.retrieve_url or self.images_url):
            raise ValueError("retrieve_url and images_url are those of a Responding Gateway, not of mhd")
        return self

    @property
    def homes(self) -> tuple[str, ...]:
        """Every homeCommunityId that it answers for."""
        return (self.home_community_id, *self.further_home_community_ids)


class FanOutSettings(Section):
    """Requests that go to several communities at once. Times in seconds."""

    patients: Literal["named", "all"] = "named"
    """Who is asked for patients (ITI-55) by a search of Patient (ITI-78) and by $match (ITI-119): communities
    that targetCommunityIdList names, or all where it is not there. What a client says of a patient goes to
    whoever is asked."""

    community_deadline: Seconds = 10.0
    """What a community without a `deadline` of its own has."""
    deadline: Seconds = 30.0
    """What all of them and the own registry have together for one request of a client; its answer then has
    what came in time, and names the others."""


class RespondingGatewaySettings(Section):
    """What this gateway answers to other communities: nothing by default."""

    enabled: bool = False
    """True: /xca/gateway answers ITI-38 and ITI-39, /xca/patients ITI-55 and /xca-i/imaging RAD-75, from
    `registry`, `repositories` and `imaging.locations`. Who may ask is said by security.assertions.accept and
    communities[].client_certificates; without them whoever reaches the port is answered."""
    spool_bytes: Count = 8 * 1024 * 1024 * 1024
    """Bytes in the state directory that answers with documents may take up together; those with images may
    take up as many."""
    reply_to_hosts: tuple[HostAndPort, ...] = ()
    """Where answers may be posted to that are asked for elsewhere than on the connection of the request
    (ReplyTo of WS-Addressing): `host` for the ports 80 and 443, or `host:port`. By default nowhere."""


class XdsServerSettings(Section):
    """What this gateway answers to consumers and sources that speak XDS.b alone: nothing by default."""

    enabled: bool = False
    """True: /xds/registry answers ITI-18, /xds/repository ITI-43 and ITI-41, from the own domain. Access
    tokens are not asked for there, but assertions are with security.assertions.accept; without it whoever
    reaches the port is answered."""
    spool_bytes: Count = 8 * 1024 * 1024 * 1024
    """Bytes in the state directory that documents on their way may take up together, in either direction."""
    max_request_bytes: Count = 4 * 1024 * 1024 * 1024
    """Largest submission."""


class PatientDiscoverySettings(Section):
    """What messages of patient discovery (ITI-55) say of this community."""

    processing: Literal["P", "T", "D"] = "P"
    """Production, test or debugging."""
    authority: Oid | None = None
    """Assigning authority of the patient identifiers by which other communities can ask this one."""
    remember: Literal["allowed", "always"] = "allowed"
    """What communities say of patients is kept for as long as they allow (CorrelationTimeToLive), at most
    `lifetimes.patient`, and not where they do not say; `always`: for `lifetimes.patient` then."""
    time_to_live: Annotated[float, Field(ge=0, le=31_536_000)] = 3600.0
    """Seconds for which answers of this gateway may be kept by who asked; with 0 they do not say."""
