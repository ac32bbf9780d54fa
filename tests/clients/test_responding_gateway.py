"""The client of Responding Gateways against what they answer, over sockets: homeCommunityId by the letter."""

import pytest
from lxml import etree
from msgspec import structs

from gateway.clients.quirks import CommunityQuirks
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.ebxml.query_response import write_query_response
from gateway.model import (
    Association,
    Cx,
    DocumentEntry,
    DocumentRequest,
    ObjectRef,
    QueryResult,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
    Severity,
)
from gateway.model.codes import HAS_MEMBER
from gateway.model.errors import PeerProtocolError
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.query import FindDocuments
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from tests.clients.test_repository import document, error, packaged, retrieved
from tests.soap.wire import answering, http, include, raw_peer

HOME = "urn:oid:2.999.5"
FURTHER = "urn:oid:2.999.51"
OTHER = "urn:oid:2.999.6"
QUERY = FindDocuments(patient_id=Cx("P", "2.999.1"))
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001", unique_id="2.999.2.1", home_community_id=HOME
)
RELATION = Association(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000002",
    type=HAS_MEMBER,
    source="urn:uuid:00000000-0000-4000-8000-000000000003",
    target=ENTRY.entry_uuid,
)
ASKED = DocumentRequest("2.999.1", "2.999.2.1", HOME)
HOME_ELEMENT = f"<HomeCommunityId>{HOME}</HomeCommunityId>"


def says(status=ResponseStatus.SUCCESS, **content) -> bytes:
    body = write_query_response(QueryResult(status=status, **content))
    return http(write_envelope(body, action="urn:x"), "application/soap+xml; charset=UTF-8")


async def told(respond: bytes, act, **quirks):
    """What `act` makes of a gateway that always answers so, and the requests that reached it."""
    async with raw_peer(answering(respond)) as raw, SoapClient(load_contract()) as soap:
        peer = Peer("community B", raw.url, via=("urn:oid:2.999.9",))
        client = RespondingGateway(
            soap,
            load_contract(),
            CommunityPeers(peer, peer, peer),
            HOME,
            further_homes=(FURTHER,),
            quirks=CommunityQuirks(**quirks),
        )
        return await act(client), raw.requests


async def query(client):
    return await client.query(QUERY)


async def retrieve(client):
    async with client.retrieve(structs.replace(ASKED, home_community_id=None)) as found:
        return found.header, b"".join([chunk async for chunk in found.chunks])


async def test_a_query_names_the_community_and_where_it_comes_from():
    _, (request,) = await told(says(), query)
    envelope = etree.fromstring(request.body)
    assert envelope.find(".//{*}AdhocQuery").get("home") == HOME
    assert envelope.findtext(".//{*}Via/{*}HomeCommunityId") == "urn:oid:2.999.9"
    assert envelope.findtext(".//{*}Action") == "urn:ihe:iti:2007:CrossGatewayQuery"


@pytest.mark.parametrize("home", [HOME, FURTHER])
async def test_objects_of_the_community_are_taken(home):
    entry = structs.replace(ENTRY, home_community_id=home)
    found, _ = await told(says(entries=(entry,)), query)
    assert found.entries == (entry,)


@pytest.mark.parametrize(
    "content",
    [
        {"entries": (ENTRY, structs.replace(ENTRY, home_community_id=None))},
        {"object_refs": (ObjectRef(ENTRY.entry_uuid),)},
        {"entries": (structs.replace(ENTRY, home_community_id=OTHER),)},
    ],
    ids=["an entry without home", "a reference without home", "an entry of another community"],
)
async def test_an_answer_that_does_not_say_whose_it_is_is_an_error_of_the_community(content):
    with pytest.raises(PeerProtocolError, match=r"community B: .*homeCommunityId"):
        await told(says(**content), query)


async def test_an_association_may_lack_it():
    found, _ = await told(says(entries=(ENTRY,), associations=(RELATION,)), query)
    assert [association.home_community_id for association in found.associations] == [HOME]


async def test_a_community_known_to_leave_it_out_is_taken_at_its_word():
    entry = structs.replace(ENTRY, home_community_id=None)
    found, _ = await told(says(entries=(entry,)), query, missing_home="assume")
    assert found.entries == (ENTRY,)
    with pytest.raises(PeerProtocolError):
        other = structs.replace(ENTRY, home_community_id=OTHER)
        await told(says(entries=(other,)), query, missing_home="assume")


async def test_a_patient_that_it_does_not_know_is_an_empty_answer():
    unknown = RegistryError("XDSUnknownPatientId", "who?", Severity.ERROR, HOME)
    found, _ = await told(says(ResponseStatus.FAILURE, errors=(unknown,)), query)
    assert (found.status, found.empty, found.errors) == (ResponseStatus.SUCCESS, True, ())
    found, _ = await told(says(ResponseStatus.PARTIAL, errors=(unknown,), entries=(ENTRY,)), query)
    assert (found.status, found.entries, found.errors) == (ResponseStatus.SUCCESS, (ENTRY,), ())
    busy = RegistryError("XDSRegistryBusy", "later", Severity.ERROR, HOME)
    with pytest.raises(RegistryFailure):
        await told(says(ResponseStatus.FAILURE, errors=(unknown, busy)), query)


async def test_an_error_without_location_is_one_of_the_community():
    errors = (RegistryError("XDSRegistryBusy", "later"),)
    found, _ = await told(says(ResponseStatus.PARTIAL, errors=errors, entries=(ENTRY,)), query)
    assert [error.location for error in found.errors] == [HOME]


async def test_a_document_is_asked_for_in_its_community_and_comes_with_it():
    answer = packaged(
        retrieved("Success", document(ASKED.document_unique_id, include("cid:a@peer"), home=HOME_ELEMENT)),
        a=b"\r\nbytes\0",
    )
    (header, content), (request,) = await told(answer, retrieve)
    assert (header.home_community_id, content) == (HOME, b"\r\nbytes\0")
    assert f"HomeCommunityId>{HOME}<".encode() in request.body
    assert b"urn:ihe:iti:2007:CrossGatewayRetrieve" in request.body


@pytest.mark.parametrize("home", ["", f"<HomeCommunityId>{OTHER}</HomeCommunityId>"])
async def test_a_document_that_does_not_say_whose_it_is_is_an_error_of_the_community(home):
    answer = packaged(
        retrieved("Success", document(ASKED.document_unique_id, include("cid:a@peer"), home=home)), a=b"x"
    )
    with pytest.raises(PeerProtocolError, match=r"ITI-39 to community B: .*homeCommunityId"):
        await told(answer, retrieve)


async def test_an_error_whose_location_is_the_community_belongs_to_what_did_not_come():
    with pytest.raises(RegistryFailure) as caught:
        await told(packaged(retrieved("Failure", errors=(error("XDSUnknownRepositoryId", HOME),))), retrieve)
    assert (caught.value.transaction, caught.value.peer) == ("ITI-39", "community B")
    assert [e.code for e in caught.value.errors] == ["XDSUnknownRepositoryId"]


async def test_images_are_asked_for_in_their_community():
    async def images(client):
        wanted = SeriesWanted("2.999.2", "2.999.3", ("2.999.4",), RetrieveLocation(uid="2.999.1"))
        with pytest.raises(RegistryFailure):
            async with client.images([wanted]):
                pass

    refusal = packaged(retrieved("Failure", errors=(error("XDSDocumentUniqueIdError", HOME),)))
    _, (request,) = await told(refusal, images)
    assert f"HomeCommunityId>{HOME}<".encode() in request.body
    assert b"urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet" in request.body


async def test_a_request_for_another_community_is_not_sent():
    async def wrong(client):
        with pytest.raises(ValueError, match="another community"):
            client.retrieve(structs.replace(ASKED, home_community_id=OTHER))

    _, requests = await told(b"", wrong)
    assert requests == []
