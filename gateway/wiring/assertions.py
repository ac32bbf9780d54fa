"""SAML assertions for peers (IHE XUA): whose they are, by the settings of each peer."""

import time
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.assertion_settings import CodingSettings, IssueSettings
from gateway.ebxml.hl7 import write_cx
from gateway.model.claims import Coding
from gateway.model.errors import PeerUnsupported
from gateway.security.access import OwnAssertion, current_access, patient_in_question
from gateway.security.assertion_writer import AssertionWriter, OwnClaims, UnmappedCoding, security_block
from gateway.security.signer import SignerError, watched_signer
from gateway.settings import Settings
from gateway.soap.client import SecurityHeader, nobody
from gateway.soap.envelope import HeaderBlock
from gateway.soap.resilience import Peer
from gateway.wiring.fhir import terminology

_KEY: Final = "security.assertions.issue"
_LEFT_SECONDS: Final = 5.0
"""A client's assertion that ends sooner would end on the way."""

log = structlog.get_logger()


class AssertionKeyError(Exception):
    """The key of the settings cannot sign; the text is one line that names it."""


def security_header(settings: Settings) -> SecurityHeader:
    """What says to each peer who asks. Raises AssertionKeyError."""
    section = settings.security.assertions.issue
    if section is None:
        return nobody
    writer = assertion_writer(settings, section)

    def header(peer: Peer, transaction: str) -> Sequence[HeaderBlock]:
        if peer.assertion == "none":
            return ()
        audience = peer.audience or section.audience or peer.url
        access = current_access()
        # asked by demographics, a community has no patient yet
        treatment = peer.treatment and transaction != "ITI-55"
        own = None if access is None or peer.assertion != "pass_on" else access.assertion
        if own is not None and _fits(own, audience) and (own.treatment or not treatment):
            return (security_block(own.content),)
        patient = patient_in_question()
        if treatment and patient is None:
            raise PeerUnsupported(
                peer.name,
                transaction,
                "it needs an assertion of the treatment relationship, and whose treatment it is cannot be "
                "told: ask with a token that is bound to the patient",
            )
        try:
            return (
                writer.security_header(
                    None if access is None else access.claims,
                    audience,
                    None if patient is None else write_cx(patient),
                    vouched=peer.treatment,
                    treatment=treatment,
                ),
            )
        except UnmappedCoding as error:
            raise PeerUnsupported(
                peer.name,
                transaction,
                f"the assertion for it cannot be made: {error}; add it to terminology.code_systems",
            ) from None

    return header


def assertion_writer(settings: Settings, section: IssueSettings) -> AssertionWriter:
    """Writes the assertions of the settings. Raises AssertionKeyError."""
    try:
        signer = watched_signer(section.key_file, section.certificate_file, section.key_password_file)
    except SignerError as error:
        raise AssertionKeyError(f"{_KEY}: {error}") from None
    except OSError as error:
        raise AssertionKeyError(f"{_KEY}: {error.filename}: {error.strerror}") from None
    own = OwnClaims(
        subject=section.subject or section.issuer,
        name=section.name,
        organization=section.organization,
        organization_id=section.organization_id,
        roles=codings(section.roles),
        purposes=codings(section.purposes),
        home_community_id=settings.home_community_id,
        attributes=tuple(section.attributes.items()),
        treatment_issuer=section.treatment_issuer,
    )
    return AssertionWriter(
        section.issuer,
        signer,
        own,
        oid_of=terminology(settings).code_systems.oid_or_none,
        lifetime=section.lifetime,
        refuse_unmapped=section.unmapped_codes == "refuse",
    )


def codings(settings: Sequence[CodingSettings]) -> tuple[Coding, ...]:
    """Codes of the settings as claims."""
    return tuple(Coding(each.system, each.code, each.display) for each in settings)


def _fits(assertion: OwnAssertion, audience: str) -> bool:
    return (
        bool(assertion.audiences)
        and all(audience in names for names in assertion.audiences)
        and assertion.expires > time.time() + _LEFT_SECONDS
    )
