"""AuditEvents: BALP and the audit profiles of IHE MHD, said in their structure (HAPI judges it elsewhere)."""

import base64

import pytest
from msgspec.structs import replace

from gateway.audit.fhir_event import write_audit_event
from gateway.audit.trail import record_id, time_of_id
from gateway.audit.transactions import TRANSACTIONS
from gateway.model import codes
from tests.audit.samples import ACTOR, HTTP, RECORDED, SOAP, SOURCE_ID, http_record, soap_sample

SIDES = ("client", "server")
MHD = [name for name, what in TRANSACTIONS.items() if what.profiles[0].startswith(codes.MHD_STRUCTURE)]


def written(record):
    return write_audit_event(record, source_id=SOURCE_ID, site="NCP")


def role_of(agent):
    return next(c["code"] for c in agent["type"]["coding"])


def profiles(event):
    return [name.rpartition("/")[2] for name in event["meta"].get("profile", ())]


def test_there_are_the_twelve_profiles_of_mhd():
    named = {written(http_record(name, side))["meta"]["profile"][0] for name in MHD for side in SIDES}
    assert len(named) == 12


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("transaction", HTTP)
def test_a_success_claims_its_profile_and_a_failure_none(transaction, side):
    success = written(http_record(transaction, side))
    failure = written(http_record(transaction, side, failed=True))
    assert success["outcome"] == "0"
    if transaction != "ITI-81":
        assert success["meta"]["profile"]
    assert failure["outcome"] == "8"
    assert failure["outcomeDesc"] == "HTTP 502"
    assert "profile" not in failure["meta"]
    assert [agent["type"] for agent in failure["agent"]] == [agent["type"] for agent in success["agent"]]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("transaction", [*HTTP, *SOAP])
def test_the_recording_side_is_the_observer(transaction, side):
    record = http_record(transaction, side) if transaction in HTTP else soap_sample(transaction, side)[0]
    event = written(record)
    own = event["agent"][0 if side == "client" else 1]
    assert own["who"] == event["source"]["observer"] == {"display": SOURCE_ID}
    assert event["agent"][1 if side == "client" else 0]["who"] != own["who"]


def test_data_flow_to_the_reader_and_to_the_one_who_is_asked():
    for name, client, server in (
        ("ITI-67", "110153", "110152"),
        ("ITI-105", "110153", "110152"),
        ("ITI-65", "110153", "110152"),
        ("ITI-68", "110152", "110153"),
        ("RAD-107", "110152", "110153"),
        ("read ImagingStudy", "110152", "110153"),
        ("search ImagingStudy", "110153", "110152"),
    ):
        event = written(http_record(name, "server"))
        assert [role_of(agent) for agent in event["agent"][:2]] == [client, server], name


def test_the_user_is_who_the_token_says():
    event = written(http_record("ITI-67", "server"))
    user = event["agent"][2]
    assert user["who"]["identifier"] == {"system": "https://login.example", "value": "dr-eva"}
    assert user["requestor"] is True
    assert "network" not in user
    assert user["policy"] == ["urn:ietf:params:oauth:jti:b2f1"]
    assert user["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert {c["code"] for c in user["type"]["coding"]} == {"IRCP", "UserOauthAgent"}
    assert event["agent"][0]["who"]["identifier"] == {"value": "ward-app"}
    assert role_of(event["agent"][3]) == "PROV"
    assert "IHE.BasicAudit.OAUTHaccessTokenUse.Minimal" in profiles(event)
    nameless = written(http_record("ITI-67", "server", actor=replace(ACTOR, statement_id=None)))
    assert "policy" not in nameless["agent"][2]
    assert "IHE.BasicAudit.OAUTHaccessTokenUse.Minimal" not in profiles(nameless)
    saml = written(http_record("ITI-67", "server", actor=replace(ACTOR, assertion=True)))
    assert saml["agent"][2]["policy"] == ["b2f1"]
    assert "IHE.BasicAudit.OAUTHaccessTokenUse.Minimal" not in profiles(saml)


def test_without_a_patient_the_profile_is_one_that_needs_none():
    assert profiles(written(http_record("ITI-67", "server", patient=None, actor=None))) == [
        "IHE.BasicAudit.Query"
    ]
    assert profiles(written(http_record("ITI-68", "server", patient=None, actor=None))) == [
        "IHE.BasicAudit.Read"
    ]


def test_a_query_is_there_as_it_was_sent():
    record = http_record("ITI-66", "server")
    (query,) = (e for e in written(record)["entity"] if "query" in e)
    assert base64.b64decode(query["query"]) == record.query.content
    assert "what" not in query


def test_the_trace_is_an_entity_of_its_own():
    (trace,) = (
        e for e in written(http_record("ITI-68", "server"))["entity"] if e["type"]["code"] == "XrequestId"
    )
    assert trace["what"]["identifier"]["value"] == "3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f"
    assert trace["detail"][0]["valueString"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")


def test_a_record_has_one_id_for_good():
    record = http_record("ITI-68", "server")
    first, again = written(record), written(record)
    assert first == again
    assert first["id"] == first["meta"]["tag"][0]["code"] == record.id


def test_the_time_is_in_the_id():
    assert time_of_id(record_id(RECORDED)) == pytest.approx(RECORDED, abs=0.001)
    assert time_of_id("3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f") is None
    assert time_of_id("x") is None
    assert len({record_id(RECORDED) for _ in range(100)}) == 100
