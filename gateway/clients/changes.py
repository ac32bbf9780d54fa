"""Transactions that change what a peer holds, answered by a RegistryResponse alone (ITI TF-3 4.2.4)."""

from collections.abc import Sequence

from lxml.etree import _Element

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.responses import read_registry_response
from gateway.model import RegistryFailure, RegistryResponse, ResponseStatus
from gateway.model.errors import PeerProtocolError
from gateway.soap.client import Attachment, Peer, SoapClient


async def change(
    soap: SoapClient,
    peer: Peer,
    transaction: str,
    body: _Element,
    attachments: Sequence[Attachment] = (),
) -> RegistryResponse:
    """Send once, never repeated here: after an unknown outcome the registry has to be asked first.

    Returns Success with the peer's warnings. Raises RegistryFailure where nothing was changed, and PeerError
    (whose `outcome_known` says whether it may have been).
    """
    answer = await soap.call(peer, transaction, body, attachments=attachments)
    try:
        response = read_registry_response(answer)
    except MetadataError as error:
        raise PeerProtocolError(peer.name, transaction, error.context) from None
    if response.status is not ResponseStatus.SUCCESS:
        raise RegistryFailure(peer.name, transaction, response.errors)
    return response
