"""Audit records as FHIR R4 AuditEvents (IHE BALP 1.1, IHE MHD 4.2.4 3.65.5.1 and the like; those of SOAP as
DICOM PS3.15 A.5 maps to FHIR).

A success claims the profile that it keeps; a failure has the same shape and claims none, since the profiles
fix the outcome. What a record names is named by its business identifier: the audit repository is another
server, where a literal reference would lead nowhere.
"""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from gateway.audit.record import AuditRecord, Outcome, Party
from gateway.audit.transactions import BY_ITSELF, Described, described
from gateway.model import codes
from gateway.model.claims import Claims, Coding

Json = dict[str, Any]

_ENTITY_TYPES: Final = {"1": "Person", "2": "System Object", "4": "Other"}
_ROLES: Final = {
    "1": "Patient",
    "3": "Report",
    "4": "Domain Resource",
    "13": "Security Resource",
    "20": "Job",
    "24": "Query",
}
_MAX_DESCRIPTION: Final = 500


def system_of_oid(oid: str) -> str:
    """The URI of an assigning authority where no other is known."""
    return f"urn:oid:{oid}"


def write_audit_event(
    record: AuditRecord,
    *,
    source_id: str,
    site: str = "",
    system_of: Callable[[str], str] = system_of_oid,
) -> Json:
    """The AuditEvent of a record. `source_id` is what the gateway is called, `site` its enterprise."""
    what = described(record.transaction)
    side = 0 if record.side == "client" else 1
    event: Json = {"resourceType": "AuditEvent", "id": record.id, "meta": _meta(record, what, side)}
    if what.basic:
        event["type"] = _coding(codes.AUDIT_EVENT_TYPE_SYSTEM, "rest", "RESTful Operation")
        event["subtype"] = [_coding(codes.RESTFUL_INTERACTION_SYSTEM, what.interaction, what.interaction)]
        event["action"] = {"Query": "E", "Read": "R", "Create": "C"}[what.basic]
    else:
        event["type"] = _dcm(what.event[side])
        event["subtype"] = []
        event["action"] = what.action[side]
    if what.dicom_type:
        event["subtype"].append(_dcm(what.dicom_type))
    if what.is_transaction:
        event["subtype"].append(_coding(codes.EVENT_TYPE_SYSTEM, record.transaction, what.name))
    event["recorded"] = (
        datetime.fromtimestamp(record.recorded, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    event["outcome"] = str(int(record.outcome))
    if record.outcome_text:
        event["outcomeDesc"] = record.outcome_text
    if record.actor is not None and record.actor.purposes:
        event["purposeOfEvent"] = [_concept(purpose) for purpose in record.actor.purposes]
    event["agent"] = _agents(
        record.transaction, record.side, (record.client, record.server), record.actor, source_id
    )
    event["source"] = {
        **({"site": site} if site else {}),
        "observer": {"display": source_id},
        "type": [_coding(codes.SECURITY_SOURCE_TYPE_SYSTEM, "4", "Application Server")],
    }
    entities = list(_entities(record, what, system_of))
    if entities:
        event["entity"] = entities
    return event


# --- profile ----------------------------------------------------------------------------------------------
def _meta(record: AuditRecord, what: Described, side: int) -> Json:
    meta: Json = {"tag": [{"system": codes.AUDIT_RECORD_TAG, "code": record.id}]}
    if record.outcome == Outcome.SUCCESS:
        profiles = [profile for profile in _profiles(record, what, side) if profile]
        if profiles:
            meta["profile"] = profiles
    return meta


def _profiles(record: AuditRecord, what: Described, side: int) -> Iterator[str]:
    own = what.profiles[side]
    basic = codes.BALP_STRUCTURE + "IHE.BasicAudit."
    if own and (
        record.patient is not None or what.objects == "token" or own.endswith("Metadata.Audit.Source")
    ):
        yield own
    elif what.basic:
        yield f"{basic}{'Patient' if record.patient is not None else ''}{what.basic}"
    if (
        record.actor is not None
        and record.actor.statement_id
        and not record.actor.assertion
        and not own.endswith(".71")
    ):
        yield basic + "OAUTHaccessTokenUse.Minimal"


# --- agents -----------------------------------------------------------------------------------------------
@lru_cache(maxsize=1024)
def _agents(
    transaction: str, side: str, parties: tuple[Party, Party], actor: Claims | None, source_id: str
) -> list[Json]:
    """Who took part; the same for many records."""
    what = described(transaction)
    client, server = parties
    own = {"display": source_id}
    if transaction in BY_ITSELF:
        return [_agent(_dcm_concept(codes.DCM_APPLICATION), own, server, requestor=False)]
    client_who = own if side == "client" else _who(client, actor)
    server_who = own if side == "server" else _who(server, None)
    source, destination = _dcm_concept(codes.DCM_SOURCE), _dcm_concept(codes.DCM_DESTINATION)
    client_type, server_type = (destination, source) if what.answers else (source, destination)
    if what.objects == "token":
        client_type = _dcm_concept(codes.DCM_APPLICATION)
        server_type = {"coding": [_coding(codes.BALP_USER_AGENT_TYPES, "AuthzOauthService")]}
    agents = [
        _agent(client_type, client_who, client, requestor=actor is None),
        _agent(server_type, server_who, server, requestor=False),
    ]
    if actor is None or what.objects == "token":
        return agents
    if actor.subject:
        agents.append(_user(actor, what))
    if actor.organization or actor.organization_id:
        agents.append(_organization(actor))
    return agents


def _agent(kind: Json, who: Json, party: Party, *, requestor: bool) -> Json:
    address = party.address or party.id
    return {
        "type": kind,
        "who": who,
        **({"altId": party.process} if party.process else {}),
        "requestor": requestor,
        "network": {"address": address, "type": _network_type(address)},
    }


def _network_type(address: str) -> str:
    if "://" in address:
        return "5"
    return "2" if ":" in address or address.replace(".", "").isdigit() else "1"


def _who(party: Party, actor: Claims | None) -> Json:
    if actor is not None and actor.client_id:
        return {"identifier": {"value": actor.client_id}, "display": party.id}
    return {"display": party.id}


def _user(actor: Claims, what: Described) -> Json:
    # who creates something is where it comes from, who asks is who gets it
    kinds = [_coding(codes.PARTICIPATION_TYPE_SYSTEM, "INF" if what.basic == "Create" else "IRCP")]
    saml = actor.assertion
    kinds.append(_coding(codes.BALP_USER_AGENT_TYPES, "UserSamlAgent" if saml else "UserOauthAgent"))
    identifier = {"value": actor.subject}
    if actor.issuer:
        identifier = {"system": actor.issuer, **identifier}
    user: Json = {"type": {"coding": kinds}, "who": {"identifier": identifier}}
    if actor.name:
        user["who"]["display"] = actor.name
        user["name"] = actor.name
    if actor.roles:
        user["role"] = [_concept(role) for role in actor.roles]
    user["requestor"] = True
    if actor.statement_id:
        user["policy"] = [actor.statement_id if saml else codes.OAUTH_TOKEN_ID + actor.statement_id]
    if actor.purposes:
        user["purposeOfUse"] = [_concept(purpose) for purpose in actor.purposes]
    return user


def _organization(actor: Claims) -> Json:
    who: Json = {}
    if actor.organization_id:
        who["identifier"] = {"value": actor.organization_id}
    if actor.organization:
        who["display"] = actor.organization
    kind = {"coding": [_coding(codes.ROLE_CLASS_SYSTEM, "PROV", "healthcare provider")]}
    return {"type": kind, "who": who, "requestor": False}


# --- entities ---------------------------------------------------------------------------------------------
def _entities(record: AuditRecord, what: Described, system_of: Callable[[str], str]) -> Iterator[Json]:
    if record.patient is not None:
        patient = record.patient
        identifier = {"system": system_of(patient.authority), "value": patient.id}
        yield _entity("1", "1", what={"type": "Patient", "identifier": identifier})
    if record.query is not None:
        yield from _query(record, what)
    if record.submission_set and what.basic != "Create":
        yield _entity("2", "20", what={"type": "List", "identifier": _uid(record.submission_set)})
    elif what.basic == "Create" and (record.resource or record.outcome == Outcome.SUCCESS):
        yield _entity("2", "4", what=_resource(record.resource or "DocumentReference"))
    elif what.objects == "security":
        if record.resource:
            yield _entity("2", "13", what={"identifier": {"value": record.resource}})
    elif record.resource and not (record.documents or record.studies):
        yield _entity("2", "4", what=_resource(record.resource))
    elif what.basic == "Read" and not (record.documents or record.studies):
        yield _entity("2", "4", what={"display": what.name})
    for document in record.documents:
        details = (
            (codes.REPOSITORY_DETAIL, document.repository_unique_id),
            (what.home_detail, document.home_community_id),
        )
        named = {"type": "DocumentReference", "identifier": _uid(document.unique_id)}
        yield _entity("2", "3", what=named, details=details)
    for study in record.studies:
        named_by: tuple[tuple[str, str], ...] = (
            *(("Series Instance Unique Id", uid) for uid in study.series),
            ("NumberOfInstances", str(study.instances or "")),
            (codes.REPOSITORY_DETAIL, study.repository_unique_id),
            (what.home_detail, study.home_community_id),
        )
        identifier = {
            "system": codes.DICOM_UID_SYSTEM,
            "value": f"urn:oid:{study.study_instance_uid}",
        }
        yield _entity("2", "3", what={"type": "ImagingStudy", "identifier": identifier}, details=named_by)
    if what.objects != "token":
        yield from _trace(record)


def _query(record: AuditRecord, what: Described) -> Iterator[Json]:
    query = record.query
    assert query is not None
    entity = _entity("2", "24")
    if query.id and not what.basic:
        entity["what"] = {"identifier": {"value": query.id}}
    if query.description:
        entity["description"] = query.description[:_MAX_DESCRIPTION]
    entity["query"] = base64.b64encode(query.content).decode()
    if record.home_community_id and not what.basic:
        entity["detail"] = [{"type": what.home_detail, "valueString": record.home_community_id}]
    yield entity


def _trace(record: AuditRecord) -> Iterator[Json]:
    if record.request_id:
        entity: Json = {
            "what": {"identifier": {"value": record.request_id}},
            "type": _coding(codes.BALP_ENTITY_TYPES, "XrequestId"),
        }
        if record.traceparent:
            entity["detail"] = [{"type": "traceparent", "valueString": record.traceparent}]
        yield entity


def _entity(
    kind: str, role: str, *, what: Json | None = None, details: tuple[tuple[str, str], ...] = ()
) -> Json:
    entity: Json = {} if what is None else {"what": what}
    entity["type"] = _coding(codes.AUDIT_ENTITY_TYPE_SYSTEM, kind, _ENTITY_TYPES[kind])
    entity["role"] = _coding(codes.OBJECT_ROLE_SYSTEM, role, _ROLES[role])
    said = [{"type": name, "valueString": value} for name, value in details if value]
    if said:
        entity["detail"] = said
    return entity


def _resource(reference: str) -> Json:
    kind, _, logical_id = reference.partition("/")
    if not logical_id:
        return {"type": kind, "display": kind}
    return {"type": kind, "identifier": {"value": logical_id}, "display": reference}


def _uid(unique_id: str) -> Json:
    is_oid = unique_id.replace(".", "").isdigit()
    return {"system": codes.URI_SYSTEM, "value": f"urn:oid:{unique_id}" if is_oid else unique_id}


@lru_cache(maxsize=256)
def _coding(system: str, code: str, display: str = "") -> Json:
    # shared by events, which are written and not changed
    return {"system": system, "code": code, **({"display": display} if display else {})}


def _dcm(code: str) -> Json:
    return _coding(codes.DICOM_CODE_SYSTEM, code, codes.DCM_AUDIT_TERMS[code])


@lru_cache(maxsize=32)
def _dcm_concept(code: str) -> Json:
    return {"coding": [_dcm(code)]}


def _concept(coding: Coding) -> Json:
    known = {"code": coding.code, **({"display": coding.display} if coding.display else {})}
    return {"coding": [{"system": coding.system, **known} if coding.system else known]}
