"""No transaction is forgotten: each has a record on both sides, of success and of failure, that is valid."""

from collections.abc import Iterator

import pytest
from aiohttp import web

from gateway.app import create_app
from gateway.audit.fhir_event import write_audit_event
from gateway.audit.record import Outcome
from gateway.audit.trail import event_record
from gateway.audit.transactions import BY_ITSELF, EVENTS, TRANSACTIONS, described
from gateway.mhd import auditing
from gateway.settings import Settings
from gateway.soap.contract import load_contract
from gateway.wiring.parts import open_parts
from tests.audit.samples import (
    CLIENT,
    GATEWAY,
    HTTP,
    RECORDED,
    REMOVED,
    SIDES,
    SOAP,
    SOURCE_ID,
    http_record,
    soap_sample,
)
from tests.audit.test_dicom_message import schema, written

__all__ = ["schema"]
WITHOUT_RECORD = {
    ("GET", "/fhir/metadata"),
    ("GET", "/fhir/$versions"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/fhir/.well-known/smart-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/oauth-authorization-server/fhir"),
    ("GET", "/.well-known/smart-configuration"),
    ("GET", "/fhir/auth/jwks"),
    ("GET", "/fhir/SearchParameter"),
    ("GET", "/fhir/SearchParameter/{id}"),
    ("POST", "/fhir/SearchParameter/_search"),
    ("GET", "/fhir/OperationDefinition"),
    ("GET", "/fhir/OperationDefinition/{id}"),
    ("POST", "/fhir/OperationDefinition/_search"),
}
"""What says nothing of a patient."""


def sample(transaction: str, side: str, *, failed: bool):
    """Records of a transaction as the gateway makes them."""
    if transaction in HTTP:
        return [http_record(transaction, side, failed=failed)]
    return soap_sample(transaction, side, failure="no connection" if failed else None)


def test_what_the_gateway_can_say_by_soap_has_a_description_in_the_records():
    spoken = set(load_contract().transactions)
    assert spoken <= set(SOAP), spoken - set(SOAP)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("transaction", sorted(TRANSACTIONS))
def test_each_transaction_has_a_valid_message_on_each_side(schema, transaction, failed, side):
    records = sample(transaction, side, failed=failed)
    assert records
    for record in records:
        message = written(record)
        schema.assertValid(message)
        outcome = message.find("EventIdentification").get("EventOutcomeIndicator")
        assert (outcome == "0") is not failed
        kind = message.find("EventIdentification/EventTypeCode")
        assert kind.get("csd-code") == transaction
        assert len(message.findall("ActiveParticipant")) >= 2


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("transaction", sorted(TRANSACTIONS))
def test_each_success_names_what_it_was_about(transaction, side):
    for record in sample(transaction, side, failed=False):
        event = write_audit_event(record, source_id=SOURCE_ID)
        kinds = {entity["type"]["code"] for entity in event["entity"]}
        assert kinds - {"XrequestId"}, transaction


def test_removed_metadata_are_named_by_their_entry_uuids():
    (record,) = soap_sample("ITI-62", "client")
    assert [document.unique_id for document in record.documents] == [REMOVED]


def event_of(event: str):
    if event in BY_ITSELF:
        return event_record(event, RECORDED, GATEWAY, GATEWAY)
    return event_record(
        event,
        RECORDED,
        CLIENT,
        GATEWAY,
        url="https://ncp.example/fhir/content/x",
        reason="not given out here",
    )


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_each_event_of_the_gateway_itself_has_a_valid_message(schema, event):
    record = event_of(event)
    message = written(record)
    schema.assertValid(message)
    what = described(event)
    identification = message.find("EventIdentification")
    assert identification.find("EventID").get("csd-code") == what.event[0]
    kind = identification.find("EventTypeCode")
    assert (kind.get("csd-code"), kind.get("codeSystemName")) == (what.dicom_type, "DCM")
    assert (record.outcome == Outcome.SUCCESS) is (event in BY_ITSELF)
    assert len(message.findall("ActiveParticipant")) == (1 if event in BY_ITSELF else 2)


@pytest.fixture
async def application(tmp_path):
    settings = Settings(
        state_dir=tmp_path,
        registry={"url": "http://127.0.0.1:9/registry"},
        repositories=[{"unique_id": "2.999.10.1", "url": "http://127.0.0.1:9/repository"}],
        home_community_id="2.999.60.1",
        security={
            "access": "token",
            "authorisation_server": {
                "clients": {"ward": {"jwks_url": "http://127.0.0.1:9/jwks", "scopes": ["system/*.rs"]}}
            },
        },
        xds_server={"enabled": True},
        responding_gateway={"enabled": True},
        imaging={"rad69_server": True},
    )
    async with open_parts(settings) as parts:
        yield create_app(settings, parts, "http://127.0.0.1:9/fhir")[0]


def routes(application: web.Application) -> Iterator[tuple[str, str, str]]:
    """Method, route and a resource type for each route of the shared base."""
    for route in application.router.routes():
        path = route.resource.canonical if route.resource else ""
        if route.method in {"HEAD", "*"} or path.startswith(("/fhir/R4", "/fhir/R5", "/console")):
            continue
        yield route.method, path, "ImagingStudy" if "{type}" in path else ""


async def test_each_route_is_recorded_unless_it_says_nothing_of_a_patient(application):
    left_out = {
        (method, path)
        for method, path, kind in routes(application)
        if auditing.recorded_as(method, path, kind) is None
    }
    assert left_out <= WITHOUT_RECORD, left_out - WITHOUT_RECORD


async def test_each_route_has_a_record_of_the_kind_that_it_is(application, schema):
    names = {auditing.recorded_as(*each) for each in routes(application)} - {None}
    served = {
        "ITI-65",
        "ITI-66",
        "ITI-67",
        "ITI-68",
        "ITI-71",
        "ITI-78",
        "ITI-81",
        "ITI-105",
        "ITI-106",
        "ITI-119",
    }
    assert served | {"RAD-107", "RAD-129"} <= names
    for name in names:
        what = described(name)
        if not what.is_transaction:
            assert what.basic in {"Query", "Read"}, name
            assert what.basic == "Query" or not name.startswith("search"), name
        schema.assertValid(written(http_record(name, "server")))
