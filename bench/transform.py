"""From the SOAP answer of a registry to the FHIR page: microseconds per entry, next to the floor.

The floor is what no implementation on these libraries can avoid: lxml's parse of the same bytes and
orjson's dump of the same resources.
"""

import gc
import statistics
import time
from collections.abc import Callable

import orjson
from lxml import etree

from bench import report, sample
from gateway.ebxml.query_response import QueryResponseReader
from gateway.fhir.document_reference import WriteContext, document_reference_json
from gateway.fhir.searchset import write_searchset
from gateway.fhir.terminology import Terminology
from gateway.mhd.references import PatientReferences, document_urls
from gateway.model import DocumentEntry
from gateway.safe_xml import parse_xml
from gateway.security.document_urls import DocumentTokens
from gateway.security.patient_ids import PatientIds
from gateway.security.sealing import KeyRing

BASE = "http://127.0.0.1:8080/fhir"
SIZES = (1, 10, 100, 1000)


def write_context() -> WriteContext:
    """The context that the gateway itself builds."""
    ring, terms = KeyRing([bytes(range(32))]), Terminology()
    references = PatientReferences(PatientIds(ring), terms, BASE)
    return WriteContext(
        terminology=terms,
        base_url=BASE,
        document_url=document_urls(DocumentTokens(ring), BASE),
        patient_reference=references.of,
    )


def _read(element: etree._Element) -> tuple[DocumentEntry, ...]:
    reader = QueryResponseReader(element)
    while not reader.read_some(25):
        pass
    return reader.result().entries


def _write(entries: tuple[DocumentEntry, ...], context: WriteContext) -> bytes:
    resources = [
        (f"{BASE}/DocumentReference/{e.entry_uuid[9:]}", document_reference_json(e, context)) for e in entries
    ]
    return write_searchset(entries=resources, total=len(entries), links={"self": BASE}, issues=())


class _Clock:
    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}

    def time(self, name: str, entries: int, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        result = work()
        self.samples.setdefault(name, []).append((time.perf_counter() - started) / entries * 1e6)
        return result


def _round(clock: _Clock, raw: bytes, count: int, context: WriteContext, dumped: list[object]) -> None:
    clock.time("floor parse", count, lambda: etree.fromstring(raw))
    clock.time("floor dump", count, lambda: [orjson.dumps(r) for r in dumped])
    element = clock.time("parse", count, lambda: parse_xml(raw))
    assert isinstance(element, etree._Element)
    entries = clock.time("map", count, lambda: _read(element))
    assert isinstance(entries, tuple)
    clock.time("write", count, lambda: _write(entries, context))


def run(seconds: float) -> None:
    """Measure each size for `seconds`, all steps interleaved in each round."""
    context = write_context()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the gateway does
    rows = []
    for count in SIZES:
        raw = sample.answer_body(count)
        resources = [orjson.loads(document_reference_json(e, context)) for e in _read(parse_xml(raw))]
        clock = _Clock()
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            _round(clock, raw, count, context, resources)
        low = {name: min(values) for name, values in clock.samples.items()}
        middle = {name: statistics.median(values) for name, values in clock.samples.items()}
        steps = ("parse", "map", "write")
        rows.append(
            (
                count,
                len(raw) // count,
                *(f"{low[s]:.0f} / {middle[s]:.0f}" for s in steps),
                f"{sum(low[s] for s in steps):.0f} / {sum(middle[s] for s in steps):.0f}",
                f"{low['floor parse']:.0f} + {low['floor dump']:.0f}",
                sum(low[s] for s in steps) / (low["floor parse"] + low["floor dump"]),
                sum(middle[s] for s in steps) / (middle["floor parse"] + middle["floor dump"]),
            )
        )
    report.show(
        "ITI-67: microseconds per entry from SOAP answer to FHIR page (min / median)",
        ("entries", "bytes/entry", "parse", "map", "write", "sum", "floor (min)", "x min", "x median"),
        rows,
    )
