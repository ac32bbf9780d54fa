"""PRPA_IN201305UV02 <-> DiscoveryRequest (ITI-55 request; ITI TF-2 3.55.4.1).

Read more widely than written: several identifiers in one livingSubjectId, LivingSubjectId with a capital,
gender and addresses in any number, semanticsText of any spelling.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from lxml.etree import QName, _Element

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
from gateway.hl7v3.transmission import REQUEST, read_head, start_message
from gateway.model.codes import HL7_INTERACTIONS, NS_XSI
from gateway.model.identity import DiscoveryRequest, PatientQuery
from gateway.model.oids import bare_oid, is_oid

TRIGGER: Final = "PRPA_TE201305UV02"
_TYPE: Final = f"{{{NS_XSI}}}type"
_T = TypeVar("_T")


def write_discovery_request(request: DiscoveryRequest) -> _Element:
    """The message. Raises Hl7v3Error for a query that may not be asked, or a value that has no place here."""
    if not request.query.sufficient:
        raise Hl7v3Error("a patient is asked for by an identifier, or by a name and the birth date")
    root = start_message(REQUEST, request.head, "AL")
    act = add(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    add(act, "code", code=TRIGGER, codeSystem=HL7_INTERACTIONS)
    if request.authority is not None:
        author = add(act, "authorOrPerformer", typeCode="AUT")
        add_id(add(author, "assignedDevice", classCode="ASSIGNED"), "id", request.authority)
    write_query(act, request.head.query_id, request.query)
    return root


def write_query(act: _Element, query_id: str, query: PatientQuery) -> None:
    """Append queryByParameter; the order of parameters is that of the schema."""
    element = add(act, "queryByParameter")
    add_id(element, "queryId", query_id)
    add(element, "statusCode", code="new")
    add(element, "responseModalityCode", code="R")
    add(element, "responsePriorityCode", code="I")
    if query.minimum_degree is not None:
        degree = add(add(element, "matchCriterionList"), "minimumDegreeMatch")
        add(degree, "value", value=str(query.minimum_degree)).set(_TYPE, "INT")
        add(degree, "semanticsText").text = "MinimumDegreeMatch"
    parameters = add(element, "parameterList")
    if query.gender is not None:
        _add(parameters, "livingSubjectAdministrativeGender", "LivingSubject.administrativeGender",
             [query.gender], add_gender)  # fmt: skip
    if query.birth_date is not None:
        _add(parameters, "livingSubjectBirthTime", "LivingSubject.birthTime", [query.birth_date], _add_birth)
    for identifier in query.identifiers:
        _add(parameters, "livingSubjectId", "LivingSubject.id", [identifier], add_cx)
    for name in query.names:
        _add(parameters, "livingSubjectName", "LivingSubject.name", [name], add_name)
    if query.mothers_maiden_name is not None:
        _add(parameters, "mothersMaidenName", "Person.MothersMaidenName",
             [query.mothers_maiden_name], add_name)  # fmt: skip
    if query.addresses:
        _add(parameters, "patientAddress", "Patient.addr", query.addresses, add_address)
    if query.telecoms:
        _add(parameters, "patientTelecom", "Patient.telecom", query.telecoms, add_telecom)


def _add(
    parameters: _Element,
    name: str,
    semantics: str,
    values: Iterable[_T],
    write: Callable[[_Element, str, _T], object],
) -> None:
    element = add(parameters, name)
    for value in values:
        write(element, "value", value)
    add(element, "semanticsText").text = semantics


def _add_birth(parent: _Element, name: str, value: str) -> None:
    add(parent, name, value=checked_time("livingSubjectBirthTime", value))


def query_element(root: _Element) -> _Element | None:
    """queryByParameter of a request, which its answer repeats."""
    return child(root, "controlActProcess", "queryByParameter")


def message_ids(root: _Element) -> tuple[str | None, str | None]:
    """message_id and query_id of a request, as far as it has them."""
    return read_id(child(root, "id")), read_id(child(query_element(root), "queryId"))


def read_discovery_request(root: _Element) -> DiscoveryRequest:
    """The request. Raises Hl7v3Error where it is none, or names too little to look for anybody."""
    act = child(root, "controlActProcess")
    element = query_element(root)
    head = read_head(root, REQUEST, read_id(child(element, "queryId")))
    authority = attribute(child(act, "authorOrPerformer", "assignedDevice", "id"), "root")
    query = read_query(element)
    if not query.sufficient:
        raise Hl7v3Error(
            "parameterList needs a livingSubjectId with root and extension, or a livingSubjectName and a "
            "livingSubjectBirthTime"
        )
    bare = bare_oid(authority) if authority else ""
    return DiscoveryRequest(head, query, bare if is_oid(bare) else None)


def read_query(element: _Element | None) -> PatientQuery:
    """The parameters of a queryByParameter."""
    values: dict[str, list[_Element]] = {}
    parameters = child(element, "parameterList")
    for parameter in [] if parameters is None else parameters:
        name = QName(parameter).localname
        values.setdefault(name[:1].lower() + name[1:], []).extend(children(parameter, "value"))

    def read(name: str, reader: Callable[[_Element], Any]) -> tuple[Any, ...]:
        found = (reader(value) for value in values.get(name, ()))
        return tuple(dict.fromkeys(value for value in found if value is not None))

    degree = child(element, "matchCriterionList", "minimumDegreeMatch", "value")
    maiden = read("mothersMaidenName", read_name)
    genders = read("livingSubjectAdministrativeGender", read_gender)
    births = read("livingSubjectBirthTime", read_time)
    return PatientQuery(
        identifiers=read("livingSubjectId", read_cx),
        names=read("livingSubjectName", read_name),
        birth_date=births[0] if len(births) == 1 else None,
        gender=genders[0] if len(genders) == 1 else None,
        addresses=read("patientAddress", read_address),
        telecoms=read("patientTelecom", read_telecom),
        mothers_maiden_name=maiden[0] if maiden else None,
        minimum_degree=read_degree(degree),
    )
