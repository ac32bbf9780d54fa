"""What every way to a source of images has in common, whether RAD-69, RAD-75 or WADO-RS (RAD-107)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.model.images import ImageError, ImagePart, SeriesWanted


class ImageLeg(Protocol):
    """A source of images."""

    @property
    def name(self) -> str:
        """Its name in the settings, for errors and logs."""

    def retrieve(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[ImagePart | ImageError]]:
        """Ask for instances; leaving the context ends the source's answer.

        Entering waits until the first answer has begun, so that a source which gives nothing at all fails
        here: PeerError, or RegistryFailure where it answers Failure. `transfer_syntaxes` are UIDs, in the
        order of preference; empty means any. An instance that the source neither gives nor reports missing
        is an `ImageError` with the code `missing`. The iterator raises PeerError where an answer breaks.
        """
