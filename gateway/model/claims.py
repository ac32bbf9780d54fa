"""What a verified token or assertion says of who asks (IHE IUA 3.71.4.2.2.1, `ihe_iua` and `ihe_bppc`; IHE
XUA, ITI TF-2 3.40.4.1.2).
"""

from msgspec import Struct


class Coding(Struct, frozen=True):
    """A coded claim. `system` is a URI, `urn:oid:` where an assertion named it; empty where none is named."""

    system: str
    code: str
    display: str | None = None


class Claims(Struct, frozen=True):
    """Who asks, and what for.

    `subject` is `sub` or NameID, `client_id` the system that asks; `statement_id` is `jti` or the ID of the
    assertion. `patient` is the patient of the consent or resource-id as it is written there (a CX or a URL).
    `expires`, in seconds since 1970, is when the statement ends, `authentication` the class of how the
    subject showed who it is (SAML AuthnContextClassRef). `assertion` says that it is a SAML assertion.
    """

    issuer: str
    subject: str
    client_id: str
    statement_id: str | None = None
    name: str | None = None
    organization: str | None = None
    organization_id: str | None = None
    roles: tuple[Coding, ...] = ()
    purposes: tuple[Coding, ...] = ()
    home_community_id: str | None = None
    provider_id: str | None = None
    person_id: str | None = None
    patient: str | None = None
    consent: str | None = None
    consent_policy: str | None = None
    authentication: str | None = None
    expires: float | None = None
    assertion: bool = False
