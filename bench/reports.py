"""DiagnosticReport and ImagingStudy of a patient with 300 documents, 40 of them reports and 30 manifests:
milliseconds and calls of the domain, cold and warm.

The domain is the embedded one, so that its own time is in each figure. Cold is the first search of a gateway
that has just started with an empty store.
"""

import json
import statistics
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from bench import report
from bench.processes import REPOSITORY, Child, child, gateway
from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.report_documents import report_document
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION, IdSource, SampleDocument, SamplePatient

DOCUMENTS, REPORTS, MANIFESTS = 300, 40, 30
_AT_ONCE, _WARM = 60, 8
_PATIENT = SamplePatient("BENCH-REPORTS", "Muster", "Maria", "1975-04-12", "female", "Exampleton")
_SEARCHED = urlencode({"patient.identifier": _PATIENT.token, "_count": DOCUMENTS})
_DOCUMENTS = urlencode({"patient.identifier": _PATIENT.token, "status": "current", "_count": DOCUMENTS})
_KEPT = "DiagnosticReport, answers kept"
"""With `lifetimes.registry_answer`, so that a warm search asks nobody."""
_SEARCHES = {
    "DiagnosticReport": f"DiagnosticReport?{_SEARCHED}",
    _KEPT: f"DiagnosticReport?{_SEARCHED}",
    "ImagingStudy": f"ImagingStudy?{_SEARCHED}",
    "Observation": f"Observation?{_SEARCHED}",
    "ITI-67": f"DocumentReference?{_DOCUMENTS}",
}


def _documents() -> list[SampleDocument]:
    found = []
    for number in range(REPORTS):
        order = ReportOrder(f"A-{number}", ORGANIZATION, f"P-{number}", ORGANIZATION)
        found.append(report_document("foot", IdSource(f"bench report {number}"), _PATIENT, order))
    found += [sample_content(f"bench {number}", _PATIENT.id).manifest for number in range(MANIFESTS)]
    for number in range(DOCUMENTS - len(found)):
        unique_id = IdSource(f"bench text {number}").oid(7)
        note = SampleDocument(unique_id=unique_id, content=b"text", content_type="text/plain", title="Note")
        found.append(note)
    return found


def _get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return len(answer.read())


def _publish(running: Child) -> None:
    documents = _documents()
    for start in range(0, len(documents), _AT_ONCE):
        bundle = provide_bundle(documents[start : start + _AT_ONCE], patient=_PATIENT)
        request = urllib.request.Request(
            running.url,
            data=json.dumps(bundle).encode(),
            headers={"Content-Type": "application/fhir+json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()


def _calls(running: Child) -> int:
    """SOAP calls of the domain so far."""
    with urllib.request.urlopen(f"{running.url.removesuffix('/fhir')}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    counted = (line.rpartition(" ")[2] for line in lines if line.startswith("gateway_peer_calls_total{"))
    return round(sum(map(float, counted)))


def _timed(running: Child, path: str) -> tuple[float, int]:
    started = time.perf_counter()
    size = _get(f"{running.url}/{path}")
    return (time.perf_counter() - started) * 1000, size


def run(starts: int) -> None:
    """Ask a fresh gateway for each search, `starts` times: each search cold, and then warm."""
    cold: dict[str, list[float]] = {name: [] for name in _SEARCHES}
    warm: dict[str, list[float]] = {name: [] for name in _SEARCHES}
    sizes: dict[str, int] = {}
    calls: dict[str, tuple[int, float]] = {}
    with TemporaryDirectory(prefix="bench") as folder, child(*_domain(Path(folder))) as domain:
        peers = {
            "GATEWAY_REGISTRY__URL": f"{domain.url}/xds/registry",
            "GATEWAY_REPOSITORIES": json.dumps(
                [{"unique_id": REPOSITORY, "url": f"{domain.url}/xds/repository"}]
            ),
            "GATEWAY_METRICS__ENABLED": "true",
        }
        with gateway(domain.url, **peers) as running:
            _publish(running)
        for _ in range(starts):
            for name, path in _SEARCHES.items():
                kept = {"GATEWAY_LIFETIMES__REGISTRY_ANSWER": "600"} if name == _KEPT else {}
                settings = peers | kept
                with gateway(domain.url, **settings) as running:
                    taken, sizes[name] = _timed(running, path)
                    cold[name].append(taken)
                    first = _calls(running)
                    warm[name] += [_timed(running, path)[0] for _ in range(_WARM)]
                    calls[name] = first, (_calls(running) - first) / _WARM
    report.show(
        f"Resources of {DOCUMENTS} documents, {REPORTS} reports and {MANIFESTS} manifests",
        ("search", "cold ms (min / median)", "calls", "warm ms (min / median)", "calls", "kB"),
        [
            (
                name,
                report.spread(cold[name]),
                calls[name][0],
                report.spread(warm[name]),
                calls[name][1],
                sizes[name] // 1000,
            )
            for name in _SEARCHES
        ],
    )
    floor = statistics.median(warm["ITI-67"])
    print(f"  warm DiagnosticReport is {statistics.median(warm['DiagnosticReport']) / floor:.2f} of ITI-67")


def _domain(folder: Path) -> tuple[str, ...]:
    place = ("--port", "0", "--state-dir", str(folder), "--repository-unique-id", REPOSITORY)
    return ("-m", "gateway.cli", "affinity", *place)
