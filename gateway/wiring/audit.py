"""The audit trail of the settings: the queue, who it goes to, and the records of SOAP exchanges."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from gateway.audit.delivery import Delivery, Repository
from gateway.audit.dicom_message import write_audit_message
from gateway.audit.fhir_event import write_audit_event
from gateway.audit.fhir_feed import FhirRepository
from gateway.audit.queue import AuditQueue, AuditQueueError
from gateway.audit.record import AuditRecord, Document, Outcome, Party, Query, Study
from gateway.audit.soap_records import soap_records
from gateway.audit.syslog import SyslogRepository, write_frame
from gateway.audit.trail import Identity, Trail, record_id
from gateway.audit_settings import AuditFhirSettings, AuditSettings, AuditTlsSettings
from gateway.clients.dicomweb import RecordRetrieve
from gateway.clients.mhd_exchange import MhdExchange, RecordMhd
from gateway.model import Cx
from gateway.security.sealing import KeyRing, Sealer
from gateway.security.subjects import Subjects, current
from gateway.settings import Settings
from gateway.soap.observed import Exchanged, Record, Settle, settled
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import REQUEST_ID, TRACEPARENT, asked_now
from gateway.wiring.fhir import terminology

FHIR, SYSLOG = "fhir", "syslog"
_APPLICATION = "mhd-xds-gateway"

log = structlog.get_logger()


class AuditStartError(Exception):
    """The trail cannot be opened; the text is one line that names the setting."""


def destinations(settings: AuditSettings) -> tuple[str, ...]:
    """Names of the repositories of the settings."""
    wanted = ((FHIR, settings.fhir), (SYSLOG, settings.syslog))
    return tuple(name for name, section in wanted if section is not None)


@asynccontextmanager
async def open_trail(settings: Settings, ring: KeyRing) -> AsyncIterator[Trail | None]:
    """The trail, and what delivers it; None where it is switched off. Raises AuditStartError."""
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
        raise AuditStartError(f"audit: {error}") from None
    identity = Identity.of(section.source_id or settings.server.base_url or "mhd-xds-gateway", section.site)
    trail = Trail(queue, identity, refuse_when_full=section.when_full == "refuse")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue)
        for name, repository in repositories(settings, trail).items():
            delivery = Delivery(queue, name, repository)
            trail.deliveries.append(await stack.enter_async_context(delivery))
        yield trail


def repositories(settings: Settings, trail: Trail) -> dict[str, Repository]:
    """Those of the settings, by name. Raises AuditStartError."""
    made: dict[str, Repository] = {}
    if (fhir := settings.audit.fhir) is not None:
        made[FHIR] = FhirRepository(
            fhir.url,
            event_writer(settings, trail),
            batch=fhir.batch,
            send_as=fhir.send_as,
            authorization=_bearer(fhir.token_file),
            tls=_tls(fhir, "audit.fhir") if fhir.url.startswith("https:") else None,
            seconds=fhir.timeout,
        )
    if (syslog := settings.audit.syslog) is not None:
        made[SYSLOG] = SyslogRepository(
            syslog.host,
            syslog.port,
            _frame_writer(settings, trail),
            tls=_tls(syslog, "audit.syslog") if syslog.tls else None,
            connect_seconds=syslog.connect_timeout,
            confirm_seconds=syslog.confirm_wait,
        )
    return made


async def unreachable_repositories(settings: Settings) -> list[tuple[str, str | None]]:
    """Each repository by name, and why it cannot be reached; nothing is sent to it."""
    section = settings.audit
    found: list[tuple[str, str | None]] = []
    for name, place in ((FHIR, section.fhir), (SYSLOG, section.syslog)):
        if place is None:
            continue
        if isinstance(place, AuditFhirSettings):
            parts = urlsplit(place.url)
            secure = parts.scheme == "https"
            host, port = parts.hostname or "", parts.port or (443 if secure else 80)
            seconds = place.timeout
        else:
            host, port, secure, seconds = place.host, place.port, place.tls, place.connect_timeout
        try:
            tls = _tls(place, f"audit.{name}") if secure else None
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(host, port, ssl=tls)
            writer.close()
            found.append((name, None))
        except (OSError, TimeoutError, AuditStartError) as error:
            reason = str(error) if isinstance(error, AuditStartError) else type(error).__name__
            found.append((name, f"{host}:{port}: {reason}"))
    return found


def event_writer(settings: Settings, trail: Trail) -> Callable[[AuditRecord], dict[str, Any]]:
    """Writes AuditEvents, with the URIs of assigning authorities that FHIR clients know."""
    authorities = terminology(settings).authorities

    def write(record: AuditRecord) -> dict[str, Any]:
        name = trail.identity
        return write_audit_event(record, source_id=name.source_id, site=name.site, system_of=authorities.uri)

    return write


def _frame_writer(settings: Settings, trail: Trail) -> Callable[[AuditRecord], bytes]:
    def write(record: AuditRecord) -> bytes:
        name = trail.identity
        message = write_audit_message(record, source_id=name.source_id, site=name.site)
        return write_frame(
            record, message, host=name.host, application=_APPLICATION, process=name.party.process
        )

    return write


def _bearer(path: Path | None) -> Callable[[], str] | None:
    if path is None:
        return None
    return lambda: f"Bearer {path.read_text('utf-8', 'replace').strip()}"


def _tls(section: AuditTlsSettings, key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=section.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if section.certificate_file is not None:
            context.load_cert_chain(section.certificate_file, section.key_file)
    except (OSError, ssl.SSLError) as error:
        raise AuditStartError(f"{key}: {getattr(error, 'strerror', None) or 'not a certificate'}") from None
    return context


def soap_recorder(trail: Trail) -> Record:
    """Records each exchange that a SOAP client or server tells of."""

    def record(exchanged: Exchanged) -> Settle:
        subjects = current()
        headers = exchanged.headers
        asked = asked_now()
        if exchanged.served:
            peer = Party(exchanged.reply_to or exchanged.peer, exchanged.peer)
            parties = (peer, trail.identity.at(exchanged.url))
            parent = asked.parent if asked else ""
        else:
            host = urlsplit(exchanged.url).hostname or ""
            parties = (trail.identity.party, Party(exchanged.url, host))
            parent = headers.get(TRACEPARENT, "")
        records = soap_records(
            exchanged.transaction,
            "server" if exchanged.served else "client",
            parties,
            (exchanged.request, exchanged.reply),
            recorded=trail.clock(),
            failure=exchanged.failure,
            actor=subjects.actor if subjects else None,
            patient=_patient(exchanged, subjects),
            request_id=asked.request_id if asked else headers.get(REQUEST_ID, ""),
            traceparent=parent,
        )
        if exchanged.flows:
            return trail.hold(records).settle
        # what the gateway asks of others for a request is written with the record of that request
        trail.add(records, durable=exchanged.served)
        return settled

    return record


def retrieve_recorder(trail: Trail) -> RecordRetrieve:
    """Records each request to a DICOMweb archive (RAD-107 as Imaging Document Consumer)."""

    def record(url: str, path: str, failure: str | None, headers: Mapping[str, str]) -> None:
        subjects, asked = current(), asked_now()
        known = tuple(subjects.patients) if subjects else ()
        recorded = trail.clock()
        uids = re.findall(r"/(?:studies|series|instances)/([0-9.]+)", path)
        trail.add(
            [
                AuditRecord(
                    id=record_id(recorded),
                    recorded=recorded,
                    transaction="RAD-107",
                    side="client",
                    client=trail.identity.party,
                    server=Party(url, urlsplit(url).hostname or ""),
                    outcome=Outcome.SUCCESS if failure is None else Outcome.SERIOUS,
                    outcome_text=failure or "",
                    actor=subjects.actor if subjects else None,
                    patient=known[0] if len(known) == 1 else None,
                    studies=(Study(uids[0], tuple(uids[1:2]), len(uids[2:3])),) if uids else (),
                    request_id=asked.request_id if asked else "",
                    traceparent=headers.get(TRACEPARENT, ""),
                )
            ],
            durable=False,
        )

    return record


def tell_where_records_go(settings: AuditSettings) -> None:
    """A line of the log where they go nowhere, or are kept here alone."""
    if not settings.enabled:
        log.critical(
            "audit.off", warning="NOTHING IS RECORDED OF WHO ASKS FOR WHOSE DATA", setting="audit.enabled"
        )
    elif not destinations(settings):
        log.warning("audit.local_only", setting="audit.fhir or audit.syslog", kept_seconds=settings.keep)


def mhd_recorder(trail: Trail) -> RecordMhd:
    """Records each exchange with an MHD server (ITI-65 to ITI-68 as Document Source and Consumer)."""

    def record(exchange: MhdExchange) -> None:
        subjects, asked = current(), asked_now()
        known = tuple(subjects.patients) if subjects else ()
        document = exchange.document
        time = trail.clock()
        trail.add(
            [
                AuditRecord(
                    id=record_id(time),
                    recorded=time,
                    transaction=exchange.transaction,
                    side="client",
                    client=trail.identity.party,
                    server=Party(exchange.url, urlsplit(exchange.url).hostname or ""),
                    outcome=Outcome.SUCCESS if exchange.failure is None else Outcome.SERIOUS,
                    outcome_text=exchange.failure or "",
                    actor=subjects.actor if subjects else None,
                    patient=exchange.patient or (known[0] if len(known) == 1 else None),
                    query=Query(exchange.query) if exchange.query else None,
                    documents=()
                    if document is None
                    else (
                        Document(
                            document.document_unique_id,
                            document.repository_unique_id,
                            document.home_community_id or "",
                        ),
                    ),
                    submission_set=exchange.submission_set,
                    request_id=asked.request_id if asked else "",
                )
            ],
            durable=False,
        )

    return record


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


def _patient(exchanged: Exchanged, subjects: Subjects | None) -> Cx | None:
    """Whose documents and images are fetched: the request says it, the messages do not."""
    if exchanged.served or subjects is None or exchanged.transaction == "ITI-55":
        return None
    return next(iter(subjects.patients)) if len(subjects.patients) == 1 else None
