"""Spans of a request: what was done for it, by whom, for how long (OpenTelemetry).

A request that is traced has a tracer in its context, put there by the middleware; everywhere else `span`
costs a look at a variable and does nothing. Attributes are names of transactions, peers of the settings,
kinds and counts; no identifier, no URL and no text of an error becomes one.

Spans are handed on by a variable of our own, since streamed answers begin a span in one task and may end it
in another, where OpenTelemetry's own would complain.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from gateway.legs import leg

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Attributes = Mapping[str, str | int | bool]
Kind = Literal["server", "client", "internal"]


@dataclass(frozen=True, slots=True)
class _Open:
    tracer: "Tracer"
    span: "Span"


_open: ContextVar[_Open | None] = ContextVar("open_span", default=None)


class Step:
    """A span that is open, or nothing where the request is not traced."""

    __slots__ = ("_span",)

    def __init__(self, span: "Span | None") -> None:
        self._span = span

    def set(self, name: str, value: str | int | bool) -> None:
        """Add an attribute."""
        if self._span is not None:
            self._span.set_attribute(name, value)

    def name(self, name: str) -> None:
        """Rename it, where what it is turns out on the way."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """Mark it as failed, with the kind of error."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", kind)

    def end(self) -> None:
        """End it; once more does nothing."""
        if self._span is not None:
            self._span.end()
            self._span = None


NOTHING: Final = Step(None)


@dataclass(frozen=True, slots=True)
class Ids:
    """What the header `traceparent` says, in hexadecimal."""

    trace_id: str
    span_id: str
    flags: str


def ids() -> Ids | None:
    """Those of the span that is open here, or None."""
    current = _open.get()
    if current is None:
        return None
    context = current.span.get_span_context()
    return Ids(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}")


def begin(name: str, kind: Kind = "internal", attributes: Attributes | None = None) -> Step:
    """Start a span below the one that is open, which nothing else is put below. End it."""
    current = _open.get()
    if current is None or not current.span.is_recording():
        return NOTHING
    return Step(_started(current.tracer, name, kind, attributes, _below(current.span)))


@contextmanager
def span(name: str, kind: Kind = "internal", attributes: Attributes | None = None) -> Iterator[Step]:
    """A span below the one that is open, for what happens inside; an exception marks it as failed.

    What calls somebody (`client`) is a leg of the request too.
    """
    if kind == "client":
        with (
            leg(name, str((attributes or {}).get("peer.service", ""))),
            _span(name, kind, attributes) as step,
        ):
            yield step
        return
    with _span(name, kind, attributes) as step:
        yield step


@contextmanager
def _span(name: str, kind: Kind, attributes: Attributes | None) -> Iterator[Step]:
    current = _open.get()
    if current is None or not current.span.is_recording():
        yield NOTHING
        return
    started = _started(current.tracer, name, kind, attributes, _below(current.span))
    with _opened(current.tracer, started) as step:
        yield step


@contextmanager
def root(tracer: "Tracer", name: str, parent: "Context", attributes: Attributes) -> Iterator[Step]:
    """The span of a request that this process answers, below that of who sent it."""
    with _opened(tracer, _started(tracer, name, "server", attributes, parent)) as step:
        yield step


@contextmanager
def _opened(tracer: "Tracer", started: "Span") -> Iterator[Step]:
    step = Step(started)
    token = _open.set(_Open(tracer, started))
    try:
        yield step
    except BaseException as error:
        step.fail(type(error).__name__)
        raise
    finally:
        # ended in another context than it began in, a span leaves the variable there as it is
        with suppress(ValueError):
            _open.reset(token)
        step.end()


def _started(
    tracer: "Tracer", name: str, kind: Kind, attributes: Attributes | None, context: "Context"
) -> "Span":
    from opentelemetry.trace import SpanKind

    kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
    return tracer.start_span(name, context=context, kind=kinds[kind], attributes=attributes)


def _below(parent: "Span") -> "Context":
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(parent)
