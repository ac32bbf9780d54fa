"""Settings of correlation state: where it lives (section `redis`) and how long (`lifetimes`)."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.setting_types import ClientTlsSettings, Count, Seconds, Section


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
