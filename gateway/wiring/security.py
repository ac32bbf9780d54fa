"""Who may do what: issuers, the own authorisation server, and what is in front of every handler."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote_plus, urlsplit

import aiohttp
import orjson
import structlog
from aiohttp.typedefs import Middleware

from gateway.correlation.store import CorrelationStore
from gateway.correlation.used_once import UsedIds
from gateway.ebxml.hl7 import read_cx
from gateway.fhir.terminology import Terminology
from gateway.mhd.authorisation import Authorisation, PatientOf, Verify
from gateway.mhd.authorisation_routes import (
    INTROSPECTION_PATH,
    KEYS_PATH,
    TOKEN_PATH,
    AuthorisationRoutes,
    smart_configuration,
)
from gateway.mhd.bases import Bases
from gateway.mhd.references import PatientReferences
from gateway.model import Cx
from gateway.model.claims import Claims
from gateway.model.codes import AUTHN_X509
from gateway.security.authorisation_server import AuthorisationServer, Client
from gateway.security.key_sets import FixedKeys, KeyFile, Keys, KeySetError, RemoteKeys, read_key_set
from gateway.security.policy import Policy
from gateway.security.policy_rules import one_form
from gateway.security.sealing import KeyRing
from gateway.security.signing_keys import SIGNING_ALGORITHM, SigningKeys
from gateway.security.tokens import Introspection, Issuer, TokenVerifier
from gateway.security_settings import (
    ClientSettings,
    IntrospectionSettings,
    IssuerSettings,
    KeySetSettings,
    SecuritySettings,
)
from gateway.settings import Settings
from gateway.tls import Context
from gateway.wiring.assertions import AssertionKeyError, codings
from gateway.wiring.assertions_in import AssertionsIn
from gateway.wiring.fhir import patient_references, terminology
from gateway.wiring.tls import context_of

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

log = structlog.get_logger()


class SecurityError(Exception):
    """The settings cannot be used; the text is one line that names the key."""


@dataclass(frozen=True, slots=True)
class SecurityParts:
    """What authorisation needs of what lives as long as the gateway runs: with `assertions` these are access
    tokens too; `policy` decides besides."""

    session: aiohttp.ClientSession
    store: CorrelationStore
    ring: KeyRing
    assertions: AssertionsIn | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """Authorisation of a running gateway; `token_endpoint` is what /metadata shows, `verify` what reads
    tokens, `policy` what decides besides."""

    middleware: Middleware
    routes: AuthorisationRoutes
    token_endpoint: str | None
    verify: Verify
    policy: Policy | None = None


def access_of(settings: SecuritySettings) -> Literal["open", "token"]:
    """Whether requests need tokens. Raises SecurityError where nothing says it."""
    access = settings.effective_access
    if access is None:
        raise SecurityError(
            "security.access: is not set, and neither are security.issuers nor "
            "security.authorisation_server; set it to open to serve everyone who reaches the port"
        )
    return access


def assertions_in(
    settings: Settings, store: CorrelationStore, policy: Policy | None = None
) -> AssertionsIn | None:
    """What verifies assertions of others; None where none are taken. Raises SecurityError."""
    accept = settings.security.assertions.accept
    try:
        return None if accept is None else AssertionsIn(settings, accept, UsedIds(store), policy)
    except AssertionKeyError as error:
        raise SecurityError(str(error)) from None


def guard(settings: Settings, parts: SecurityParts, bases: Bases) -> Guard | None:
    """Authorisation with tokens; None where access is open. Raises SecurityError."""
    if access_of(settings.security) == "open":
        log.critical(
            "security.open_access",
            warning="EVERYONE WHO REACHES THIS PORT CAN READ AND WRITE WHAT THERE IS OF ALL PATIENTS",
            setting="security.access",
        )
        return None
    terms = terminology(settings)
    patient_of = patients_of_claims(patient_references(parts.ring, terms, bases.shared.url), terms)
    return _with_tokens(settings, parts, patient_of, bases)


def _with_tokens(
    all_settings: Settings,
    parts: SecurityParts,
    patient_of: PatientOf,
    bases: Bases,
) -> Guard:
    settings = all_settings.security
    base_url = bases.shared.url
    signing = SigningKeys(parts.ring)
    server = _server(settings, parts, signing, patient_of, bases)
    issuers = _issuers(settings, parts.session, bases)
    if server is not None:
        own = Issuer(
            base_url,
            (base_url,),
            (SIGNING_ALGORITHM,),
            FixedKeys(lambda: signing.public),
            authentication=AUTHN_X509,
        )
        issuers = [own, *(issuer for issuer in issuers if issuer.issuer != base_url)]
    verifier = TokenVerifier(issuers, parts.session, skew=settings.clock_skew)
    verify = verifier.verify if parts.assertions is None else parts.assertions.or_else(verifier.verify)
    configuration = _configuration(settings, base_url)
    return Guard(
        Authorisation(
            [base.path for base in bases],
            verify,
            patient_of,
            others=settings.other_patient,
            home_community_id=all_settings.home_community_id,
            policy=parts.policy,
            form=one_form(terminology(all_settings).code_systems.oid_or_none),
        ).middleware(),
        AuthorisationRoutes(configuration, server, signing),
        None if configuration is None else configuration["token_endpoint"],
        verify,
        parts.policy,
    )


def patients_of_claims(references: PatientReferences, terms: Terminology) -> PatientOf:
    """Reads what a claim says of a patient: `system|value`, a CX (`id^^^&oid&ISO`), or the id of a Patient
    of this server, with `Patient/` in front or without."""

    def patient_of(text: str) -> Cx | None:
        if "^" in text:
            patient = read_cx(text)
            return patient if patient.id and patient.authority else None
        if "|" in text:
            system, _, value = text.rpartition("|")
            authority = terms.authorities.oid_or_none(system)
            return Cx(value, authority) if authority and value else None
        return references.resolve(text)

    return patient_of


def _issuers(settings: SecuritySettings, session: aiohttp.ClientSession, bases: Bases) -> list[Issuer]:
    own_names = tuple(name for url in bases.urls for name in (url, f"{url}/"))
    made = []
    for number, issuer in enumerate(settings.issuers):
        key = f"security.issuers.{number}"
        keys, introspection = issuer_keys(settings, issuer, session, key)
        _shout_about_plain_http(f"{key}.jwks_url", issuer.jwks_url)
        if issuer.introspection is not None:
            _shout_about_plain_http(f"{key}.introspection.url", issuer.introspection.url)
        made.append(
            Issuer(
                issuer=issuer.issuer,
                audiences=issuer.audiences or own_names,
                algorithms=issuer.algorithms,
                keys=keys,
                introspection=introspection,
                token_id_required=issuer.jti_required,
            )
        )
    return made


def _shout_about_plain_http(key: str, url: str | None) -> None:
    """Whoever is on the way can exchange keys that come without TLS, and read tokens that are asked about."""
    parts = urlsplit(url or "")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        log.critical(
            "security.without_tls",
            warning="KEYS OR TOKENS GO OVER HTTP, WHERE WHOEVER IS ON THE WAY CAN EXCHANGE OR READ THEM",
            setting=key,
        )


def issuer_keys(
    settings: SecuritySettings, issuer: IssuerSettings, session: aiohttp.ClientSession, key: str
) -> tuple[Keys | None, Introspection | None]:
    """What verifies the JWTs of an issuer, and where its opaque tokens are asked about; one of them at least.

    Raises SecurityError, which names the `key`.
    """
    tls = context_of(issuer.tls or settings.tls)
    keys = _keys(issuer, session, key, tls) if issuer.key_sets else None
    return keys, _introspection(issuer.introspection, f"{key}.introspection", tls)


def _introspection(settings: IntrospectionSettings | None, key: str, tls: Context) -> Introspection | None:
    if settings is None:
        return None
    name, path = "token_file", settings.token_file
    if path is None:
        name, path = "client_secret_file", settings.client_secret_file
    assert path is not None
    secret_file, client_id = path, settings.client_id if settings.token_file is None else None

    def authorization() -> str:
        secret = secret_file.read_text("utf-8", "replace").strip()
        if client_id is None:
            return f"Bearer {secret}"
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    try:
        authorization()
    except OSError as error:
        raise SecurityError(f"{key}.{name}: {secret_file}: {error.strerror}") from None
    return Introspection(settings.url, authorization, settings.cache, tls)


def _keys(settings: KeySetSettings, session: aiohttp.ClientSession, key: str, tls: Context) -> Keys:
    try:
        if settings.jwks_url is not None:
            return RemoteKeys(session, settings.jwks_url, tls=tls)
        if settings.jwks_file is not None:
            return KeyFile(Path(settings.jwks_file))
        keys = read_key_set(orjson.dumps(settings.jwks))
        if not keys:
            raise KeySetError("has no RSA or EC key that verifies")
        return FixedKeys(lambda: keys)
    except KeySetError as error:
        name = "jwks_file" if settings.jwks_file else "jwks"
        raise SecurityError(f"{key}.{name}: {error}") from None
    except OSError as error:
        raise SecurityError(f"{key}.jwks_file: {error.strerror or 'cannot be read'}") from None


def _server(
    settings: SecuritySettings,
    parts: SecurityParts,
    signing: SigningKeys,
    patient_of: PatientOf,
    bases: Bases,
) -> AuthorisationServer | None:
    section = settings.authorisation_server
    if section is None:
        return None
    clients: list[Client] = []
    for client_id, client in section.clients.items():
        key = f"security.authorisation_server.clients.{client_id}"
        if client.patient is not None and patient_of(client.patient) is None:
            raise SecurityError(f"{key}.patient: is not system|value of a known system, nor a CX")
        _shout_about_plain_http(f"{key}.jwks_url", client.jwks_url)
        clients.append(
            Client(
                client_id=client_id,
                keys=_keys(client, parts.session, key, context_of(settings.tls)),
                scopes=frozenset(client.scopes),
                key_set_url=client.jwks_url,
                patient=client.patient,
                claims=_claims(client),
                introspects=client.introspects,
            )
        )
    return AuthorisationServer(
        clients,
        signing,
        UsedIds(parts.store),
        issuer=bases.shared.url,
        resources=bases.urls,
        token_endpoint=f"{bases.shared.url}{TOKEN_PATH}",
        lifetime=section.token_lifetime,
        skew=settings.clock_skew,
    )


def _claims(client: ClientSettings) -> Claims:
    said = client.claims
    return Claims(
        "",
        "",
        "",
        name=said.name,
        organization=said.organization,
        organization_id=said.organization_id,
        roles=codings(said.roles),
        purposes=codings(said.purposes),
        provider_id=said.provider_id,
    )


def _configuration(settings: SecuritySettings, base_url: str) -> dict[str, Any] | None:
    if settings.authorisation_server is not None:
        introspected = any(client.introspects for client in settings.authorisation_server.clients.values())
        return smart_configuration(
            f"{base_url}{TOKEN_PATH}",
            issuer=base_url,
            jwks_uri=f"{base_url}{KEYS_PATH}",
            introspection_endpoint=f"{base_url}{INTROSPECTION_PATH}" if introspected else None,
        )
    for issuer in settings.issuers:
        if issuer.token_endpoint is not None:
            asked = issuer.introspection
            return smart_configuration(
                issuer.token_endpoint,
                issuer=issuer.issuer,
                jwks_uri=issuer.jwks_url,
                introspection_endpoint=None if asked is None else asked.url,
            )
    return None
