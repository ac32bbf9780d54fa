"""A manifest goes from one format to the other and back: DICOM key object document and FHIR Bundle."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.manifest_losses import as_fhir_returns
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.model.imaging import LocalTime, Manifest
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.strategies import manifests

TERMINOLOGY = Terminology()
CONTEXT = ManifestContext(TERMINOLOGY, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def dated(manifest: Manifest) -> Manifest:
    """The manifest with a time of its own, as else the Bundle shows when it was assembled."""
    return replace(manifest, created=manifest.created or LocalTime("20260102"))


def to_fhir(manifest: Manifest) -> bytes:
    return manifest_bundle_bytes(manifest, CONTEXT)


def from_fhir(raw: bytes) -> Manifest:
    return read_manifest(raw, TERMINOLOGY).manifest


@settings(max_examples=60)
@given(manifests())
def test_dicom_to_fhir_and_back_loses_what_is_listed_alone(manifest: Manifest) -> None:
    stored = write_kos(dated(manifest))
    returned = from_fhir(to_fhir(read_kos(stored).manifest))
    assert returned == as_fhir_returns(dated(manifest))


@settings(max_examples=60)
@given(manifests())
def test_fhir_to_dicom_and_back_changes_nothing(manifest: Manifest) -> None:
    first = to_fhir(as_fhir_returns(dated(manifest)))
    stored = write_kos(from_fhir(first))
    again = to_fhir(read_kos(stored).manifest)
    assert again == first


@pytest.mark.parametrize("name", ORACLE_FILES)
def test_files_of_others_keep_their_study_on_the_way_to_fhir_and_back(name: str) -> None:
    manifest = read_kos(oracle(name)).manifest
    first = to_fhir(manifest)
    assert from_fhir(first) == as_fhir_returns(manifest)
    again = read_kos(write_kos(from_fhir(first))).manifest
    assert to_fhir(again) == first
    assert again.sop_instance_uid == manifest.sop_instance_uid
