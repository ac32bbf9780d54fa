"""The settings: one typed tree from a YAML file, the environment and a secrets directory.

Order of precedence: environment (`GATEWAY_REGISTRY__URL=...`), secrets directory (one file per key), the
YAML file named by `--config` or `GATEWAY_CONFIG`, defaults. A wrong or unknown key stops the start with a
message that names it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped]  # its types are a package of their own
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from gateway.audit_settings import AuditSettings
from gateway.clients.quirks import ImagingSourceQuirks, RegistryQuirks, RepositoryQuirks
from gateway.community_settings import (
    CommunitySettings,
    FanOutSettings,
    PatientDiscoverySettings,
    RespondingGatewaySettings,
    XdsServerSettings,
)
from gateway.mhd_settings import MhdServerSettings
from gateway.publish_settings import InstitutionSettings, PublishSettings, ReportsSettings
from gateway.security_settings import SecuritySettings
from gateway.setting_types import (
    ClientTlsSettings,
    Count,
    HomeCommunityId,
    HostAndPort,
    HttpUrl,
    Oid,
    PeerLimits,
    Seconds,
    Section,
    ServerTlsSettings,
    ZoneName,
)
from gateway.telemetry_settings import LogSettings, MetricsSettings, TracesSettings

CONFIG_VARIABLE = "GATEWAY_CONFIG"
SECRETS_VARIABLE = "GATEWAY_SECRETS_DIR"


class SettingsError(Exception):
    """The settings cannot be used; the text has one line per key."""


class ServerSettings(Section):
    """The listener of the FHIR side."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    base_url: HttpUrl | None = None
    """What clients call, for example https://ncp.example/fhir; by default built from host and port."""
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
    actors: Annotated[tuple[Literal["recipient", "responder", "resources"], ...], Field(min_length=1)] = (
        "recipient",
        "responder",
        "resources",
    )
    """What /metadata states: who publishes, who finds documents, and resources of imaging. It closes nothing;
    narrow it where clients reach a part alone."""


class PeerSettings(PeerLimits):
    """How to speak to one SOAP peer. Times in seconds."""

    url: HttpUrl


class RegistrySettings(PeerSettings):
    """The document registry."""

    quirks: RegistryQuirks = RegistryQuirks()


class RepositorySettings(PeerSettings):
    """A document repository and the repositoryUniqueId that leads to it."""

    unique_id: Oid
    limited_metadata: bool = False
    """True for an XDR recipient or XDM creator that takes metadata without what XDS requires: Minimal
    Bundles are then sent as they are, marked as limited."""
    does_not_take: tuple[Literal["folders", "replaces", "transforms", "appends", "signs"], ...] = ()
    """Folders and relations that it has no place for; `publish.not_taken` says what becomes of them."""
    quirks: RepositoryQuirks = RepositoryQuirks()


class ImagingLocationSettings(PeerSettings):
    """A Retrieve Location UID and the source of images that it stands for."""

    uid: Oid
    protocol: Literal["rad-69", "wado-rs"] = "rad-69"
    """How the source at `url` is asked: by SOAP (an Imaging Document Source of XDS-I.b), or by WADO-RS, where
    `url` is the base that `/studies` follows."""
    quirks: ImagingSourceQuirks = ImagingSourceQuirks()


class ImagingSettings(Section):
    """Images of studies (RAD-107, RAD-69)."""

    locations: tuple[ImagingLocationSettings, ...] = ()
    retrieve_url_hosts: tuple[HostAndPort, ...] = ()
    """Archives that a manifest may name by a Retrieve URL: `host` for the ports 80 and 443, or `host:port`.
    By default only `locations` are called."""
    order: Literal["arrival", "manifest"] = "arrival"
    """Instances in the order in which sources give them, or in that of the manifest."""
    spool_bytes: Count = 1024 * 1024 * 1024
    """With `order: manifest`, bytes of one answer that may wait in files."""
    status_wait: Seconds = 2.0
    """Seconds left to slow sources before an answer begins that may turn out to be partial."""
    rad69_server: bool | None = None
    """True: /xds/imaging answers RAD-69 for the images of manifests that this gateway has seen, to everyone
    who reaches the port, or who shows an assertion with security.assertions.accept: access tokens are not
    asked for there. By default only where access is open."""
    rad69_spool_bytes: Count = 8 * 1024 * 1024 * 1024
    """Bytes in the state directory that answers to RAD-69 may take up together; an answer begins when the
    last source has answered. Images for which there is no room are an XDSRepositoryOutOfResources."""
    time_zone: ZoneName | None = None
    """Zone of times in manifests that have none, and of days in searches (there UTC by default)."""
    patient_id_authority: Oid | None = None
    """Issuer of the PatientIDs of QIDO-RS searches that name none. Without it such a search is refused."""
    accession_authority: Oid | None = None
    """Issuer of the accession numbers that are made for studies without one (each follows from the Study
    Instance UID, and reports of the study have to carry it). Without it none is made."""
    custodian: InstitutionSettings | None = None
    """Custodian of manifests and reports of the own community whose entries name no institution; each of
    `communities` may have its own."""
    one_modality: bool = False
    """True: the modalities of a document are codings of one extension, for readers that take one alone."""
    twins: bool = True
    """True: a manifest is offered both as DICOM and as FHIR, though it is registered in one of them."""
    publish: Literal["as_sent", "kos", "both"] = "as_sent"
    """Format in which manifests of clients are stored: that of the client, always DICOM, or both, joined by
    an association."""
    check: Literal["strict", "flag"] = "strict"
    """A manifest that cannot be read, or contradicts its metadata, is refused, or stored with a warning."""
    replaces: bool = True
    """True: a manifest replaces the current one of its study in the same format."""
    kos_codes: Literal["dcm", "ti"] = "dcm"
    """Codes of manifests that are written in DICOM: those of the standard, or those of IHE's trial."""
    max_manifest_bytes: Count = 32 * 1024 * 1024
    max_metadata_bytes: Count = 64 * 1024 * 1024
    """Largest metadata (DICOM JSON) of one series that an archive may give."""

    @model_validator(mode="after")
    def _locations(self) -> Self:
        uids = [location.uid for location in self.locations]
        if len(set(uids)) != len(uids):
            raise ValueError("locations: each uid may appear once")
        return self


class RedisSettings(Section):
    """Where correlation state lives. Without url, sentinels and cluster an own server is started."""

    url: str | None = Field(default=None, repr=False)
    """May hold a password, as those that follow."""
    sentinels: tuple[str, ...] = Field(default=(), repr=False)
    master_name: str = "mymaster"
    cluster: tuple[str, ...] = Field(default=(), repr=False)
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    connect_timeout: Seconds = 0.5
    operation_timeout: Seconds = 1.0
    tls: ClientTlsSettings | None = None
    """TLS to rediss: URLs; security.tls by default."""
    key_prefix: str = "gw:"
    embedded_max_memory_mib: Count = 256

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(map(bool, (self.url, self.sentinels, self.cluster))) > 1:
            raise ValueError("set only one of url, sentinels and cluster")
        return self

    @property
    def embedded(self) -> bool:
        """True where the gateway starts its own server."""
        return not (self.url or self.sentinels or self.cluster)


class LifetimeSettings(Section):
    """How long correlation state is kept, in seconds."""

    snapshot: Seconds = 900.0
    idempotency: Seconds = 86_400.0
    publish_lock: Seconds = 10.0
    lookup: Seconds = 3_600.0
    manifest: Seconds = 86_400.0
    registry_answer: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """What the registry said of a patient's documents is taken for true that long where their imaging
    resources are searched, unless this gateway stored something for them. 0: it is asked each time."""
    patient: Seconds = 86_400.0
    """By which identifiers other communities know a patient."""
    unknown_patient: Seconds = 600.0
    """That a community does not know a patient."""


class TerminologySettings(Section):
    """Code systems and assigning authorities: FHIR URI -> OID, in front of the built-in table."""

    code_systems: dict[str, str] = Field(default_factory=dict)
    assigning_authorities: dict[str, Oid] = Field(default_factory=dict)


class SearchSettings(Section):
    """ITI-67."""

    default_count: Count = 500
    max_count: Count = 1000
    max_results: Count = 5000
    status_required: bool = False
    """True: a search without status is refused (400), as IHE MHD asks of consumers; False: current only."""
    patient_authorities: tuple[Oid, ...] = ()
    """Assigning authorities of the affinity domain: where a Patient is searched by a value without system."""
    coarsest_time: Literal["year", "month", "day", "hour", "minute", "second"] = "year"
    """The least precise creation and service time that the registry holds. A registry compares the first
    instant of such a time, so a lower limit is moved back by that much and the answer filtered. `second`
    makes the smallest answers; it misses documents whose time is less precise."""


class RetrieveSettings(Section):
    """ITI-68."""

    deprecated: Literal["serve", "gone"] = "serve"
    """A superseded document stays retrievable as in XDS (`serve`), or is answered 410 (`gone`)."""
    removed: Literal["gone", "not-found"] = "gone"
    """A document at a URL of this gateway that the registry does not know any more: 410, or 404 where it
    should not be told that there was one."""
    verify_sha1_up_to: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    """Bytes of the largest document whose SHA-1 is checked on the way; of larger ones the size is, and the
    client has the SHA-1 in attachment.hash. The check takes about a third of the throughput."""


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


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Path("state")
    home_community_id: HomeCommunityId | None = None
    """The own community."""
    server: ServerSettings = ServerSettings()
    registry: RegistrySettings | None = None
    repositories: tuple[RepositorySettings, ...] = ()
    publish_to: Oid | None = None
    """repositoryUniqueId that takes submissions; the first of `repositories` by default."""
    imaging: ImagingSettings = ImagingSettings()
    communities: tuple[CommunitySettings, ...] = ()
    fan_out: FanOutSettings = FanOutSettings()
    responding_gateway: RespondingGatewaySettings = RespondingGatewaySettings()
    patient_discovery: PatientDiscoverySettings = PatientDiscoverySettings()
    xds_server: XdsServerSettings = XdsServerSettings()
    mhd_domain: MhdServerSettings | None = None
    """The own domain where it speaks MHD, in place of `registry` and `repositories`."""
    redis: RedisSettings = RedisSettings()
    lifetimes: LifetimeSettings = LifetimeSettings()
    terminology: TerminologySettings = TerminologySettings()
    search: SearchSettings = SearchSettings()
    retrieve: RetrieveSettings = RetrieveSettings()
    publish: PublishSettings = PublishSettings()
    reports: ReportsSettings = ReportsSettings()
    references: ReferenceSettings = ReferenceSettings()
    security: SecuritySettings = SecuritySettings()
    audit: AuditSettings = AuditSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TracesSettings = TracesSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _domain(self) -> Self:
        if self.mhd_domain is not None and (self.registry is not None or self.repositories):
            raise ValueError("mhd_domain: stands in the place of registry and repositories, which are set")
        if self.mhd_domain is None and (self.registry is None or not self.repositories):
            raise ValueError("set registry and repositories, or mhd_domain")
        return self

    @model_validator(mode="after")
    def _routes(self) -> Self:
        ids = [r.unique_id for r in self.repositories]
        if len(set(ids)) != len(ids):
            raise ValueError("repositories: each unique_id may appear once")
        if self.publish_to is not None and self.publish_to not in ids:
            raise ValueError("publish_to must be the unique_id of one of the repositories")
        return self

    @model_validator(mode="after")
    def _communities(self) -> Self:
        homes = [home for community in self.communities for home in community.homes]
        if len(set(homes)) != len(homes):
            raise ValueError("communities: each homeCommunityId may appear once")
        if self.home_community_id in homes:
            raise ValueError("communities: home_community_id is the own community, which is not one of them")
        names = [community.name for community in self.communities]
        if len(set(names)) != len(names):
            raise ValueError("communities: each name may appear once")
        if self.home_community_id is None and (self.communities or self.responding_gateway.enabled):
            raise ValueError(
                "home_community_id must be set where there are communities or a responding_gateway: "
                "other communities know this one by it"
            )
        return self

    @model_validator(mode="after")
    def _assertions(self) -> Self:
        if self.security.assertions.issue is None:
            for name, peer in self.peers():
                if peer.assertion != "none":
                    raise ValueError(
                        f"{name}.assertion: {peer.assertion} needs the section security.assertions.issue"
                    )
        return self

    def peers(self) -> Iterator[tuple[str, PeerLimits]]:
        """Every peer of the settings with the key that it stands under."""
        if self.registry is not None:
            yield "registry", self.registry
        for key, several in (
            ("repositories", self.repositories),
            ("imaging.locations", self.imaging.locations),
            ("communities", self.communities),
        ):
            for number, peer in enumerate(several):
                yield f"{key}.{number}", peer
        if self.mhd_domain is not None:
            yield "mhd_domain", self.mhd_domain

    @property
    def publish_repository(self) -> RepositorySettings:
        """The repository that ITI-65 submits to, or what stands for it."""
        if self.mhd_domain is not None:
            server = self.mhd_domain
            return RepositorySettings(unique_id=server.repository, url=server.base_url)
        wanted = self.publish_to or self.repositories[0].unique_id
        return next(r for r in self.repositories if r.unique_id == wanted)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over secrets over the file."""
        sources = (init_settings, env_settings, file_secret_settings)
        path = os.environ.get(CONFIG_VARIABLE)
        if path:
            return (*sources, YamlConfigSettingsSource(settings_cls, yaml_file=path))
        return sources


def _lines(error: ValidationError) -> str:
    lines = []
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    places = [problem["loc"] for problem in problems]
    for problem in problems:
        place = problem["loc"]
        # a list whose items are wrong is also reported as empty: only the items help
        if any(len(other) > len(place) and other[: len(place)] == place for other in places):
            continue
        key = ".".join(str(part) for part in place) or "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            message = "is not set"
        elif problem["type"] == "extra_forbidden":
            message = "is not a setting"
        lines.append(f"{key}: {message}")
    return "\n".join(lines)


def _check_file(path: Path) -> None:
    """Raises SettingsError where a settings file is not a YAML mapping."""
    if not path.is_file():
        raise SettingsError(f"{path}: no such settings file")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{where}: is not YAML") from None
    if content is not None and not isinstance(content, dict):
        raise SettingsError(f"{path}: must be a mapping of settings")


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings. Raises SettingsError whose text names each wrong key."""
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config)
    path = os.environ.get(CONFIG_VARIABLE)
    if path:
        _check_file(Path(path))
    secrets = os.environ.get(SECRETS_VARIABLE)
    if secrets and not Path(secrets).is_dir():
        raise SettingsError(f"{SECRETS_VARIABLE}: {secrets}: no such directory")
    try:
        make: Any = Settings  # the underscore arguments of BaseSettings are unknown to type checkers
        settings: Settings = make(_secrets_dir=secrets, **(overrides or {}))
    except ValidationError as error:
        raise SettingsError(_lines(error)) from None
    except SourceError as error:
        named = re.search(r'field "(\w+)"', str(error))
        raise SettingsError(f"{named[1] if named else 'settings'}: its value is not JSON") from None
    return settings
