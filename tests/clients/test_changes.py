"""Changes at a peer are sent once, and what comes of them is told (ITI-57, ITI-61, ITI-62, ITI-86)."""

import pytest

from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository
from gateway.ebxml.metadata_update import MetadataUpdate
from gateway.ebxml.responses import write_registry_response
from gateway.model import (
    DocumentRequest,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    ResponseStatus,
    Severity,
    Submission,
    SubmissionSet,
)
from gateway.model.errors import PeerDisconnected, PeerProtocolError
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from tests.soap.wire import answering, http, raw_peer

SOAP = "application/soap+xml; charset=UTF-8"
SET = SubmissionSet(entry_uuid="set", unique_id="2.999.1", source_id="2.999.2", submission_time="2024")
UUID = "urn:uuid:00000000-0000-4000-8000-000000000001"

CHANGES = {
    "ITI-57": lambda registry, _: registry.update(MetadataUpdate(submission_set=SET)),
    "ITI-61": lambda registry, _: registry.register_on_demand(Submission(submission_set=SET)),
    "ITI-62": lambda registry, _: registry.delete([UUID]),
    "ITI-86": lambda _, repository: repository.remove([DocumentRequest("2.999.10", "2.999.11")]),
}


async def change(transaction, respond):
    async with raw_peer(respond) as peer, SoapClient(load_contract()) as soap:
        address = Peer(name="peer", url=peer.url, max_attempts=3)
        registry = DocumentRegistry(soap, address)
        repository = DocumentRepository(soap, load_contract(), address, "2.999.10")
        return await CHANGES[transaction](registry, repository)


def answer(*errors, status=ResponseStatus.SUCCESS):
    body = write_registry_response(RegistryResponse(status, errors))
    return answering(http(write_envelope(body, action="urn:x"), SOAP))


@pytest.mark.parametrize("transaction", CHANGES)
async def test_a_success_comes_with_its_warnings(transaction):
    warning = RegistryError("XDSExtraMetadataNotSaved", "a slot", Severity.WARNING)
    response = await change(transaction, answer(warning))
    assert response == RegistryResponse(ResponseStatus.SUCCESS, (warning,))


@pytest.mark.parametrize("transaction", CHANGES)
async def test_a_failure_names_peer_and_transaction(transaction):
    error = RegistryError("XDSMetadataVersionError", "not the latest")
    with pytest.raises(RegistryFailure) as caught:
        await change(transaction, answer(error, status=ResponseStatus.FAILURE))
    assert (caught.value.peer, caught.value.transaction, caught.value.errors) == (
        "peer",
        transaction,
        (error,),
    )


@pytest.mark.parametrize("transaction", CHANGES)
async def test_a_lost_answer_is_not_asked_for_again(transaction):
    requests = []

    async def hang_up(request, writer):
        requests.append(request)
        writer.close()

    with pytest.raises(PeerDisconnected) as caught:
        await change(transaction, hang_up)
    assert not caught.value.outcome_known
    assert len(requests) == 1


async def test_another_answer_is_no_answer():
    body = write_envelope(
        write_registry_response(RegistryResponse(ResponseStatus.SUCCESS)), action="urn:x"
    ).replace(b"RegistryResponse", b"SomethingElse")
    with pytest.raises(PeerProtocolError):
        await change("ITI-62", answering(http(body, SOAP)))
