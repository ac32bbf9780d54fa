"""What the gateway counts, for Prometheus.

Labels are names of transactions, routes, peers of the settings, kinds of stored values and outcomes: their
number is bounded by settings and code, and nothing that a client sends becomes one. Each gateway has its own
registry. A request costs some microseconds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CIRCUIT_STATES: Final = {"closed": 0, "half-open": 1, "open": 2}

Rows = Iterable[tuple[Sequence[str], float]]
"""Label values and the value."""


@dataclass(slots=True)
class PeerCalls:
    """Calls of one transaction to one peer, and the seconds that they took together."""

    number: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Declared:
    """What is shown under one name."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]


class Metrics:
    """The counters of one gateway."""

    def __init__(self) -> None:
        self.declared: list[Declared] = []
        """What there is, besides what says how the process is."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._requests = self._counter("requests", "Requests that were answered", "transaction", "status")
        self._request_seconds = self._histogram(
            "request_seconds", "Seconds from the head of a request to the end of its answer", "transaction"
        )
        self._received = self._counter(
            "received_bytes", "Bytes of request bodies, as announced", "transaction"
        )
        self._sent = self._counter(
            "sent_bytes", "Bytes of answers; with the head where they are streamed", "transaction"
        )
        self._peer_calls = self._counter(
            "peer_calls", "Calls of peers with their repeats", "peer", "transaction", "outcome"
        )
        self._peer_seconds = self._histogram(
            "peer_call_seconds", "Seconds until a peer's answer began or failed", "peer", "transaction"
        )
        self._reads = self._counter(
            "correlation_reads", "Values asked of the correlation store", "kind", "result"
        )
        self.in_flight = self._gauge("requests_in_flight", "Requests being answered")
        build = self._gauge("build", "Version of the gateway", "version")
        build.labels(_version()).set(1)

    def request(self, transaction: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count a request that was answered; bytes of the bodies."""
        self._requests.labels(transaction, str(status)).inc()
        self._request_seconds.labels(transaction).observe(seconds)
        self._received.labels(transaction).inc(received)
        self._sent.labels(transaction).inc(sent)

    def peer_call(self, peer: str, transaction: str, outcome: str, seconds: float) -> None:
        """Count a call of a peer (`gateway.soap.resilience.CallObserver`)."""
        self._peer_calls.labels(peer, transaction, outcome).inc()
        self._peer_seconds.labels(peer, transaction).observe(seconds)

    def peer_calls(self) -> dict[tuple[str, str], "PeerCalls"]:
        """Calls since the start, by peer and transaction."""
        found: dict[tuple[str, str], PeerCalls] = {}

        def of(labels: Mapping[str, str]) -> PeerCalls:
            return found.setdefault((labels["peer"], labels["transaction"]), PeerCalls())

        for sample in (each for family in self._peer_calls.collect() for each in family.samples):
            if sample.name.endswith("_total"):
                calls = of(sample.labels)
                calls.number += int(sample.value)
                calls.failed += 0 if sample.labels["outcome"] in {"ok", "cancelled"} else int(sample.value)
        for sample in (each for family in self._peer_seconds.collect() for each in family.samples):
            if sample.name.endswith("_sum"):
                of(sample.labels).seconds += sample.value
        return found

    def correlation_read(self, kind: str, result: str) -> None:
        """Count a value that was asked of the correlation store: `hit`, `miss` or `away`."""
        self._reads.labels(kind, result).inc()

    def watch(self, name: str, text: str, labels: Sequence[str], read: Callable[[], Rows]) -> None:
        """A gauge that is read when it is asked for."""
        name = self._declared(name, "gauge", text, labels)
        self._registry.register(_Watched(GaugeMetricFamily, name, text, labels, read))

    def watch_counter(self, name: str, text: str, labels: Sequence[str], read: Callable[[], Rows]) -> None:
        """The same for what only grows."""
        name = self._declared(name, "counter", text, labels)
        self._registry.register(_Watched(CounterMetricFamily, name, text, labels, read))

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All of it and its media type, in the format that the Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(self._declared(name, "counter", text, labels), text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(self._declared(name, "gauge", text, labels), text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        name = self._declared(name, "histogram", text, labels)
        return Histogram(name, text, labels, registry=self._registry, buckets=SECONDS)

    def _declared(self, name: str, kind: str, text: str, labels: Sequence[str]) -> str:
        whole = f"gateway_{name}"
        shown = f"{whole}_total" if kind == "counter" else whole
        self.declared.append(Declared(shown, kind, text, tuple(labels)))
        return whole


class _Watched:
    def __init__(
        self,
        family: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        text: str,
        labels: Sequence[str],
        read: Callable[[], Rows],
    ) -> None:
        self._family, self._name, self._text, self._labels, self._read = family, name, text, labels, read

    def describe(self) -> Iterator[Metric]:
        yield self._family(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        family = self._family(self._name, self._text, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family


def _version() -> str:
    try:
        return version("mhd-xds-gateway")
    except PackageNotFoundError:
        return "unknown"
