"""The records of what the gateway asks of others, and of SOAP exchanges that it answers."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from gateway.audit.record import AuditRecord, Document, Outcome, Party, Query, Study
from gateway.audit.soap_records import soap_records
from gateway.audit.trail import Trail, record_id
from gateway.clients.dicomweb import RecordRetrieve
from gateway.clients.mhd_exchange import MhdExchange, RecordMhd
from gateway.mhd.alerts import alerts_of
from gateway.model import Cx
from gateway.security.subjects import Subjects, current, forged
from gateway.soap.observed import Exchanged, Record, Settle, settled
from gateway.telemetry.tracing import REQUEST_ID, TRACEPARENT, asked_now


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
            parties = (trail.identity.party, _peer(exchanged.url))
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
        if exchanged.served and subjects is not None:
            if not exchanged.transaction:
                forged(exchanged.failure or "there is no such operation")
            records += alerts_of(subjects, trail.clock(), parties, exchanged.url)
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
                    server=_peer(url),
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
                    server=_peer(exchange.url),
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


def _patient(exchanged: Exchanged, subjects: Subjects | None) -> Cx | None:
    """Whose documents and images are fetched: the request says it, the messages do not."""
    if exchanged.served or subjects is None or exchanged.transaction == "ITI-55":
        return None
    return next(iter(subjects.patients)) if len(subjects.patients) == 1 else None


@lru_cache(maxsize=1024)
def _peer(url: str) -> Party:
    return Party(url, urlsplit(url).hostname or "")
