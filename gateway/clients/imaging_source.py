"""Imaging Document Source as a peer: Retrieve Imaging Document Set (RAD-69; IHE RAD TF 4.69).

The same class speaks RAD-75 to a Responding Imaging Gateway, whose messages have the same bodies. Images are
passed on as they come from the peer's socket, in its order; nothing is kept but parts that come before the
envelope.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.clients.image_answers import MISSING, NO_LOCATION, Batch
from gateway.clients.pieces import opened_ahead, pieces_of
from gateway.clients.quirks import ImagingSourceQuirks
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.retrieve import RetrieveAnswer, read_retrieve_response
from gateway.model import ImageRequest, ImageSetRequest, RegistryError, RegistryFailure, Severity
from gateway.model.errors import (
    PeerBusy,
    PeerCircuitOpen,
    PeerDisconnected,
    PeerError,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.transfer_syntaxes import ANY
from gateway.soap.client import Peer, SoapClient, StreamedReply

__all__ = ["MISSING", "ImagingDocumentSource"]

_GIVES_NO_MORE: Final = (PeerUnreachable, PeerTimeout, PeerDisconnected, PeerBusy, PeerCircuitOpen)
"""After one of these the rest is not asked for: each try would take its time-out."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Progress:
    """What has happened so far: whether anything came, and what there is to tell if nothing does."""

    begun: bool = False
    held: list[ImageError] = field(default_factory=list)
    refusals: list[RegistryError] = field(default_factory=list)
    first: PeerError | None = None


class ImagingDocumentSource:
    """One source, or with `transaction` RAD-75 one gateway to the sources of another community.

    `accept` sees each answer before it is used, and gives it back, changed or not, or raises PeerError.
    """

    def __init__(
        self,
        soap: SoapClient,
        peer: Peer,
        *,
        quirks: ImagingSourceQuirks | None = None,
        transaction: str = "RAD-69",
        accept: Callable[[RetrieveAnswer], RetrieveAnswer] | None = None,
    ) -> None:
        self._soap = soap
        self.peer = peer
        self._quirks = quirks or ImagingSourceQuirks()
        self._transaction = transaction
        self._accept = accept

    @property
    def name(self) -> str:
        """The peer's name in the settings."""
        return self.peer.name

    @asynccontextmanager
    async def retrieve(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str] = ()
    ) -> AsyncIterator[AsyncIterator[ImagePart | ImageError]]:
        """Images in the order in which they come, errors in front of the images of the same answer.

        More images than the peer takes at once are asked for in several requests, whose answers are read
        one after the other.
        Without `transfer_syntaxes` (UIDs) any will do. Each instance gives one item: a part, or an error
        with the peer's own code, `missing` where the peer gave neither, or XDSRepositoryError where a
        request failed after others had been answered. Images that were not asked for are dropped.

        Raises PeerError or RegistryFailure on entering, where the peer gives nothing at all, and PeerError
        from the chunks of an image that breaks off. Leaving the context ends the peer's answer.
        """
        async with aclosing(self._items(wanted, tuple(transfer_syntaxes) or ANY)) as items:
            first = await anext(items, None)
            yield _chained(first, items)

    async def _items(
        self, wanted: Sequence[SeriesWanted], syntaxes: tuple[str, ...]
    ) -> AsyncGenerator[ImagePart | ImageError, None]:
        progress = _Progress()
        requests, unlocated = _requests(wanted)
        progress.held += (ImageError(self.name, NO_LOCATION, uid) for uid in unlocated)
        batches = [Batch(self.name, piece) for piece in pieces_of(requests, self._quirks.images_per_request)]
        openings = ((number, self._open(batch, syntaxes)) for number, batch in enumerate(batches))
        async with aclosing(opened_ahead(openings, self._quirks.at_once(self.peer.max_in_flight))) as opened:
            async for number, reply in opened:
                try:
                    async with aclosing(self._answer(batches[number], await reply, progress)) as items:
                        async for item in items:
                            yield item
                except PeerError as error:
                    progress.first = progress.first or error
                    stopped = isinstance(error, _GIVES_NO_MORE)
                    for failed in batches[number:] if stopped else batches[number : number + 1]:
                        progress.held += failed.failed(error)
                    if stopped:
                        break
        if not progress.begun and progress.first is not None:
            raise progress.first
        if not progress.begun and progress.refusals:
            raise RegistryFailure(self.name, self._transaction, tuple(progress.refusals))
        for held in progress.held:
            yield held

    def _open(self, batch: Batch, syntaxes: tuple[str, ...]) -> AbstractAsyncContextManager[StreamedReply]:
        body = write_imaging_request(ImageSetRequest(batch.requests, syntaxes))
        return self._soap.open(self.peer, self._transaction, body, retry=True)

    async def _answer(
        self, batch: Batch, reply: StreamedReply, progress: _Progress
    ) -> AsyncGenerator[ImagePart | ImageError, None]:
        """The items of one request. What it has to say without any image is held back in `progress`."""
        answer = self._read(reply)
        batch.take(answer)
        errors = list(batch.errors(answer.errors))
        self._log(batch, answer)
        if not batch.expected:
            progress.held += errors
            progress.refusals += (e for e in answer.errors if e.severity is Severity.ERROR)
            return
        progress.begun = True
        for error in [*progress.held, *errors]:
            yield error
        progress.held.clear()
        async for part in self._parts(batch, reply):
            yield part

    def _read(self, reply: StreamedReply) -> RetrieveAnswer:
        try:
            answer = read_retrieve_response(reply.body)
        except MetadataError as error:
            raise PeerProtocolError(self.name, self._transaction, error.context) from None
        return answer if self._accept is None else self._accept(answer)

    async def _parts(self, batch: Batch, reply: StreamedReply) -> AsyncIterator[ImagePart]:
        for sop_instance_uid, media_type, content in batch.inline():
            yield ImagePart(media_type, _once(content), sop_instance_uid, size=len(content))
        async for part in reply.parts():
            known = batch.attached(part.content_id)
            if known is not None:
                sop_instance_uid, media_type = known
                yield ImagePart(media_type, part.views(), sop_instance_uid)

    def _log(self, batch: Batch, answer: RetrieveAnswer) -> None:
        warnings = [error.code for error in answer.errors if error.severity is not Severity.ERROR]
        if warnings or batch.unasked:
            log.warning("imaging.answer", peer=self.name, warnings=warnings, unasked=batch.unasked)


def _requests(wanted: Sequence[SeriesWanted]) -> tuple[tuple[ImageRequest, ...], tuple[str, ...]]:
    """Requests for each instance once, and the instances whose series has no Retrieve Location UID."""
    requests: dict[str, ImageRequest] = {}
    unlocated: list[str] = []
    for series in wanted:
        for sop_instance_uid in series.sop_instance_uids:
            if series.location.uid is None:
                unlocated.append(sop_instance_uid)
                continue
            requests.setdefault(
                sop_instance_uid,
                ImageRequest(
                    location_uid=series.location.uid,
                    study_instance_uid=series.study_instance_uid,
                    series_instance_uid=series.series_instance_uid,
                    sop_instance_uid=sop_instance_uid,
                    home_community_id=series.home_community_id,
                ),
            )
    return tuple(requests.values()), tuple(unlocated)


async def _chained(
    first: ImagePart | ImageError | None, rest: AsyncIterator[ImagePart | ImageError]
) -> AsyncIterator[ImagePart | ImageError]:
    if first is not None:
        yield first
        async for item in rest:
            yield item


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
