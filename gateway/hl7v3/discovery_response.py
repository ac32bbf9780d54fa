"""PRPA_IN201306UV02 <-> DiscoveryAnswer (ITI-55 response; ITI TF-2 3.55.4.2).

An answer that asks for more attributes is accepted and has no match, like one that knows nobody: the two are
told apart by reasonOf, which is read first.
"""

import copy
from collections.abc import Iterable
from typing import Final

from lxml.etree import _Element

from gateway.hl7v3.datatypes import (
    add,
    add_address,
    add_cx,
    add_gender,
    add_id,
    add_name,
    add_telecom,
    attribute,
    checked_time,
    child,
    children,
    read_address,
    read_cx,
    read_degree,
    read_gender,
    read_id,
    read_name,
    read_telecom,
    read_time,
)
from gateway.hl7v3.errors import Hl7v3Error
from gateway.hl7v3.transmission import RESPONSE, read_head, start_message
from gateway.model.codes import (
    HL7_ACKNOWLEDGEMENT,
    HL7_ACT_CODE,
    HL7_INTERACTIONS,
    NS_XSI,
    XCPD_HEALTH_DATA_LOCATOR,
    XCPD_MORE_ATTRIBUTES,
    XCPD_PROBLEMS,
)
from gateway.model.identity import Discovery, DiscoveryAnswer, DiscoveryStatus, PatientMatch
from gateway.model.oids import bare_oid, is_oid

TRIGGER: Final = "PRPA_TE201306UV02"
_ISSUE: Final = "_ActAdministrativeDetectedIssueManagementCode"
_TYPE: Final = f"{{{NS_XSI}}}type"
_NIL: Final = f"{{{NS_XSI}}}nil"
_CODES: Final = {
    DiscoveryStatus.MATCHES: ("AA", "OK"),
    DiscoveryStatus.MORE_ASKED: ("AA", "OK"),
    DiscoveryStatus.NO_MATCH: ("AA", "NF"),
    DiscoveryStatus.CANNOT_ANSWER: ("AE", "AE"),
    DiscoveryStatus.REFUSED: ("AE", "QE"),
}
"""Acknowledgement and queryResponseCode of each kind of answer."""
_REASONS: Final = {
    DiscoveryStatus.MORE_ASKED: ("triggerFor", "TRIG", "actOrderRequired", "RQO", XCPD_MORE_ATTRIBUTES),
    DiscoveryStatus.CANNOT_ANSWER: ("mitigatedBy", "MITGT", "detectedIssueManagement", "EVN", XCPD_PROBLEMS),
}
"""Where the codes of an answer stand."""


def write_discovery_response(answer: DiscoveryAnswer, query_by_parameter: _Element | None = None) -> _Element:
    """The message, with a copy of the request's queryByParameter. Raises Hl7v3Error."""
    discovery = answer.discovery
    _check(discovery)
    acknowledgement, response_code = _CODES[discovery.status]
    root = start_message(RESPONSE, answer.head, "NE")
    element = add(root, "acknowledgement")
    add(element, "typeCode", code=acknowledgement)
    add_id(add(element, "targetMessage"), "id", answer.request_id)
    if discovery.status is DiscoveryStatus.REFUSED:
        for code in discovery.codes:
            detail = add(element, "acknowledgementDetail", typeCode="E")
            add(detail, "code", code=code, codeSystem=HL7_ACKNOWLEDGEMENT)
    act = add(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    add(act, "code", code=TRIGGER, codeSystem=HL7_INTERACTIONS)
    for match in discovery.matches:
        _write_match(act, match)
    _write_reason(act, discovery)
    ack = add(act, "queryAck")
    add_id(ack, "queryId", answer.head.query_id)
    add(ack, "statusCode", code="aborted" if acknowledgement == "AE" else "deliveredResponse")
    add(ack, "queryResponseCode", code=response_code)
    if query_by_parameter is not None:
        act.append(copy.deepcopy(query_by_parameter))
    return root


def _check(discovery: Discovery) -> None:
    if bool(discovery.matches) != (discovery.status is DiscoveryStatus.MATCHES):
        raise Hl7v3Error("an answer has matches when its status says so, and only then")
    if discovery.status in _REASONS and not discovery.codes:
        raise Hl7v3Error("an answer without match that is none of NO_MATCH and REFUSED says why by a code")


def _write_match(act: _Element, match: PatientMatch) -> None:
    subject = add(act, "subject", typeCode="SUBJ")
    event = add(subject, "registrationEvent", classCode="REG", moodCode="EVN")
    add(event, "id", nullFlavor="NA")
    add(event, "statusCode", code="active")
    patient = add(add(event, "subject1", typeCode="SBJ"), "patient", classCode="PAT")
    add_cx(patient, "id", match.identifier)
    add(patient, "statusCode", code="active")
    person = add(patient, "patientPerson", classCode="PSN", determinerCode="INSTANCE")
    _write_person(person, match)
    _write_degree(add(patient, "subjectOf1"), match.degree)
    entity = add(add(event, "custodian", typeCode="CST"), "assignedEntity", classCode="ASSIGNED")
    add_id(entity, "id", bare_oid(match.home_community_id))
    add(entity, "code", code="NotHealthDataLocator", codeSystem=XCPD_HEALTH_DATA_LOCATOR)


def _write_degree(subject: _Element, degree: int | None) -> None:
    if degree is None:
        # the schema has it always
        subject.set(_NIL, "true")
        return
    observation = add(subject, "queryMatchObservation", classCode="OBS", moodCode="EVN")
    add(observation, "code", code="IHE_PDQ")
    add(observation, "value", value=str(degree)).set(_TYPE, "INT")


def _write_person(person: _Element, match: PatientMatch) -> None:
    for name in match.names:
        add_name(person, "name", name)
    if not match.names:
        add(person, "name", nullFlavor="NA")
    for telecom in match.telecoms:
        add_telecom(person, "telecom", telecom)
    if match.gender is not None:
        add_gender(person, "administrativeGenderCode", match.gender)
    if match.birth_date is not None:
        add(person, "birthTime", value=checked_time("birthTime", match.birth_date))
    for address in match.addresses:
        add_address(person, "addr", address)
    for identifier in match.other_identifiers:
        other = add(person, "asOtherIDs", classCode="PAT")
        add_cx(other, "id", identifier)
        organization = add(other, "scopingOrganization", classCode="ORG", determinerCode="INSTANCE")
        add_id(organization, "id", identifier.authority)


def _write_reason(act: _Element, discovery: Discovery) -> None:
    if discovery.status not in _REASONS:
        return
    link, link_type, what, mood, system = _REASONS[discovery.status]
    reason = add(act, "reasonOf", typeCode="RSON")
    event = add(reason, "detectedIssueEvent", classCode="ALRT", moodCode="EVN")
    add(event, "code", code=_ISSUE, codeSystem=HL7_ACT_CODE)
    for code in discovery.codes:
        item = add(add(event, link, typeCode=link_type), what, classCode="ACT", moodCode=mood)
        add(item, "code", code=code, codeSystem=system)


def read_discovery_response(root: _Element) -> DiscoveryAnswer:
    """The answer. Raises Hl7v3Error where it is none, or a match lacks what makes it one.

    A match needs an identifier with root and extension and the homeCommunityId of its custodian: without
    them nothing could be asked there.
    """
    act = child(root, "controlActProcess")
    ack = child(act, "queryAck")
    head = read_head(root, RESPONSE, read_id(child(ack, "queryId")))
    acknowledgement = child(root, "acknowledgement")
    request_id = read_id(child(acknowledgement, "targetMessage", "id"))
    if request_id is None:
        raise Hl7v3Error(f"{RESPONSE}/acknowledgement names no targetMessage")
    type_code = attribute(child(acknowledgement, "typeCode"), "code")
    response_code = attribute(child(ack, "queryResponseCode"), "code")
    return DiscoveryAnswer(head, request_id, _read_discovery(act, acknowledgement, type_code, response_code))


def _read_discovery(
    act: _Element | None, acknowledgement: _Element | None, type_code: str | None, response_code: str | None
) -> Discovery:
    asked = _reasons(act, "triggerFor", "actOrderRequired")
    problems = _reasons(act, "mitigatedBy", "detectedIssueManagement")
    if response_code == "QE":
        details = children(acknowledgement, "acknowledgementDetail")
        codes = (attribute(child(detail, "code"), "code") for detail in details)
        return Discovery(DiscoveryStatus.REFUSED, codes=tuple(code for code in codes if code))
    if type_code not in {"AA", "CA"} or response_code == "AE" or problems:
        return Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=problems or ("AnswerNotAvailable",))
    if asked:
        return Discovery(DiscoveryStatus.MORE_ASKED, codes=asked)
    matches = tuple(_read_match(event) for event in _events(act))
    if matches and response_code != "NF":
        return Discovery(DiscoveryStatus.MATCHES, matches)
    return Discovery(DiscoveryStatus.NO_MATCH)


def _reasons(act: _Element | None, link: str, what: str) -> tuple[str, ...]:
    found = (
        attribute(child(item, what, "code"), "code")
        for reason in children(act, "reasonOf")
        for item in children(child(reason, "detectedIssueEvent"), link)
    )
    return tuple(code for code in found if code)


def _events(act: _Element | None) -> Iterable[_Element]:
    for subject in children(act, "subject"):
        event = child(subject, "registrationEvent")
        if event is not None:
            yield event


def _read_match(event: _Element) -> PatientMatch:
    patient = child(event, "subject1", "patient")
    identifier = read_cx(child(patient, "id"))
    if identifier is None:
        raise Hl7v3Error("a patient of the answer has no id with root and extension")
    home = bare_oid(attribute(child(event, "custodian", "assignedEntity", "id"), "root") or "")
    if not is_oid(home):
        raise Hl7v3Error("a registrationEvent has no homeCommunityId as id of its custodian")
    person = child(patient, "patientPerson")
    others = [
        *children(patient, "id")[1:],
        *(element for other in children(person, "asOtherIDs") for element in children(other, "id")),
    ]
    degree = child(patient, "subjectOf1", "queryMatchObservation", "value")
    return PatientMatch(
        home_community_id=f"urn:oid:{home}",
        identifier=identifier,
        other_identifiers=tuple(cx for element in others if (cx := read_cx(element)) is not None),
        names=tuple(name for e in children(person, "name") if (name := read_name(e)) is not None),
        birth_date=read_time(child(person, "birthTime")),
        gender=read_gender(child(person, "administrativeGenderCode")),
        addresses=tuple(a for e in children(person, "addr") if (a := read_address(e)) is not None),
        telecoms=tuple(t for e in children(person, "telecom") if (t := read_telecom(e)) is not None),
        degree=read_degree(degree),
    )
