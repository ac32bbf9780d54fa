"""Manifests: milliseconds to read and write a key object document, beside pydicom; and to FHIR and back.

pydicom reads the file and visits each element, as a mapping to the model has to, and writes what it read. All
steps of a size take turns, so the ratios are of one run.
"""

import gc
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from bench import report
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.model.imaging import (
    Creator,
    ImagingPatient,
    ImagingRequest,
    Instance,
    IssuedId,
    Issuer,
    LocalTime,
    Manifest,
    RetrieveLocation,
    RetrieveLocationUid,
    Series,
    Study,
)
from gateway.model.imaging_codes import DCM, SNOMED
from gateway.model.metadata import Code, Organization, Person

SIZES = (10, 500, 3000)
_SERIES = 5


def _issued(value: str, authority: str) -> IssuedId:
    return IssuedId(value, Issuer(None, authority, "ISO"))


def sample_manifest(count: int) -> Manifest:
    """A CT study of `count` instances in five series at two locations."""
    root, each = "2.999.20260310.84213.7", count // _SERIES
    offset, ct = "+0100", Code("CT", DCM, "Computed Tomography")
    series = tuple(
        Series(
            f"{root}.2.{number}",
            modality=ct,
            number=str(number),
            description=f"Thorax {number}",
            started=LocalTime("20260310", f"08{number:02d}00", offset),
            body_sites=(Code("67734004", SNOMED, "Upper trunk structure"),),
            locations=(RetrieveLocation(RetrieveLocationUid(f"2.999.8.{number % 2 + 1}")),),
            instances=tuple(
                Instance(f"{root}.3.{number}.{at}", "1.2.840.10008.5.1.4.1.1.2", number=str(at))
                for at in range(1, each + 1)
            ),
            stated_instances=each,
        )
        for number in range(1, _SERIES + 1)
    )
    return Manifest(
        sop_instance_uid=f"{root}.4",
        series_instance_uid=f"{root}.5",
        created=LocalTime("20260310", "093000", offset),
        utc_offset=offset,
        creator=Creator("Example Maker", Organization("Example Hospital")),
        study=Study(
            f"{root}.1",
            patient=ImagingPatient(
                (_issued("P-1", "2.999.5.4"),),
                Person(family="Muster", given="Eva"),
                birth_date="19700101",
                sex="F",
            ),
            started=LocalTime("20260310", "080000", offset),
            description="CT Thorax",
            modalities=(ct,),
            regions=(Code("67734004", SNOMED, "Upper trunk structure"),),
            requests=(ImagingRequest(_issued("A-1", "2.999.5.1"), _issued("O-7", "2.999.5.2")),),
            series=series,
            stated_series=_SERIES,
        ),
    )


def _visit(dataset: Dataset) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _visit(item)


def _pydicom_read(data: bytes) -> Dataset:
    dataset = dcmread(BytesIO(data))
    _visit(dataset)
    return dataset


def _pydicom_write(dataset: Dataset) -> bytes:
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _measure(count: int, seconds: float, context: ManifestContext) -> tuple[object, ...]:
    """One row of the table."""
    manifest = sample_manifest(count)
    kos, fhir = write_kos(manifest), manifest_bundle_bytes(manifest, context)
    assert read_kos(kos).manifest.study == manifest.study
    dataset = _pydicom_read(kos)
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: read_kos(kos),
        "pydicom read": lambda: _pydicom_read(kos),
        "write": lambda: write_kos(manifest),
        "pydicom write": lambda: _pydicom_write(dataset),
        "to FHIR": lambda: manifest_bundle_bytes(read_kos(kos).manifest, context),
        "from FHIR": lambda: write_kos(read_manifest(fhir, context.terminology).manifest),
    }
    samples: dict[str, list[float]] = {name: [] for name in steps}
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(samples["read"]) < 3:
        for name, work in steps.items():
            started = time.perf_counter()
            work()
            samples[name].append((time.perf_counter() - started) * 1000)
    low = {name: min(values) for name, values in samples.items()}
    shown = {name: f"{low[name]:,.1f} / {statistics.median(samples[name]):,.1f}" for name in steps}
    ratios = (low["pydicom read"] / low["read"], low["pydicom write"] / low["write"])
    return (
        count,
        len(kos) // 1000,
        shown["read"],
        shown["write"],
        *ratios,
        shown["to FHIR"],
        shown["from FHIR"],
    )


def run(seconds: float) -> None:
    """Measure each size for about `seconds`, three rounds at least."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the gateway does
    context = ManifestContext(Terminology(), assembled=datetime(2026, 3, 10, tzinfo=UTC))
    report.show(
        "Manifests: milliseconds per document (min / median), pydicom as multiple",
        ("instances", "kB", "read", "write", "x read", "x write", "KOS to FHIR", "FHIR to KOS"),
        [_measure(count, seconds, context) for count in SIZES],
    )
