"""Access tokens of requests (ITI-72): JWTs verified with the keys of their issuer (IHE IUA, JWT token option;
RFC 9068), opaque ones by asking the server that issued them (ITI-102; RFC 7662).

Nothing of a token is written to a log.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import orjson
import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError
from msgspec import Struct
from yarl import URL

from gateway.model.claims import Claims
from gateway.security.access import OwnAssertion
from gateway.security.bounded import read_at_most
from gateway.security.key_sets import KEY_TYPES, Keys, KeysUnavailable, NoSuchKey
from gateway.security.scopes import Scopes, scope_names
from gateway.security.user_claims import read_user_claims
from gateway.tls import Context, default_context

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt", "iua-jwt"})
_LONGEST_TOKEN: Final = 16 * 1024
_LARGEST_ANSWER: Final = 64 * 1024
_INTROSPECTION_SECONDS: Final = 5.0
_MOST_CACHED: Final = 10_000
_LATEST: Final = 1 << 53

log = structlog.get_logger()


class InvalidToken(Exception):
    """The token opens nothing; the text says why, without what is in it."""


class VerificationUnavailable(Exception):
    """Whether the token is good cannot be told now."""


class Token(Struct, frozen=True):
    """What a verified token says. `expires` is in seconds since 1970, None where it does not say.

    `launch_patient` is the patient of the launch context (SMART), `consent_patient` that of the consent
    (IUA, `ihe_bppc`); both as the issuer writes them.
    """

    issuer: str
    subject: str
    client_id: str
    scopes: Scopes
    expires: float | None
    token_id: str | None = None
    launch_patient: str | None = None
    consent_patient: str | None = None
    claims: Claims | None = None
    """What it says of who asks."""
    assertion: OwnAssertion | None = None
    """Itself, where it is a SAML assertion."""


class Introspection(Struct, frozen=True):
    """Where opaque tokens are asked about.

    `authorization` gives the header that the gateway is known by there; it may raise OSError. An answer is
    kept for `cache_seconds` at most.
    """

    url: str
    authorization: Callable[[], str]
    cache_seconds: float
    tls: Context = default_context


class Issuer(Struct, frozen=True):
    """Whose tokens are taken: `keys` verify JWTs, `audiences` are what the gateway is called in `aud`;
    `authentication` is how its clients show who they are, where that is known (SAML AuthnContextClassRef)."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = ALGORITHMS
    keys: Keys | None = None
    introspection: Introspection | None = None
    token_id_required: bool = True
    authentication: str | None = None


class TokenVerifier:
    """Verifies the tokens of the issuers that are trusted; what was verified is kept until it expires."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        session: aiohttp.ClientSession,
        *,
        skew: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`skew` is how many seconds clocks may differ."""
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._introspecting = next((issuer for issuer in issuers if issuer.introspection), None)
        self._session = session
        self._skew = skew
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Token, float]] = OrderedDict()

    async def verify(self, text: str) -> Token:
        """What a token says. Raises InvalidToken and VerificationUnavailable."""
        if len(text) > _LONGEST_TOKEN:
            raise InvalidToken("it is too long")
        digest = hashlib.sha256(text.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            if self._clock() < known[1]:
                self._known.move_to_end(digest)
                return known[0]
            del self._known[digest]
        named = _issuer_named(text)
        # what names another issuer is not shown to ours
        issuer = self._introspecting if named is None else self._issuers.get(named)
        if named is not None and issuer is not None and issuer.keys is not None:
            token = await self._verified(text, issuer, issuer.keys)
            lasts, skew = float("inf"), self._skew
        elif issuer is not None and issuer.introspection is not None:
            token = await self._introspected(text, issuer, issuer.introspection)
            # who was asked knows the end of a token by its own clock: after it, it is asked again
            lasts, skew = issuer.introspection.cache_seconds, 0.0
        else:
            raise InvalidToken("its issuer is not trusted here")
        self._keep(digest, token, lasts, skew)
        return token

    def _keep(self, digest: bytes, token: Token, lasts: float, skew: float) -> None:
        if token.expires is not None:
            self._known[digest] = (token, min(token.expires + skew, self._clock() + lasts))
            while len(self._known) > _MOST_CACHED:
                self._known.popitem(last=False)

    async def _verified(self, text: str, issuer: Issuer, keys: Keys) -> Token:
        try:
            claims = await verify_jwt(text, keys, issuer.algorithms, _TYPES)
        except KeysUnavailable:
            raise VerificationUnavailable("the keys of its issuer cannot be had") from None
        return self._token(claims, issuer, required=("exp", "aud", "iss", "sub", "iat"))

    async def _introspected(self, text: str, issuer: Issuer, asked: Introspection) -> Token:
        timeout = aiohttp.ClientTimeout(total=_INTROSPECTION_SECONDS)
        try:
            headers = {"Authorization": asked.authorization(), "Accept": "application/json"}
            async with self._session.post(
                asked.url,
                data={"token": text},
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                ssl=asked.tls(),
            ) as answer:
                if answer.status != 200:
                    raise ValueError(f"answered {answer.status}")
                claims = orjson.loads(await read_at_most(answer, _LARGEST_ANSWER))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.error("introspection.failed", host=URL(asked.url).host, error=type(error).__name__)
            raise VerificationUnavailable("its issuer cannot be asked about it") from None
        if not isinstance(claims, dict) or claims.get("active") is not True:
            raise InvalidToken("it is not active")
        return self._token({"iss": issuer.issuer, **claims}, issuer, required=())

    def _token(self, claims: Mapping[str, Any], issuer: Issuer, required: Sequence[str]) -> Token:
        check_claims(claims, now=self._clock(), skew=self._skew, required=required)
        if claims.get("iss") != issuer.issuer:
            raise InvalidToken("its issuer is not trusted here")
        if "aud" in claims and not set(_texts(claims["aud"])).intersection(issuer.audiences):
            raise InvalidToken("it is for another server")
        client = next((c for name in ("client_id", "azp", "cid") if (c := _text(claims, name))), None)
        if client is None:
            raise InvalidToken("it names no client")
        token_id = _text(claims, "jti")
        if required and issuer.token_id_required and token_id is None:
            raise InvalidToken("it has no jti")
        extensions = claims.get("extensions")
        consent = extensions.get("ihe_bppc") if isinstance(extensions, dict) else None
        subject = _text(claims, "sub") or client
        return Token(
            issuer=issuer.issuer,
            subject=subject,
            client_id=client,
            scopes=Scopes.of(scope_names(claims.get("scope", claims.get("scp")))),
            expires=float(claims["exp"]) if "exp" in claims else None,
            token_id=token_id,
            launch_patient=_stated(claims, "patient"),
            consent_patient=_stated(consent, "patient_id") if isinstance(consent, dict) else None,
            claims=read_user_claims(
                extensions,
                Claims(
                    issuer.issuer,
                    subject,
                    client,
                    token_id,
                    authentication=issuer.authentication,
                    expires=float(claims["exp"]) if "exp" in claims else None,
                ),
            ),
        )


def _issuer_named(text: str) -> str | None:
    """The issuer that a JWT says it is from; None for an opaque token."""
    try:
        claims = orjson.loads(jws.extract_compact(text.encode()).payload)
    except (JoseError, ValueError):
        return None
    return _text(claims, "iss") if isinstance(claims, dict) else None


async def verify_jwt(
    text: str, keys: Keys, algorithms: Sequence[str], types: frozenset[str]
) -> Mapping[str, Any]:
    """The claims of a JWT whose signature is good; nothing else of them is checked.

    The algorithm is one of those allowed and not one that its header chooses among all; the key fits it.
    Raises InvalidToken, KeysUnavailable.
    """
    try:
        header = jws.extract_compact(text.encode()).headers()
    except (JoseError, ValueError):
        raise InvalidToken("it is not a signed JWT") from None
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ") or ""
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in KEY_TYPES:
        raise InvalidToken("its algorithm is not allowed")
    if not isinstance(kind, str) or kind.lower() not in types:
        raise InvalidToken("its type is not that of such a token")
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("its kid is not a text")
    try:
        key = await keys.find(kid, algorithm)
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jwt.decode(text, key, registry=registry).claims
    except NoSuchKey:
        raise InvalidToken("it is signed with a key that is not known") from None
    except (JoseError, ValueError):
        raise InvalidToken("its signature is not good") from None


def check_claims(claims: Mapping[str, Any], *, now: float, skew: float, required: Sequence[str]) -> None:
    """Times and types of the claims of RFC 7519 4.1. Raises InvalidToken."""
    for name in required:
        if name not in claims:
            raise InvalidToken(f"it has no {name}")
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
            raise InvalidToken(f"its {name} is not a time")
    for name in ("iss", "sub", "jti"):
        if name in claims and not (isinstance(claims[name], str) and claims[name]):
            raise InvalidToken(f"its {name} is not a text")
    if "exp" in claims and claims["exp"] <= now - skew:
        raise InvalidToken("it has expired")
    if claims.get("nbf", 0) > now + skew or claims.get("iat", 0) > now + skew:
        raise InvalidToken("it is not valid yet")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None


def _stated(claims: Mapping[str, Any], name: str) -> str | None:
    """The claim; where it is there and is no text, a text that means nobody."""
    if name not in claims:
        return None
    return _text(claims, name) or ""
