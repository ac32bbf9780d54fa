"""The repositories that audit records go to (ITI-20), by the settings."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.audit.delivery import Repository
from gateway.audit.dicom_message import write_audit_message
from gateway.audit.fhir_event import write_audit_event
from gateway.audit.fhir_feed import FhirRepository
from gateway.audit.record import AuditRecord
from gateway.audit.syslog import SyslogRepository, write_frame
from gateway.audit.trail import Trail
from gateway.audit_settings import AuditFhirSettings, AuditSettings, SyslogSettings
from gateway.settings import Settings
from gateway.tls import ClientTls, TlsError
from gateway.wiring.fhir import terminology
from gateway.wiring.tls import check_client_tls, client_tls

FHIR, SYSLOG = "fhir", "syslog"
_APPLICATION = "mhd-xds-gateway"


def destinations(settings: AuditSettings) -> tuple[str, ...]:
    """Names of the repositories of the settings."""
    wanted = ((FHIR, settings.fhir), (SYSLOG, settings.syslog))
    return tuple(name for name, section in wanted if section is not None)


def repositories(settings: Settings, trail: Trail) -> dict[str, Repository]:
    """Those of the settings, by name. Raises StartError."""
    check_client_tls(settings)
    made: dict[str, Repository] = {}
    if (fhir := settings.audit.fhir) is not None:
        made[FHIR] = FhirRepository(
            fhir.url,
            event_writer(settings, trail),
            batch=fhir.batch,
            send_as=fhir.send_as,
            authorization=_bearer(fhir.token_file),
            tls=_tls(settings, fhir) if fhir.url.startswith("https:") else None,
            seconds=fhir.timeout,
        )
    if (syslog := settings.audit.syslog) is not None:
        made[SYSLOG] = SyslogRepository(
            syslog.host,
            syslog.port,
            _frame_writer(settings, trail),
            tls=_tls(settings, syslog) if syslog.transport == "tls" else None,
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
            host, port, seconds = place.host, place.port, place.connect_timeout
            secure = place.transport == "tls"
        try:
            tls = _tls(settings, place) if secure else None
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(
                    host,
                    port,
                    ssl=tls.context if tls else None,
                    server_hostname=(tls.server_name or host) if tls else None,
                )
            writer.close()
            found.append((name, None))
        except (OSError, TimeoutError, TlsError) as error:
            reason = str(error) if isinstance(error, TlsError) else type(error).__name__
            found.append((name, f"{host}:{port}: {reason}"))
    return found


def _tls(settings: Settings, place: AuditFhirSettings | SyslogSettings) -> ClientTls:
    return client_tls(place.tls or settings.security.tls)


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
