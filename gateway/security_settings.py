"""Settings of keys, tokens and the authorisation server: section `security`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gateway.assertion_settings import AssertionsSettings, ClaimsSettings
from gateway.setting_types import ClientTlsSettings, HttpUrl, Seconds, Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
Text = Annotated[str, Field(min_length=1)]


class KeySetSettings(Section):
    """Public keys: a JWK set at a URL, in a file, or here."""

    jwks_url: HttpUrl | None = None
    jwks_file: Path | None = None
    jwks: dict[str, Any] | None = None

    @property
    def key_sets(self) -> int:
        """How many of the three are set."""
        return sum(given is not None for given in (self.jwks_url, self.jwks_file, self.jwks))


class IntrospectionSettings(Section):
    """Where opaque tokens are asked about (ITI-102). The gateway is known there by a token (Bearer), or by
    `client_id` and a secret (Basic), each in a file that is read whenever it is needed."""

    url: HttpUrl
    token_file: Path | None = None
    client_id: Text | None = None
    client_secret_file: Path | None = None
    cache: Seconds = 30.0
    """Seconds for which an answer is kept at most."""

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        pair = self.client_id is not None and self.client_secret_file is not None
        if (self.token_file is not None) == pair:
            raise ValueError("set token_file, or client_id and client_secret_file")
        return self


class IssuerSettings(KeySetSettings):
    """An authorisation server whose tokens are taken."""

    issuer: Text
    """The claim `iss` of its tokens, letter by letter."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = (
        *("RS256", "RS384", "PS256", "PS384"),
        *("ES256", "ES384"),
    )
    audiences: tuple[Text, ...] = ()
    """What this gateway is called in the claim `aud`; server.base_url by default."""
    jti_required: bool = True
    introspection: IntrospectionSettings | None = None
    token_endpoint: HttpUrl | None = None
    """Where clients get tokens: shown in smart-configuration."""
    tls: ClientTlsSettings | None = None
    """TLS to its key set and introspection; security.tls by default."""

    @model_validator(mode="after")
    def _can_verify(self) -> Self:
        if self.key_sets > 1 or (self.key_sets == 0 and self.introspection is None):
            raise ValueError("set one of jwks_url, jwks_file and jwks, or introspection")
        return self


class ClientSettings(KeySetSettings):
    """A client of the own authorisation server."""

    scopes: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What it may ask for: system/DocumentReference.rs, ITI-65, patient/*.rs and the like."""
    patient: Text | None = None
    """The only patient that its tokens open, as system|value or as CX."""
    claims: ClaimsSettings = ClaimsSettings()
    introspects: bool = False
    """True for a resource server: it may ask what tokens say (ITI-102)."""

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.key_sets != 1:
            raise ValueError("set one of jwks_url, jwks_file and jwks")
        return self


class AuthorisationServerSettings(Section):
    """The own authorisation server (ITI-71), for a site that has none."""

    clients: Annotated[dict[Text, ClientSettings], Field(min_length=1)]
    token_lifetime: Annotated[float, Field(ge=10, le=3600)] = 300.0


class PolicySettings(Section):
    """What decides who may have what, besides tokens and scopes: rules in a file, or code of the site."""

    rules_file: Path | None = None
    """Rules (YAML); read again when they change."""
    hook: Text | None = None
    """`package.module:factory`, or the name of an entry point of the group mhd_xds_gateway.policies."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the factory is called with."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.rules_file is None) == (self.hook is None):
            raise ValueError("set one of rules_file and hook")
        return self


class SecuritySettings(Section):
    """Who may do what, and the keys of opaque URLs, stored state and own tokens."""

    keys: tuple[str, ...] = Field(default=(), repr=False)
    """32 bytes each, hex or base64. The first key writes and signs, all keys read. Without keys one is made
    in the state directory; replicas must share their keys."""
    access: Literal["open", "token"] | None = None
    """`token`: every request but those for /metadata and the like needs an access token; the default where
    issuers or an authorisation server are set. `open`: nobody is asked for one, which has to be said."""
    issuers: tuple[IssuerSettings, ...] = ()
    authorisation_server: AuthorisationServerSettings | None = None
    assertions: AssertionsSettings = AssertionsSettings()
    policy: PolicySettings | None = None
    tls: ClientTlsSettings = ClientTlsSettings()
    """TLS of every call to an https: URL that has no section of its own."""
    clock_skew: Annotated[float, Field(ge=0, le=300)] = 60.0
    other_patient: Literal["forbidden", "not-found"] = "forbidden"
    """What reads of another patient are answered where a token is bound to one: 403, or 404 as if there were
    nothing. Searches that name another patient are always 403."""

    @model_validator(mode="after")
    def _someone_issues(self) -> Self:
        known = [issuer.issuer for issuer in self.issuers]
        if len(set(known)) != len(known):
            raise ValueError("issuers: each issuer may appear once")
        if sum(issuer.introspection is not None for issuer in self.issuers) > 1:
            raise ValueError("issuers: opaque tokens can be those of one issuer: set introspection once")
        if self.access == "token" and not (known or self.authorisation_server or self._takes_assertions):
            raise ValueError(
                "access: token needs issuers, authorisation_server or assertions.accept with scopes"
            )
        if self.policy is not None and self.effective_access == "open":
            raise ValueError("policy: decides about who asks, which open access does not tell")
        return self

    @property
    def effective_access(self) -> Literal["open", "token"] | None:
        """What holds; None where nothing says it."""
        issued = self.issuers or self.authorisation_server or self._takes_assertions
        return "token" if self.access is None and issued else self.access

    @property
    def _takes_assertions(self) -> bool:
        accept = self.assertions.accept
        return accept is not None and any(issuer.scopes for issuer in accept.issuers)
