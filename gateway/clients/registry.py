"""Document Registry as a peer: Registry Stored Query (ITI-18)."""

import asyncio

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.query_response import QueryResponseReader
from gateway.ebxml.stored_queries import write_query
from gateway.model import QueryResult, RegistryFailure, ResponseStatus
from gateway.model.errors import PeerProtocolError
from gateway.model.query import StoredQuery
from gateway.soap.client import Peer, SoapClient

_ENTRIES_PER_STEP = 10
"""Objects read before other requests get their turn: about 1 ms of work."""


class DocumentRegistry:
    """One registry. Queries change nothing, so they are repeated when the connection fails."""

    def __init__(self, soap: SoapClient, peer: Peer) -> None:
        self._soap = soap
        self.peer = peer

    async def query(self, query: StoredQuery) -> QueryResult:
        """Run one stored query. Raises PeerError, or RegistryFailure where the registry answers Failure."""
        answer = await self._soap.call(self.peer, "ITI-18", write_query(query), retry=True)
        try:
            reader = QueryResponseReader(answer, consume=True)
            while not reader.read_some(_ENTRIES_PER_STEP):  # noqa: ASYNC110 - gives way, waits for nothing
                await asyncio.sleep(0)
            result = reader.result()
        except MetadataError as error:
            raise PeerProtocolError(self.peer.name, "ITI-18", error.context) from None
        if result.status is ResponseStatus.FAILURE:
            raise RegistryFailure(self.peer.name, "ITI-18", result.errors)
        return result
