"""KOS -> model -> KOS and model -> KOS -> model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dicom.concepts import Dialect
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import ViewerElement, encode_kos, write_kos
from gateway.model.imaging import Manifest
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.strategies import legacy_manifests, manifests


@settings(max_examples=150)
@given(manifests(), st.sampled_from(Dialect), st.sampled_from(ViewerElement))
def test_a_manifest_that_is_written_is_read_as_the_same(
    manifest: Manifest, dialect: Dialect, viewer: ViewerElement
) -> None:
    written = encode_kos(manifest, dialect=dialect, viewer=viewer)
    assert read_kos(written.content).manifest == manifest
    assert encode_kos(manifest, dialect=dialect, viewer=viewer) == written


@settings(max_examples=50)
@given(legacy_manifests())
def test_after_one_step_a_legacy_manifest_no_longer_changes(manifest: Manifest) -> None:
    once = write_kos(manifest)
    assert write_kos(read_kos(once).manifest) == once


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("name", ORACLE_FILES)
def test_after_one_step_a_file_no_longer_changes(name: str, dialect: Dialect) -> None:
    once = write_kos(read_kos(oracle(name)).manifest, dialect=dialect)
    again = read_kos(once).manifest
    assert write_kos(again, dialect=dialect) == once
    assert read_kos(write_kos(again)).manifest == again


def test_a_mado_file_keeps_all_that_it_says() -> None:
    manifest = read_kos(oracle("mado-kos-a.dcm")).manifest
    for dialect in Dialect:
        written = encode_kos(manifest, dialect=dialect)
        assert (read_kos(written.content).manifest, written.losses) == (manifest, ())
