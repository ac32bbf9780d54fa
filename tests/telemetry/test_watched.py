"""What is read of parts when metrics are asked for."""

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from gateway.mhd.admission import Admission
from gateway.soap.resilience import Lane, Peer
from gateway.telemetry.metrics import Metrics
from gateway.wiring.metrics import watch


def samples(*lanes):
    metrics = Metrics()
    soap = SimpleNamespace(lanes=lambda: lanes)
    nothing = SimpleNamespace(lanes=lambda: ())
    store = SimpleNamespace(available=True)
    watch(
        SimpleNamespace(metrics=metrics, soap=soap, dicomweb=nothing, fhir=nothing, store=store),
        Admission(1, 1),
    )
    text = metrics.exposition()[0].decode()
    return [
        s for family in text_string_to_metric_families(text) for s in family.samples if "peer" in s.labels
    ]


def test_a_peer_whose_settings_were_read_again_is_one_series():
    before = Lane(Peer("community B", "https://b.example", read_timeout=1), "ITI-38")
    after = Lane(Peer("community B", "https://b.example", read_timeout=2, max_in_flight=7), "ITI-38")
    before.traffic.received, after.traffic.received = 10, 5
    before.in_flight, after.in_flight = 2, 1
    found = samples(before, after)
    assert len({(s.name, tuple(s.labels.items())) for s in found}) == len(found), (
        "Prometheus takes no series twice"
    )
    values = {s.name: s.value for s in found}
    assert values["gateway_peer_received_bytes_total"] == 15
    assert values["gateway_peer_calls_in_flight"] == 3
    assert values["gateway_peer_calls_most"] == 32
    assert values["gateway_peer_circuit"] == 0
