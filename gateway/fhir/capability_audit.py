"""What the CapabilityStatement says of AuditEvents (ITI-81, of records that are queued or kept here)."""

from typing import Any, Final

from gateway.model import codes

AUDIT_PARAMETERS: Final = (
    ("date", "date", "date", "Required: from and to."),
    ("action", "token", "action", ""),
    ("address", "string", "address", "The network address of who took part, as a whole."),
    ("agent.identifier", "token", None, ""),
    ("altid", "token", "altid", "The process of the gateway."),
    ("entity.identifier", "token", None, ""),
    ("entity-role", "token", "entity-role", ""),
    ("entity-type", "token", "entity-type", ""),
    ("outcome", "token", "outcome", ""),
    ("patient.identifier", "token", None, ""),
    ("source.identifier", "token", None, "What the gateway is called in its records."),
    ("subtype", "token", "subtype", "The transaction, as ITI-67."),
    ("type", "token", "type", ""),
)
"""Name, type, name of the definition in FHIR where it is one of its own, and what is to be said of it."""


def audit_resource() -> dict[str, Any]:
    """CapabilityStatement.rest.resource of AuditEvent, in R4."""
    return {
        "type": "AuditEvent",
        "documentation": "ITI-81: records of this server that are queued or kept here, for who is granted "
        "them by name (system/AuditEvent.rs or ITI-81).",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [
            {
                "name": name,
                "type": kind,
                **({"documentation": said} if said else {}),
                **(
                    {"definition": f"{codes.FHIR_SEARCH_PARAMETER}AuditEvent-{definition}"}
                    if definition
                    else {}
                ),
            }
            for name, kind, definition, said in AUDIT_PARAMETERS
        ],
    }
