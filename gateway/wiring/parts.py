"""What lives as long as the gateway runs: keys, Redis and the clients of peers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from gateway.audit.trail import Trail
from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.dicomweb import unrecorded as unrecorded_retrieve
from gateway.clients.fhir_server import FhirClient
from gateway.clients.mhd_exchange import unrecorded as unrecorded_mhd
from gateway.clients.outside_resources import OutsidePolicy, OutsideResources
from gateway.correlation.connection import RedisClient, RedisOptions, connect
from gateway.correlation.embedded import EmbeddedRedis, EmbeddedRedisError, EmbeddedRedisInUse, running_beside
from gateway.correlation.store import CorrelationStore
from gateway.crossborder.communities import Communities
from gateway.security.sealing import KeyRing, KeyRingError
from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.observed import Record, unrecorded
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traced, TracesError
from gateway.telemetry.tracing import headers_for_peers
from gateway.wiring.audit import open_trail
from gateway.wiring.audit_records import mhd_recorder, retrieve_recorder, soap_recorder
from gateway.wiring.calls import dicomweb_client, soap_client
from gateway.wiring.communities import members
from gateway.wiring.domain import Clients
from gateway.wiring.imaging import ImagingParts
from gateway.wiring.start import StartError, StateInUse
from gateway.wiring.tls import client_tls, context_of, usual_tls
from gateway.wiring.traces import open_traces

__all__ = ["Parts", "StartError", "StateInUse", "key_ring", "open_parts", "redis_options"]


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
        tls=client_tls(redis.tls or settings.security.tls),
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
    fhir: FhirClient
    metrics: Metrics
    issuers: aiohttp.ClientSession
    communities: Communities
    trail: Trail | None
    traced: Traced

    @property
    def record(self) -> Record:
        """Told of each SOAP exchange."""
        return unrecorded if self.trail is None else soap_recorder(self.trail)

    @property
    def imaging(self) -> ImagingParts:
        """Those that images need."""
        return ImagingParts(self.soap, self.dicomweb, self.fhir, self.store, self.ring, self.communities)


def _session_with_trace() -> aiohttp.ClientSession:
    """For issuers of tokens, which are told of which trace a request is, as peers are."""

    async def tell(_: object, __: object, request: aiohttp.TraceRequestStartParams) -> None:
        request.headers.update(headers_for_peers())

    told = aiohttp.TraceConfig()
    told.on_request_start.append(tell)
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[told])


def _outside_policy(settings: Settings) -> OutsidePolicy:
    references = settings.references
    return OutsidePolicy(
        hosts=frozenset(references.allowed_hosts),
        private_addresses=references.private_addresses,
        seconds=references.timeout,
        max_bytes=references.max_bytes,
        max_document_bytes=references.max_document_bytes,
        tls=context_of(references.tls or settings.security.tls),
    )


@asynccontextmanager
async def open_parts(
    settings: Settings, *, audited: bool = True, beside: bool = False
) -> AsyncIterator[Parts]:
    """Keys, Redis (an own one where none is set) and the SOAP client. Raises StartError.

    Without `audited` nothing is recorded: for commands that look after the gateway. With `beside` the Redis
    of a gateway that runs on the same state directory is used, where there is one.
    """
    ring = key_ring(settings)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        if settings.redis.embedded:
            embedded = EmbeddedRedis(settings.state_dir / "redis", settings.redis.embedded_max_memory_mib)
            reached: RedisOptions | None = None
            try:
                await stack.enter_async_context(embedded)
                reached = embedded.options
            except EmbeddedRedisInUse as error:
                reached = running_beside(settings.state_dir / "redis") if beside else None
                if reached is None:
                    raise StateInUse(f"redis: {error}") from None
            except EmbeddedRedisError as error:
                raise StartError(f"redis: {error}") from None
            options = replace(
                reached,
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
        trail = await stack.enter_async_context(open_trail(settings, ring)) if audited else None
        record = unrecorded if trail is None else soap_recorder(trail)
        soap = await stack.enter_async_context(
            soap_client(settings, observe=metrics.peer_call, headers=headers_for_peers, record=record)
        )
        outside = await stack.enter_async_context(OutsideResources(_outside_policy(settings)))
        dicomweb = await stack.enter_async_context(
            dicomweb_client(
                settings,
                observe=metrics.peer_call,
                headers=headers_for_peers,
                record=unrecorded_retrieve if trail is None else retrieve_recorder(trail),
            )
        )
        fhir = await stack.enter_async_context(
            FhirClient(
                usual_tls(settings),
                observe=metrics.peer_call,
                headers=headers_for_peers,
                record=unrecorded_mhd if trail is None else mhd_recorder(trail),
            )
        )
        issuers = await stack.enter_async_context(_session_with_trace())
        others = members(settings, Clients(soap, dicomweb, fhir))
        communities = Communities(settings.home_community_id, others)
        try:
            traced = await stack.enter_async_context(open_traces(settings.traces))
        except TracesError as error:
            raise StartError(f"traces: {error}") from None
        yield Parts(soap, outside, store, ring, dicomweb, fhir, metrics, issuers, communities, trail, traced)
