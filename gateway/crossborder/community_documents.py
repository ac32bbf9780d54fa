"""Documents of other communities (ITI-39) for whoever reads many of them to answer a search.

A document that a client asked for may take as long as its peer is given; those that a search has to read
have the deadline of their community, so that one that has fallen asleep does not hold up the others.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, aclosing

from gateway.clients.repository import Outcome, RetrievedDocument
from gateway.crossborder.communities import Member
from gateway.crossborder.deadlines import seconds_left
from gateway.model import DocumentRequest
from gateway.model.errors import PeerTimeout

_TRANSACTION = "ITI-39"


class CommunityDocuments:
    """The documents of one community."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @property
    def name(self) -> str:
        """The name of the community."""
        return self._member.name

    def retrieve(self, request: DocumentRequest) -> AbstractAsyncContextManager[RetrievedDocument]:
        """One document as a stream, as `Documents.retrieve`."""
        return self._member.community.retrieve(request)

    async def retrieve_many(
        self, requests: Iterable[DocumentRequest], *, max_bytes: int
    ) -> AsyncGenerator[tuple[DocumentRequest, Outcome], None]:
        """As `Documents.retrieve_many`; what has not come within the deadline is a PeerTimeout."""
        left = list(dict.fromkeys(requests))
        ends = asyncio.get_running_loop().time() + seconds_left(self._member.deadline)
        documents = self._member.community.retrieve_many(left, max_bytes=max_bytes)
        async with aclosing(documents) as found:
            while left:
                try:
                    async with asyncio.timeout_at(ends):
                        request, outcome = await anext(found)
                except TimeoutError:
                    break
                left.remove(request)
                yield request, outcome
        for request in left:
            yield request, PeerTimeout(self.name, _TRANSACTION, "no answer within the deadline")
