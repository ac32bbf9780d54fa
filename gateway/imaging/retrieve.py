"""Images of a study from all the sources that hold them, merged into one stream (RAD-107 over RAD-69, RAD-75
and WADO-RS).

Sources are asked at once and each keeps its own pace: an instance flows from its source's socket to the
client while the other sources wait with theirs, so memory does not grow with the study. What is known to be
missing before the first byte makes the answer partial; what fails later ends the stream with
`IncompleteImages` after everything that could be had, so that a part is never taken for the whole.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from gateway.dicom.part10 import NotDicom, identify
from gateway.imaging.in_order import OrderBuffer
from gateway.imaging.plan import ImageSelection, Locations, Way, by_leg, by_run, plan
from gateway.model.errors import PeerError, RegistryFailure
from gateway.model.images import ImageError, ImagePart, SeriesWanted

UNREACHABLE: Final = "no-location"
OTHER_SYNTAX: Final = "transfer-syntax"
NOT_DICOM: Final = "not-dicom"
FAILED: Final = "source-failed"
MISSING: Final = "missing"

log = structlog.get_logger()


class IncompleteImages(Exception):
    """Some instances failed after the answer had begun; all that could be had has been passed on."""

    def __init__(self, errors: Sequence[ImageError]) -> None:
        super().__init__(f"{len(errors)} instances failed on the way")
        self.errors = tuple(errors)


class NoImages(Exception):
    """Not one instance can be had. `failures` are those of whole sources, `errors` those of instances."""

    def __init__(self, errors: Sequence[ImageError], failures: Sequence[PeerError | RegistryFailure]) -> None:
        super().__init__("no instance can be had")
        self.errors = tuple(errors)
        self.failures = tuple(failures)


@dataclass(frozen=True, slots=True)
class RetrievePolicy:
    """`status_wait` seconds are left to slow sources before an answer begins without them.

    `order` is that in which the sources give (`arrival`), or that of the manifest, for which up to
    `spool_bytes` that come too early are kept in files.
    """

    status_wait: float = 2.0
    order: Literal["arrival", "manifest"] = "arrival"
    spool_bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Images:
    """An answer that has begun. `errors` are the instances known to be missing from it.

    `parts` raises IncompleteImages at its end where some are missing and none was known to be. `errors_now`
    has every error so far: at the end of `parts`, all of them.
    """

    parts: AsyncIterator[ImagePart]
    errors: tuple[ImageError, ...]
    wanted: int
    errors_now: Callable[[], tuple[ImageError, ...]]

    @property
    def partial(self) -> bool:
        """True where something is known to be missing."""
        return bool(self.errors)


class ImageRetriever:
    """The use case. One per process."""

    def __init__(self, locations: Locations, policy: RetrievePolicy | None = None) -> None:
        self._locations = locations
        self._policy = policy or RetrievePolicy()

    @asynccontextmanager
    async def retrieve(
        self, selection: ImageSelection, transfer_syntaxes: Sequence[str] = ()
    ) -> AsyncIterator[Images]:
        """Open the images; leaving the context ends what is under way at every source.

        `transfer_syntaxes` are UIDs, the preferred first; empty means as stored. Raises NoSuchImage for
        what the manifest does not list and NoImages where not one instance can be had.
        """
        ways, unreachable = plan(selection, self._locations)
        ordered = self._policy.order == "manifest"
        groups = [by_run(ways)] if ordered else [[group] for group in by_leg(ways)]
        merge = _Merge(transfer_syntaxes, [_unreachable(w) for w in unreachable])
        try:
            merge.start(groups)
            await merge.settle(self._policy.status_wait)
            errors = merge.errors_so_far()
            if merge.empty:
                raise NoImages(errors, merge.failures)
            wanted = sum(len(w.sop_instance_uids) for w in (*(way.wanted for way in ways), *unreachable))
            parts = merge.parts(len(errors))
            if ordered:
                uids = [uid for way in ways for uid in way.wanted.sop_instance_uids]
                async with OrderBuffer(uids, self._policy.spool_bytes) as buffer:
                    yield Images(buffer.in_order(parts), errors, wanted, merge.errors_so_far)
            else:
                yield Images(parts, errors, wanted, merge.errors_so_far)
        finally:
            await merge.stop()


def _unreachable(wanted: SeriesWanted) -> Iterable[ImageError]:
    for uid in wanted.sop_instance_uids:
        yield ImageError("", UNREACHABLE, uid)


@dataclass(slots=True)
class _Turn:
    """A part that waits to be passed on; `done` says that it has been.

    `following` are the parts behind it, for whoever reads them instead of the source's own task; `failure`
    is what then ended them.
    """

    part: ImagePart
    following: AsyncIterator[ImagePart]
    done: asyncio.Event = field(default_factory=asyncio.Event)
    failure: PeerError | RegistryFailure | None = None


class _Merge:
    """Several sources, each in a task of its own; one part at a time goes out."""

    def __init__(self, transfer_syntaxes: Sequence[str], unreachable: Iterable[Iterable[ImageError]]) -> None:
        self._syntaxes = tuple(transfer_syntaxes)
        self._errors = [error for errors in unreachable for error in errors]
        self.failures: list[PeerError | RegistryFailure] = []
        self._turns: asyncio.Queue[_Turn | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._settled: list[asyncio.Event] = []
        self._first_part = asyncio.Event()
        self._given: set[str] = set()

    def start(self, groups: Sequence[Sequence[Sequence[Way]]]) -> None:
        """One task for each of `groups`; within it one source after the other."""
        for sources in groups:
            settled = asyncio.Event()
            self._settled.append(settled)
            self._tasks.append(asyncio.create_task(self._run(sources, settled)))

    async def settle(self, seconds: float) -> None:
        """Wait until every source has a part or has ended, `seconds` at most once there is one part."""
        every = asyncio.ensure_future(self._all_settled())
        first = asyncio.ensure_future(self._first_part.wait())
        try:
            await asyncio.wait([every, first], return_when=asyncio.FIRST_COMPLETED)
            if not every.done():
                await asyncio.wait([every], timeout=seconds)
        finally:
            first.cancel()
            every.cancel()
        for task in self._tasks:
            # what is no failure of a peer is a failure of ours: it must not look like missing images
            if task.done():
                task.result()

    async def _all_settled(self) -> bool:
        for event in self._settled:
            await event.wait()
        return True

    @property
    def empty(self) -> bool:
        """True where no part has come and none will."""
        return not self._first_part.is_set() and all(event.is_set() for event in self._settled)

    def errors_so_far(self) -> tuple[ImageError, ...]:
        """What is known to be missing."""
        return tuple(self._errors)

    async def parts(self, known_errors: int) -> AsyncIterator[ImagePart]:
        """The parts; raises IncompleteImages at the end where there are more errors than are known."""
        running = len(self._tasks)
        while running:
            turn = await self._turns.get()
            if turn is None:
                running -= 1
                continue
            yield turn.part
            if running == 1:
                # no other source waits for its turn: two switches of tasks less for each image
                try:
                    async for part in turn.following:
                        yield part
                except (PeerError, RegistryFailure) as error:
                    turn.failure = error
            turn.done.set()
        for task in self._tasks:
            await task
        if not known_errors and self._errors:
            raise IncompleteImages(self._errors)

    async def stop(self) -> None:
        """End every source's answer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, sources: Sequence[Sequence[Way]], settled: asyncio.Event) -> None:
        try:
            for ways in sources:
                todo = list(ways)
                while todo:
                    todo = [way for group in by_leg(todo) for way in await self._ask(group, settled)]
        finally:
            settled.set()
            self._turns.put_nowait(None)

    async def _ask(self, ways: Sequence[Way], settled: asyncio.Event) -> list[Way]:
        """Ask one source. Returns what is to be tried elsewhere."""
        asking = _Asking(ways, self._given)
        leg = ways[0].leg
        failed = False
        try:
            async with (
                leg.retrieve([way.request() for way in ways], self._syntaxes) as items,
                aclosing(self._fitting(asking, items)) as following,
            ):
                async for part in following:
                    turn = _Turn(part, following)
                    self._turns.put_nowait(turn)
                    self._first_part.set()
                    settled.set()
                    await turn.done.wait()
                    if turn.failure is not None:
                        raise turn.failure
        except (PeerError, RegistryFailure) as error:
            log.warning("images.source_failed", source=leg.name, error=type(error).__name__)
            self.failures.append(error)
            failed = True
        further, errors = asking.rest(FAILED if failed else MISSING)
        self._errors += errors
        return further

    async def _fitting(
        self, asking: "_Asking", items: AsyncIterator[ImagePart | ImageError]
    ) -> AsyncGenerator[ImagePart, None]:
        """The parts that are for this client, and notes of the others."""
        async for item in items:
            if isinstance(item, ImageError):
                self._errors += asking.note(item)
                continue
            part = await self._fit(asking, item)
            if part is not None:
                yield part

    async def _fit(self, asking: "_Asking", part: ImagePart) -> ImagePart | None:
        """A part with what it says of itself; None where it is not passed on, which is noted."""
        if part.sop_instance_uid is None or part.transfer_syntax is None:
            try:
                part = await identify(part)
            except NotDicom:
                log.warning("images.not_dicom", source=asking.source)
                self._errors += asking.note(ImageError(asking.source, NOT_DICOM, part.sop_instance_uid))
                await _drain(part)
                return None
        uid = part.sop_instance_uid
        if uid is None or uid in self._given or not asking.may_give(uid):
            # nobody asked for it, or it has been given: it is not for this client to see (again)
            log.warning("images.unasked", source=asking.source)
            await _drain(part)
            return None
        if self._syntaxes and part.transfer_syntax not in self._syntaxes:
            self._errors += asking.note(ImageError(asking.source, OTHER_SYNTAX, uid))
            await _drain(part)
            return None
        self._given.add(uid)
        asking.gave(uid)
        return part


class _Asking:
    """What one source has been asked for and what has become of it."""

    def __init__(self, ways: Sequence[Way], given: set[str]) -> None:
        self.source = ways[0].leg.name
        self._ways = ways
        self._left = {uid: way for way in ways for uid in way.wanted.sop_instance_uids if uid not in given}
        self._told: dict[str, ImageError] = {}
        # by series an archive may have more than the manifest says
        self._more = any(way.wanted.whole for way in ways)

    def may_give(self, uid: str) -> bool:
        """True for an instance that was asked for."""
        return uid in self._left or self._more

    def gave(self, uid: str) -> None:
        """An instance has come."""
        self._left.pop(uid, None)
        self._told.pop(uid, None)

    def note(self, error: ImageError) -> tuple[ImageError, ...]:
        """An instance does not come from here. Returns the error where there is no other way to it."""
        uid = error.sop_instance_uid
        if uid is None or uid not in self._left:
            return ()
        if self._left[uid].legs[1:]:
            self._told[uid] = error
            return ()
        del self._left[uid]
        return (error,)

    def rest(self, code: str) -> tuple[list[Way], list[ImageError]]:
        """What is to be tried elsewhere, and `code` for each instance that has no other way."""
        further: list[Way] = []
        errors: list[ImageError] = []
        for way in self._ways:
            uids = [uid for uid in way.wanted.sop_instance_uids if self._left.get(uid) is way]
            other = way.further(uids)
            if uids and other is not None:
                further.append(other)
            else:
                errors += [self._told.get(uid, ImageError(self.source, code, uid)) for uid in uids]
        return further, errors


async def _drain(part: ImagePart) -> None:
    async for _ in part.chunks:
        pass
