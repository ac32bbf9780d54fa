"""The console of the settings: who may see it, what it shows, and where it is served."""

import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.console.errors import error_pages
from gateway.console.overview import OverviewPage
from gateway.console.protection import Gate
from gateway.console.rendering import PAGES, PREFIX, Pages
from gateway.console.sign_in import SignIn
from gateway.console.site import create_console, home
from gateway.console.state import State
from gateway.console.transactions import TransactionsPage
from gateway.console.viewers import Granted, Grants, Sessions
from gateway.health import Health
from gateway.security.policy_rules import one_form
from gateway.settings import Settings
from gateway.telemetry.recent import RecentRequests
from gateway.wiring.explorer import explorer_pages
from gateway.wiring.fhir import patient_references, terminology
from gateway.wiring.parts import Parts
from gateway.wiring.security import Guard, patients_of_claims

log = structlog.get_logger()

__all__ = ["PREFIX", "Watched", "console_application", "standing_alone"]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the console looks at besides the parts."""

    health: Health
    recent: RecentRequests


def console_application(
    settings: Settings,
    parts: Parts,
    watched: Watched,
    base_url: str,
    guarded: Guard | None,
) -> web.Application:
    """The console, to be put below PREFIX."""
    gate = _gate(settings, parts, base_url, guarded)
    pages = Pages(_version(), socket.gethostname() or "localhost", gate.sessions.form_token)
    return create_console(
        pages,
        gate,
        [
            SignIn(None if guarded is None else guarded.token_endpoint),
            OverviewPage(State(settings, parts, watched.health, base_url)),
            TransactionsPage(watched.recent),
            explorer_pages(settings, parts, base_url),
        ],
    )


def standing_alone(console: web.Application, observing: Middleware) -> web.Application:
    """An application with nothing but the console, for a listener of its own."""
    app = web.Application(middlewares=[observing, error_pages])
    app[PAGES] = console[PAGES]
    app.add_subapp(PREFIX, console)
    app.router.add_get("/", home)
    return app


def _gate(settings: Settings, parts: Parts, base_url: str, guarded: Guard | None) -> Gate:
    own = settings.console
    sessions = Sessions(parts.ring, parts.store, own.session)
    terms = terminology(settings)
    patient_of = patients_of_claims(patient_references(parts.ring, terms, base_url), terms)
    grants = Grants(
        patient_of,
        None if guarded is None else guarded.policy,
        one_form(terms.code_systems.oid_or_none),
        settings.home_community_id,
    )
    secure = own.tls is not None if own.port is not None else settings.server.tls is not None
    secure = secure or ((own.base_url if own.port is not None else base_url) or "").startswith("https:")
    if guarded is not None and own.access != "open":
        return Gate(guarded.verify, sessions, grants, secure=secure)
    log.critical(
        "console.open_access",
        warning="EVERYONE WHO REACHES THE CONSOLE SEES IT",
        setting="console.access",
        with_data_of_patients=guarded is None,
    )
    return Gate(
        None,
        sessions,
        grants,
        secure=secure,
        opens=None if guarded is None else Granted(),
        hosts=_names(own.base_url if own.port is not None else base_url, own.host, settings.server.host),
    )


def _names(url: str | None, *hosts: str | None) -> list[str]:
    """What the console is called by the settings."""
    named = urlsplit(url).hostname if url else None
    return [host for host in (named, *hosts) if host]


def _version() -> str:
    try:
        return version("mhd-xds-gateway")
    except PackageNotFoundError:
        return "unknown"
