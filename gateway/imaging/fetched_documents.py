"""Small documents that are read whole: fetched from where the registry says they are (ITI-43, ITI-39), each
once, and compared with the hash and the size that it has for them.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Final, Generic, Protocol, TypeVar

import structlog

from gateway.clients.community import DocumentPlaces, Documents
from gateway.clients.pieces import merged
from gateway.clients.repository import Outcome, WholeDocument
from gateway.model import DocumentRequest, RegistryFailure
from gateway.model.errors import PeerError

_READ_IN_THREAD: Final = 64 * 1024

log = structlog.get_logger()


class AlteredDocument(Exception):
    """The repository gives another document than the one that the registry describes."""

    def __init__(self) -> None:
        super().__init__("the repository gives another document than the one that is registered")


class UnknownRepository(Exception):
    """No setting leads to the repository of a document."""

    def __init__(self, unique_id: str) -> None:
        super().__init__(f"repository {unique_id} is not one that this gateway reaches")
        self.unique_id = unique_id


class WantedDocument(Protocol):
    """A document; `hash` (hex SHA-1) and `size` are None where the registry does not say them."""

    @property
    def request(self) -> DocumentRequest: ...
    @property
    def hash(self) -> str | None: ...
    @property
    def size(self) -> int | None: ...


W = TypeVar("W", bound=WantedDocument)
R = TypeVar("R")
NotFetched = PeerError | RegistryFailure | AlteredDocument | UnknownRepository


class FetchedDocuments(Generic[W]):
    """Documents of the own community and of those that it reaches. `kind` names them in the log."""

    def __init__(self, places: DocumentPlaces, kind: str, *, max_bytes: int) -> None:
        self._places = places
        self._kind = kind
        self._max_bytes = max_bytes

    async def many(self, wanted: Iterable[W]) -> AsyncGenerator[tuple[W, WholeDocument | NotFetched], None]:
        """Each document with its own outcome, as they come; one of several with the same request is asked."""
        by_place: dict[str, tuple[Documents, dict[DocumentRequest, W]]] = {}
        for item in wanted:
            request = item.request
            place = self._places.of(request.home_community_id, request.repository_unique_id)
            if place is None:
                yield item, UnknownRepository(request.repository_unique_id)
            else:
                by_place.setdefault(place.name, (place, {}))[1][request] = item
        fetched = (self._of_place(place, requests) for place, requests in by_place.values())
        async with aclosing(merged(fetched)) as found:
            async for item, outcome in found:
                yield item, self._compared(item, outcome)

    async def _of_place(
        self, place: Documents, requests: Mapping[DocumentRequest, W]
    ) -> AsyncGenerator[tuple[W, Outcome], None]:
        async with aclosing(place.retrieve_many(requests, max_bytes=self._max_bytes)) as found:
            async for request, outcome in found:
                yield requests[request], outcome

    def _compared(self, item: W, outcome: Outcome) -> WholeDocument | NotFetched:
        if isinstance(outcome, WholeDocument) and _is_altered(item, outcome.content):
            log.error(f"{self._kind}.altered", repository=item.request.repository_unique_id)
            return AlteredDocument()
        return outcome


async def read_aside(reader: Callable[[bytes], R], content: bytes) -> R:
    """What a reader makes of a document; a large one is read outside the event loop."""
    if len(content) > _READ_IN_THREAD:
        return await asyncio.to_thread(reader, content)
    return reader(content)


def media_type(mime_type: str) -> str:
    """A MIME type without its parameters."""
    return mime_type.partition(";")[0].strip().lower()


def _is_altered(item: WantedDocument, content: bytes) -> bool:
    if item.size is not None and item.size != len(content):
        return True
    # the hash of the standard is SHA-1
    return bool(item.hash) and hashlib.sha1(content, usedforsecurity=False).hexdigest() != item.hash
