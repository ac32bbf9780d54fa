"""Trying to retrieve, really: through the paths by which clients retrieve (RAD-107 over RAD-69, RAD-75 and
WADO-RS; ITI-68 over ITI-43 and ITI-39), counting what comes and keeping none of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal

import structlog
from msgspec import Struct

from gateway.fhir.issues import OutcomeError
from gateway.imaging.plan import ImageSelection
from gateway.imaging.retrieve import (
    FAILED,
    MISSING,
    NOT_DICOM,
    OTHER_SYNTAX,
    UNREACHABLE,
    ImageRetriever,
    IncompleteImages,
    NoImages,
)
from gateway.legs import Leg, Legs, collected
from gateway.mhd.retrieve import AlteredDocument, Retrieval
from gateway.model.errors import PeerError, RegistryFailure
from gateway.model.images import ImageError
from gateway.telemetry.logs import where
from gateway.trace.ways import problem_of

_BETWEEN: Final = 0.2
"""Seconds between two words about what has come: what is shown more often is not seen."""
_MEANINGS: Final = {
    UNREACHABLE: "no location that the gateway reaches",
    OTHER_SYNTAX: "in another transfer syntax",
    NOT_DICOM: "no DICOM file",
    FAILED: "the source failed",
    MISSING: "the source does not have it",
}

log = structlog.get_logger()


class Progress(Struct, frozen=True):
    """How much has come of how much: instances, or bytes where `wanted` is None or the document's size."""

    instances: int
    bytes: int
    wanted: int | None


class SeriesGot(Struct, frozen=True):
    """Instances that came of those of a series."""

    series_instance_uid: str
    got: int
    wanted: int


class Missing(Struct, frozen=True):
    """Why so many instances did not come; `peer` is who was asked, empty where nobody could be."""

    peer: str
    reason: str
    instances: int


class CalledLeg(Struct, frozen=True):
    """A call that was made for it."""

    transaction: str
    peer: str
    seconds: float
    failure: str


class Attempted(Struct, frozen=True, kw_only=True):
    """What became of an attempt. `problem` says why nothing came, or why not all."""

    outcome: Literal["complete", "partial", "failed"]
    instances: int
    bytes: int
    wanted: int | None
    seconds: float
    problem: str = ""
    series: tuple[SeriesGot, ...] = ()
    missing: tuple[Missing, ...] = ()
    legs: tuple[CalledLeg, ...] = ()


Attempt = AsyncGenerator[Progress | Attempted, None]
"""Words about what has come, and what became of it in the end."""


class _Count:
    """What has come, and when that was told last."""

    def __init__(self, wanted: int | None) -> None:
        self._clock = asyncio.get_running_loop().time
        self.began = self._told = self._clock()
        self.wanted = wanted
        self.instances = self.bytes = 0

    def is_due(self) -> bool:
        now = self._clock()
        if now - self._told < _BETWEEN:
            return False
        self._told = now
        return True

    def so_far(self) -> Progress:
        return Progress(self.instances, self.bytes, self.wanted)

    def done(
        self,
        problem: str,
        legs: Legs,
        series: Iterable[SeriesGot] = (),
        missing: Iterable[ImageError] = (),
    ) -> Attempted:
        nothing = not self.instances
        return Attempted(
            outcome="failed" if nothing else "partial" if problem else "complete",
            instances=self.instances,
            bytes=self.bytes,
            wanted=self.wanted,
            seconds=self._clock() - self.began,
            problem=problem,
            series=tuple(series),
            missing=tuple(_together(missing)),
            legs=tuple(_called(leg) for leg in legs.kept if leg.name != "redis"),
        )


async def try_images(retriever: ImageRetriever, selection: ImageSelection) -> Attempt:
    """Retrieve all that is selected as WADO-RS gives it. Raises NoSuchImage."""
    of_series = {
        instance.sop_instance_uid: series.series_instance_uid
        for series in selection.study.series
        for instance in series.instances
        if selection.series_uid in {None, series.series_instance_uid}
    }
    count = _Count(len(of_series))
    got: Counter[str] = Counter()
    errors: tuple[ImageError, ...] = ()
    problem = ""
    yield count.so_far()
    with collected() as legs:
        try:
            async with retriever.retrieve(selection) as images:
                try:
                    async for part in images.parts:
                        async for chunk in part.chunks:
                            count.bytes += len(chunk)
                            if count.is_due():
                                yield count.so_far()
                        count.instances += 1
                        got[of_series.get(part.sop_instance_uid or "", "")] += 1
                        if count.is_due():
                            yield count.so_far()
                except IncompleteImages:
                    problem = "the answer ended before its end"
                except (PeerError, RegistryFailure) as error:
                    problem = f"{error.peer} ({error.transaction}): {problem_of(error)}"
                errors = images.errors_now()
        except NoImages as error:
            errors = error.errors
            causes = [f"{each.peer} ({each.transaction}): {problem_of(each)}" for each in error.failures]
            problem = "; ".join(dict.fromkeys(causes)) or "no source gives one of the images"
    wanted = Counter(of_series.values())
    if errors and not problem:
        problem = f"{len(errors)} of {len(of_series)} images cannot be had"
    yield count.done(
        problem, legs, (SeriesGot(uid, got[uid], number) for uid, number in wanted.items()), errors
    )


async def try_document(opening: AbstractAsyncContextManager[Retrieval]) -> Attempt:
    """Retrieve a document as ITI-68 gives it. Raises what opening it raises, but for failures of peers."""
    count = _Count(None)
    problem = ""
    with collected() as legs:
        try:
            async with opening as retrieval:
                count.wanted = retrieval.size
                async for chunk in retrieval.chunks or _nothing():
                    count.bytes += len(chunk)
                    if count.is_due():
                        yield count.so_far()
                count.instances = 1
        except AlteredDocument as error:
            problem = f"{error.peer} gives another document than the one that is registered: {error}"
        except (PeerError, RegistryFailure) as error:
            problem = f"{error.peer} ({error.transaction}): {problem_of(error)}"
        except OutcomeError as error:
            problem = " ".join(issue.diagnostics for issue in error.issues)
    yield count.done(problem, legs)


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes, ...]():
        yield chunk


def _together(errors: Iterable[ImageError]) -> Iterable[Missing]:
    counted = Counter((each.peer, each.code) for each in errors)
    for (peer, code), number in counted.items():
        reason = _MEANINGS.get(code)
        if reason is None:
            # peers put free text there
            reason = code if code.replace(" ", "").isalnum() and len(code) <= 60 else "refused by the source"
        yield Missing(peer, reason, number)


def _called(leg: Leg) -> CalledLeg:
    seconds = 0.0 if leg.ended is None else leg.ended - leg.began
    return CalledLeg(leg.name, leg.peer, seconds, leg.failure)


def unexpected(error: Exception, count: Progress | None) -> Attempted:
    """What is told where an answer that had begun breaks by an error of the gateway."""
    log.error("console.attempt_failed", **where(error))
    return Attempted(
        outcome="failed",
        instances=count.instances if count else 0,
        bytes=count.bytes if count else 0,
        wanted=count.wanted if count else None,
        seconds=0.0,
        problem="an error of the gateway; its log says where",
    )
