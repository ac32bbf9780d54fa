"""One community looks for a patient in another, over sockets: our client, our Responding Gateway, and behind it an
affinity domain that knows patients by what was submitted for them (ITI-55)."""

from contextlib import asynccontextmanager

import pytest
from lxml import etree
from msgspec import structs

from gateway.clients.patient_discovery import Asker, PatientDiscovery
from gateway.crossborder.managed_patients import contradicts
from gateway.demo.bundles import provide_bundle
from gateway.hl7v3.discovery_request import write_discovery_request
from gateway.hl7v3.discovery_response import read_discovery_response, write_discovery_response
from gateway.model import Cx, Person
from gateway.model.errors import PeerFault, PeerProtocolError
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
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from tests.soap.wire import http, raw_peer
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

HOME = "urn:oid:2.999.5"
OTHER = "urn:oid:2.999.6"
ANSWERING = {"home_community_id": HOME, "responding_gateway": {"enabled": True}}
HEAD = MessageHead(
    message_id="2.999.6^m",
    created="20240102030405+0000",
    sender=Party("2.999.6", OTHER),
    receiver=Party("2.999.5", HOME),
    query_id="2.999.6^q",
)
NOBODY = PatientQuery(identifiers=(Cx("nobody", "2.999.1"),))


@asynccontextmanager
async def community(tmp_path, **settings):
    """A stack, who looks for patients there, and its peer."""
    async with (
        running_stack(tmp_path, **{**ANSWERING, **settings}) as stack,
        SoapClient(load_contract()) as soap,
    ):
        peer = Peer(
            "community B",
            stack.base_url.removesuffix("/fhir") + "/xca/patients",
            via=(OTHER,),
            max_attempts=1,
        )
        yield stack, PatientDiscovery(soap, peer, Asker(OTHER, "2.999.61"), (HOME,)), soap


async def publish(stack, patient=None):
    patient = patient or a_patient()
    status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
    assert status == 200, answer
    return patient, Cx(patient.id, patient.authority)


async def test_a_patient_with_documents_is_known_by_identifier_with_what_the_documents_say(tmp_path):
    async with community(tmp_path) as (stack, discovery, _):
        patient, identifier = await publish(stack)
        found = await discovery.discover(PatientQuery(identifiers=(identifier,)))
    assert found.status is DiscoveryStatus.MATCHES
    (match,) = found.matches
    assert (match.home_community_id, match.identifier, match.degree) == (HOME, identifier, 100)
    assert [(name.family, name.given) for name in match.names] == [(patient.family, patient.given)]
    assert match.birth_date == patient.birth_date.replace("-", "")


async def test_nobody_is_found_for_an_identifier_without_submission(tmp_path):
    async with community(tmp_path) as (stack, discovery, _):
        await publish(stack)
        assert (await discovery.discover(NOBODY)).status is DiscoveryStatus.NO_MATCH


async def test_an_identifier_that_no_registry_can_hold_is_nobodys(tmp_path):
    async with community(tmp_path) as (stack, discovery, _):
        _, identifier = await publish(stack)
        long = Cx("9" * 1000, "2.999.1")
        assert (
            await discovery.discover(PatientQuery(identifiers=(long,)))
        ).status is DiscoveryStatus.NO_MATCH
        found = await discovery.discover(PatientQuery(identifiers=(long, identifier)))
    assert [match.identifier for match in found.matches] == [identifier]


async def test_several_identifiers_are_several_patients_that_are_not_merged(tmp_path):
    async with community(tmp_path) as (stack, discovery, _):
        (_, first), (_, second) = await publish(stack), await publish(stack)
        found = await discovery.discover(PatientQuery(identifiers=(first, *NOBODY.identifiers, second)))
    assert [match.identifier for match in found.matches] == [first, second]


async def test_demographics_speak_against_a_match_and_find_none_alone(tmp_path):
    async with community(tmp_path) as (stack, discovery, _):
        patient, identifier = await publish(stack)
        birth = patient.birth_date.replace("-", "")
        name = Person(family=patient.family.upper(), given="Somebody")
        query = PatientQuery(identifiers=(identifier,), names=(name,), birth_date=birth[:6])
        statuses = [
            (await discovery.discover(asked)).status
            for asked in (
                query,
                structs.replace(query, birth_date="18000101"),
                structs.replace(query, names=(Person(family="Other"),)),
            )
        ]
        alone = await discovery.discover(structs.replace(query, identifiers=()))
    assert statuses == [DiscoveryStatus.MATCHES, DiscoveryStatus.NO_MATCH, DiscoveryStatus.NO_MATCH]
    assert alone == Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=("AnswerNotAvailable",))


@pytest.mark.parametrize(
    ("asked", "known", "wrong"),
    [("F", "F", False), ("F", "M", True), ("F", None, False), (None, "M", False)],
)
def test_only_what_is_asked_and_known_contradicts(asked, known, wrong):
    match = PatientMatch(home_community_id=HOME, identifier=Cx("a", "2.999.1"), gender=known)
    assert contradicts(PatientQuery(gender=asked), match) is wrong


async def test_a_registry_that_does_not_answer_is_said_to_be_a_problem(tmp_path):
    dead = {"url": "http://127.0.0.1:9/xds/registry", "max_attempts": 1}
    async with community(tmp_path, registry=dead) as (_, discovery, _):
        assert await discovery.discover(NOBODY) == Discovery(
            DiscoveryStatus.CANNOT_ANSWER, codes=("InternalError",)
        )


async def test_a_request_that_says_too_little_is_refused_in_terms_of_the_transaction(tmp_path):
    async with community(tmp_path) as (_, discovery, soap):
        body = write_discovery_request(DiscoveryRequest(HEAD, NOBODY))
        parameter = body.find(".//{*}livingSubjectId")
        parameter.getparent().remove(parameter)
        answer = read_discovery_response(await soap.call(discovery.peer, "ITI-55", body))
        assert (answer.request_id, answer.head.query_id) == (HEAD.message_id, HEAD.query_id)
        assert answer.discovery == Discovery(DiscoveryStatus.REFUSED, codes=("SYN113",))
        queried = body.find(".//{*}queryByParameter")
        queried.getparent().remove(queried)
        with pytest.raises(PeerFault):
            await soap.call(discovery.peer, "ITI-55", body)


async def test_the_answer_repeats_the_query_and_names_both_communities(tmp_path):
    async with community(tmp_path) as (_, discovery, soap):
        body = write_discovery_request(DiscoveryRequest(HEAD, NOBODY))
        answer = await soap.call(discovery.peer, "ITI-55", body)
    asked, repeated = (
        [
            (element.tag, dict(element.attrib), element.text)
            for element in message.find(".//{*}queryByParameter").iter()
        ]
        for message in (body, answer)
    )
    assert repeated == asked
    head = read_discovery_response(answer).head
    assert (head.sender.home_community_id, head.receiver.home_community_id) == (HOME, OTHER)


# --- what other gateways answer -------------------------------------------------------------------------


async def told(change):
    """What the client makes of an answer; `change` takes a DiscoveryAnswer and gives one, or a message."""

    async def respond(request, writer):
        envelope = etree.fromstring(request.body)
        ids = [envelope.find(path).get("root") for path in (".//{*}PRPA_IN201305UV02/{*}id", ".//{*}queryId")]
        head = structs.replace(HEAD, query_id=ids[1])
        answer = change(DiscoveryAnswer(head, ids[0], Discovery(DiscoveryStatus.NO_MATCH)))
        body = answer if isinstance(answer, etree._Element) else write_discovery_response(answer)
        writer.write(http(write_envelope(body, action="urn:x"), "application/soap+xml; charset=UTF-8"))

    async with raw_peer(respond) as raw, SoapClient(load_contract()) as soap:
        client = PatientDiscovery(soap, Peer("community B", raw.url), Asker(OTHER, "2.999.61", "T"), (HOME,))
        return await client.discover(NOBODY), raw.requests


async def test_a_request_says_who_asks_and_what_for():
    found, (request,) = await told(lambda answer: answer)
    assert found == Discovery(DiscoveryStatus.NO_MATCH)
    envelope = etree.fromstring(request.body)
    assert envelope.find(".//{*}sender//{*}representedOrganization/{*}id").get("root") == "2.999.6"
    assert envelope.find(".//{*}assignedDevice/{*}id").get("root") == "2.999.61"
    assert envelope.find(".//{*}processingCode").get("code") == "T"


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: structs.replace(answer, request_id="2.999.404"),
        lambda answer: structs.replace(answer, head=structs.replace(answer.head, query_id="2.999.404")),
        lambda answer: etree.Element("{urn:hl7-org:v3}PRPA_IN201306UV02"),
        lambda answer: structs.replace(
            answer,
            discovery=Discovery(
                DiscoveryStatus.MATCHES,
                (PatientMatch(home_community_id="urn:oid:2.999.7", identifier=Cx("a", "2.999.1")),),
            ),
        ),
    ],
    ids=["to another message", "to another query", "empty", "from another community"],
)
async def test_an_answer_that_is_none_to_the_question_is_an_error_of_the_community(change):
    with pytest.raises(PeerProtocolError, match="ITI-55 to community B"):
        await told(change)
