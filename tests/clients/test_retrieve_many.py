"""Many small documents of one repository (ITI-43), over real sockets and with peers that have their ways."""

import asyncio
import base64
import re
from collections.abc import Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.clients.quirks import RepositoryQuirks
from gateway.clients.repository import DocumentRepository, WholeDocument
from gateway.model import DocumentRequest, RegistryFailure
from gateway.model.errors import PeerDisconnected, PeerProtocolError
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.clients.test_repository import REFUSED, document, error, packaged, response, retrieved
from tests.soap.wire import answering, envelope, http, include, raw_peer

SOAP = "application/soap+xml; charset=UTF-8"
HELD = {f"2.999.2.{n}": f"content {n}\r\n".encode() for n in range(12)}
WANTED = tuple(DocumentRequest("2.999.1", unique_id) for unique_id in HELD)


def asked_of(request) -> list[str]:
    return [i.decode() for i in re.findall(rb"DocumentUniqueId>([^<]+)<", request.body)]


@dataclass
class Holder:
    """A repository that answers what it holds; what a test replaces is how."""

    held: dict[str, bytes] = field(default_factory=lambda: dict(HELD))
    spell: Callable[[str], str] = str
    most: int = 1_000
    repository: str = "2.999.1"
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, request) -> bytes:
        ids = asked_of(request)
        self.asked.append(ids)
        if len(ids) > self.most:
            return http(retrieved("Failure", errors=[error("XDSRepositoryError", "")]).encode(), SOAP)
        there = [i for i in reversed(ids) if i in self.held]
        missing = [error("XDSDocumentUniqueIdError", i) for i in ids if i not in self.held]
        status = "Success" if not missing else "PartialSuccess" if there else "Failure"
        listed = [
            document(self.spell(i), include(f"cid:{n}@peer"), repository=self.repository)
            for n, i in enumerate(there)
        ]
        parts = {str(n): self.held[i] for n, i in enumerate(there)}
        return packaged(retrieved(status, *listed, errors=missing), **parts)


@asynccontextmanager
async def repository(answer, **quirks):
    respond = answer if asyncio.iscoroutinefunction(answer) else answering(answer)
    async with raw_peer(respond) as peer, SoapClient(load_contract()) as soap:
        at = Peer(name="repo", url=peer.url, max_attempts=1)
        yield DocumentRepository(soap, load_contract(), at, "2.999.1", RepositoryQuirks(**quirks))


async def retrieve(answer, wanted=WANTED, *, max_bytes=1_000, **quirks):
    async with repository(answer, **quirks) as client:
        return [pair async for pair in client.retrieve_many(wanted, max_bytes=max_bytes)]


def contents(found):
    return {r.document_unique_id: o.content for r, o in found if isinstance(o, WholeDocument)}


async def test_every_document_is_answered_once_in_the_order_asked():
    found = await retrieve(Holder(), [*WANTED, *WANTED])
    assert [request for request, _ in found] == list(WANTED)
    assert contents(found) == HELD


@pytest.mark.parametrize(("most", "requests"), [(1, 12), (3, 4), (9, 2), (100, 1)])
async def test_a_peer_is_asked_for_no_more_documents_at_once_than_its_quirk_says(most, requests):
    peer = Holder(most=most)
    assert contents(await retrieve(peer, documents_per_request=most)) == HELD
    assert len(peer.asked) == requests


async def test_no_more_requests_are_under_way_than_allowed():
    peer, under_way, highest = Holder(), 0, 0

    async def respond(request, writer):
        nonlocal under_way, highest
        under_way += 1
        highest = max(highest, under_way)
        await asyncio.sleep(0.01)
        writer.write(peer(request))
        under_way -= 1

    found = await retrieve(respond, documents_per_request=1, pieces_at_once=3)
    assert contents(found) == HELD
    assert highest == 3


async def test_requests_take_no_more_places_than_the_peer_has():
    async with raw_peer(answering(Holder())) as peer, SoapClient(load_contract()) as soap:
        at = Peer(name="repo", url=peer.url, max_in_flight=1, max_waiting=0)
        quirks = RepositoryQuirks(documents_per_request=1)
        client = DocumentRepository(soap, load_contract(), at, "2.999.1", quirks)
        assert contents([pair async for pair in client.retrieve_many(WANTED, max_bytes=1_000)]) == HELD


async def test_a_document_that_is_not_there_costs_the_others_nothing():
    found = dict(await retrieve(Holder({k: v for k, v in HELD.items() if k != "2.999.2.3"})))
    lost = found.pop(WANTED[3])
    assert isinstance(lost, RegistryFailure)
    assert [(e.code, e.location) for e in lost.errors] == [("XDSDocumentUniqueIdError", "2.999.2.3")]
    assert len(contents(found.items())) == len(HELD) - 1


async def test_a_set_refused_for_one_document_is_asked_again_without_it():
    peer = Holder()

    def refuse_whole_sets(request):
        ids = asked_of(request)
        if "2.999.2.1" in ids:
            refused = [error("XDSDocumentUniqueIdError", "urn:oid:2.999.2.1")]
            return http(retrieved("Failure", errors=refused).encode(), SOAP)
        return peer(request)

    found = await retrieve(refuse_whole_sets, WANTED[:4])
    assert isinstance(found[1][1], RegistryFailure)
    assert set(contents(found)) == {"2.999.2.0", "2.999.2.2", "2.999.2.3"}


@pytest.mark.parametrize(
    "spell",
    [lambda i: f"urn:oid:{i}", lambda i: f"URN:OID:{i}", lambda i: f"&lt;{i}&gt;", lambda i: f"[{i}]"],
)
async def test_ids_are_known_whatever_stands_around_them(spell):
    assert contents(await retrieve(Holder(spell=spell, repository="urn:oid:2.999.1"))) == HELD


async def test_ids_that_are_uuids_are_known_with_and_without_their_urn():
    uuid = "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
    for asked, said in ((uuid, f"urn:uuid:{uuid}"), (f"urn:uuid:{uuid}", f"{{{uuid.upper()}}}")):
        peer = Holder({asked: b"x"}, spell=lambda _, said=said: said)
        assert contents(await retrieve(peer, [DocumentRequest("2.999.1", asked)])) == {asked: b"x"}


async def test_the_same_id_in_two_repositories_and_communities_is_two_documents():
    places = [("2.999.1", None), ("2.999.9", None), ("2.999.1", "urn:oid:2.999.3")]
    wanted = [DocumentRequest(repository, "2.999.2.1", home) for repository, home in places]
    listed = [
        document(
            "urn:oid:2.999.2.1",
            base64.b64encode(str(number).encode()).decode(),
            repository=place.repository_unique_id,
            home=f"<HomeCommunityId>{(place.home_community_id or '').removeprefix('urn:oid:')}</HomeCommunityId>",
        )
        for number, place in reversed(list(enumerate(wanted)))
    ]
    found = await retrieve(http(retrieved("Success", *listed).encode(), SOAP), wanted)
    assert [outcome.content for _, outcome in found] == [b"0", b"1", b"2"]


def placed(*places: tuple[str, str, str]) -> bytes:
    """An answer with a document for each repository, home and id; its content is its number."""
    listed = [
        document(
            unique_id,
            base64.b64encode(str(number).encode()).decode(),
            repository=place,
            home=f"<HomeCommunityId>{home}</HomeCommunityId>" if home else "",
        )
        for number, (place, home, unique_id) in enumerate(places)
    ]
    return http(retrieved("Success", *listed).encode(), SOAP)


@pytest.mark.parametrize("said", ["2.999.2.1", "urn:oid:2.999.2.1"])
async def test_a_community_that_is_not_said_back_does_not_confuse_repositories(said):
    wanted = [DocumentRequest(place, "2.999.2.1", "urn:oid:2.999.3") for place in ("2.999.1", "2.999.9")]
    found = await retrieve(placed(("2.999.9", "", said), ("2.999.1", "", said)), wanted)
    assert [outcome.content for _, outcome in found] == [b"1", b"0"]


async def test_ids_that_differ_in_case_alone_are_two_whatever_repository_is_said():
    wanted = [DocumentRequest("2.999.1", "2.999.2^a"), DocumentRequest("2.999.1", "2.999.2^A")]
    found = await retrieve(placed(("2.999.5", "", "2.999.2^A"), ("2.999.5", "", "2.999.2^a")), wanted)
    assert [outcome.content for _, outcome in found] == [b"1", b"0"]


async def test_another_repository_than_asked_for_is_taken_where_there_is_no_doubt():
    found = await retrieve(placed(("2.999.5", "", "urn:oid:2.999.2.1")), WANTED[1:2])
    assert found[0][1].content == b"0"


async def test_what_was_asked_for_with_urns_is_known_without():
    wanted = [
        DocumentRequest("urn:oid:2.999.1", "2.999.2.1", home)
        for home in ("URN:OID:2.999.3", "urn:oid:2.999.4")
    ]
    answer = placed(("2.999.1", "2.999.4", "2.999.2.1"), ("2.999.1", "2.999.3", "2.999.2.1"))
    assert [outcome.content for _, outcome in await retrieve(answer, wanted)] == [b"1", b"0"]


@pytest.mark.parametrize(("urns", "sent"), [(True, b">urn:oid:2.999.3<"), (False, b">2.999.3<")])
async def test_a_community_is_named_as_the_peer_reads_it(urns, sent):
    bodies = []

    def note(request):
        bodies.append(request.body)
        return placed(("2.999.1", "2.999.3", "2.999.2.1"))

    await retrieve(note, [DocumentRequest("2.999.1", "2.999.2.1", "urn:oid:2.999.3")], home_urns=urns)
    assert sent in bodies[0]


async def test_a_warning_comes_with_the_document_that_it_names():
    warnings = [error("XDSRepositoryError", "2.999.2.1", "Warning"), error("DocumentQueued", "", "Warning")]
    listed = [document(i, "eA==") for i in ("2.999.2.0", "2.999.2.1")]
    xml = retrieved("Success", *listed, errors=warnings)
    found = await retrieve(http(xml.encode(), SOAP), WANTED[:2])
    assert [[e.code for e in outcome.errors] for _, outcome in found] == [
        ["DocumentQueued"],
        ["XDSRepositoryError", "DocumentQueued"],
    ]


async def test_a_document_that_could_answer_two_requests_answers_none():
    wanted = [DocumentRequest("2.999.1", "2.999.2.1"), DocumentRequest("2.999.9", "2.999.2.1")]
    answer = http(retrieved("Success", document("2.999.2.1", "eA==", repository="2.999.5")).encode(), SOAP)
    assert [type(outcome) for _, outcome in await retrieve(answer, wanted)] == [PeerProtocolError] * 2


async def test_fewer_documents_than_asked_without_an_error_is_an_error_of_those():
    answer = http(retrieved("Success", document("2.999.2.1", "eA==")).encode(), SOAP)
    found = dict(await retrieve(answer, WANTED[:2]))
    assert found[WANTED[1]].content == b"x"
    assert isinstance(found[WANTED[0]], PeerProtocolError)
    assert "neither the document nor an error" in str(found[WANTED[0]])


@pytest.mark.parametrize("status", ["Failure", "PartialSuccess"])
async def test_an_error_without_a_place_is_one_of_all_that_are_missing(status):
    xml = retrieved(status, errors=[error("XDSRepositoryBusy", "")])
    found = await retrieve(http(xml.encode(), SOAP), WANTED[:2])
    assert [[e.code for e in outcome.errors] for _, outcome in found] == [["XDSRepositoryBusy"]] * 2


async def test_an_error_at_the_place_of_the_community_is_one_of_all():
    xml = retrieved("Failure", errors=[error("XDSUnavailableCommunity", "urn:oid:2.999.3")])
    found = await retrieve(http(xml.encode(), SOAP), WANTED[:2])
    assert [[e.code for e in outcome.errors] for _, outcome in found] == [["XDSUnavailableCommunity"]] * 2


async def test_a_failure_may_be_a_registry_response_alone_in_plain_soap():
    answer = http(envelope(response("Failure", *REFUSED)).encode(), SOAP)
    found = await retrieve(answer, WANTED[:1])
    assert [e.code for e in found[0][1].errors] == ["XDSUnknownRepositoryId"]


async def test_plain_soap_with_inline_documents_answers_a_request_in_mtom():
    def inline(request):
        listed = [document(i, base64.b64encode(HELD[i]).decode()) for i in asked_of(request)]
        return http(retrieved("Success", *listed).encode(), SOAP)

    assert contents(await retrieve(inline)) == HELD


async def test_a_document_that_is_too_large_costs_the_others_nothing():
    peer = Holder({**HELD, "2.999.2.2": b"x" * 2_000_000})
    found = await retrieve(peer, max_bytes=1_000)
    assert isinstance(found[2][1], PeerProtocolError)
    assert "larger than the 1000 bytes" in str(found[2][1])
    assert contents(found) == {k: v for k, v in HELD.items() if k != "2.999.2.2"}


async def test_a_document_that_is_too_large_is_not_read_to_its_end():
    peer = Holder({**HELD, "2.999.2.2": b"x" * 100_000})

    async def never_end_a_large_one(request, writer):
        whole = peer(request)
        writer.write(whole[: whole.find(b"x" * 2_000) + 2_000] if len(whole) > 50_000 else whole)

    found = await retrieve(never_end_a_large_one, WANTED[:4], max_bytes=1_000)
    assert set(contents(found)) == {"2.999.2.0", "2.999.2.1", "2.999.2.3"}


async def test_a_large_part_that_nobody_asked_for_is_not_read_to_its_end():
    def with_another(request):
        listed = [document(i, include("cid:a@peer")) for i in asked_of(request)[:1]]
        other = document("2.999.7", include("cid:b@peer"))
        return packaged(retrieved("Success", other, *listed), b=b"x" * 100_000, a=b"wanted")

    ((_, outcome),) = await retrieve(with_another, WANTED[:1])
    assert isinstance(outcome, PeerProtocolError)


async def test_what_arrived_before_the_connection_broke_is_kept():
    peer = Holder()

    async def break_off(request, writer):
        whole = peer(request)
        writer.write(whole[: whole.rindex(HELD[asked_of(request)[0]])])
        await writer.drain()
        writer.close()

    found = dict(await retrieve(break_off, WANTED[:3]))
    assert isinstance(found[WANTED[0]], PeerDisconnected)
    assert set(contents(found.items())) == {"2.999.2.1", "2.999.2.2"}


async def test_leaving_early_stops_what_is_under_way():
    peer = Holder()
    async with repository(peer, documents_per_request=1, pieces_at_once=2) as client:
        async with aclosing(client.retrieve_many(WANTED, max_bytes=1_000)) as found:
            async for _ in found:
                break
        asked = len(peer.asked)
        await asyncio.sleep(0.05)
        assert len(peer.asked) == asked < len(WANTED)
