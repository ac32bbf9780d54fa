"""What clients find and get without a token: `.well-known/smart-configuration`, and where the own
authorisation server is on, its token endpoint (ITI-71) and its public keys.
"""

from collections.abc import Iterable
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from gateway.fhir.issues import fail
from gateway.security.authorisation_server import ASSERTION_ALGORITHMS, AuthorisationServer, TokenError
from gateway.security.scopes import TRANSACTION_SCOPES
from gateway.security.signing_keys import SigningKeys

TOKEN_PATH: Final = "/auth/token"  # noqa: S105 - a path
KEYS_PATH: Final = "/auth/jwks"
INTROSPECTION_PATH: Final = "/auth/introspect"
WELL_KNOWN: Final = "/.well-known/smart-configuration"
_LARGEST_FORM: Final = 32 * 1024
_NOT_STORED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_TYPES: Final = (
    *("DocumentReference", "List", "Binary", "Patient"),
    *("ImagingStudy", "ServiceRequest", "Endpoint", "Provenance"),
)

log = structlog.get_logger()


def smart_configuration(
    token_endpoint: str, *, issuer: str | None, jwks_uri: str | None, introspection_endpoint: str | None
) -> dict[str, Any]:
    """The document of SMART App Launch 2.2 (conformance), for backend services."""
    document: dict[str, Any] = {
        "token_endpoint": token_endpoint,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": [
            *(f"system/{name}.rs" for name in _TYPES),
            *("system/DocumentReference.cruds", "system/List.cruds", "system/Binary.cruds"),
            *TRANSACTION_SCOPES,
        ],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
        "code_challenge_methods_supported": ["S256"],
    }
    if issuer is not None:
        document["issuer"] = issuer
    if jwks_uri is not None:
        document["jwks_uri"] = jwks_uri
    if introspection_endpoint is not None:
        document["introspection_endpoint"] = introspection_endpoint
    return document


class AuthorisationRoutes:
    """The routes below the FHIR base paths, and smart-configuration at the root too."""

    def __init__(
        self, configuration: dict[str, Any] | None, server: AuthorisationServer | None, keys: SigningKeys
    ) -> None:
        """`configuration` is None where no issuer says where it gives tokens."""
        self._configuration = None if configuration is None else orjson.dumps(configuration)
        self._server = server
        self._keys = keys

    def table(self, base_paths: Iterable[str], shared: str) -> list[web.RouteDef]:
        """Routes for an aiohttp application; `shared` is the base that tokens are given at."""
        routes = [web.get(f"{path}{WELL_KNOWN}", self.configuration) for path in {*base_paths, ""}]
        if self._server is not None:
            routes.append(web.post(f"{shared}{TOKEN_PATH}", self.token))
            routes.append(web.get(f"{shared}{KEYS_PATH}", self.key_set))
            routes.append(web.post(f"{shared}{INTROSPECTION_PATH}", self.introspection))
        return routes

    async def configuration(self, _: web.Request) -> web.Response:
        """Where tokens are given; JSON whatever Accept says."""
        if self._configuration is None:
            raise fail(
                404, "not-found", "No issuer of the settings says where it gives tokens (token_endpoint)."
            )
        return web.Response(body=self._configuration, content_type="application/json")

    async def key_set(self, _: web.Request) -> web.Response:
        """Public keys of the access tokens."""
        return web.Response(
            body=orjson.dumps(self._keys.key_set()),
            content_type="application/jwk-set+json",
            headers={"Cache-Control": "max-age=300"},
        )

    async def token(self, request: web.Request) -> web.Response:
        """ITI-71."""
        assert self._server is not None
        try:
            if request.content_type != "application/x-www-form-urlencoded" or request.query_string:
                raise TokenError("invalid_request", "the parameters go into a form in the body")
            answer = await self._server.token(await _form(request))
        except TokenError as error:
            log.warning("token.refused", error=error.error, reason=error.description)
            return _json({"error": error.error, "error_description": error.description}, error.status)
        log.info("token.issued")
        return _json(answer, 200)

    async def introspection(self, request: web.Request) -> web.Response:
        """ITI-102."""
        assert self._server is not None
        scheme, _, caller = request.headers.get("Authorization", "").strip().partition(" ")
        try:
            if request.content_type != "application/x-www-form-urlencoded" or request.query_string:
                raise TokenError("invalid_request", "the parameters go into a form in the body")
            shown = caller.strip() if scheme.lower() == "bearer" else None
            answer = await self._server.introspect(shown, await _form(request))
        except TokenError as error:
            log.warning("introspection.refused", error=error.error, reason=error.description)
            refused = _json({"error": error.error, "error_description": error.description}, error.status)
            if error.status == 401:
                refused.headers["WWW-Authenticate"] = 'Bearer realm="introspection"'
            return refused
        return _json(answer, 200)


async def _form(request: web.Request) -> str:
    body = bytearray()
    async for chunk in request.content.iter_chunked(_LARGEST_FORM):
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise TokenError("invalid_request", "the form is too long", 413)
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise TokenError("invalid_request", "the body is not a form") from None


def _json(content: dict[str, Any], status: int) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(content), content_type="application/json", headers=_NOT_STORED
    )
