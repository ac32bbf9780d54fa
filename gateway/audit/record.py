"""What an audit record says, in no format: `fhir_event` and `dicom_message` write it.

A record is about one transaction as the gateway saw it, from one side, and about one patient at most (ITI
TF-2 3.20.4.1.1).
"""

from enum import IntEnum
from typing import Literal

from msgspec import Struct

from gateway.model import Cx
from gateway.model.claims import Claims

Side = Literal["client", "server"]


class Outcome(IntEnum):
    """EventOutcomeIndicator of DICOM PS3.15 A.5."""

    SUCCESS = 0
    MINOR = 4
    SERIOUS = 8
    MAJOR = 12


class Party(Struct, frozen=True):
    """A system at one end. `id` is an endpoint URI, a client id or an address; `address` is an IP address,
    a host name or a URI; `process` is the process id of the own end."""

    id: str
    address: str = ""
    process: str = ""


class Query(Struct, frozen=True):
    """What was asked: `content` as it was sent. `id` is that of the stored query or of the HL7 V3 message."""

    content: bytes
    id: str = ""
    description: str = ""


class Document(Struct, frozen=True):
    """A document that was moved."""

    unique_id: str
    repository_unique_id: str = ""
    home_community_id: str = ""


class Study(Struct, frozen=True):
    """Images that were moved: `instances` is how many, 0 where that is not known."""

    study_instance_uid: str
    series: tuple[str, ...] = ()
    instances: int = 0
    repository_unique_id: str = ""
    home_community_id: str = ""


class AuditRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`id` is a UUID that stays the same however often the record is sent; `recorded` is in seconds since
    1970. `transaction` is a key of `transactions.TRANSACTIONS`; `side` is the one that the gateway had.

    `resource` names what was read or made (`DocumentReference/1`). `traceparent` is that of this leg.
    """

    id: str
    recorded: float
    transaction: str
    side: Side
    client: Party
    server: Party
    outcome: int = 0
    outcome_text: str = ""
    actor: Claims | None = None
    patient: Cx | None = None
    query: Query | None = None
    documents: tuple[Document, ...] = ()
    studies: tuple[Study, ...] = ()
    submission_set: str = ""
    resource: str = ""
    home_community_id: str = ""
    request_id: str = ""
    traceparent: str = ""
