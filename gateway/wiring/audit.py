"""The audit trail of the settings: the queue and what delivers it, and what is shown of them."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from gateway.audit.delivery import Delivery
from gateway.audit.queue import AuditQueue, AuditQueueError
from gateway.audit.trail import Identity, Trail
from gateway.audit_settings import AuditSettings
from gateway.security.sealing import KeyRing, Sealer
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.wiring.audit_repositories import destinations, repositories
from gateway.wiring.start import StartError

log = structlog.get_logger()


@asynccontextmanager
async def open_trail(settings: Settings, ring: KeyRing) -> AsyncIterator[Trail | None]:
    """The trail, and what delivers it; None where it is switched off. Raises StartError."""
    section = settings.audit
    if not section.enabled:
        yield None
        return
    sealer = Sealer(ring, "audit queue")
    names = destinations(section)
    try:
        queue = AuditQueue(
            settings.state_dir / "audit",
            names,
            seal=sealer.seal_bytes,
            unseal=sealer.open_bytes,
            most=section.max_records,
            keep_seconds=section.keep,
        )
    except AuditQueueError as error:
        raise StartError(f"audit: {error}") from None
    identity = Identity.of(section.source_id or settings.server.base_url or "mhd-xds-gateway", section.site)
    trail = Trail(queue, identity, refuse_when_full=section.when_full == "refuse")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue)
        for name, repository in repositories(settings, trail).items():
            delivery = Delivery(queue, name, repository)
            trail.deliveries.append(await stack.enter_async_context(delivery))
        yield trail


def answers_audit_queries(settings: Settings, guarded: bool) -> bool:
    """Whether ITI-81 is answered; where tokens are asked for by default."""
    asked = settings.audit.local_query
    return guarded if asked is None else asked


def tell_where_records_go(settings: AuditSettings) -> None:
    """A line of the log where they go nowhere, or are kept here alone."""
    if not settings.enabled:
        log.critical(
            "audit.off", warning="NOTHING IS RECORDED OF WHO ASKS FOR WHOSE DATA", setting="audit.enabled"
        )
    elif not destinations(settings):
        log.warning("audit.local_only", setting="audit.fhir or audit.syslog", kept_seconds=settings.keep)


def watch_trail(trail: Trail, metrics: Metrics) -> None:
    """Show what waits for each repository, for how long, and what was lost."""
    queue = trail.queue

    def each(read: Callable[[Delivery], float]) -> Callable[[], Iterator[tuple[Sequence[str], float]]]:
        return lambda: (((delivery.destination,), read(delivery)) for delivery in trail.deliveries)

    metrics.watch(
        "audit_queue_records",
        "Audit records that a repository does not have yet",
        ("repository",),
        each(lambda delivery: queue.length(delivery.destination)),
    )
    metrics.watch(
        "audit_queue_age_seconds",
        "Age of the oldest of them",
        ("repository",),
        each(lambda delivery: queue.age(delivery.destination)),
    )
    metrics.watch(
        "audit_repository_away",
        "1 while a repository cannot be reached or takes nothing",
        ("repository",),
        each(lambda delivery: float(delivery.away)),
    )
    metrics.watch(
        "audit_records_refused",
        "Records since the start that a repository refuses for good",
        ("repository",),
        each(lambda delivery: delivery.refused),
    )
    metrics.watch(
        "audit_records_lost",
        "Records since the start for which there was no room, or that the disk did not take",
        (),
        lambda: (((), queue.lost),),
    )
