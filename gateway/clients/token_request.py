"""Getting an access token as a client does (ITI-71; SMART Backend Services), with a signed assertion."""

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.security.authorisation_server import ASSERTION_TYPE
from gateway.security.bounded import read_at_most

_LARGEST: Final = 64 * 1024
_LIFE: Final = 240
_SECONDS: Final = 20


class TokenRequestError(Exception):
    """No token was given; the text says by whom and why."""


class ClientKey:
    """The private key of a client, as a JWK."""

    def __init__(self, jwk: dict[str, Any]) -> None:
        """Raises TokenRequestError where it is no private RSA or P-384 key with a `kid`."""
        if not isinstance(jwk, dict):
            raise TokenRequestError("the key is not a JWK")
        try:
            self._key = RSAKey.import_key(jwk) if jwk.get("kty") == "RSA" else ECKey.import_key(jwk)
        except (JoseError, ValueError, TypeError, KeyError):
            raise TokenRequestError("the key is not a JWK of kty RSA or EC") from None
        if not self._key.is_private or not jwk.get("kid"):
            raise TokenRequestError("the key has to be private and to have a kid")
        if jwk["kty"] == "EC" and jwk.get("crv") != "P-384":
            raise TokenRequestError("the key has to be RSA or of the curve P-384")
        self._algorithm = "RS384" if jwk["kty"] == "RSA" else "ES384"

    @classmethod
    def made(cls) -> tuple["ClientKey", dict[str, Any]]:
        """A new key: itself and its private JWK."""
        key = ECKey.generate_key("P-384")
        named = {"kid": key.thumbprint(), "use": "sig", "alg": "ES384"}
        private: dict[str, Any] = {**key.as_dict(private=True), **named}
        return cls(private), private

    def assertion(self, client_id: str, token_endpoint: str) -> str:
        """A new assertion for one token request."""
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": token_endpoint,
            "iat": now,
            "exp": now + _LIFE,
            "jti": uuid.uuid4().hex,
        }
        header = {"alg": self._algorithm, "kid": self._key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._key, algorithms=[self._algorithm])


async def fetch_token(base_url: str, client_id: str, key: ClientKey, scope: str) -> dict[str, Any]:
    """The same as `request_token` on a connection of its own."""
    async with aiohttp.ClientSession() as session:
        return await request_token(session, base_url, client_id, key, scope)


def _anywhere(endpoint: str) -> bool:
    return True


async def request_token(
    session: aiohttp.ClientSession,
    base_url: str,
    client_id: str,
    key: ClientKey,
    scope: str,
    *,
    allows: Callable[[str], bool] = _anywhere,
) -> dict[str, Any]:
    """The answer of the token endpoint that `base_url` (a FHIR base) names. Raises TokenRequestError.

    `allows` says whether an endpoint may be asked.
    """
    configuration = await _json(session, "GET", f"{base_url}/.well-known/smart-configuration")
    endpoint = configuration.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise TokenRequestError("smart-configuration names no token_endpoint")
    if not allows(endpoint):
        raise TokenRequestError("smart-configuration names a token_endpoint that may not be asked")
    form = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": key.assertion(client_id, endpoint),
    }
    answer = await _json(session, "POST", endpoint, form)
    if not isinstance(answer.get("access_token"), str):
        raise TokenRequestError(f"{endpoint} answers without access_token")
    return answer


async def _json(
    session: aiohttp.ClientSession, method: str, url: str, form: dict[str, str] | None = None
) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with session.request(method, url, data=form, timeout=timeout, allow_redirects=False) as answer:
            status, content = answer.status, orjson.loads(await read_at_most(answer, _LARGEST))
    except aiohttp.ClientConnectorError:
        raise TokenRequestError(f"{url} gives no answer: no connection") from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise TokenRequestError(f"{url} gives no usable answer: {type(error).__name__}") from None
    if not isinstance(content, dict):
        raise TokenRequestError(f"{url} answers no JSON object")
    if status != 200:
        said = content.get("error_description") or content.get("error") or ""
        raise TokenRequestError(f"{url} answers {status} {said}".rstrip())
    return content
