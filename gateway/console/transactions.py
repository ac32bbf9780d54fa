"""The latest requests as they come: what was asked, how it was answered, and where the time went."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from aiohttp import web
from msgspec import Struct

from gateway.console.errors import PageError
from gateway.console.protection import GATE
from gateway.console.rendering import PAGES, STOPPING, page
from gateway.legs import Leg
from gateway.telemetry.recent import RecentRequests, Request

SHOWN: Final = 100
"""Requests in the list."""
_MOST_STREAMS: Final = 64
_BEAT: Final = 15.0
"""Seconds after which a stream is asked for its session again, and says that it is there."""
_LONGEST_NAME: Final = 64
_MOST_LANES: Final = 6
_SLIMMEST: Final = 1.5
"""Percent of the width that a bar has at least, to be seen."""


class Filter(Struct, frozen=True):
    """Which requests are shown: those of one transaction, and by how they were answered."""

    transaction: str = ""
    outcome: str = ""

    @classmethod
    def of(cls, request: web.Request) -> "Filter":
        """What the query of a request says; what is none is left out."""
        transaction = request.query.get("transaction", "")
        outcome = request.query.get("outcome", "")
        return cls(
            transaction if transaction.isprintable() and len(transaction) <= _LONGEST_NAME else "",
            outcome if outcome in {"ok", "failed"} else "",
        )

    def takes(self, request: Request) -> bool:
        """Whether a request is shown."""
        return (not self.transaction or request.transaction == self.transaction) and (
            not self.outcome or request.failed == (self.outcome == "failed")
        )


class Bar(Struct, frozen=True):
    """A leg in the picture of a request: lane, begin and width in percent of the time of the request."""

    lane: int
    x: float
    width: float
    kind: str


class LegFigures(Struct, frozen=True):
    """Legs of one kind in all requests that are shown; seconds. `part` is that of the longest, in percent."""

    name: str
    peer: str
    calls: int
    failed: int
    median: float
    high: float
    part: float
    part_high: float


class Figures(Struct, frozen=True):
    """What the requests that are shown come to; None where there are none."""

    requests: int
    failed: int
    median: float | None
    high: float | None
    sent: int
    legs: tuple[LegFigures, ...]


class Row(Struct, frozen=True):
    """A request with its picture."""

    request: Request
    bars: tuple[Bar, ...]
    lanes: int
    said: str


class TransactionsPage:
    """The list, what it comes to, and the stream of what is new."""

    def __init__(self, recent: RecentRequests) -> None:
        self._recent = recent
        self._streams = 0

    def table(self) -> list[web.RouteDef]:
        """Routes below /console."""
        return [
            web.get("/transactions", self.show),
            web.get("/parts/transactions", self.part),
            web.get("/transactions/events", self.events),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        wanted = Filter.of(request)
        kept = list(self._recent.latest())
        shown = [each for each in kept if wanted.takes(each)]
        return page(
            request,
            "transactions.html",
            rows=[row_of(each) for each in shown[:SHOWN]],
            figures=figures_of(shown),
            last=kept[0].number if kept else 0,
            names=sorted({each.transaction for each in kept} | ({wanted.transaction} - {""})),
            wanted=wanted,
            most=self._recent.most,
            shown_most=SHOWN,
        )

    async def part(self, request: web.Request) -> web.Response:
        """What the requests come to."""
        wanted = Filter.of(request)
        shown = [each for each in self._recent.latest() if wanted.takes(each)]
        return page(request, "transactions_part.html", figures=figures_of(shown), most=self._recent.most)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Rows of requests that end from now on, or after the one that the client has seen last (Server-Sent
        Events)."""
        if self._streams >= _MOST_STREAMS:
            raise PageError(503, "Too many watch", "Close other windows of the console, or wait.")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        self._streams += 1
        try:
            await self._stream(request, response, Filter.of(request))
        except ConnectionResetError:
            pass  # whoever watched has gone
        finally:
            self._streams -= 1
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, wanted: Filter) -> None:
        gate, stopping = request.config_dict[GATE], request.config_dict[STOPPING]
        with self._recent.watching() as queue:
            missed = [each for each in self._recent.latest() if each.number > _seen(request)]
            await response.write(b"retry: 3000\n\n")
            for each in reversed(missed[:SHOWN]):
                await self._tell(request, response, wanted, each)
            loop = asyncio.get_running_loop()
            # also where there is always something to tell: a session that ended would watch a busy gateway on
            due = loop.time() + _BEAT
            while not stopping.is_set():
                news = await _next(queue, stopping, due - loop.time())
                if news is None or loop.time() >= due:
                    if not await gate.lets_in(request):
                        return
                    due = loop.time() + _BEAT
                if news is not None:
                    await self._tell(request, response, wanted, news)
                else:
                    await response.write(b": still here\n\n")

    async def _tell(
        self, request: web.Request, response: web.StreamResponse, wanted: Filter, news: Request
    ) -> None:
        if not wanted.takes(news):
            return
        text = request.config_dict[PAGES].render(request, "transaction_row.html", row=row_of(news))
        lines = "".join(f"data: {line}\n" for line in text.splitlines() if line.strip())
        await response.write(f"id: {news.number}\nevent: request\n{lines}\n".encode())


async def _next(queue: "asyncio.Queue[Request]", stopping: asyncio.Event, seconds: float) -> Request | None:
    """The next request; None where there was none for so long, or the gateway stops."""
    getting, stopped = asyncio.ensure_future(queue.get()), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({getting, stopped}, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()
        stopped.cancel()


def _seen(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 1 << 62


# --- pictures and figures ---------------------------------------------------------------------------------
def row_of(request: Request) -> Row:
    """A request with its picture: each leg a bar, in a lane of its own where it goes on beside others."""
    bars: list[Bar] = []
    ends: list[float] = []
    whole = max(request.seconds, 1e-6)
    for leg in request.legs:
        lane = next((n for n, end in enumerate(ends) if end <= leg.began), len(ends))
        if lane == _MOST_LANES:
            lane -= 1
        if lane == len(ends):
            ends.append(0.0)
        ended = _end(leg, request)
        ends[lane] = ended
        x = min(100 * leg.began / whole, 100 - _SLIMMEST)
        width = min(max(100 * (ended - leg.began) / whole, _SLIMMEST), 100 - x)
        bars.append(Bar(lane, round(x, 2), round(width, 2), _kind(leg)))
    return Row(request, tuple(bars), max(len(ends), 1), _said(request))


def _end(leg: Leg, request: Request) -> float:
    return leg.ended if leg.ended is not None else max(request.seconds, leg.began)


def _kind(leg: Leg) -> str:
    if leg.failure:
        return "bad"
    return "call" if leg.peer else "store"


def _said(request: Request) -> str:
    """How many legs, in words."""
    number = len(request.legs) + request.more_legs
    return "no calls" if number == 0 else f"{number} call{'' if number == 1 else 's'}"


def figures_of(requests: Sequence[Request]) -> Figures:
    """What requests come to."""
    seconds = sorted(each.seconds for each in requests)
    return Figures(
        len(requests),
        sum(each.failed for each in requests),
        _quantile(seconds, 0.5) if seconds else None,
        _quantile(seconds, 0.95) if seconds else None,
        sum(each.sent for each in requests),
        tuple(_leg_figures(requests)),
    )


def _leg_figures(requests: Iterable[Request]) -> Iterator[LegFigures]:
    found: dict[tuple[str, str], list[Leg]] = {}
    for request in requests:
        for leg in request.legs:
            if leg.ended is not None:
                found.setdefault((leg.name, leg.peer), []).append(leg)
    figures = []
    for (name, peer), legs in found.items():
        seconds = sorted(leg.ended - leg.began for leg in legs if leg.ended is not None)
        failed = sum(bool(leg.failure) for leg in legs)
        figures.append((name, peer, len(legs), failed, _quantile(seconds, 0.5), _quantile(seconds, 0.95)))
    longest = max((high for *_, high in figures), default=0.0) or 1.0
    for name, peer, calls, failed, median, high in sorted(figures, key=lambda each: -each[5]):
        yield LegFigures(
            name,
            peer,
            calls,
            failed,
            median,
            high,
            round(100 * median / longest, 2),
            round(100 * high / longest, 2),
        )


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
