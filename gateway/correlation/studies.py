"""Studies whose FHIR ids cannot carry what they stand for, kept in Redis for a while."""

from typing import Final

from gateway.correlation.store import CorrelationStore
from gateway.correlation.values import Values
from gateway.security.study_ids import StudyIdentity

KIND: Final = "study-id"


class StudyIndex:
    """Digest of `StudyIds` -> study. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        """`lifetime` in seconds."""
        self._values = Values[StudyIdentity](store, KIND, StudyIdentity, lifetime)

    async def remember(self, digest: str, study: StudyIdentity) -> None:
        """Keep what a digest stands for."""
        await self._values.put(digest, study)

    async def find(self, digest: str) -> StudyIdentity | None:
        """The study, or None where it is not known."""
        return await self._values.get(digest)


__all__ = ["StudyIndex"]
