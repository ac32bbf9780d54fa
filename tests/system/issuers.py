"""A real issuer of access tokens, on a port of its own, whose tokens can be wrong in any way."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.system.stack import site

KINDS = {"RS384": "RSA", "PS256": "RSA", "ES384": "P-384", "ES256": "P-256"}


def new_key(algorithm: str) -> Any:
    """A private key for an algorithm."""
    kind = KINDS[algorithm]
    parameters = {"kid": f"{algorithm}-{uuid.uuid4().hex[:8]}", "use": "sig"}
    return RSAKey.generate_key(2048, parameters) if kind == "RSA" else ECKey.generate_key(kind, parameters)


class Issuer:
    """Signs what it is told to; its JWK set and its introspection are at `url`."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = {algorithm: new_key(algorithm) for algorithm in KINDS}
        self.retired: list[Any] = []
        self.fetches = 0
        self.asked = 0
        self.down = False
        self.cache_control = "max-age=300"
        self.opaque: dict[str, dict[str, Any]] = {}
        self.told: list[Any] = []

    @property
    def key_set(self) -> dict[str, Any]:
        keys = [*self.keys.values(), *self.retired]
        return {"keys": [key.as_dict(private=False) for key in keys]}

    def claims(self, audience: str, scope: str, **changes: Any) -> dict[str, Any]:
        """Claims of a good token; those that are changed to None are left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "client-1",
            "client_id": "client-1",
            "aud": audience,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 300,
            "scope": scope,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, audience: str, scope: str, *, algorithm: str = "ES384", **changes: Any) -> str:
        """A token with these scopes."""
        return self.signed(self.claims(audience, scope, **changes), algorithm)

    def signed(self, claims: dict[str, Any], algorithm: str = "ES384", key: Any = None, **header: Any) -> str:
        """Claims signed by the key of an algorithm."""
        key = key or self.keys[algorithm]
        header = {"alg": algorithm, "kid": key.kid, "typ": "at+jwt", **header}
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    async def serve_keys(self, request: web.Request) -> web.Response:
        self.fetches += 1
        self.told.append(request.headers)
        if self.down:
            return web.Response(status=503)
        return web.json_response(self.key_set, headers={"Cache-Control": self.cache_control})

    async def introspect(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.told.append(request.headers)
        if self.down:
            return web.Response(status=503)
        assert request.headers["Authorization"] == "Bearer gateway-secret"
        form = await request.post()
        return web.json_response(self.opaque.get(form["token"], {"active": False}))


@asynccontextmanager
async def running_issuer() -> AsyncIterator[Issuer]:
    """An issuer that answers."""
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/jwks", issuer.serve_keys)
    app.router.add_post("/introspect", issuer.introspect)
    async with site(app) as url:
        issuer.url = url
        yield issuer


def unsigned(claims: dict[str, Any], algorithm: str = "none") -> str:
    """A token without signature."""
    return ".".join((_part({"alg": algorithm, "typ": "JWT"}), _part(claims), ""))


def hmac_with_public_key(claims: dict[str, Any], key: Any) -> str:
    """A token whose secret is the public key of the issuer, as PEM: the classic confusion of algorithms."""
    head = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': key.kid})}.{_part(claims)}"
    digest = hmac.digest(key.as_pem(private=False), head.encode(), hashlib.sha256)
    return f"{head}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


__all__ = ["Issuer", "hmac_with_public_key", "new_key", "running_issuer", "unsigned"]
