"""DICOM audit messages: valid under the schema of DICOM, with the codes of ITI TF-2 and the two sides as they
are, whatever is in the values."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from gateway.audit.dicom_message import write_audit_message
from gateway.audit.record import Party
from gateway.model import Cx
from tests.audit.samples import ACTOR, HTTP, PATIENT, SOAP, SOURCE_ID, http_record, soap_sample

SCHEMA = Path(__file__).resolve().parents[3] / "shared/oracle/xsd/dicom-audit-2017c.xsd"
SIDES = ("client", "server")


@pytest.fixture(scope="module")
def schema():
    if not SCHEMA.is_file():
        pytest.skip("the schema of DICOM audit messages is not here")
    return etree.XMLSchema(file=str(SCHEMA))


def written(record):
    return etree.fromstring(write_audit_message(record, source_id=SOURCE_ID, site="NCP"))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("failure", [None, "no connection"])
@pytest.mark.parametrize("transaction", SOAP)
def test_exchanges_of_soap_are_valid(schema, transaction, failure, side):
    for record in soap_sample(transaction, side, failure=failure):
        schema.assertValid(written(record))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("transaction", [*HTTP, "search ImagingStudy", "read List", "WADO-RS metadata"])
def test_requests_of_fhir_and_dicomweb_are_valid(schema, transaction, failed, side):
    schema.assertValid(written(http_record(transaction, side, failed=failed)))


TABLE = [
    # transaction, side, EventID, action, text, roles of source and destination by UserID
    ("ITI-18", "client", "110112", "E", "Registry Stored Query", "client"),
    ("ITI-18", "server", "110112", "E", "Registry Stored Query", "client"),
    ("ITI-38", "client", "110112", "E", "Cross Gateway Query", "client"),
    ("ITI-38", "server", "110112", "E", "Cross Gateway Query", "client"),
    ("ITI-43", "client", "110107", "C", "Retrieve Document Set", "server"),
    ("ITI-43", "server", "110106", "R", "Retrieve Document Set", "server"),
    ("ITI-39", "client", "110107", "C", "Cross Gateway Retrieve", "server"),
    ("ITI-39", "server", "110106", "R", "Cross Gateway Retrieve", "server"),
    ("ITI-41", "client", "110106", "R", "Provide and Register Document Set-b", "client"),
    ("ITI-41", "server", "110107", "C", "Provide and Register Document Set-b", "client"),
    ("ITI-55", "client", "110112", "E", "Cross Gateway Patient Discovery", "client"),
    ("ITI-55", "server", "110112", "E", "Cross Gateway Patient Discovery", "client"),
    ("RAD-68", "client", "110106", "R", "Provide and Register Imaging Document Set - MTOM/XOP", "client"),
    ("RAD-69", "client", "110103", "C", "Retrieve Imaging Document Set", "server"),
    ("RAD-69", "server", "110104", "R", "Retrieve Imaging Document Set", "server"),
    ("RAD-75", "client", "110103", "C", "Cross Gateway Retrieve Imaging Document Set", "server"),
    ("RAD-75", "server", "110104", "R", "Cross Gateway Retrieve Imaging Document Set", "server"),
]


@pytest.mark.parametrize(("transaction", "side", "event", "action", "text", "source"), TABLE)
def test_codes_and_roles_of_each_transaction(transaction, side, event, action, text, source):
    record = soap_sample(transaction, side)[0]
    message = written(record)
    identification = message.find("EventIdentification")
    assert identification.find("EventID").get("csd-code") == event
    assert identification.get("EventActionCode") == action
    kind = identification.find("EventTypeCode")
    assert (kind.get("csd-code"), kind.get("originalText")) == (transaction, text)
    assert kind.get("codeSystemName") == "IHE Transactions"
    roles = {
        role.get("csd-code"): participant
        for participant in message.findall("ActiveParticipant")
        for role in participant.findall("RoleIDCode")
    }
    ends = {"client": record.client, "server": record.server}
    other = "server" if source == "client" else "client"
    assert roles["110153"].get("UserID") == ends[source].id
    assert roles["110152"].get("UserID") == ends[other].id
    for end in ("110153", "110152"):
        assert roles[end].get("NetworkAccessPointTypeCode") in {"1", "2"}
        assert roles[end].get("UserIsRequestor") == "false", "the user asks"
    own = roles["110153" if side == source else "110152"]
    assert own.get("AlternativeUserID") == "4711"


def details(message, unique_id):
    (item,) = (
        item
        for item in message.iter("ParticipantObjectIdentification")
        if item.get("ParticipantObjectID") == unique_id
    )
    return {
        d.get("type"): base64.b64decode(d.get("value")).decode() for d in item.iter("ParticipantObjectDetail")
    }


@pytest.mark.parametrize(
    ("transaction", "name"),
    [
        ("ITI-18", "urn:ihe:iti:xca:2010:homeCommunityId"),
        ("ITI-38", "urn:ihe:iti:xca:2010:homeCommunityId"),
        ("ITI-39", "ihe:homeCommunityID"),
        ("ITI-43", "ihe:homeCommunityID"),
        ("ITI-55", "ihe:homeCommunityID"),
        ("RAD-69", "ihe:homeCommunityID"),
        ("RAD-75", "urn:ihe:iti:xca:2010:homeCommunityId"),
    ],
)
def test_the_community_has_the_name_that_the_transaction_gives_it(transaction, name):
    message = written(soap_sample(transaction, "client")[0])
    found = {
        d.get("type"): base64.b64decode(d.get("value")).decode()
        for d in message.iter("ParticipantObjectDetail")
    }
    assert found[name] == "urn:oid:2.999.60.2"
    assert len([key for key in found if "ommunity" in key]) == 1


def test_documents_have_their_repository_and_queries_are_whole():
    message = written(soap_sample("ITI-43", "server")[0])
    assert details(message, "2.999.2.2")["Repository Unique Id"] == "2.999.10.1"
    record = soap_sample("ITI-18", "server")[0]
    (query,) = written(record).iter("ParticipantObjectQuery")
    assert base64.b64decode(query.text) == record.query.content


def test_the_user_is_named_with_purpose_and_roles():
    message = written(http_record("ITI-67", "server"))
    (human,) = (p for p in message.iter("ActiveParticipant") if p.get("UserName"))
    assert human.get("UserName") == "ward-app<dr-eva@https://login.example>"
    assert human.get("UserIsRequestor") == "true"
    assert human.find("RoleIDCode").get("csd-code") == "221"
    assert message.find("EventIdentification/PurposeOfUse").get("csd-code") == "TREAT"
    saml = http_record("ITI-67", "server", actor=replace(ACTOR, assertion=True))
    assert any(
        p.get("UserName") == "<dr-eva@https://login.example>" for p in written(saml).iter("ActiveParticipant")
    )


def test_without_a_user_the_system_asks():
    participants = written(http_record("ITI-67", "server", actor=None)).findall("ActiveParticipant")
    assert [p.get("UserIsRequestor") for p in participants] == ["true", "false"]


def test_the_patient_is_a_cx_and_the_trace_is_there():
    message = written(http_record("ITI-67", "server"))
    ids = [item.get("ParticipantObjectID") for item in message.iter("ParticipantObjectIdentification")]
    assert "Müller\\S\\7^^^&2.999.1.1&ISO" in ids
    assert "3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f" in ids
    assert "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" in ids


@given(text=st.text(max_size=40), oid=st.from_regex(r"[0-2](\.[1-9]){1,5}", fullmatch=True))
def test_whatever_a_value_is_the_message_is_valid(schema, text, oid):
    record = http_record(
        "ITI-68",
        "server",
        patient=Cx(text, oid),
        client=Party(text, text),
        actor=replace(ACTOR, subject=text, name=text),
        outcome_text=text,
    )
    schema.assertValid(written(record))
    assert PATIENT.id not in etree.tostring(written(record), encoding="unicode")
