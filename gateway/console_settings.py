"""Settings of the console: section `console`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.setting_types import Count, HttpUrl, Seconds, Section, ServerTlsSettings


class ConsoleSettings(Section):
    """Pages at /console for those who run the gateway: its state, the latest requests, where images are."""

    enabled: bool = False
    host: str | None = None
    """Address of an own listener; that of `server` by default."""
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of an own listener; without it the console is at the listener of the FHIR side."""
    tls: ServerTlsSettings | None = None
    """TLS of the own listener."""
    base_url: HttpUrl | None = None
    """What browsers call at the own listener, for example https://console.example, where that is not its host
    and port."""
    access: Literal["open", "token"] | None = None
    """`token`: who signs in needs an access token with the scope `console`; `open`: whoever reaches the own
    listener sees it, but no data of patients unless `security.access` is open too. By default as
    `security.access`."""
    session: Seconds = 14_400.0
    """Seconds for which a browser stays signed in."""
    requests: Count = 500
    """Latest requests that are kept, in memory."""

    @model_validator(mode="after")
    def _own_listener(self) -> Self:
        if self.port is None:
            for name in ("host", "tls", "base_url"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is that of an own listener, which needs a port")
        return self
