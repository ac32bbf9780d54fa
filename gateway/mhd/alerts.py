"""Records of what speaks of an attempt, beside those of what was asked for: User Authentication that fails,
and Security Alerts (DICOM PS3.15 A.5.3.11, A.5.3.12; ITI TF-2 3.19, 3.40.4.1.3).
"""

from gateway.audit.record import AuditRecord, Party
from gateway.audit.trail import event_record
from gateway.audit.transactions import LOGIN, NODE, RESTRICTED
from gateway.security.subjects import Subjects
from gateway.telemetry.tracing import asked_now


def alerts_of(subjects: Subjects, recorded: float, ends: tuple[Party, Party], url: str) -> list[AuditRecord]:
    """Those of a request, once. `ends` are the client and the gateway, `url` is what was asked, without its
    query."""
    found = ((LOGIN, subjects.refused), (NODE, subjects.stranger), (RESTRICTED, subjects.forged))
    subjects.refused = subjects.stranger = subjects.forged = None
    asked = asked_now()
    return [
        event_record(
            event,
            recorded,
            *ends,
            url=url,
            reason=reason,
            request_id=asked.request_id if asked else "",
            traceparent=asked.parent if asked else "",
        )
        for event, reason in found
        if reason is not None
    ]
