"""The page on metrics: what a gateway shows at `/metrics`, asked of one that does not run."""

from types import SimpleNamespace
from typing import Final

from gateway.mhd.admission import Admission
from gateway.telemetry.metrics import Declared, Metrics
from gateway.wiring.audit import watch_trail
from gateway.wiring.metrics import watch

WHAT_IT_SAYS: Final = """\
`metrics.enabled` serves these at `/metrics`, of an own listener with `metrics.port`. Labels have names of
transactions and routes, of peers as the settings name them (`registry`, `repository` and its id, `imaging
source` and its id, `community` and its name), and of outcomes: nothing that a client sends becomes one, so
their number is bounded by the settings. Calls and bytes of a community are those of the peer `community` and
its name."""

EXAMPLES: Final = """\
## Asked often

| question | query |
|---|---|
| share of failed requests, by transaction | `sum by (transaction) (rate(gateway_requests_total{status=~"5.."}[5m])) / sum by (transaction) (rate(gateway_requests_total[5m]))` |
| which community is slow | `histogram_quantile(0.95, sum by (le, peer) (rate(gateway_peer_call_seconds_bucket{peer=~"community .*"}[5m])))` |
| bytes from each community | `sum by (peer) (rate(gateway_peer_received_bytes_total{peer=~"community .*"}[5m]))` |
| what the store did not have | `sum by (kind) (rate(gateway_correlation_reads_total{result="miss"}[5m]))` |
| share of the places taken at each peer | `gateway_peer_calls_in_flight / gateway_peer_calls_most` |
"""  # noqa: E501


def declared() -> list[Declared]:
    """What a gateway shows."""
    metrics = Metrics()
    nothing = SimpleNamespace(lanes=lambda: ())
    store = SimpleNamespace(available=True)
    parts = SimpleNamespace(metrics=metrics, soap=nothing, dicomweb=nothing, fhir=nothing, store=store)
    watch(parts, Admission(1, 1))
    watch_trail(SimpleNamespace(queue=SimpleNamespace(lost=0), deliveries=()), metrics)
    return sorted(metrics.declared, key=lambda each: each.name)


def metrics_page() -> str:
    """A row for each metric."""
    lines = ["| metric | type | labels | what |", "|---|---|---|---|"]
    for each in declared():
        labels = ", ".join(f"`{label}`" for label in each.labels) or "-"
        lines.append(f"| `{each.name}` | {each.kind} | {labels} | {each.text} |")
    return "\n\n".join(["# Metrics", WHAT_IT_SAYS, "\n".join(lines), EXAMPLES])
