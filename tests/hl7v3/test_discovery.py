"""Messages of patient discovery: valid under the schemas of HL7, read back as they were written, read widely
(ITI-55)."""

import copy
import os
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from msgspec import structs

from gateway.hl7v3.discovery_request import read_discovery_request, write_discovery_request
from gateway.hl7v3.discovery_response import read_discovery_response, write_discovery_response
from gateway.hl7v3.errors import Hl7v3Error
from gateway.model import Cx, Person
from gateway.model.identity import (
    Discovery,
    DiscoveryAnswer,
    DiscoveryRequest,
    DiscoveryStatus,
    MessageHead,
    Party,
    PatientMatch,
    PatientQuery,
)
from gateway.model.metadata import Address, Telecom

ROOT = Path(__file__).parents[2]
ORACLE = Path(os.environ.get("GATEWAY_ORACLE", ROOT.parent / "shared" / "oracle"))
PUBLISHED = ORACLE / "xsd-hl7v3" / "multicacheschemas"
OURS = ROOT / "wsdl" / "xsd" / "hl7v3.xsd"
published = pytest.mark.skipif(not PUBLISHED.exists(), reason="the published schemas are not here")

HEAD = MessageHead(
    message_id="2.999.1^1",
    created="20240102030405+0000",
    sender=Party("2.999.11", "urn:oid:2.999.1"),
    receiver=Party("2.999.22", "urn:oid:2.999.2"),
    query_id="2.999.1^q1",
)
BY_ID = PatientQuery(identifiers=(Cx("P-1", "2.999.3"),))
MATCH = PatientMatch(home_community_id="urn:oid:2.999.2", identifier=Cx("P-9", "2.999.4"))
V3 = "{urn:hl7-org:v3}"


@pytest.fixture(scope="module")
def schemas():
    return {
        name: etree.XMLSchema(file=str(PUBLISHED / f"{name}.xsd"))
        for name in ("PRPA_IN201305UV02", "PRPA_IN201306UV02")
    }


def assert_valid(schemas, message):
    schema = schemas[etree.QName(message).localname]
    # as it is on the wire
    schema.assertValid(etree.fromstring(etree.tostring(message)))


# --- what there is to write -----------------------------------------------------------------------------

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=12
).filter(lambda text: text == text.strip() and text and "￾" not in text and "￿" not in text)
oids = st.lists(st.integers(0, 9999), min_size=1, max_size=5).map(
    lambda arcs: ".".join(["2", *map(str, arcs)])
)
ids = st.tuples(oids, st.none() | texts.filter(lambda t: "^" not in t)).map(
    lambda parts: "^".join(part for part in parts if part)
)
cxs = st.builds(Cx, texts, oids)
maybe = st.none() | texts
names = st.builds(Person, family=maybe, given=texts, further_given=maybe, suffix=maybe, prefix=maybe)
addresses = st.builds(
    Address, street=texts, other=maybe, city=maybe, state=maybe, postal_code=maybe, country=maybe
)
phones = st.text(string.digits + "+ -", min_size=1, max_size=12).filter(lambda t: t == t.strip() and t)
telecoms = st.builds(
    Telecom,
    phones,
    st.sampled_from(("phone", "fax", "email")),
    st.sampled_from((None, "home", "work", "mobile")),
)
dates = st.dates().map(lambda day: f"{day:%Y%m%d}".zfill(8))
genders = st.none() | st.sampled_from(("M", "F", "UN"))
degrees = st.none() | st.integers(0, 100)


def some(values, least=0):
    return st.lists(values, min_size=least, max_size=3, unique=True).map(tuple)


heads = st.builds(
    MessageHead,
    message_id=ids,
    created=st.just("20240102030405.123+0100"),
    sender=st.builds(Party, ids, st.none() | oids.map("urn:oid:{}".format)),
    receiver=st.builds(Party, ids, st.none() | oids.map("urn:oid:{}".format)),
    query_id=ids,
    processing=st.sampled_from("PTD"),
)
demographics = {
    "gender": genders,
    "addresses": some(addresses),
    "telecoms": some(telecoms),
}
queries = st.builds(
    PatientQuery,
    identifiers=some(cxs),
    names=some(names, 1),
    birth_date=dates,
    mothers_maiden_name=st.none() | names,
    minimum_degree=degrees,
    **demographics,
) | st.builds(PatientQuery, identifiers=some(cxs, 1), **demographics)
requests = st.builds(DiscoveryRequest, heads, queries, st.none() | oids)
matches = st.builds(
    PatientMatch,
    home_community_id=oids.map("urn:oid:{}".format),
    identifier=cxs,
    other_identifiers=st.lists(cxs, max_size=3).map(tuple),
    names=st.lists(names, max_size=2).map(tuple),
    birth_date=st.none() | dates,
    degree=degrees,
    gender=genders,
    addresses=st.lists(addresses, max_size=2).map(tuple),
    telecoms=st.lists(telecoms, max_size=2).map(tuple),
)
codes = st.lists(st.sampled_from(("ResponderBusy", "InternalError", "SYN113")), min_size=1, max_size=2).map(
    tuple
)
discoveries = st.one_of(
    st.lists(matches, min_size=1, max_size=3).map(lambda m: Discovery(DiscoveryStatus.MATCHES, tuple(m))),
    codes.map(lambda c: Discovery(DiscoveryStatus.MORE_ASKED, codes=c)),
    codes.map(lambda c: Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=c)),
    codes.map(lambda c: Discovery(DiscoveryStatus.REFUSED, codes=c)),
    st.just(Discovery(DiscoveryStatus.NO_MATCH)),
)
answers = st.builds(DiscoveryAnswer, heads, ids, discoveries)


@given(requests)
def test_a_request_is_read_as_it_was_written(request_):
    assert read_discovery_request(write_discovery_request(request_)) == request_


@given(answers)
def test_an_answer_is_read_as_it_was_written(answer):
    assert read_discovery_response(write_discovery_response(answer)) == answer


@published
@settings(max_examples=40)
@given(request_=requests, answer=answers)
def test_what_is_written_is_valid_under_the_schemas_of_hl7(schemas, request_, answer):
    message = write_discovery_request(request_)
    assert_valid(schemas, message)
    query = message.find(f".//{V3}queryByParameter")
    assert_valid(schemas, write_discovery_response(answer, query))


# --- our own schema -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_schema():
    return etree.XMLSchema(file=str(OURS))


@settings(max_examples=40)
@given(request_=requests, answer=answers)
def test_what_is_written_is_valid_under_our_own_schema(own_schema, request_, answer):
    message = write_discovery_request(request_)
    query = message.find(f".//{V3}queryByParameter")
    for written in (message, write_discovery_response(answer, query)):
        own_schema.assertValid(etree.fromstring(etree.tostring(written)))


def damage(message, random):
    """One change to a message, anywhere; not to xsi:type, which a schema cannot ask for."""
    element = random.choice([e for e in message.iter() if e is not message])
    parent = element.getparent()
    names = [name for name in element.attrib if not name.startswith("{")]
    change = random.choice(("drop", "double", "swap", "attribute", "value", "text", "rename"))
    if change == "drop":
        parent.remove(element)
    elif change == "double":
        parent.append(copy.deepcopy(element))
    elif change == "swap":
        parent.insert(0, element)
    elif change == "text":
        element.text = "text"
    elif change == "rename":
        element.tag = random.choice([e.tag for e in message.iter()])
    elif names and change == "attribute":
        del element.attrib[random.choice(names)]
    elif names:
        element.set(random.choice(names), random.choice(("", " ", "1", "AA", "2.999", "x y", "-1")))


@published
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(request_=requests, answer=answers, random=st.randoms(use_true_random=False))
def test_what_is_valid_under_our_own_schema_is_valid_under_those_of_hl7(
    schemas, own_schema, request_, answer, random
):
    message = write_discovery_request(request_)
    query = message.find(f".//{V3}queryByParameter")
    for written in (message, write_discovery_response(answer, query)):
        damage(written, random)
        parsed = etree.fromstring(etree.tostring(written))
        if own_schema.validate(parsed):
            assert_valid(schemas, parsed)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(request_=requests, answer=answers, random=st.randoms(use_true_random=False))
def test_a_damaged_message_is_read_or_refused_and_nothing_else(request_, answer, random):
    for message, read in (
        (write_discovery_request(request_), read_discovery_request),
        (write_discovery_response(answer), read_discovery_response),
    ):
        for _ in range(3):
            damage(message, random)
        try:
            read(message)
        except Hl7v3Error:
            continue


def test_our_own_schema_refuses_what_is_not_written(own_schema):
    for path in ("queryId", "semanticsText", "sender", "livingSubjectId/{urn:hl7-org:v3}value"):
        message = changed(write_discovery_request(DiscoveryRequest(HEAD, BY_ID)), drop(f".//{V3}{path}"))
        assert not own_schema.validate(message), path


def test_an_answer_repeats_the_query_as_it_was_asked():
    asked = write_discovery_request(DiscoveryRequest(HEAD, BY_ID)).find(f".//{V3}queryByParameter")
    answer = DiscoveryAnswer(HEAD, HEAD.message_id, Discovery(DiscoveryStatus.NO_MATCH))
    written = write_discovery_response(answer, asked)
    assert etree.tostring(written.find(f".//{V3}queryByParameter")) == etree.tostring(asked)
    assert asked.getparent() is not None


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        PatientQuery(),
        PatientQuery(names=(Person(family="Muster"),)),
        PatientQuery(birth_date="19700101"),
        PatientQuery(identifiers=(Cx("P", "no oid"),)),
        PatientQuery(identifiers=(Cx("", "2.999.3"),)),
        structs.replace(BY_ID, gender="X"),
        structs.replace(BY_ID, names=(Person(id="1"),)),
        structs.replace(BY_ID, birth_date="January"),
        structs.replace(BY_ID, addresses=(Address(),)),
    ],
)
def test_what_may_not_be_asked_is_not_written(query):
    with pytest.raises(Hl7v3Error) as caught:
        write_discovery_request(DiscoveryRequest(HEAD, query))
    assert "Muster" not in str(caught.value)


@pytest.mark.parametrize(
    "discovery",
    [
        Discovery(DiscoveryStatus.MATCHES),
        Discovery(DiscoveryStatus.NO_MATCH, (MATCH,)),
        Discovery(DiscoveryStatus.MORE_ASKED),
        Discovery(DiscoveryStatus.CANNOT_ANSWER),
    ],
)
def test_an_answer_that_contradicts_itself_is_not_written(discovery):
    with pytest.raises(Hl7v3Error):
        write_discovery_response(DiscoveryAnswer(HEAD, "2.999.1", discovery))


def changed(message, change):
    whole = copy.deepcopy(message)
    change(whole)
    return whole


def drop(path):
    def change(message):
        element = message.find(path)
        element.getparent().remove(element)

    return change


@pytest.mark.parametrize(
    "path", [f"{V3}id", f".//{V3}queryId", f".//{V3}livingSubjectId", f"{V3}controlActProcess"]
)
def test_a_request_without_what_it_needs_is_refused(path):
    with pytest.raises(Hl7v3Error):
        read_discovery_request(changed(write_discovery_request(DiscoveryRequest(HEAD, BY_ID)), drop(path)))


@pytest.mark.parametrize(
    "path",
    [
        f"{V3}id",
        f".//{V3}queryAck",
        f"{V3}acknowledgement",
        f".//{V3}targetMessage",
        f".//{V3}custodian",
        f".//{V3}patient/{V3}id",
        f".//{V3}subject1",
    ],
)
def test_an_answer_without_what_it_needs_is_refused(path):
    answer = DiscoveryAnswer(HEAD, HEAD.message_id, Discovery(DiscoveryStatus.MATCHES, (MATCH,)))
    with pytest.raises(Hl7v3Error):
        read_discovery_response(changed(write_discovery_response(answer), drop(path)))


def test_a_request_is_no_answer_and_an_answer_no_request():
    request = write_discovery_request(DiscoveryRequest(HEAD, BY_ID))
    with pytest.raises(Hl7v3Error):
        read_discovery_response(request)
    answer = DiscoveryAnswer(HEAD, HEAD.message_id, Discovery(DiscoveryStatus.NO_MATCH))
    with pytest.raises(Hl7v3Error):
        read_discovery_request(write_discovery_response(answer))


# --- what others write ----------------------------------------------------------------------------------


def query_of(parameters: str) -> PatientQuery:
    message = write_discovery_request(DiscoveryRequest(HEAD, BY_ID))
    old = message.find(f".//{V3}parameterList")
    new = etree.fromstring(f'<v:parameterList xmlns:v="urn:hl7-org:v3">{parameters}</v:parameterList>')
    old.getparent().replace(old, new)
    return read_discovery_request(message).query


def test_several_identifiers_in_one_parameter_and_a_capital_in_its_name_are_read():
    ids = '<v:value root="2.999.3" extension="a"/><v:value root="urn:oid:2.999.4" extension=" b "/>'
    for name in ("livingSubjectId", "LivingSubjectId"):
        found = query_of(f"<v:{name}>{ids}<v:semanticsText>LivingSubject..id</v:semanticsText></v:{name}>")
        assert found.identifiers == (Cx("a", "2.999.3"), Cx("b", "2.999.4"))


def test_a_birth_time_may_be_an_interval_of_one_day():
    name = "<v:livingSubjectName><v:value><v:family>F</v:family></v:value></v:livingSubjectName>"
    birth = '<v:livingSubjectBirthTime><v:value><v:low value="1970"/><v:high value="{}"/></v:value></v:livingSubjectBirthTime>'
    assert query_of(name + birth.format("1970")).birth_date == "1970"
    with pytest.raises(Hl7v3Error):
        query_of(name + birth.format("1980"))


@pytest.mark.parametrize("value", ["101", "-1", "9" * 5000, "²", ""])
def test_a_degree_beyond_its_scale_is_not_read(value):
    query = structs.replace(BY_ID, minimum_degree=50)
    message = write_discovery_request(DiscoveryRequest(HEAD, query))
    message.find(f".//{V3}minimumDegreeMatch/{V3}value").set("value", value)
    assert read_discovery_request(message).query == BY_ID


def test_an_answer_that_asks_for_more_is_not_one_that_knows_nobody():
    asking = Discovery(DiscoveryStatus.MORE_ASKED, codes=("PatientAddressRequested",))
    message = write_discovery_response(DiscoveryAnswer(HEAD, HEAD.message_id, asking))
    assert message.findtext(f".//{V3}subject") is None
    assert message.find(f".//{V3}queryResponseCode").get("code") == "OK"
    assert read_discovery_response(message).discovery == asking


def test_the_older_mood_of_a_match_and_a_name_without_value_are_read():
    answer = DiscoveryAnswer(
        HEAD, HEAD.message_id, Discovery(DiscoveryStatus.MATCHES, (structs.replace(MATCH, degree=95),))
    )
    message = write_discovery_response(answer)
    message.find(f".//{V3}queryMatchObservation").set("classCode", "COND")
    assert message.find(f".//{V3}patientPerson/{V3}name").get("nullFlavor") == "NA"
    assert read_discovery_response(message) == answer
