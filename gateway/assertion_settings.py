"""Settings of SAML assertions (IHE XUA, ITI-40): section `security.assertions`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.setting_types import Section

Text = Annotated[str, Field(min_length=1)]


class CodingSettings(Section):
    """A code: `system` is a URI that terminology.code_systems knows, or urn:oid:."""

    system: Text
    code: Text
    display: str | None = None


_TREATMENT = CodingSettings(
    system="http://terminology.hl7.org/CodeSystem/v3-ActReason", code="TREAT", display="treatment"
)


class ClaimsSettings(Section):
    """What tokens of a client say of who asks (IHE IUA), and assertions for peers after them."""

    name: str | None = None
    organization: str | None = None
    organization_id: str | None = None
    """urn:oid: or URL."""
    roles: tuple[CodingSettings, ...] = ()
    purposes: tuple[CodingSettings, ...] = ()
    """Purposes of use."""
    provider_id: str | None = None
    """National provider identifier."""


class IssueSettings(Section):
    """Assertions that the gateway makes and signs for peers with `assertion: issue`."""

    issuer: Text
    """What peers know their issuer by."""
    key_file: Path
    """Private key, RSA or EC, in PEM; it and the certificate are read again when they change."""
    certificate_file: Path
    """Its certificate, and what follows it up to an authority, in PEM."""
    key_password_file: Path | None = None
    audience: Text | None = None
    """Whom assertions are for, where a peer has no `audience` of its own; its URL by default."""
    lifetime: Annotated[float, Field(ge=10, le=14_400)] = 300.0
    """Seconds for which one is valid, at most as long as the token that it follows."""
    subject: Text | None = None
    """NameID where nobody had to say who asks; `issuer` by default."""
    name: str | None = None
    """Name of the service, where a token has no name of a user."""
    organization: str | None = None
    organization_id: str | None = None
    """urn:oid: or URL; both are those of the site, where a token names no organisation."""
    roles: tuple[CodingSettings, ...] = ()
    """Where a token has none."""
    purposes: tuple[CodingSettings, ...] = (_TREATMENT,)
    """Purposes of use, where a token has none; treatment by default."""
    treatment_issuer: Text | None = None
    """What peers with `treatment` know the issuer of assertions of the treatment relationship by, such as
    urn:initgw:at:countryB; `issuer` by default."""
    attributes: dict[Text, tuple[Text, ...]] = Field(default_factory=dict)
    """Further attributes of who asks, as texts by name: urn:oasis:names:tc:xspa:1.0:environment:locality."""
    unmapped_codes: Literal["drop", "refuse"] = "drop"
    """Roles and purposes of a token whose code system has no OID are left out, or the request fails."""


class TrustedIssuerSettings(Section):
    """Whose assertions are believed."""

    issuer: Text
    """Its Issuer, letter by letter."""
    certificates_file: Path
    """PEM: certificates that sign, or authorities; read again when the file changes."""
    revocation_file: Path | None = None
    """Revocation lists of its authorities, in PEM; read again when the file changes. With it a certificate
    that an authority has issued signs where a list which is current covers it and does not name it."""
    names: tuple[Text, ...] = ()
    """Common names, DNS names or URIs, one of which a certificate that an authority of the file has issued
    has to bear. Without names only the certificates of the file themselves sign."""
    scopes: tuple[Text, ...] = ()
    """What its assertions open as access tokens of FHIR and DICOMweb (ITI-72, SAML token option)."""


Endpoint = Literal[
    "/xca/gateway", "/xca/patients", "/xca-i/imaging", "/xds/imaging", "/xds/registry", "/xds/repository"
]


class AcceptSettings(Section):
    """Assertions in requests to the SOAP services, and as access tokens."""

    audiences: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What this gateway is called in them; one of an assertion's audiences has to be among them."""
    issuers: Annotated[tuple[TrustedIssuerSettings, ...], Field(min_length=1)]
    optional_at: tuple[Endpoint, ...] = ()
    """SOAP services that answer without an assertion too; the others refuse."""
    longest_life: Annotated[float, Field(ge=60, le=86_400)] = 14_400.0
    """Seconds that one may be valid for."""
    one_time: bool = False
    """True: each can be used once, for all replicas together; those that say OneTimeUse always."""
    sender_vouches: bool = False
    """True: assertions whose subject their sender vouches for are taken, as in eHDSI."""
    treatment_at: tuple[Endpoint, ...] = ()
    """SOAP services that need an assertion of the treatment relationship (eHDSI TRC) beside that of who asks:
    its patient alone is opened. With one of them, the others take one too."""
    bind_patient: bool = True
    """True: an assertion with a resource-id opens what is of that patient alone."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [each.issuer for each in self.issuers]
        if len(set(names)) != len(names):
            raise ValueError("issuers: each issuer may appear once")
        return self


class AssertionsSettings(Section):
    """SAML assertions."""

    issue: IssueSettings | None = None
    accept: AcceptSettings | None = None
