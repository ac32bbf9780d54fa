"""A small authorisation server: access tokens for registered clients (ITI-71; SMART Backend Services), by
`client_credentials` with a signed assertion of the client (`private_key_jwt`, RFC 7523).
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import parse_qsl

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from msgspec import Struct

from gateway.model.claims import Claims
from gateway.security.key_sets import FixedKeys, Keys, KeysUnavailable
from gateway.security.scopes import Scopes, scope_names
from gateway.security.signing_keys import SIGNING_ALGORITHM, SigningKeys
from gateway.security.tokens import InvalidToken, check_claims, verify_jwt
from gateway.security.user_claims import write_user_claims

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS: Final = ("RS384", "ES384")
_LONGEST_ASSERTION_LIFE: Final = 300.0
_MOST_FIELDS: Final = 20
_TOKEN_TYPES: Final = tuple(
    f"urn:ietf:params:oauth:token-type:{name}" for name in ("jwt", "access_token", "access-token")
)
"""The one of RFC 8693 and that of IHE IUA both mean what is given here."""


class TokenError(Exception):
    """A refusal in the words of RFC 6749 5.2; the text is for the developer of the client."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class UsedOnce(Protocol):
    """Remembers ids that may be used once, for all replicas."""

    async def first_use(self, client_id: str, token_id: str, lifetime: float) -> bool | None:
        """True the first time, False from then on for `lifetime` seconds; None where nobody can tell."""
        ...


class Client(Struct, frozen=True):
    """A registered client. `key_set_url` is the only `jku` that its assertions may have.

    With `patient` its tokens are bound to that patient, written as the claim `patient` of a token. `claims`
    are what its tokens say of who asks; with `introspects` it may ask what tokens say.
    """

    client_id: str
    keys: Keys
    scopes: frozenset[str]
    key_set_url: str | None = None
    patient: str | None = None
    claims: Claims | None = None
    introspects: bool = False


class AuthorisationServer:
    """The token endpoint. Nothing of an assertion or a token is written to a log."""

    def __init__(
        self,
        clients: Sequence[Client],
        signing: SigningKeys,
        used: UsedOnce,
        *,
        issuer: str,
        resources: Sequence[str],
        token_endpoint: str,
        lifetime: float,
        skew: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`issuer` is the FHIR base, which is the audience of the tokens too; `resources` are all bases, for
        any of which a token may be asked; `lifetime` is in seconds.
        """
        self._clients = {client.client_id: client for client in clients}
        self._signing = signing
        self._used = used
        self._issuer = issuer
        self._resources = frozenset(resources)
        self._token_endpoint = token_endpoint
        self._lifetime = lifetime
        self._skew = skew
        self._clock = clock

    async def token(self, form: str) -> dict[str, object]:
        """The answer to a token request, whose body is `form`. Raises TokenError."""
        fields = _fields(form)
        if fields.get("grant_type") != "client_credentials":
            raise TokenError("unsupported_grant_type", "grant_type must be client_credentials")
        if fields.get("requested_token_type", _TOKEN_TYPES[0]) not in _TOKEN_TYPES:
            raise TokenError("invalid_request", f"requested_token_type can be {_TOKEN_TYPES[0]}")
        client = await self._authenticated(fields)
        resource = fields.get("resource", self._issuer)
        if resource.rstrip("/") not in self._resources:
            raise TokenError("invalid_target", "resource must be a FHIR base of this server")
        granted = self._granted(client, fields.get("scope", ""))
        return {
            "access_token": self._signed(client, granted),
            "token_type": "bearer",
            "expires_in": int(self._lifetime),
            "scope": granted,
        }

    async def introspect(self, caller: str | None, form: str) -> dict[str, object]:
        """The answer to an introspection request (ITI-102; RFC 7662), whose body is `form`; `caller` is the
        access token of who asks. Raises TokenError.

        What is not a token of this server that is good now is not active, and nothing else is said of it.
        """
        asking = None if caller is None else await self._claims_of(caller)
        known = None if asking is None else self._clients.get(str(asking.get("client_id")))
        if known is None or not known.introspects:
            raise TokenError("invalid_client", "an access token of a client that may ask is needed", 401)
        token = _fields(form).get("token")
        if not token:
            raise TokenError("invalid_request", "token is required")
        claims = await self._claims_of(token)
        if claims is None:
            return {"active": False}
        return {**claims, "active": True, "token_type": "Bearer"}

    async def _claims_of(self, token: str) -> Mapping[str, object] | None:
        """What a token of this server says, None where it is none that is good now."""
        try:
            keys = FixedKeys(lambda: self._signing.public)
            claims = await verify_jwt(token, keys, (SIGNING_ALGORITHM,), frozenset({"at+jwt"}))
            check_claims(claims, now=self._clock(), skew=0.0, required=("iss", "sub", "exp"))
        except InvalidToken:
            return None
        return claims if claims["iss"] == self._issuer else None

    async def _authenticated(self, fields: Mapping[str, str]) -> Client:
        if fields.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in fields:
            raise TokenError("invalid_client", f"client_assertion_type must be {ASSERTION_TYPE}", 401)
        try:
            client, claims = await self._asserted(fields["client_assertion"])
        except InvalidToken as error:
            raise TokenError("invalid_client", f"client_assertion: {error}", 401) from None
        except KeysUnavailable:
            raise TokenError(
                "temporarily_unavailable", "the keys of the client cannot be had now", 503
            ) from None
        if fields.get("client_id", client.client_id) != client.client_id:
            raise TokenError("invalid_client", "client_id is not that of the assertion", 401)
        lives = float(claims["exp"]) + self._skew - self._clock()  # type: ignore[arg-type]
        first = await self._used.first_use(client.client_id, str(claims["jti"]), max(lives, 1.0))
        if first is None:
            raise TokenError("temporarily_unavailable", "whether jti is new cannot be told now", 503)
        if not first:
            raise TokenError("invalid_client", "client_assertion: its jti was used before", 401)
        return client

    async def _asserted(self, assertion: str) -> tuple[Client, Mapping[str, object]]:
        """The client and the claims of an assertion that is good but for its jti. Raises InvalidToken."""
        named = _unverified(assertion)
        client = self._clients.get(named.issuer)
        # a client that is not known gets the answer of one whose key is not known
        if client is None or not named.kid:
            raise InvalidToken("it is signed with a key that is not known")
        if named.key_set_url is not None and named.key_set_url != client.key_set_url:
            raise InvalidToken("its jku is not the one that is registered")
        claims = await verify_jwt(assertion, client.keys, ASSERTION_ALGORITHMS, frozenset({"jwt"}))
        now = self._clock()
        check_claims(claims, now=now, skew=self._skew, required=("iss", "sub", "aud", "exp", "jti"))
        if claims["exp"] <= now:
            raise InvalidToken("it has expired")
        if claims["iss"] != client.client_id or claims["sub"] != client.client_id:
            raise InvalidToken("iss and sub must both be the client_id")
        audience = claims["aud"]
        if self._token_endpoint not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken(f"its aud must be {self._token_endpoint}")
        if claims["exp"] > now + _LONGEST_ASSERTION_LIFE + self._skew:
            raise InvalidToken("it lives longer than five minutes")
        return client, claims

    @staticmethod
    def _granted(client: Client, requested: str) -> str:
        names = scope_names(requested)
        if not names:
            raise TokenError("invalid_scope", "scope is required")
        allowed = Scopes.of(client.scopes)
        granted = []
        for name in names:
            # beside .search of its type, .read is less than alone
            beside = [n for n in names if n == f"{name.removesuffix('.read')}.search"]
            wanted = Scopes.of((name, *beside)) if name.endswith(".read") else Scopes.of((name,))
            if allowed.covers(wanted):
                granted.append(name)
        if not granted:
            raise TokenError("invalid_scope", "none of the scopes is granted to this client")
        return " ".join(granted)

    def _signed(self, client: Client, scope: str) -> str:
        now = int(self._clock())
        claims: dict[str, object] = {
            "iss": self._issuer,
            "sub": client.client_id,
            "client_id": client.client_id,
            "aud": self._issuer,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + int(self._lifetime),
            "scope": scope,
        }
        if client.patient is not None:
            claims["patient"] = client.patient
        if client.claims is not None and (extensions := write_user_claims(client.claims)):
            claims["extensions"] = extensions
        key = self._signing.signing
        header = {"alg": SIGNING_ALGORITHM, "kid": key.kid, "typ": "at+jwt"}
        return jwt.encode(header, claims, key, algorithms=[SIGNING_ALGORITHM])


class _Unverified(Struct, frozen=True):
    issuer: str
    kid: str | None
    key_set_url: str | None


def _unverified(assertion: str) -> _Unverified:
    """What says whose keys to take; it is believed when the signature was verified with them."""
    try:
        extracted = jws.extract_compact(assertion.encode())
        claims = orjson.loads(extracted.payload)
    except (JoseError, ValueError):
        raise InvalidToken("it is not a signed JWT") from None
    header = extracted.headers()
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    kid, url = header.get("kid"), header.get("jku")
    return _Unverified(
        issuer if isinstance(issuer, str) else "",
        kid if isinstance(kid, str) else None,
        None if url is None else str(url),
    )


def _fields(form: str) -> dict[str, str]:
    """Fields of a form, each once (RFC 6749 3.2). Raises TokenError."""
    try:
        pairs = parse_qsl(form, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise TokenError("invalid_request", "the body is not a form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise TokenError("invalid_request", "a parameter is repeated")
    return fields
