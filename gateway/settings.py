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
from gateway.community_settings import (
    CommunitySettings,
    FanOutSettings,
    PatientDiscoverySettings,
    RespondingGatewaySettings,
    XdsServerSettings,
)
from gateway.console_settings import ConsoleSettings
from gateway.domain_settings import RegistrySettings, RepositorySettings
from gateway.imaging_settings import ImagingSettings
from gateway.mhd_settings import MhdServerSettings
from gateway.patient_manager_settings import PatientManagerSettings
from gateway.publish_settings import PublishSettings, ReportsSettings
from gateway.redis_settings import LifetimeSettings, RedisSettings
from gateway.reference_settings import ReferenceSettings
from gateway.security_settings import SecuritySettings
from gateway.server_settings import ServerSettings
from gateway.setting_types import (
    Count,
    HomeCommunityId,
    Oid,
    PeerLimits,
    Section,
)
from gateway.telemetry_settings import LogSettings, MetricsSettings, TracesSettings

CONFIG_VARIABLE = "GATEWAY_CONFIG"
SECRETS_VARIABLE = "GATEWAY_SECRETS_DIR"


class SettingsError(Exception):
    """The settings cannot be used; the text has one line per key."""


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
    match: Literal["certain", "graded"] = "certain"
    """What Patient/$match (ITI-119) gives: who is certain to be meant alone, or others with their grades
    besides, where onlyCertainMatches does not forbid it. Whoever is alike is then shown to whoever asks."""
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
    patient_manager: PatientManagerSettings | None = None
    """Who knows the patients of the own domain by other identifiers and by name; nobody by default."""
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
    console: ConsoleSettings = ConsoleSettings()
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

    @model_validator(mode="after")
    def _console(self) -> Self:
        own, security = self.console, self.security
        if not own.enabled:
            return self
        if own.access == "open" and own.port is None and security.effective_access != "open":
            raise ValueError("console.access: open needs console.port, an own listener")
        if own.access == "token" and security.effective_access == "open":
            raise ValueError("console.access: token needs security.access: token, and who issues tokens")
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
        if self.patient_manager is not None:
            yield "patient_manager", self.patient_manager

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
