"""The same study in the four dialects in which manifests are met."""

import pydicom
import pytest
from msgspec.structs import replace

from gateway.dicom.kos_reader import read_kos
from gateway.model.imaging import Instance, Manifest
from gateway.model.metadata import Code
from tests.dicom.samples import DCM, edited, group_case, group_case_files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return group_case_files()


@pytest.mark.parametrize("dialect", ["dcm", "ti", "placeholder"])
def test_a_described_study_is_the_same_in_each_dialect(files: dict[str, bytes], dialect: str) -> None:
    read = read_kos(files[dialect])
    assert read.manifest == group_case()
    assert {one.rule for one in read.findings} == {"series-repeated"}


def test_the_dialects_differ_on_the_wire(files: dict[str, bytes]) -> None:
    for dialect, code in {"dcm": b"131564", "ti": b"MADOTEMP007", "placeholder": b"ddd007"}.items():
        assert [name for name, data in files.items() if code in data] == [dialect]
    assert b"IHE_MADO_PRIVATE" in files["ti"]
    assert b"IHE_MADO_PRIVATE" not in files["dcm"]


def _undescribed(manifest: Manifest) -> Manifest:
    """What a manifest without an image library says of the same study."""
    study = manifest.study
    series = tuple(
        replace(
            one,
            modality=Code(one.modality.code, DCM),
            number=None,
            description=None,
            started=None,
            body_sites=(),
            body_site_text=None,
            laterality=None,
            stated_instances=None,
            instances=tuple(Instance(i.sop_instance_uid, i.sop_class_uid) for i in one.instances),
        )
        for one in study.series
    )
    return replace(
        manifest,
        title=Code("113030", DCM, "Manifest"),
        study=replace(
            study, series=series, stated_series=None, modalities=(), regions=(), procedure_codes=()
        ),
    )


def test_a_legacy_manifest_has_what_the_evidence_says_and_nothing_invented(files: dict[str, bytes]) -> None:
    read = read_kos(files["legacy"])
    assert read.manifest == _undescribed(group_case())
    assert {one.rule for one in read.findings} == {"series-repeated", "modality-derived", "no-image-library"}


@pytest.mark.parametrize("title", ["113000", "113030", "113038"])
def test_the_title_does_not_decide_whether_it_is_a_manifest(files: dict[str, bytes], title: str) -> None:
    def retitle(document: pydicom.Dataset) -> None:
        document.ConceptNameCodeSequence[0].CodeValue = title

    assert read_kos(edited(files["dcm"], retitle)).manifest.study == group_case().study
