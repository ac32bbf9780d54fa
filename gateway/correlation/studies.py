"""Studies whose FHIR ids cannot carry what they stand for, kept in Redis for a while."""

from typing import Final

import msgspec

from gateway.correlation.store import CorrelationStore
from gateway.security.study_ids import StudyIdentity

KIND: Final = "study-id"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(StudyIdentity)


class StudyIndex:
    """Digest of `StudyIds` -> study. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        """`lifetime` in seconds."""
        self._store = store
        self._lifetime = lifetime

    async def remember(self, digest: str, study: StudyIdentity) -> None:
        """Keep what a digest stands for."""
        await self._store.set(KIND, digest, _encoder.encode(study), self._lifetime)

    async def find(self, digest: str) -> StudyIdentity | None:
        """The study, or None where it is not known."""
        content = await self._store.get(KIND, digest)
        if content is None:
            return None
        try:
            return _decoder.decode(content)
        except msgspec.MsgspecError:
            # written by a release with another model
            return None


__all__ = ["StudyIndex"]
