"""Audit records as DICOM audit messages (DICOM PS3.15 A.5.1; ITI TF-2 3.20.7 and the security sections of
the transactions).

Values of details and queries are base64, as their schema has it.
"""

import base64
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from lxml import etree
from lxml.etree import Element, SubElement, _Element

from gateway.audit.record import AuditRecord, Party
from gateway.audit.transactions import BY_ITSELF, Described, described
from gateway.model import codes
from gateway.model.claims import Claims, Coding

_APPLICATION_SERVER: Final = "4"
_UNPRINTABLE: Final = dict.fromkeys(range(32), " ")


def write_audit_message(record: AuditRecord, *, source_id: str, site: str = "") -> bytes:
    """The message in UTF-8, without XML declaration. `source_id` and `site` are the AuditSourceID and the
    AuditEnterpriseSiteID."""
    what = described(record.transaction)
    message = Element("AuditMessage")
    _event(message, record, what)
    _participants(message, record, what)
    source = SubElement(message, "AuditSourceIdentification")
    if site:
        source.set("AuditEnterpriseSiteID", _text(site))
    source.set("AuditSourceID", _text(source_id))
    SubElement(source, "AuditSourceTypeCode").set("csd-code", _APPLICATION_SERVER)
    _objects(message, record, what)
    return etree.tostring(message, encoding="utf-8")


def _event(message: _Element, record: AuditRecord, what: Described) -> None:
    side = 0 if record.side == "client" else 1
    event = SubElement(message, "EventIdentification")
    event.set("EventActionCode", what.action[side])
    moment = datetime.fromtimestamp(record.recorded, UTC).isoformat(timespec="milliseconds")
    event.set("EventDateTime", moment.replace("+00:00", "Z"))
    event.set("EventOutcomeIndicator", str(int(record.outcome)))
    _dcm(event, "EventID", what.event[side])
    if what.dicom_type:
        _dcm(event, "EventTypeCode", what.dicom_type)
    else:
        system = codes.AUDIT_TRANSACTIONS if what.is_transaction else "FHIR"
        _coded(event, "EventTypeCode", record.transaction, system, what.name)
    if record.outcome_text:
        SubElement(event, "EventOutcomeDescription").text = _text(record.outcome_text)
    for purpose in record.actor.purposes if record.actor else ():
        _code(event, "PurposeOfUse", purpose)


# --- participants -----------------------------------------------------------------------------------------
def _participants(message: _Element, record: AuditRecord, what: Described) -> None:
    client = codes.DCM_DESTINATION if what.answers else codes.DCM_SOURCE
    server = codes.DCM_SOURCE if what.answers else codes.DCM_DESTINATION
    if what.objects == "token":
        client = codes.DCM_APPLICATION
    if record.transaction in BY_ITSELF:
        _dcm(_system(message, record.server, False), "RoleIDCode", codes.DCM_APPLICATION)
        return
    actor = record.actor
    is_human = actor is not None and bool(actor.subject)
    ends = [(client, record.client, not is_human), (server, record.server, False)]
    if what.answers:
        ends.reverse()
    for role, party, asks in ends:
        _dcm(_system(message, party, asks), "RoleIDCode", role)
    if actor is not None and is_human:
        _human(message, actor)


def _system(message: _Element, party: Party, asks: bool) -> _Element:
    participant = SubElement(message, "ActiveParticipant")
    participant.set("UserID", _text(party.id or party.address))
    if party.process:
        participant.set("AlternativeUserID", party.process)
    participant.set("UserIsRequestor", "true" if asks else "false")
    address = party.address or party.id
    host = urlsplit(address).hostname or address if "://" in address else address
    is_ip = ":" in host or host.replace(".", "").isdigit()
    participant.set("NetworkAccessPointID", _text(host))
    participant.set("NetworkAccessPointTypeCode", "2" if is_ip else "1")
    return participant


def _human(message: _Element, actor: Claims) -> None:
    participant = SubElement(message, "ActiveParticipant")
    participant.set("UserID", _text(actor.subject))
    # an assertion may give an alias (SPProvidedID), a token has the system that it was given to
    lead = "" if actor.assertion else actor.client_id
    participant.set("UserName", _text(f"{lead}<{actor.subject}@{actor.issuer}>"))
    participant.set("UserIsRequestor", "true")
    for role in actor.roles:
        _code(participant, "RoleIDCode", role)


# --- objects ----------------------------------------------------------------------------------------------
def _objects(message: _Element, record: AuditRecord, what: Described) -> None:
    if record.patient is not None:
        cx = f"{_escaped(record.patient.id)}^^^&{record.patient.authority}&ISO"
        patient = _object(message, "1", "1", cx)
        _coded(patient, "ParticipantObjectIDTypeCode", "2", "RFC-3881", "Patient Number")
    if record.query is not None:
        _query(message, record, what)
    if record.submission_set:
        submission = _object(message, "2", "20", record.submission_set)
        _coded(
            submission,
            "ParticipantObjectIDTypeCode",
            codes.SS_NODE,
            "IHE XDS Metadata",
            "submission set classificationNode",
        )
    for document in record.documents:
        entry = _object(message, "2", "3", document.unique_id)
        _coded(entry, "ParticipantObjectIDTypeCode", "9", "RFC-3881", "Report Number")
        _detail(entry, codes.REPOSITORY_DETAIL, document.repository_unique_id)
        _detail(entry, what.home_detail, document.home_community_id)
    for study in record.studies:
        item = _object(message, "2", "3", study.study_instance_uid)
        _dcm(item, "ParticipantObjectIDTypeCode", codes.DCM_STUDY)
        for uid in study.series:
            _detail(item, "Series Instance Unique Id", uid)
        _detail(item, codes.REPOSITORY_DETAIL, study.repository_unique_id)
        _detail(item, what.home_detail, study.home_community_id)
        if study.instances:
            described_as = SubElement(item, "ParticipantObjectDescription")
            SubElement(described_as, "SOPClass").set("NumberOfInstances", str(study.instances))
    if what.objects == "security":
        if record.resource:
            item = _object(message, "2", "13", record.resource)
            _coded(item, "ParticipantObjectIDTypeCode", "12", "RFC-3881", "URI")
            _detail(item, "Alert Description", record.outcome_text)
    elif record.resource and not (record.documents or record.studies or record.submission_set):
        item = _object(message, "2", "4", record.resource)
        _coded(item, "ParticipantObjectIDTypeCode", "FHIR", "FHIR", "Resource")
    if record.request_id:
        _trace(message, record.request_id, "XrequestId", "IHE BALP", "X-Request-Id")
    if record.traceparent:
        _trace(message, record.traceparent, "traceparent", "w3c", "traceparent")


def _query(message: _Element, record: AuditRecord, what: Described) -> None:
    query = record.query
    assert query is not None
    item = _object(message, "2", "24", query.id)
    _coded(item, "ParticipantObjectIDTypeCode", record.transaction, codes.AUDIT_TRANSACTIONS, what.name)
    SubElement(item, "ParticipantObjectQuery").text = base64.b64encode(query.content).decode()
    _detail(item, "QueryEncoding", "UTF-8")
    _detail(item, what.home_detail, record.home_community_id)


def _trace(message: _Element, value: str, code: str, system: str, text: str) -> None:
    item = _object(message, "4", "26", value)
    _coded(item, "ParticipantObjectIDTypeCode", code, system, text)


def _object(message: _Element, kind: str, role: str, identifier: str) -> _Element:
    item = SubElement(message, "ParticipantObjectIdentification")
    if identifier:
        item.set("ParticipantObjectID", _text(identifier))
    item.set("ParticipantObjectTypeCode", kind)
    item.set("ParticipantObjectTypeCodeRole", role)
    return item


def _detail(item: _Element, name: str, value: str) -> None:
    if value:
        detail = SubElement(item, "ParticipantObjectDetail")
        detail.set("type", name)
        detail.set("value", base64.b64encode(value.encode()).decode())


def _dcm(parent: _Element, tag: str, code: str) -> None:
    _coded(parent, tag, code, "DCM", codes.DCM_AUDIT_TERMS[code])


def _code(parent: _Element, tag: str, coding: Coding) -> None:
    _coded(parent, tag, coding.code, coding.system or "unknown", coding.display or coding.code)


def _coded(parent: _Element, tag: str, code: str, system: str, text: str) -> None:
    element = SubElement(parent, tag)
    element.set("csd-code", _text(code))
    element.set("codeSystemName", _text(system))
    element.set("originalText", _text(text))


def _escaped(value: str) -> str:
    """HL7 v2 escapes of what separates the components of a CX."""
    for character, escape in (
        ("\\", "\\E\\"),
        ("^", "\\S\\"),
        ("&", "\\T\\"),
        ("~", "\\R\\"),
        ("|", "\\F\\"),
    ):
        value = value.replace(character, escape)
    return value


def _text(value: str) -> str:
    """The same without what XML 1.0 cannot carry."""
    clean = value.translate(_UNPRINTABLE)
    return "".join(c for c in clean if not 0xD800 <= ord(c) <= 0xDFFF and c not in "\ufffe\uffff") or " "
