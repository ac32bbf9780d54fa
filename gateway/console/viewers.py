"""Who looks at the console: from an access token with the scope `console`, shown once at the sign-in and kept
in a sealed cookie, or with each request; everyone where access is open.

The cookie holds what the token grants, never the token. It opens the console for as long as the settings say,
also where the token ends before: tokens of minutes would end each look at the console. What the token grants
on data of patients ends with the token. Signing out ends the cookie for all replicas.
"""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from gateway.correlation.store import CorrelationStore
from gateway.model import Cx
from gateway.model.claims import Claims
from gateway.security.access import Access
from gateway.security.policy import Policy
from gateway.security.policy_rules import Form
from gateway.security.scope_limits import Level, Limit, LimitedTo
from gateway.security.scopes import Permission, Scopes
from gateway.security.sealing import KeyRing, NotOurs, Sealer
from gateway.security.tokens import Token

_LONGEST_COOKIE: Final = 3800
"""Browsers take cookies of 4096 bytes, with name and attributes."""
_ENDED: Final = "console"

Verify = Callable[[str], Awaitable[Token]]
PatientOf = Callable[[str], Cx | None]

log = structlog.get_logger()


class Granted(Struct, frozen=True):
    """What a token grants on data of patients: permissions as letters by resource type, for some documents
    alone what `limits` say, the patients that it is bound to, as the issuer names them, and until when
    (seconds since 1970)."""

    system: dict[str, str] = {}
    transactions: dict[str, str] = {}
    patient: dict[str, str] = {}
    limits: tuple[Limit, ...] = ()
    patients: tuple[str, ...] = ()
    claims: Claims | None = None
    until: float | None = None

    @classmethod
    def of(cls, token: Token) -> "Granted":
        """What a verified token grants."""
        scopes, bound = token.scopes, (token.consent_patient, token.launch_patient)
        return cls(
            _letters(scopes.system),
            _letters(scopes.transactions),
            _letters(scopes.patient),
            tuple(scopes.limits),
            tuple(dict.fromkeys(patient for patient in bound if patient is not None)),
            token.claims,
            token.expires,
        )

    @property
    def scopes(self) -> Scopes:
        """The same as the token has them."""
        return Scopes(
            _permissions(self.system),
            _permissions(self.transactions),
            _permissions(self.patient),
            frozenset(self.limits),
        )


class Viewer(Struct, frozen=True):
    """Who looks: the name that pages show, what is granted besides the console (None: all, as access is
    open), and the session, empty where a request brought its own token or nobody is asked for one."""

    name: str
    granted: Granted | None
    session: str = ""
    expires: float = 0.0

    @property
    def signed_in(self) -> bool:
        """Whether there is a session that can be ended."""
        return bool(self.session)


_VIEWER: Final = web.RequestKey("viewer", Viewer)


def viewer_of(request: web.Request) -> Viewer | None:
    """Who looks; None at the sign-in."""
    return request.get(_VIEWER)


def looked_at_by(request: web.Request, viewer: Viewer) -> None:
    """Say who looks."""
    request[_VIEWER] = viewer


class CookieTooLong(Exception):
    """The token says more than a cookie holds."""


class Sessions:
    """Makes and reads cookies, and the tokens of forms."""

    def __init__(
        self,
        ring: KeyRing,
        store: CorrelationStore,
        lifetime: float,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`lifetime` is in seconds."""
        self._cookies = Sealer(ring, "console session")
        self._forms = Sealer(ring, "console form")
        self._store = store
        self.lifetime = lifetime
        self._clock = clock

    def begin(self, token: Token) -> str:
        """The cookie of a new session. Raises CookieTooLong."""
        expires = self._clock() + self.lifetime
        viewer = Viewer(name_of(token), Granted.of(token), secrets.token_hex(16), expires)
        cookie = self._cookies.seal(msgspec.msgpack.encode(viewer))
        if len(cookie) > _LONGEST_COOKIE:
            raise CookieTooLong
        return cookie

    async def of_cookie(self, cookie: str) -> Viewer | None:
        """Whose cookie it is; None where it is not ours, has run out or was ended."""
        try:
            viewer = msgspec.msgpack.decode(self._cookies.open(cookie), type=Viewer)
        except (NotOurs, msgspec.DecodeError):
            return None
        if viewer.expires <= self._clock() or not viewer.session:
            return None
        return None if await self._store.get(_ENDED, viewer.session) else viewer

    async def end(self, viewer: Viewer) -> None:
        """No cookie of this session is good from now on."""
        left = viewer.expires - self._clock()
        if viewer.session and left > 0 and not await self._store.set(_ENDED, viewer.session, b"ended", left):
            log.warning("console.session_not_ended", reason="Redis is away")

    def form_token(self, viewer: Viewer | None) -> str:
        """What forms of this viewer carry."""
        return self._forms.seal(_form_of(viewer))

    def is_form_token(self, viewer: Viewer | None, text: str) -> bool:
        """Whether a form was made for this viewer."""
        try:
            return secrets.compare_digest(self._forms.open(text), _form_of(viewer))
        except NotOurs:
            return False


def _form_of(viewer: Viewer | None) -> bytes:
    return b"form " + (viewer.session if viewer else "").encode()


def name_of(token: Token) -> str:
    """What a page calls who signed in."""
    claims = token.claims
    return (claims.name if claims is not None else None) or token.subject or token.client_id


class Grants:
    """What viewers may see of patients, in the terms of the rest of the gateway.

    `policy` decides besides; `form` brings codes of limited scopes into one form; tokens that name another
    community than `home_community_id` grant nothing.
    """

    def __init__(
        self,
        patient_of: PatientOf,
        policy: Policy | None,
        form: Form,
        home_community_id: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._patient_of = patient_of
        self._policy = policy
        self._form = form
        self._home = home_community_id
        self._clock = clock

    def access(self, viewer: Viewer) -> Access | None:
        """None where everything may be seen: access to the gateway is open.

        A token that names a patient opens that patient alone here, whatever else it grants; one that names
        several, or none that is known, opens nobody.
        """
        granted = viewer.granted
        if granted is None:
            return None
        patient = self._patient(granted)
        opens = self._opens(granted, patient)
        scopes = granted.scopes.with_limited()
        every = scopes.system | scopes.transactions
        return Access(
            granted.claims.client_id if granted.claims else "console",
            (every | scopes.patient if patient else every) if opens else frozenset(),
            patient,
            claims=granted.claims,
            policy=self._limited(granted, ("system", "patient") if patient else ("system",)),
        )

    def _patient(self, granted: Granted) -> Cx | None:
        known = {self._patient_of(text) for text in granted.patients}
        return known.pop() if len(known) == 1 else None

    def _opens(self, granted: Granted, patient: Cx | None) -> bool:
        if granted.until is not None and granted.until <= self._clock():
            return False
        named = granted.claims.home_community_id if granted.claims else None
        if named and self._home is not None and named != self._home:
            return False
        return patient is not None or not granted.patients

    def _limited(self, granted: Granted, levels: Sequence[Level]) -> Policy | None:
        """A page finds and reads at once, so what limits the one limits the other too."""
        policy, scopes = self._policy, granted.scopes
        for limits in {scopes.limits_of("s", levels), scopes.limits_of("r", levels)}:
            if limits:
                policy = LimitedTo(limits, self._form, policy)
        return policy


def _letters(permissions: frozenset[Permission]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, letter in sorted(permissions):
        found[name] = found.get(name, "") + letter
    return found


def _permissions(letters: Mapping[str, str]) -> frozenset[Permission]:
    return frozenset(
        Permission(name, letter)  # type: ignore[arg-type]
        for name, several in letters.items()
        for letter in several
    )
