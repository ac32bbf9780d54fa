"""What a key object document cannot carry of a manifest is said by name, and the rest is written."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import encode_kos
from gateway.dicom.losses import KOS_LOSSES
from gateway.model.imaging import (
    Creator,
    IssuedId,
    Issuer,
    LocalTime,
    Manifest,
    RetrieveLocation,
    Series,
)
from gateway.model.metadata import Code, Organization, Person
from tests.dicom.samples import DCM, group_case

MANIFEST = group_case()


def _study(**changes: object) -> Manifest:
    return replace(MANIFEST, study=replace(MANIFEST.study, **changes))


def _patient(**changes: object) -> Manifest:
    return _study(patient=replace(MANIFEST.study.patient, **changes))


def _first_series(**changes: object) -> Manifest:
    first, *others = MANIFEST.study.series
    return _study(series=(replace(first, **changes), *others))


def _with_issuer(issuer: Issuer) -> Manifest:
    first, second = MANIFEST.study.requests
    return _study(requests=(replace(first, placer=IssuedId("ORDER-7", issuer)), second))


def _first(read: Manifest) -> Series:
    return read.study.series[0]


LOSSES: dict[str, tuple[Manifest, Callable[[Manifest], bool]]] = {
    "title-replaced": (
        replace(MANIFEST, title=Code("113030", DCM, "Manifest")),
        lambda read: read == MANIFEST,
    ),
    "count-restated": (_study(stated_series=9), lambda read: read == MANIFEST),
    "person-id": (
        _study(referring_physician=Person(id="77", family="Überweiser", given="Ute", authority="2.999.1")),
        lambda read: read == MANIFEST,
    ),
    "person-degree": (
        _patient(name=Person(family="Muster", suffix="Jr.", degree="MD")),
        lambda read: read.study.patient.name == Person(family="Muster", suffix="Jr. MD"),
    ),
    "name-delimiters": (
        _patient(name=Person(family="A^B=C")),
        lambda read: read.study.patient.name == Person(family="A B C"),
    ),
    "characters-replaced": (
        _study(description="CT\\MR\nThorax"),
        lambda read: read.study.description == "CT/MR Thorax",
    ),
    "longer-than-allowed": (
        _study(description="x" * 65),
        lambda read: read.study.description == "x" * 65,
    ),
    "cut": (
        _study(description="ä" * 40_000),
        lambda read: read.study.description == "ä" * 32_767,
    ),
    "zone-converted": (
        _first_series(started=LocalTime("20260309", "2330", "-0200")),
        lambda read: _first(read).started == LocalTime("20260310", "0230", "+0100"),
    ),
    "zone-not-kept": (
        _first_series(started=LocalTime("20260309")),
        lambda read: _first(read).started == LocalTime("20260309", None, "+0100"),
    ),
    "series-uid-derived": (
        replace(MANIFEST, series_instance_uid=None),
        lambda read: read.series_instance_uid is not None and read.series_instance_uid.startswith("2.25."),
    ),
    "created-missing": (replace(MANIFEST, created=None), lambda read: read.created is None),
    "sex-left-out": (_patient(sex="U"), lambda read: read.study.patient.sex is None),
    "location-empty": (
        _first_series(locations=(RetrieveLocation(),)),
        lambda read: _first(read).locations == (),
    ),
    "request-missing": (_study(requests=()), lambda read: read == _study(requests=())),
    "issuer-without-value": (
        _with_issuer(Issuer()),
        lambda read: read.study.requests[0].placer == IssuedId("ORDER-7"),
    ),
}


@pytest.mark.parametrize("rule", LOSSES)
def test_a_loss_is_named_and_the_rest_is_written(rule: str) -> None:
    manifest, holds = LOSSES[rule]
    written = encode_kos(manifest)
    assert {one.rule for one in written.losses} == {rule}
    assert holds(read_kos(written.content).manifest)


def test_every_loss_is_shown() -> None:
    assert {*LOSSES, "more-findings"} == set(KOS_LOSSES)


def test_a_manifest_that_can_be_carried_has_no_losses() -> None:
    assert encode_kos(MANIFEST).losses == ()


def test_an_organization_with_delimiters_in_its_name_keeps_its_identifier() -> None:
    creator = Creator("Maker", Organization("A^B & C", "H-1", "2.999.5.3"))
    read = read_kos(encode_kos(replace(MANIFEST, creator=creator)).content).manifest
    assert read.creator == Creator("Maker", Organization("A B   C", "H-1", "2.999.5.3"))


def test_a_manifest_without_zone_takes_that_of_its_study() -> None:
    manifest = replace(MANIFEST, utc_offset=None)
    assert read_kos(encode_kos(manifest).content).manifest == MANIFEST


def test_a_zone_that_only_the_creation_has_is_not_made_that_of_the_study() -> None:
    started = LocalTime("20260310", "080000")
    study = replace(MANIFEST.study, started=started, series=MANIFEST.study.series[2:], stated_series=2)
    written = encode_kos(replace(MANIFEST, utc_offset=None, study=study))
    read = read_kos(written.content).manifest
    assert (read.utc_offset, read.study.started) == (None, started)
    assert read.created == LocalTime("20260310", "0930")
    assert {one.rule for one in written.losses} == {"zone-not-kept"}
