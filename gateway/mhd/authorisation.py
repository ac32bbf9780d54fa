"""Authorisation of every request below the FHIR base (ITI-72; IHE IUA resource server, SMART App Launch).

401 where there is no good token, 403 where it does not grant what is asked, both with `WWW-Authenticate`
(RFC 6750 3). A URL that the gateway gave to one client needs the token of whoever uses it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Literal

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.model import Cx
from gateway.model.claims import Claims
from gateway.model.oids import bare_oid
from gateway.security.access import Access, NotGranted, OtherPatient, acting_with
from gateway.security.interactions import Interaction, action_of, interaction_of
from gateway.security.policy import Action, Denied, Policy, PolicyUnavailable
from gateway.security.policy_rules import Form
from gateway.security.scope_limits import Level, LimitedTo
from gateway.security.scopes import Letter, Permission, as_scope, permits
from gateway.security.subjects import asked_with, refused_login
from gateway.security.tokens import InvalidToken, Token, VerificationUnavailable

REALM: Final = "fhir"
_ACCESS: Final = web.RequestKey("access", Access)
_LETTERS: Final[Mapping[Action, Letter]] = {"publish": "c", "search": "s"}

Verify = Callable[[str], Awaitable[Token]]
PatientOf = Callable[[str], Cx | None]
"""The patient that a claim names, as the affinity domain knows it; None where that cannot be told."""

log = structlog.get_logger()


def client_of_token(request: web.Request) -> str | None:
    """The client that the token of a request was given to."""
    access = request.get(_ACCESS)
    return None if access is None else access.client_id


class Authorisation:
    """The middleware of a server with tokens."""

    def __init__(
        self,
        base_paths: Sequence[str],
        verify: Verify,
        patient_of: PatientOf,
        *,
        others: Literal["forbidden", "not-found"],
        home_community_id: str | None = None,
        policy: Policy | None = None,
        form: Form = bare_oid,
    ) -> None:
        """`others` is what reads of another patient are answered where a token is bound to one; tokens that
        name another community than `home_community_id` are refused. `policy` decides besides. `form` brings
        codes of scopes and documents into one form."""
        # the path of one may begin with that of another
        self._base_paths = sorted(base_paths, key=len, reverse=True)
        self._verify = verify
        self._patient_of = patient_of
        self._others = others
        self._home = home_community_id
        self._policy = policy
        self._form = form

    def middleware(self) -> Middleware:
        """For an aiohttp application, inside of the one that writes OutcomeErrors."""

        @web.middleware
        async def authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
            template = self._template(request)
            if template is None:
                return await handler(request)
            interaction = interaction_of(request.method, template, request.query.getall("_type", ()))
            if interaction is None:
                log.error("authorisation.no_rule", route=template)
                raise fail(403, "forbidden", "No token grants this.")
            if interaction.public:
                return await handler(request)
            token = await self._token(request)
            asked_with(token.claims or Claims(token.issuer, token.subject, token.client_id, token.token_id))
            access = self._access(token, interaction)
            request[_ACCESS] = access
            with acting_with(access):
                return await self._handled(request, handler, interaction, access)

        return authorise

    def _template(self, request: web.Request) -> str | None:
        """The path of the route below its base; None outside of them, and where nothing is served."""
        resource = request.match_info.route.resource
        if resource is None:
            return None
        path = resource.canonical
        for base in self._base_paths:
            if path == base or path.startswith(f"{base}/"):
                return path.removeprefix(base).replace("{type}", request.match_info.get("type", "{type}"))
        return None

    async def _token(self, request: web.Request) -> Token:
        headers = request.headers.getall("Authorization", ())
        if "access_token" in request.query or len(headers) > 1:
            raise _challenge(
                400,
                "invalid",
                "The access token goes into one Authorization header, never into the URL.",
                error="invalid_request",
            )
        scheme, _, text = (headers[0] if headers else "").strip().partition(" ")
        text = text.strip()
        if not headers or scheme.lower() != "bearer":
            raise _challenge(
                401,
                "login",
                "An access token is needed: Authorization: Bearer [token]. "
                "[base]/.well-known/smart-configuration says where to get one.",
            )
        if not text or " " in text or not text.isascii():
            raise _challenge(
                400, "invalid", "The Authorization header holds no token.", error="invalid_request"
            )
        try:
            return await self._verify(text)
        except InvalidToken as error:
            log.warning("authorisation.refused", reason=str(error))
            refused_login(f"the access token is not good: {error}")
            raise _challenge(
                401, "login", f"The access token is not good: {error}.", error="invalid_token"
            ) from None
        except VerificationUnavailable as error:
            refused = fail(503, "transient", f"The access token cannot be verified now: {error}.")
            raise OutcomeError(503, refused.issues, {"Retry-After": "5"}) from None

    def _access(self, token: Token, interaction: Interaction) -> Access:
        """What the request may see. Raises OutcomeError 403."""
        named = token.claims and token.claims.home_community_id
        if named and self._home is not None and named != self._home:
            raise fail(403, "forbidden", "The token names another community (home_community_id).")
        scopes = token.scopes.with_limited()
        every = scopes.system | scopes.transactions
        consent = self._named(token.consent_patient)
        if _covers(scopes.system, interaction.needs):
            return self._of(token, interaction, every, consent)
        launch = self._named(token.launch_patient)
        if consent is not None and launch is not None and consent != launch:
            raise fail(403, "forbidden", "The token is bound to two different patients.")
        patient = consent or launch
        if _covers(every, interaction.needs):
            return self._of(token, interaction, every, patient)
        if _covers(every | scopes.patient, interaction.needs):
            if patient is None:
                raise fail(403, "forbidden", "The token has patient/ scopes and names no patient.")
            return self._of(token, interaction, every | scopes.patient, patient, ("system", "patient"))
        log.warning("authorisation.insufficient_scope", interaction=interaction.name)
        raise _insufficient(interaction.needs)

    def _of(
        self,
        token: Token,
        interaction: Interaction,
        granted: frozenset[Permission],
        patient: Cx | None,
        levels: Sequence[Level] = ("system",),
    ) -> Access:
        action = action_of(interaction)
        limits = token.scopes.limits_of(_LETTERS.get(action, "r"), levels)
        return Access(
            token.client_id,
            granted,
            patient,
            self._others,
            token.claims,
            token.assertion,
            LimitedTo(limits, self._form, self._policy) if limits else self._policy,
            action,
            interaction.reads is not None,
        )

    def _named(self, text: str | None) -> Cx | None:
        if text is None:
            return None
        patient = self._patient_of(text)
        if patient is None:
            raise fail(
                403,
                "forbidden",
                "The token is bound to a patient that is not known here: its claim has to be system|value "
                "with a system of terminology.assigning_authorities, a CX, or the id of a Patient of this "
                "server.",
            )
        return patient

    async def _handled(
        self, request: web.Request, handler: Handler, interaction: Interaction, access: Access
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotGranted as error:
            raise _insufficient(error.needed) from None
        except OtherPatient:
            log.warning("authorisation.other_patient", interaction=interaction.name)
            if interaction.reads is not None and self._others == "not-found":
                raise _nothing(interaction.reads) from None
            raise fail(403, "forbidden", "The token is bound to another patient.") from None
        except Denied:
            log.warning("authorisation.denied", interaction=interaction.name)
            if isinstance(access.policy, LimitedTo):
                raise _insufficient(interaction.needs) from None
            raise fail(403, "forbidden", "The policy of this site does not permit it.") from None
        except PolicyUnavailable:
            refused = fail(503, "transient", "What the policy of this site permits cannot be told now.")
            raise OutcomeError(503, refused.issues, {"Retry-After": "5"}) from None


def _covers(granted: frozenset[Permission], needs: frozenset[Permission]) -> bool:
    return all(permits(granted, needed) for needed in needs)


def _nothing(reads: str) -> OutcomeError:
    """The same as for an id that does not exist."""
    expression = reads if reads[0].isupper() else None
    return fail(404, "not-found", f"No {reads} with this id.", expression=expression)


def _insufficient(needs: frozenset[Permission]) -> OutcomeError:
    scope = as_scope(needs)
    return _challenge(
        403,
        "forbidden",
        f"The access token does not grant this: {scope}.",
        error="insufficient_scope",
        scope=scope,
    )


def _challenge(
    status: int, code: str, text: str, *, error: str | None = None, scope: str | None = None
) -> OutcomeError:
    parts = [f'realm="{REALM}"']
    if error is not None:
        parts.append(f'error="{error}"')
    if scope is not None:
        parts.append(f'scope="{scope}"')
    return OutcomeError(
        status, (Issue("error", code, text),), {"WWW-Authenticate": f"Bearer {', '.join(parts)}"}
    )
