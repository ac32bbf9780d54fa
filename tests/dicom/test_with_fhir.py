"""The two formats of a manifest: what goes through both comes back, but for what the tables of losses say."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from msgspec.structs import replace

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import encode_kos, write_kos
from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.manifest_losses import as_fhir_returns
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.model.imaging import LocalTime, Manifest
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.samples import group_case, group_case_files
from tests.dicom.strategies import manifests

TERMS = Terminology()
CONTEXT = ManifestContext(TERMS, assembled=datetime(2026, 3, 10, 8, tzinfo=UTC))


def _in_fhir(manifest: Manifest, wire_format: FhirFormat = FhirFormat.JSON) -> bytes:
    return manifest_bundle_bytes(manifest, CONTEXT, wire_format)


def _without_own_ids(manifest: Manifest) -> Manifest:
    """Title and series of the key object document itself are none of FHIR's."""
    return replace(manifest, title=None, series_instance_uid=None)


@pytest.mark.parametrize("wire_format", FhirFormat)
def test_a_group_case_survives_fhir(wire_format: FhirFormat) -> None:
    there = read_manifest(_in_fhir(group_case(), wire_format), TERMS, wire_format).manifest
    back = read_kos(write_kos(there)).manifest
    assert _without_own_ids(back) == as_fhir_returns(group_case())
    assert [request.accession.value for request in back.study.requests] == ["A-1", "A-2"]
    assert back.study.series[3].instances == group_case().study.series[3].instances


@pytest.mark.parametrize("name", ORACLE_FILES)
def test_a_file_of_others_survives_fhir(name: str) -> None:
    read = read_kos(oracle(name)).manifest
    there = read_manifest(_in_fhir(read), TERMS).manifest
    back = read_kos(write_kos(there)).manifest
    assert _without_own_ids(back) == as_fhir_returns(read)


@settings(max_examples=40)
@given(manifests())
def test_what_fhir_can_carry_comes_back_from_a_kos_byte_for_byte(manifest: Manifest) -> None:
    created = LocalTime("20260310", "080000", manifest.utc_offset)
    in_fhir = read_manifest(_in_fhir(replace(manifest, created=created)), TERMS).manifest
    kos = encode_kos(in_fhir)
    assume({one.rule for one in kos.losses} <= {"series-uid-derived", "request-missing"})
    assert _in_fhir(read_kos(kos.content).manifest) == _in_fhir(in_fhir)


@pytest.mark.parametrize("dialect", ["dcm", "ti", "placeholder", "legacy"])
def test_each_dialect_gives_a_fhir_manifest_with_the_same_identity(dialect: str) -> None:
    read = read_kos(group_case_files()[dialect]).manifest
    there = read_manifest(_in_fhir(read), TERMS).manifest
    assert there.sop_instance_uid == group_case().sop_instance_uid
    assert [one.series_instance_uid for one in there.study.series] == [
        one.series_instance_uid for one in group_case().study.series
    ]
