"""Wiring: settings in, a running gateway out."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import aiohttp
import structlog
from aiohttp import web

from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.outside_resources import OutsidePolicy, OutsideResources
from gateway.correlation.connection import RedisClient, RedisOptions, connect
from gateway.correlation.embedded import EmbeddedRedis, EmbeddedRedisError, EmbeddedRedisInUse
from gateway.correlation.idempotency import IdempotencyStore
from gateway.correlation.lookups import DocumentLookup
from gateway.correlation.snapshots import SnapshotStore
from gateway.correlation.store import CorrelationStore
from gateway.fhir.capability import write_capability_statement
from gateway.fhir.document_reference import MAX_INTEGER64, MAX_UNSIGNED_INT, WriteContext
from gateway.fhir.list_elements import RegistryList
from gateway.fhir.provide_context import ProvideContext
from gateway.health import Health, abilities
from gateway.imaging.known_patients import KnownPatients
from gateway.mhd.admission import Admission
from gateway.mhd.authorisation import client_of_token
from gateway.mhd.bases import BASES, Base, Bases, by_release, releases
from gateway.mhd.definitions import Definitions
from gateway.mhd.find import Finder
from gateway.mhd.find_all import AllFinder, MixedSnapshots
from gateway.mhd.find_lists import ListFinder
from gateway.mhd.find_patients import PatientFinder
from gateway.mhd.includes import Includer
from gateway.mhd.middleware import name_request, observed, outcomes
from gateway.mhd.publish import Publisher, PublishLifetimes, PublishPeers
from gateway.mhd.read import Reader
from gateway.mhd.references import document_urls
from gateway.mhd.retrieve import RetrievePolicy, Retriever
from gateway.mhd.routes import MhdRoutes, UseCases
from gateway.mhd.search_pages import FindLimits, SearchServices
from gateway.mhd.sources import ClientOf, client_in_header, nobody
from gateway.mhd.versions import versions_table
from gateway.model import DocumentEntry
from gateway.model.releases import FhirRelease
from gateway.security.document_urls import DocumentTokens, PageTokens
from gateway.security.sealing import KeyRing, KeyRingError
from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.server import SoapService
from gateway.telemetry.logs import configure
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import headers_for_peers
from gateway.wiring.bases import BASE_PATH, bases_of, releases_of, scope_of
from gateway.wiring.communities import responding_services
from gateway.wiring.fhir import patient_references, search_context, terminology
from gateway.wiring.imaging import (
    ImagingParts,
    image_routes,
    manifest_publishing,
    manifest_translator,
    manifests,
    offered_manifests,
    rad69_service,
    search_routes,
)
from gateway.wiring.metrics import metrics_routes, serve_metrics, watch
from gateway.wiring.peers import document_registry, document_repositories
from gateway.wiring.publishing import metadata_tables, publish_policy, publishing_sources
from gateway.wiring.resources import imaging_resources
from gateway.wiring.security import Guard, SecurityError, SecurityParts, access_of, guard

RAD69_PATH = "/xds/imaging"
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound

log = structlog.get_logger()


class StartError(Exception):
    """The gateway cannot start; the text is one line for the operator."""


class StateInUse(StartError):
    """Another gateway runs on the state directory."""


def key_ring(settings: Settings) -> KeyRing:
    """The keys of the settings, or those of the state directory. Raises StartError."""
    try:
        if settings.security.keys:
            return KeyRing.parse(settings.security.keys)
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        return KeyRing.load_or_create(settings.state_dir / "keys")
    except KeyRingError as error:
        raise StartError(f"security.keys: {error}") from None
    except OSError as error:
        raise StartError(f"state_dir: {settings.state_dir}: {error.strerror}") from None


def redis_options(settings: Settings) -> RedisOptions:
    """Where an outside Redis is."""
    redis = settings.redis
    return RedisOptions(
        url=redis.url,
        sentinels=redis.sentinels,
        master_name=redis.master_name,
        cluster=redis.cluster,
        username=redis.username,
        password=redis.password,
        connect_timeout=redis.connect_timeout,
        operation_timeout=redis.operation_timeout,
    )


def _connected(options: RedisOptions) -> RedisClient:
    try:
        return connect(options)
    except ValueError:
        # the text of the error may quote a part of a password
        if options.url:
            raise StartError("redis.url: must be a redis://, rediss:// or unix:// URL") from None
        key = "sentinels" if options.sentinels else "cluster"
        raise StartError(f"redis.{key}: each must be host:port") from None


@dataclass(frozen=True, slots=True)
class Parts:
    """What lives as long as the gateway runs."""

    soap: SoapClient
    outside: OutsideResources
    store: CorrelationStore
    ring: KeyRing
    dicomweb: DicomWebClient
    metrics: Metrics
    issuers: aiohttp.ClientSession

    @property
    def imaging(self) -> ImagingParts:
        """Those that images need."""
        return ImagingParts(self.soap, self.dicomweb, self.store, self.ring)


def use_cases(
    settings: Settings,
    parts: Parts,
    base: Base,
    release: FhirRelease,
    bases: Bases,
    *,
    guarded: Guard | None,
) -> UseCases:
    """Build the use cases of one release at one of the bases, over their clients."""
    base_url, scope = base.url, scope_of(base, release)

    def statement() -> bytes:
        endpoint = None if guarded is None else guarded.token_endpoint
        return write_capability_statement(
            base_url, release=release, tokens=guarded is not None, token_endpoint=endpoint
        )

    terms = terminology(settings)
    tokens = DocumentTokens(parts.ring)
    references = patient_references(parts.ring, terms, base_url)
    registry = document_registry(settings, parts.soap)
    repositories = document_repositories(settings, parts.soap)
    document_url = document_urls(tokens, base_url)
    write_context = WriteContext(
        terminology=terms,
        base_url=base_url,
        document_url=document_url,
        patient_reference=references.of,
        largest_size=MAX_UNSIGNED_INT if release is FhirRelease.R4 else MAX_INTEGER64,
    )
    searching = search_context(settings, terms, references, base_url)
    services = SearchServices(
        registry,
        searching,
        write_context,
        FindLimits(settings.search.max_results, settings.lifetimes.snapshot),
        Includer(registry, references),
        offered_manifests(settings, parts.imaging),
        KnownPatients(manifests(settings, parts.imaging)[1], terms, references.of),
    )
    publish_to = repositories[settings.publish_repository.unique_id]
    return UseCases(
        publisher=Publisher(
            PublishPeers(registry, publish_to, parts.outside),
            IdempotencyStore(parts.store, scope),
            ProvideContext(
                terminology=terms,
                base_url=base_url,
                release=release,
                bases=bases.urls,
                patient_of=references.resolve,
                patient_reference=references.of,
                document_url=document_url,
                repository_unique_id=publish_to.unique_id,
                tables=metadata_tables(settings, terms),
                policy=publish_policy(settings, settings.publish_repository),
                directory=settings.references.directory,
                time_zone=ZoneInfo(settings.publish.time_zone),
                max_bytes=settings.server.max_bundle_bytes,
            ),
            write_context,
            PublishLifetimes(
                answer=settings.lifetimes.idempotency,
                lock=settings.lifetimes.publish_lock,
                wait=settings.lifetimes.publish_lock,
            ),
            sources=publishing_sources(settings, terms, base_url),
            manifests=manifest_publishing(settings, parts.imaging),
        ),
        finder=Finder(
            services,
            snapshots=SnapshotStore[DocumentEntry](parts.store, DocumentEntry),
            pages=PageTokens(parts.ring, f"DocumentReference{scope}"),
        ),
        list_finder=ListFinder(
            services,
            snapshots=SnapshotStore[RegistryList](parts.store, RegistryList),
            pages=PageTokens(parts.ring, f"List{scope}"),
        ),
        all_finder=AllFinder(
            services, snapshots=MixedSnapshots(parts.store), pages=PageTokens(parts.ring, f"all{scope}")
        ),
        definitions=Definitions(statement, base_url),
        retriever=Retriever(
            registry,
            repositories,
            tokens=tokens,
            lookup=DocumentLookup(parts.store, settings.lifetimes.lookup),
            policy=RetrievePolicy(
                settings.retrieve.deprecated,
                settings.retrieve.removed,
                settings.retrieve.verify_sha1_up_to,
            ),
            # a manifest that is made is one document, with the same bytes on every base
            translator=manifest_translator(settings, parts.imaging, bases.shared.url),
        ),
        reader=Reader(registry, references, write_context),
        patient_finder=PatientFinder(registry, references, searching, settings.search.patient_authorities),
        capability_statement=statement,
        base_url=base_url,
        client_of=_named_by_proxy(settings) if guarded is None else client_of_token,
    )


def _listen(host: str, port: int, keys: str = "server.host, server.port") -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise StartError(f"{keys}: {host}:{port}: {error.strerror or error}") from None


def _base_url(settings: Settings, listener: socket.socket) -> str:
    if settings.server.base_url is not None:
        return settings.server.base_url
    host, port = settings.server.host, listener.getsockname()[1]
    if host in _WILDCARDS:
        raise StartError(
            f"server.base_url: is not set, and server.host {host} does not say what clients call; "
            "set it, for example to https://ncp.example/fhir"
        )
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"


def _outside_policy(settings: Settings) -> OutsidePolicy:
    references = settings.references
    return OutsidePolicy(
        hosts=frozenset(references.allowed_hosts),
        private_addresses=references.private_addresses,
        seconds=references.timeout,
        max_bytes=references.max_bytes,
        max_document_bytes=references.max_document_bytes,
    )


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Keys, Redis (an own one where none is set) and the SOAP client. Raises StartError."""
    ring = key_ring(settings)
    contract = load_contract()
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        if settings.redis.embedded:
            embedded = EmbeddedRedis(settings.state_dir / "redis", settings.redis.embedded_max_memory_mib)
            try:
                await stack.enter_async_context(embedded)
            except EmbeddedRedisInUse as error:
                raise StateInUse(f"redis: {error}") from None
            except EmbeddedRedisError as error:
                raise StartError(f"redis: {error}") from None
            options = replace(
                embedded.options,
                connect_timeout=settings.redis.connect_timeout,
                operation_timeout=settings.redis.operation_timeout,
            )
        else:
            options = redis_options(settings)
        store = await stack.enter_async_context(
            CorrelationStore(
                _connected(options),
                ring,
                prefix=settings.redis.key_prefix,
                deadline=options.deadline,
                observe=metrics.correlation_read,
            )
        )
        soap = await stack.enter_async_context(
            SoapClient(contract, observe=metrics.peer_call, headers=headers_for_peers)
        )
        outside = await stack.enter_async_context(OutsideResources(_outside_policy(settings)))
        dicomweb = await stack.enter_async_context(
            DicomWebClient(observe=metrics.peer_call, headers=headers_for_peers)
        )
        issuers = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        yield Parts(soap, outside, store, ring, dicomweb, metrics, issuers)


def create_app(settings: Settings, parts: Parts, base_url: str) -> tuple[web.Application, Health]:
    """The aiohttp application over parts that are open, and its health. Raises StartError."""
    bases = bases_of(settings, base_url)
    try:
        guarded = guard(settings, SecurityParts(parts.issuers, parts.store, parts.ring), bases)
    except SecurityError as error:
        raise StartError(str(error)) from None
    health = Health(parts.store, parts.soap, parts.dicomweb, abilities(settings))
    admission = Admission(settings.server.max_bundle_bytes, settings.server.max_publish_bytes_in_flight)
    app = web.Application(middlewares=[observed(parts.metrics), releases, outcomes])
    if guarded is not None:
        app.middlewares.append(guarded.middleware)
        app.add_routes(guarded.routes.table([base.path for base in bases], bases.shared.path))
    imaging = parts.imaging
    app[BASES] = bases
    publishers: list[Publisher] = []
    for base in bases:
        tables: dict[FhirRelease, list[web.RouteDef]] = {}
        for release in [base.release] if base.release else releases_of(settings):
            cases = use_cases(settings, parts, base, release, bases, guarded=guarded)
            publishers.append(cases.publisher)
            resources = imaging_resources(
                settings, imaging, cases.retriever, base.url, scope_of(base, release)
            )
            tables[release] = [*MhdRoutes(cases, admission).table(base.path), *resources.table(base.path)]
        app.add_routes(by_release(tables))
        if base.release is None:
            app.add_routes(versions_table(base.path, releases_of(settings)))
        app.add_routes(image_routes(settings, imaging, base.url).table(base.path))
        app.add_routes(search_routes(settings, imaging, base.url).table(base.path))
    rad69_server = settings.imaging.rad69_server
    if rad69_server or (rad69_server is None and guarded is None):
        _serve_soap(app, RAD69_PATH, rad69_service(settings, imaging))
    for path, service in responding_services(settings, parts.soap, parts.dicomweb).items():
        _serve_soap(app, path, service, settings.server.shutdown_timeout)
    app.add_routes(health.table())
    watch(parts, admission)
    if settings.metrics.enabled and settings.metrics.port is None:
        app.add_routes(metrics_routes(parts.metrics))
    app.on_response_prepare.append(name_request)
    app.on_response_prepare.append(health.say_goodbye)
    _drain_on_stop(app, publishers, settings.server.shutdown_timeout)
    return app, health


def _named_by_proxy(settings: Settings) -> ClientOf:
    header = settings.publish.client_header
    return client_in_header(header) if header else nobody


def _serve_soap(app: web.Application, path: str, service: SoapService, late_seconds: float = 0.0) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
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
    return web.AppRunner(
        app,
        access_log=None,
        # a client that has gone stops the peer's answer too
        handler_cancellation=True,
        # gateway.mhd.negotiation does it, with an outcome for what cannot be read
        auto_decompress=False,
        shutdown_timeout=shutdown_timeout,
    )


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; what is in flight is finished first. Raises StartError."""
    configure(settings.log.level)
    try:
        access_of(settings.security)
    except SecurityError as error:
        raise StartError(str(error)) from None
    server, measured = settings.server, settings.metrics
    with _listen(server.host, server.port) as listener, ExitStack() as others:
        base_url = _base_url(settings, listener)
        async with open_parts(settings) as parts, AsyncExitStack() as stack:
            app, health = create_app(settings, parts, base_url)
            if measured.enabled and measured.port is not None:
                own = others.enter_context(_listen(server.host, measured.port, "metrics.port"))
                await stack.enter_async_context(serve_metrics(parts.metrics, own))
            runner = create_runner(app, settings.server.shutdown_timeout)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            _tune_collector()
            stop = _stop_event()
            print(f"ready {base_url}", flush=True)
            log.info("gateway.ready", base_url=base_url)
            await stop.wait()
            health.draining = True
            log.info("gateway.stopping")
            await _until_others_know(stop, settings.server.drain_wait)
            await runner.cleanup()


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


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
