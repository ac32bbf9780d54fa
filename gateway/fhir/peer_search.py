"""Stored queries as searches of an MHD server (IHE MHD 4.2.4 ITI-66 and ITI-67; ITI TF-2 3.18.4.1.2.3.7).

What a search can say of a query narrows the answer; the query itself is applied to what comes, since servers
leave out parameters that they do not know. Nothing is asked that would lose an object: FHIR does not find a
document without a time by that time, XDS does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.fhir.datatypes import write_cx, write_date_time, write_unique_id
from gateway.fhir.search_values import write_token
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Code, Cx
from gateway.model.oids import is_oid
from gateway.model.query import FindDocuments

DOCUMENTS: Final = "DocumentReference"
LISTS: Final = "List"
_STATUSES: Final = {AvailabilityStatus.APPROVED: "current", AvailabilityStatus.DEPRECATED: "superseded"}
_ANY_STATUS: Final = ("status", "current,superseded")
_CODED: Final = (
    ("category", "class_code"),
    ("type", "type_code"),
    ("setting", "practice_setting"),
    ("facility", "facility_type"),
    ("format", "format_code"),
)

Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PeerSearch:
    """One search: resource type and parameters. `wider` is what to ask of a server that refuses them."""

    resource: str
    parameters: Parameters
    wider: Parameters | None = None

    @property
    def transaction(self) -> str:
        """The IHE transaction that it is."""
        return "ITI-67" if self.resource == DOCUMENTS else "ITI-66"


def patient_parameter(patient: Cx, terminology: Terminology) -> tuple[str, str]:
    """What limits a search to a patient by identifier."""
    identifier = write_cx(patient, terminology)
    return "patient.identifier", write_token(identifier.get("system", ""), identifier["value"])


def documents_of(
    patient: tuple[str, str], terminology: Terminology, query: FindDocuments | None = None
) -> PeerSearch:
    """DocumentReferences of a patient; with `query` what it asks for, and more."""
    if query is None:
        return PeerSearch(DOCUMENTS, (patient, _ANY_STATUS))
    status = ("status", ",".join(dict.fromkeys(_STATUSES[s] for s in query.status)))
    wider = (patient, status)
    further = [
        (name, _tokens(wanted, terminology)) for name, field in _CODED if (wanted := getattr(query, field))
    ]
    further += [("event", _tokens(group, terminology)) for group in query.event_codes]
    further += [("security-label", _tokens(group, terminology)) for group in query.confidentiality]
    if set(query.document_type) <= {codes.STABLE_DOCUMENT}:
        # the limits do not hold for On-Demand documents, which have no such time
        further += _times(query)
    return PeerSearch(DOCUMENTS, (*wider, *further), wider if further else None)


def _times(query: FindDocuments) -> list[tuple[str, str]]:
    limits = (("ge", query.creation_time_from), ("lt", query.creation_time_to))
    written = ((prefix, write_date_time(limit)) for prefix, limit in limits)
    return [("creation", f"{prefix}{time}") for prefix, time in written if time]


def lists_of(patient: tuple[str, str], kind: str) -> PeerSearch:
    """Lists of a patient that are a SubmissionSet or a Folder, as `kind` says."""
    return PeerSearch(LISTS, (patient, ("code", kind), ("status", "current")))


def by_identifiers(resource: str, identifiers: Iterable[str], terminology: Terminology) -> PeerSearch:
    """Resources with one of these entryUUIDs or uniqueIds."""
    values: dict[str, None] = {}
    for identifier in identifiers:
        written = write_unique_id(identifier)
        values[write_token(written["system"], written["value"])] = None
        oid = written["system"].removeprefix("urn:oid:")
        if is_oid(oid):
            values[write_token(terminology.authorities.uri(oid), written["value"])] = None
    return PeerSearch(resource, (("identifier", ",".join(values)), *_status_of(resource)))


def by_ids(resource: str, ids: Sequence[str]) -> PeerSearch:
    """Resources with these FHIR ids."""
    wanted = ("_id", ",".join(ids))
    return PeerSearch(resource, (wanted, *_status_of(resource)), (wanted,))


def _status_of(resource: str) -> Parameters:
    return (_ANY_STATUS,) if resource == DOCUMENTS else ()


def _tokens(wanted: Iterable[Code], terminology: Terminology) -> str:
    """Each code in each spelling of its system that the server may hold."""
    spelled: dict[str, None] = {}
    for code in wanted:
        spelled[write_token(terminology.code_systems.uri(code.scheme), code.code)] = None
        if is_oid(code.scheme):
            spelled[write_token(f"urn:oid:{code.scheme}", code.code)] = None
    return ",".join(spelled)
