"""The application: settings in, a running gateway out."""

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.audit.transactions import STARTED, STOPPED
from gateway.connections import CONNECTIONS, ConnectionLimits, Connections, WatchedRunner, raise_file_limit
from gateway.health import Health, abilities
from gateway.mhd.admission import Admission
from gateway.mhd.audit_routes import AuditRoutes
from gateway.mhd.auditing import IS_SOAP, Auditing
from gateway.mhd.authorisation import client_of_token
from gateway.mhd.bases import BASES, Bases, by_release, releases
from gateway.mhd.hosts import plausible_host
from gateway.mhd.middleware import bounded, name_request, observed, outcomes
from gateway.mhd.publish import Publisher
from gateway.mhd.round_trips import not_again
from gateway.mhd.routes import MhdRoutes
from gateway.mhd.versions import versions_table
from gateway.model.releases import FhirRelease
from gateway.settings import Settings
from gateway.soap.server import Admit, SoapService
from gateway.telemetry.logs import configure
from gateway.telemetry.recent import RecentRequests
from gateway.watched_files import refresh_all
from gateway.wiring.audit import answers_audit_queries, tell_where_records_go, watch_trail
from gateway.wiring.audit_repositories import event_writer
from gateway.wiring.bases import BASE_PATH, bases_of, releases_of
from gateway.wiring.callers import admission as admission_of
from gateway.wiring.imaging import (
    image_routes,
    rad69_service,
    search_routes,
)
from gateway.wiring.metrics import metrics_routes, serve_metrics, watch
from gateway.wiring.mhd import use_cases
from gateway.wiring.parts import Parts, StartError, open_parts
from gateway.wiring.policy import policy_of
from gateway.wiring.reloading import CommunityReload
from gateway.wiring.resources import imaging_resources
from gateway.wiring.security import SecurityError, SecurityParts, access_of, assertions_in, guard
from gateway.wiring.servers import responding_services, xds_services
from gateway.wiring.tls import server_context
from gateway.workers import Place, alone, listen

RAD69_PATH = "/xds/imaging"
KEEPALIVE: Final = web.AppKey("keepalive", float)
OWN_CONSOLE: Final = web.AppKey("own_console", web.Application)
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound

log = structlog.get_logger()


def _base_url(settings: Settings, listener: socket.socket) -> str:
    if settings.server.base_url is not None:
        return settings.server.base_url
    host, port = settings.server.host, listener.getsockname()[1]
    if host in _WILDCARDS:
        raise StartError(
            f"server.base_url: is not set, and server.host {host} does not say what clients call; "
            "set it, for example to https://ncp.example/fhir"
        )
    scheme = "http" if settings.server.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"


def create_app(settings: Settings, parts: Parts, base_url: str) -> tuple[web.Application, Health]:
    """The aiohttp application over parts that are open, and its health. Raises StartError."""
    bases = bases_of(settings, base_url)
    try:
        policy = policy_of(settings)
        assertions = assertions_in(settings, parts.store, policy)
        security = SecurityParts(parts.issuers, parts.store, parts.ring, assertions, policy)
        guarded = guard(settings, security, bases)
    except SecurityError as error:
        raise StartError(str(error)) from None
    health = Health(parts.store, (parts.soap, parts.dicomweb, parts.fhir), abilities(settings))
    admission = Admission(settings.server.max_bundle_bytes, settings.server.max_publish_bytes_in_flight)
    limited = bounded(settings.fan_out.deadline)
    once = not_again(settings.home_community_id)
    recent = RecentRequests(settings.console.requests) if settings.console.enabled else None
    observing = observed(parts.metrics, parts.traced, recent)
    app = web.Application(middlewares=[observing, releases, outcomes, plausible_host, limited, once])
    connections = _watched_connections(app, settings)
    auditing = _record_requests(app, settings, parts, bases, guarded=guarded is not None)
    if guarded is not None:
        app.middlewares.append(guarded.middleware)
        app.add_routes(guarded.routes.table([base.path for base in bases], bases.shared.path))
    app.middlewares.append(connections.counted())
    imaging = parts.imaging
    app[BASES] = bases
    publishers: list[Publisher] = []
    for base in bases:
        tables: dict[FhirRelease, list[web.RouteDef]] = {}
        for release in [base.release] if base.release else releases_of(settings):
            cases = use_cases(settings, parts, base, release, bases, guarded=guarded)
            publishers.append(cases.publisher)
            resources = imaging_resources(settings, imaging, cases.retriever, base, release)
            tables[release] = [*MhdRoutes(cases, admission).table(base.path), *resources.table(base.path)]
        app.add_routes(by_release(tables))
        if base.release is None:
            app.add_routes(versions_table(base.path, releases_of(settings)))
        app.add_routes(image_routes(settings, imaging, base.url).table(base.path))
        app.add_routes(search_routes(settings, imaging, base.url).table(base.path))
    admits = partial(admission_of, settings, assertions=assertions, policy=policy)
    _serve_peers(app, settings, parts, admits, guarded=guarded is not None)
    app.add_routes(health.table())
    if recent is not None:
        from gateway.wiring.console import Watched, console_application

        console = console_application(settings, parts, Watched(health, recent), base_url, guarded)
        _serve_console(app, settings, console, observing, auditing)
    watch(parts, admission)
    if settings.metrics.enabled and settings.metrics.port is None:
        app.add_routes(metrics_routes(parts.metrics))
    app.on_response_prepare.append(name_request)
    app.on_response_prepare.append(health.say_goodbye)
    _drain_on_stop(app, publishers, settings.server.shutdown_timeout)
    tell_where_records_go(settings.audit)
    return app, health


def _watched_connections(app: web.Application, settings: Settings) -> Connections:
    server = settings.server
    limits = ConnectionLimits(
        head=server.head_timeout,
        body_idle=server.body_timeout,
        answer=server.request_timeout,
        connections=server.max_connections,
        per_client=server.max_requests_per_client,
    )
    connections = app[CONNECTIONS] = Connections(limits, _client_of)
    app.middlewares.append(connections.timed())
    app.on_response_prepare.append(connections.begins)
    app[KEEPALIVE] = server.keepalive_timeout
    return connections


def _record_requests(
    app: web.Application, settings: Settings, parts: Parts, bases: Bases, *, guarded: bool
) -> Auditing | None:
    if parts.trail is None:
        return None
    base_url = bases.shared.url
    parts.trail.named(settings.audit.source_id or base_url)
    auditing = Auditing(parts.trail, base_url)
    watch_trail(parts.trail, parts.metrics)
    app.middlewares.insert(1, auditing.recorded())
    app.middlewares.append(auditing.has_room())
    app.on_response_prepare.append(auditing.begins)
    if answers_audit_queries(settings, guarded):
        write = event_writer(settings, parts.trail)
        for base in bases:
            if base.release is not FhirRelease.R5:
                app.add_routes(AuditRoutes(parts.trail, write, base.url).table(base.path))
    return auditing


def _serve_console(
    app: web.Application,
    settings: Settings,
    console: web.Application,
    observing: Middleware,
    auditing: Auditing | None,
) -> None:
    """Below its path here, or as an application of its own in `app[OWN_CONSOLE]`."""
    from gateway.wiring.console import PREFIX, standing_alone

    if settings.console.port is None:
        app.add_subapp(PREFIX, console)
        return
    own = app[OWN_CONSOLE] = standing_alone(console, observing)
    _watched_connections(own, settings)
    if auditing is not None:
        own.middlewares.insert(1, auditing.recorded())
        own.middlewares.append(auditing.has_room())
        own.on_response_prepare.append(auditing.begins)
    own.on_response_prepare.append(name_request)


def _client_of(request: web.Request) -> str:
    return client_of_token(request) or request.remote or ""


def _serve_peers(
    app: web.Application,
    settings: Settings,
    parts: Parts,
    admits: Callable[[str], Admit],
    *,
    guarded: bool,
) -> None:
    """The SOAP services of the settings."""
    rad69_server = settings.imaging.rad69_server
    if rad69_server or (rad69_server is None and not guarded):
        _serve_soap(app, RAD69_PATH, rad69_service(settings, parts.imaging, parts.record), admits(RAD69_PATH))
    for path, service in responding_services(settings, parts).items():
        _serve_soap(app, path, service, admits(path), settings.server.shutdown_timeout)
    for path, service in xds_services(settings, parts).items():
        _serve_soap(app, path, service, admits(path))


def _serve_soap(
    app: web.Application,
    path: str,
    service: SoapService,
    admit: Admit,
    late_seconds: float = 0.0,
) -> None:
    service.admit = admit

    async def answer(request: web.Request) -> web.StreamResponse:
        request[IS_SOAP] = True
        return await service(request)

    async def close(_: web.Application) -> None:
        await service.finish(late_seconds)
        service.close()

    app.router.add_route("*", path, answer)
    app.on_cleanup.append(close)


def _drain_on_stop(app: web.Application, publishers: Sequence[Publisher], seconds: float) -> None:
    """Publishes whose client has gone end like the others: within `seconds` of the stop."""
    ends = 0.0

    async def stopping(_: web.Application) -> None:
        nonlocal ends
        ends = asyncio.get_running_loop().time() + seconds

    async def stopped(_: web.Application) -> None:
        left = ends - asyncio.get_running_loop().time()
        await asyncio.gather(*(publisher.drain(left) for publisher in publishers))

    app.on_shutdown.append(stopping)
    app.on_cleanup.append(stopped)


def create_runner(app: web.Application, shutdown_timeout: float) -> web.AppRunner:
    """The server of an application that `create_app` made."""
    return WatchedRunner(
        app,
        app[CONNECTIONS],
        access_log=None,
        keepalive_timeout=app[KEEPALIVE],
        # a client that has gone stops the peer's answer too
        handler_cancellation=True,
        # gateway.mhd.negotiation does it, with an outcome for what cannot be read
        auto_decompress=False,
        shutdown_timeout=shutdown_timeout,
    )


@asynccontextmanager
async def serve_console(
    app: web.Application, shutdown_timeout: float, listener: socket.socket, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Serve the console of an application by a listener of its own."""
    runner = create_runner(app[OWN_CONSOLE], shutdown_timeout)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


async def serve(settings: Settings, place: Place | None = None) -> None:
    """Run until SIGTERM or SIGINT; what is in flight is finished first. Raises StartError.

    SIGHUP reads the communities of the settings, keys and certificates again. A worker has a `place` among
    others.
    """
    place = place or alone(settings)
    configure(settings.log.level)
    raise_file_limit()
    try:
        access_of(settings.security)
    except SecurityError as error:
        raise StartError(str(error)) from None
    server, measured, watched = settings.server, settings.metrics, settings.console
    tls = server_context(server.tls, "server.tls")
    console_tls = server_context(watched.tls, "console.tls")
    metrics_tls = server_context(measured.tls, "metrics.tls")
    with place.listener as listener, ExitStack() as others:
        base_url = _base_url(settings, listener)
        async with open_parts(settings, beside=place.number > 0) as parts, AsyncExitStack() as stack:
            app, health = create_app(settings, parts, base_url)
            if measured.enabled and measured.port is not None:
                port = measured.port + place.number if measured.port else 0
                own = others.enter_context(listen(server.host, port, "metrics.port"))
                await stack.enter_async_context(serve_metrics(parts.metrics, health, own, metrics_tls))
            if watched.enabled and watched.port is not None:
                port = watched.port + place.number if watched.port else 0
                own = others.enter_context(listen(watched.host or server.host, port, "console.port"))
                await stack.enter_async_context(serve_console(app, server.shutdown_timeout, own, console_tls))
            runner = create_runner(app, settings.server.shutdown_timeout)
            await runner.setup()
            await web.SockSite(runner, listener, ssl_context=tls).start()
            _tune_collector()
            stop = _stop_event()
            _reload_on_hangup(CommunityReload(parts.communities, parts))
            if parts.trail is not None:
                parts.trail.tell(STARTED)
            place.ready(base_url)
            log.info("gateway.ready", base_url=base_url)
            await stop.wait()
            health.draining = True
            log.info("gateway.stopping")
            await _until_others_know(stop, settings.server.drain_wait)
            await runner.cleanup()
            if parts.trail is not None:
                parts.trail.tell(STOPPED)
            await place.others_end(server.shutdown_timeout)


async def _until_others_know(stop: asyncio.Event, seconds: float) -> None:
    """Wait until load balancers have seen that this gateway is not ready; a second signal ends it."""
    stop.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _tune_collector() -> None:
    # a page of 100 entries allocates some 10,000 objects: with the default thresholds the collector
    # takes a quarter of the time
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _reload_on_hangup(communities: CommunityReload) -> None:
    def reload() -> None:
        refresh_all()
        communities()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
