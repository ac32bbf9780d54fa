"""The registry client against what registries answer, over real sockets (ITI-18)."""

import asyncio

import pytest

from gateway.clients.registry import DocumentRegistry
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.responses import write_registry_response
from gateway.model import (
    DocumentEntry,
    QueryResult,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    ResponseStatus,
    Severity,
)
from gateway.model.errors import PeerFault, PeerProtocolError
from gateway.model.query import GetDocuments
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import SoapFault, write_envelope, write_fault
from tests.soap.wire import answering, http, raw_peer

SOAP = "application/soap+xml; charset=UTF-8"
QUERY = GetDocuments(unique_ids=("2.999.2.1",))
ENTRIES = tuple(
    DocumentEntry(
        entry_uuid=f"urn:uuid:00000000-0000-4000-8000-{n:012x}",
        unique_id=f"2.999.2.{n}",
        home_community_id="urn:oid:2.999.3",
        hash="ab" * 20,
    )
    for n in range(25)
)


def answer(result: QueryResult) -> bytes:
    return http(write_envelope(write_query_response(result), action="urn:x"), SOAP)


async def ask(respond):
    async with raw_peer(respond) as peer, SoapClient(load_contract()) as soap:
        return await DocumentRegistry(soap, Peer(name="registry", url=peer.url)).query(QUERY)


async def test_every_entry_comes_in_the_order_of_the_answer_with_its_community():
    result = await ask(answering(answer(QueryResult(status=ResponseStatus.SUCCESS, entries=ENTRIES))))
    assert result.entries == ENTRIES


async def test_a_partial_success_is_the_entries_and_the_errors():
    errors = (RegistryError("XDSUnavailableCommunity", "away", Severity.ERROR, "urn:oid:2.999.9"),)
    result = await ask(
        answering(answer(QueryResult(status=ResponseStatus.PARTIAL, entries=ENTRIES, errors=errors)))
    )
    assert (result.entries, result.errors) == (ENTRIES, errors)


async def test_a_failure_is_raised_with_the_peers_errors():
    errors = (RegistryError("XDSRegistryBusy", "later"),)
    with pytest.raises(RegistryFailure) as caught:
        await ask(answering(answer(QueryResult(status=ResponseStatus.FAILURE, errors=errors))))
    assert caught.value.errors == errors
    assert (caught.value.peer, caught.value.transaction) == ("registry", "ITI-18")


async def test_a_failure_may_come_as_a_registry_response_alone():
    errors = (RegistryError("XDSRegistryBusy", "later"),)
    body = write_registry_response(RegistryResponse(ResponseStatus.FAILURE, errors))
    with pytest.raises(RegistryFailure) as caught:
        await ask(answering(http(write_envelope(body, action="urn:x"), SOAP)))
    assert caught.value.errors == errors


async def test_an_entry_that_cannot_be_read_is_left_out_with_a_warning():
    body = write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=ENTRIES[:2]))
    identifiers = body.find(".//{*}ExtrinsicObject").findall("{*}ExternalIdentifier")
    identifiers[-1].getparent().remove(identifiers[-1])
    result = await ask(answering(http(write_envelope(body, action="urn:x"), SOAP)))
    assert result.entries == ENTRIES[1:2]
    assert [(e.code, e.severity) for e in result.errors] == [("XDSRegistryMetadataError", Severity.WARNING)]


async def test_an_answer_of_another_transaction_is_a_protocol_error():
    with pytest.raises(PeerProtocolError):
        await ask(answering(http(write_envelope(b"<other/>", action="urn:x"), SOAP)))


async def test_a_query_is_repeated_when_the_connection_breaks_and_never_after_a_fault():
    calls = 0

    async def break_once(request, writer):
        nonlocal calls
        calls += 1
        if calls == 1:
            writer.close()
            return
        writer.write(answer(QueryResult(status=ResponseStatus.SUCCESS, entries=ENTRIES)))
        await asyncio.sleep(0)

    assert (await ask(break_once)).entries == ENTRIES
    assert calls == 2
    fault = http(write_fault(SoapFault("Sender", "no")), SOAP, "400 Bad Request")
    async with raw_peer(answering(fault)) as peer, SoapClient(load_contract()) as soap:
        with pytest.raises(PeerFault):
            await DocumentRegistry(soap, Peer(name="registry", url=peer.url)).query(QUERY)
        assert len(peer.requests) == 1
