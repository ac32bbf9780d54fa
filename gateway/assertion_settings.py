"""Settings of SAML assertions (IHE XUA, ITI-40): section `security.assertions`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.setting_types import Section

Text = Annotated[str, Field(min_length=1)]


class CodingSettings(Section):
    """A code: `system` is a URI that terminology.code_systems knows, or urn:oid:."""

    system: Text
    code: Text
    display: str | None = None


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
    purposes: tuple[CodingSettings, ...] = ()
    """Purposes of use, where a token has none."""
    unmapped_codes: Literal["drop", "refuse"] = "drop"
    """Roles and purposes of a token whose code system has no OID are left out, or the request fails."""


class AssertionsSettings(Section):
    """SAML assertions."""

    issue: IssueSettings | None = None
