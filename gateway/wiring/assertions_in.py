"""SAML assertions of others: in requests to the SOAP services (IHE XUA, ITI-40) and as access tokens (ITI-72,
SAML token option)."""

import base64
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

import structlog
from aiohttp import web
from cryptography.x509 import CertificateRevocationList
from lxml.etree import _Element

from gateway.assertion_settings import AcceptSettings, TrustedIssuerSettings
from gateway.correlation.used_once import UsedIds
from gateway.ebxml.hl7 import read_cx
from gateway.model import Cx
from gateway.model.codes import NS_WSSE
from gateway.revocations import read_revocations
from gateway.security.access import Access, NotGranted, OtherPatient, acting_with
from gateway.security.assertion_shape import AssertionRefused
from gateway.security.assertion_verifier import AssertionRules, AssertionVerifier, Verified
from gateway.security.policy import Action, Denied, Policy, PolicyUnavailable
from gateway.security.scopes import Permission, Scopes
from gateway.security.subjects import asked_with, refused_login
from gateway.security.tokens import InvalidToken, Token, VerificationUnavailable
from gateway.security.trust import TrustedIssuer, no_revocations, read_anchors
from gateway.settings import Settings
from gateway.soap.envelope import SoapFault
from gateway.soap.server import Admission, Admit
from gateway.watched_files import WatchedFiles
from gateway.wiring.assertions import AssertionKeyError

_KEY: Final = "security.assertions.accept.issuers"
_ACTIONS: Final[Mapping[str, Action]] = {
    "ITI-39": "retrieve",
    "ITI-43": "retrieve",
    "RAD-69": "images",
    "RAD-75": "images",
    "ITI-41": "publish",
}
_EVERYTHING: Final = frozenset(Permission("*", letter) for letter in ("c", "r", "u", "d", "s"))
_SAML_TOKEN = re.compile(rb"\s*<[?A-Za-z].{0,200}?Assertion", re.DOTALL)

log = structlog.get_logger()

T = TypeVar("T")


class AssertionsIn:
    """Verifies, and says what an assertion opens."""

    def __init__(
        self, settings: Settings, accept: AcceptSettings, used: UsedIds, policy: Policy | None = None
    ) -> None:
        """Raises AssertionKeyError."""
        self._policy = policy
        rules = AssertionRules(
            audiences=frozenset(accept.audiences),
            skew=settings.security.clock_skew,
            longest_life=accept.longest_life,
            one_time=accept.one_time,
            sender_vouches=accept.sender_vouches,
        )
        self._verifier = AssertionVerifier(trusted_issuers(accept), rules)
        self._used = used
        self._accept = accept

    # --- SOAP -------------------------------------------------------------------------------------------
    def admission(self, path: str, homes: frozenset[str] | None = None) -> Admit:
        """Who may ask the SOAP service at a path; only for one of the communities `homes`, where these are
        known."""
        required = path not in self._accept.optional_at
        treatment: Literal["none", "optional", "required"] = "none"
        if self._accept.treatment_at:
            treatment = "required" if path in self._accept.treatment_at else "optional"

        async def admit(
            request: web.Request, root: _Element, header: _Element | None, transaction: str
        ) -> Admission:
            try:
                verified = self._verifier.in_message(root, header, client_certificate(request), treatment)
            except AssertionRefused as error:
                raise _fault(path, error) from None
            if verified is None:
                if required:
                    raise _fault(path, AssertionRefused("InvalidSecurity", "there is no wsse:Security"))
                return _admission(_unknown(self._policy, transaction))
            asked_with(verified.claims)
            home = verified.claims.home_community_id
            if homes is not None and home is not None and home not in homes:
                reason = "its community is not that of the client certificate"
                raise _fault(path, AssertionRefused("FailedAuthentication", reason))
            await self._use(path, verified)
            return _admission(self._access(verified, transaction))

        return admit

    async def _use(self, path: str, verified: Verified) -> None:
        try:
            await self._once(verified)
        except InvalidToken as error:
            raise _fault(path, AssertionRefused("InvalidSecurityToken", str(error))) from None
        except VerificationUnavailable as error:
            raise SoapFault("Receiver", f"the assertion cannot be verified now: {error}") from None

    async def _once(self, verified: Verified) -> None:
        for name in verified.used_once:
            kind, identifier = name.rsplit(" ", 1)
            left = max(verified.expires - time.time(), 0.0) + 60.0
            first = await self._used.first_use(kind, identifier, left)
            if first is None:
                raise VerificationUnavailable("whether it was used before cannot be told")
            if not first:
                raise InvalidToken("it was used before")

    def _access(self, verified: Verified, transaction: str) -> Access:
        claims = verified.claims
        patient = _patient(claims.patient) if verified.treatment or self._accept.bind_patient else None
        return Access(
            claims.client_id,
            _EVERYTHING,
            patient,
            "forbidden",
            claims,
            verified.own,
            self._policy,
            _ACTIONS.get(transaction, "search"),
        )

    # --- FHIR and DICOMweb ------------------------------------------------------------------------------
    def or_else(self, verify: Callable[[str], Awaitable[Token]]) -> Callable[[str], Awaitable[Token]]:
        """Verifies tokens that are assertions here, and others by `verify`."""

        async def either(text: str) -> Token:
            if not _is_assertion(text):
                return await verify(text)
            try:
                verified = self._verifier.as_token(text)
            except AssertionRefused as error:
                raise InvalidToken(str(error)) from None
            await self._once(verified)
            claims = verified.claims
            return Token(
                issuer=claims.issuer,
                subject=claims.subject,
                client_id=claims.client_id,
                scopes=Scopes.of(verified.scopes),
                expires=verified.expires,
                token_id=claims.statement_id,
                consent_patient=claims.patient if self._accept.bind_patient else None,
                claims=claims,
                assertion=verified.own,
            )

        return either


def _is_assertion(text: str) -> bool:
    """Whether an access token is base64url of an assertion; a JWT has dots."""
    if "." in text:
        return False
    start = text[:400]
    try:
        return _SAML_TOKEN.match(base64.urlsafe_b64decode(start + "=" * (-len(start) % 4))) is not None
    except ValueError:
        return False


def client_certificate(request: web.Request) -> bytes | None:
    """The certificate (DER) that the client showed in TLS."""
    connection = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    certificate: bytes | None = None if connection is None else connection.getpeercert(binary_form=True)
    return certificate


def unknown_callers(policy: Policy) -> Admit:
    """Admits everyone, to what the policy permits somebody who has not said who it is."""

    async def admit(
        request: web.Request, root: _Element, header: _Element | None, transaction: str
    ) -> Admission:
        return _admission(_unknown(policy, transaction))

    return admit


def _unknown(policy: Policy | None, transaction: str) -> Access | None:
    if policy is None:
        return None
    action = _ACTIONS.get(transaction, "search")
    return Access("", _EVERYTHING, None, "forbidden", None, None, policy, action)


def _admission(access: Access | None) -> Admission:
    return nullcontext if access is None else partial(_acting, access)


@contextmanager
def _acting(access: Access) -> Iterator[None]:
    with acting_with(access):
        try:
            yield
        except (OtherPatient, NotGranted, Denied):
            log.warning("assertion.not_enough", issuer=access.client_id)
            raise SoapFault("Sender", "who asks may not have this") from None
        except PolicyUnavailable:
            raise SoapFault("Receiver", "what may be given cannot be decided now") from None


def _fault(path: str, error: AssertionRefused) -> SoapFault:
    log.warning("assertion.refused", path=path, code=error.kind, reason=str(error))
    refused_login(f"the assertion is refused: {error}")
    return SoapFault("Sender", f"the assertion is refused: {error}", subcodes=(f"{{{NS_WSSE}}}{error.kind}",))


def _patient(text: str | None) -> Cx | None:
    if text is None:
        return None
    patient = read_cx(text)
    # what cannot be understood must not open everything
    return patient if patient.id and patient.authority else Cx("", "")


def trusted_issuers(accept: AcceptSettings) -> list[TrustedIssuer]:
    """Whose assertions are believed. Raises AssertionKeyError."""
    return [_trusted(each, f"{_KEY}.{number}") for number, each in enumerate(accept.issuers)]


def _trusted(settings: TrustedIssuerSettings, key: str) -> TrustedIssuer:
    anchors = _watched(
        settings.certificates_file, read_anchors, f"{key}.certificates_file", "no certificate in PEM"
    )
    revocations: Callable[[], Sequence[CertificateRevocationList] | None] = no_revocations
    if settings.revocation_file is not None:
        revocations = _watched(
            settings.revocation_file,
            read_revocations,
            f"{key}.revocation_file",
            "not certificate revocation lists in PEM alone",
        )
    return TrustedIssuer(
        settings.issuer, anchors, frozenset(settings.names), frozenset(settings.scopes), revocations
    )


def _watched(
    path: Path, read: Callable[[bytes], Sequence[T]], key: str, holds: str
) -> WatchedFiles[Sequence[T]]:
    try:
        return WatchedFiles([path], lambda: read(path.read_bytes()))
    except OSError as error:
        raise AssertionKeyError(f"{key}: {path}: {error.strerror}") from None
    except ValueError:
        raise AssertionKeyError(f"{key}: {path}: holds {holds}") from None
