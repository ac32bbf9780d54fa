"""Verifies SAML assertions (IHE XUA, ITI-40 and ITI TF-2 3.40.4.1.3; ITI-72 with the SAML token option):
shape, trust, signature, time, audience, confirmation. What is read are the bytes that the signature is good
for, and nothing else of the message.
"""

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from cryptography import x509
from lxml import etree
from lxml.etree import _Element
from msgspec import Struct
from msgspec.structs import replace
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from gateway.model import codes
from gateway.model.claims import Claims
from gateway.safe_xml import XmlFeeder
from gateway.security.access import OwnAssertion
from gateway.security.assertion_reader import Statement, read_statement
from gateway.security.assertion_shape import (
    DIGESTS,
    SIGNATURE_METHODS,
    AssertionRefused,
    assertions_in,
    check_shape,
)
from gateway.security.treatment import claims_with, is_treatment, pair
from gateway.security.trust import TrustedIssuer, signing_certificates

_DS: Final = f"{{{codes.NS_DS}}}"
_SAML: Final = f"{{{codes.NS_SAML}}}"
_LONGEST_TOKEN: Final = 64 * 1024
_MOST_KEPT: Final = 1000
_MOST_SHOWN: Final = 5
_CONFIGURATION: Final = SignatureConfiguration(
    location="./",
    expect_references=1,
    signature_methods=SIGNATURE_METHODS,
    digest_algorithms=DIGESTS,
    # the key is that of a certificate of the settings, whatever else the signature names
    ignore_ambiguous_key_info=True,
)


class Verified(Struct, frozen=True):
    """A verified assertion: who asks, until when, IDs by which it may be used once alone, what it opens as a
    token, and the assertion itself for peers that are told the same. With `treatment` the patient of the
    claims is the only one with whom there is a treatment relationship."""

    claims: Claims
    expires: float
    used_once: tuple[str, ...]
    scopes: frozenset[str]
    own: OwnAssertion
    treatment: bool = False


class AssertionRules(Struct, frozen=True):
    """What assertions must be: `audiences` are what this service is called in them, times are in seconds."""

    audiences: frozenset[str]
    skew: float = 60.0
    longest_life: float = 14_400.0
    one_time: bool = False
    sender_vouches: bool = False


_Trust = tuple[Sequence[x509.Certificate], Sequence[x509.CertificateRevocationList] | None]
"""What a signature was believed by."""


def _trust(trusted: TrustedIssuer) -> _Trust:
    return trusted.anchors(), trusted.revocations()


class AssertionVerifier:
    """Verifies; a signature that was good is not computed again while its assertion lives."""

    def __init__(
        self,
        issuers: Iterable[TrustedIssuer],
        rules: AssertionRules,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = {trusted.issuer: trusted for trusted in issuers}
        self._rules = rules
        self._clock = clock
        self._good: OrderedDict[bytes, tuple[Statement, _Trust]] = OrderedDict()

    def in_message(
        self,
        root: _Element,
        header: _Element | None,
        certificate: bytes | None = None,
        treatment: Literal["none", "optional", "required"] = "none",
    ) -> Verified | None:
        """The assertion of a SOAP message, None where it has none. Raises AssertionRefused.

        `certificate` (DER) is that of the client in TLS, for assertions that are bound to it; `treatment`
        says whether an assertion of the treatment relationship may or has to come along.
        """
        found = assertions_in(root, header, 1 if treatment == "none" else 2)
        if not found:
            return None
        contents = [etree.tostring(each, with_tail=False) for each in found]
        statements = [self._checked(content, certificate) for content in contents]
        identity, of_treatment = pair(statements)
        verified = self._believed(identity, contents[statements.index(identity)])
        if of_treatment is None:
            if treatment == "required":
                raise AssertionRefused("InvalidSecurity", "there is no assertion of the treatment")
            return verified
        return self._with_treatment(
            verified, identity, of_treatment, contents[statements.index(of_treatment)]
        )

    def as_token(self, text: str, certificate: bytes | None = None) -> Verified:
        """The assertion of an access token, base64url (IHE IUA 3.72.4.3). Raises AssertionRefused."""
        if len(text) > _LONGEST_TOKEN:
            raise AssertionRefused("InvalidSecurityToken", "it is too long")
        try:
            content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (ValueError, binascii.Error):
            raise AssertionRefused("InvalidSecurityToken", "it is not base64url") from None
        return self._believed(pair([self._checked(content, certificate)])[0], content)

    def _believed(self, statement: Statement, content: bytes) -> Verified:
        return Verified(
            claims=statement.claims,
            expires=statement.ends,
            used_once=self._used_once(statement),
            scopes=self._trusted(statement.issuer).scopes,
            own=OwnAssertion(content, statement.audiences, statement.ends),
        )

    def _with_treatment(
        self, verified: Verified, identity: Statement, treatment: Statement, content: bytes
    ) -> Verified:
        ends = min(verified.expires, treatment.ends)
        return replace(
            verified,
            claims=replace(claims_with(identity, treatment), expires=ends),
            expires=ends,
            used_once=verified.used_once + self._used_once(treatment),
            own=OwnAssertion(
                verified.own.content + content,
                verified.own.audiences + treatment.audiences,
                ends,
                treatment=True,
            ),
            treatment=True,
        )

    def _used_once(self, statement: Statement) -> tuple[str, ...]:
        once = statement.one_time or self._rules.one_time
        return (f"saml {statement.issuer} {statement.claims.statement_id}",) if once else ()

    def _checked(self, content: bytes, certificate: bytes | None) -> Statement:
        digest = hashlib.sha256(content).digest()
        statement = self._known(digest) or self._signed(content, digest)
        now = self._clock()
        self._check_times(statement, now)
        self._check_audience(statement)
        self._check_confirmation(statement, certificate, now)
        return statement

    def _trusted(self, issuer: str) -> TrustedIssuer:
        trusted = self._issuers.get(issuer)
        if trusted is None:
            raise AssertionRefused("FailedAuthentication", "its issuer is not trusted here")
        return trusted

    def _known(self, digest: bytes) -> Statement | None:
        """What was verified before, with the certificates and revocation lists that its issuer has now."""
        statement, trust = self._good.get(digest, (None, None))
        if statement is None or _trust(self._trusted(statement.issuer)) != trust:
            return None
        self._good.move_to_end(digest)
        return statement

    def _signed(self, content: bytes, digest: bytes) -> Statement:
        assertion = _parsed(content)
        check_shape(assertion)
        trusted = self._trusted((assertion.findtext(f"{_SAML}Issuer") or "").strip())
        trust = _trust(trusted)
        signers = signing_certificates(trusted, _shown(assertion), self._clock())
        if not signers:
            raise AssertionRefused("FailedAuthentication", "its issuer has no certificate that is valid")
        signed = next(
            (found for signer in signers if (found := _verify(assertion, signer)) is not None), None
        )
        if signed is None:
            raise AssertionRefused("FailedCheck", "its signature is not good")
        if signed.tag != assertion.tag or signed.get("ID") != assertion.get("ID"):
            raise AssertionRefused("FailedCheck", "its signature is good for something else")
        statement = read_statement(signed)
        if statement.issuer != trusted.issuer:
            raise AssertionRefused("FailedCheck", "its signature is good for another issuer")
        self._good[digest] = statement, trust
        while len(self._good) > _MOST_KEPT:
            self._good.popitem(last=False)
        return statement

    def _check_times(self, statement: Statement, now: float) -> None:
        skew = self._rules.skew
        if statement.ends <= now - skew or (statement.session_ends or statement.ends) <= now - skew:
            raise AssertionRefused("InvalidSecurityToken", "it has expired")
        if max(statement.starts, statement.issued) > now + skew:
            raise AssertionRefused("InvalidSecurityToken", "it is not valid yet")
        if statement.ends - statement.starts > self._rules.longest_life:
            raise AssertionRefused("InvalidSecurityToken", "it is valid for too long a time")

    def _check_audience(self, statement: Statement) -> None:
        ours = self._rules.audiences
        if not statement.audiences or any(ours.isdisjoint(names) for names in statement.audiences):
            raise AssertionRefused("InvalidSecurityToken", "it is for another audience")

    def _check_confirmation(self, statement: Statement, certificate: bytes | None, now: float) -> None:
        for confirmation in statement.confirmations:
            if confirmation.ends is not None and confirmation.ends <= now - self._rules.skew:
                continue
            if confirmation.starts is not None and confirmation.starts > now + self._rules.skew:
                continue
            if confirmation.recipient is not None and confirmation.recipient not in self._rules.audiences:
                continue
            if confirmation.method == codes.SAML_BEARER:
                return
            vouched = self._rules.sender_vouches or is_treatment(statement)
            if confirmation.method == codes.SAML_SENDER_VOUCHES and vouched:
                return
            if confirmation.method == codes.SAML_HOLDER_OF_KEY and certificate in confirmation.certificates:
                return
        raise AssertionRefused("FailedAuthentication", "its subject is not confirmed")


def _parsed(content: bytes) -> _Element:
    feeder = XmlFeeder(max_bytes=_LONGEST_TOKEN)
    try:
        feeder.feed(content)
        return feeder.close()
    except ValueError:
        raise AssertionRefused("InvalidSecurityToken", "it is not XML that can be read") from None


def _shown(assertion: _Element) -> Sequence[x509.Certificate]:
    """Certificates in the KeyInfo of the signature; what is none is left out."""
    shown = []
    path = f"{_DS}Signature/{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate"
    for element in assertion.findall(path)[:_MOST_SHOWN]:
        try:
            shown.append(x509.load_der_x509_certificate(base64.b64decode(element.text or "")))
        except ValueError:
            continue
    return shown


def _verify(assertion: _Element, signer: x509.Certificate) -> _Element | None:
    """What the signature is good for under the key of a certificate; None where it is not good."""
    try:
        result = XMLVerifier().verify(assertion, x509_cert=signer, expect_config=_CONFIGURATION)
    except (SignXMLException, ValueError, TypeError, etree.LxmlError):
        return None
    assert not isinstance(result, list)
    return result.signed_xml
