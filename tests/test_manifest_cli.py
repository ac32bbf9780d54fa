"""`gateway manifest`: what a person sees of a study, and manifests from one format into another."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_losses import as_fhir_returns
from tests.dicom.samples import DCM, ROOT, edited, group_case, group_case_files

MANIFEST = group_case()


@pytest.fixture
def kos(tmp_path: Path) -> Path:
    path = tmp_path / "kos.dcm"
    path.write_bytes(write_kos(MANIFEST))
    return path


def manifest(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["manifest", *map(str, arguments)])


def test_the_study_is_shown_as_a_tree(kos: Path) -> None:
    shown = manifest("show", kos)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == f"Study {ROOT}.1"
    for line in (
        "  description: CT Thorax",
        "  started: 2026-03-10 08:00:00 +0100",
        "  modalities: Computed Tomography (CT), Key Object Selection (KO)",
        "  regions: Upper trunk structure (67734004)",
        "  viewer: https://viewer.example/?study=7",
        "  patient: Dr. Jörg K. Müller Jr., M, 1960-02-29",
        "    P-1 (HIS, 2.999.5.4)",
        "    N-77 (2.999.5.5)",
        "  request: CT of the chest",
        "    accession: A-2 (RIS, 2.999.5.1)",
        "    placer order: ORDER-7 (2.999.5.2)",
        "  series 1, CT, Thorax axial, 4 instances",
        "    started: 2026-03-10 08:01:15.25 +0100",
        "    location: 2.999.8.1, https://first.example/dicom-web",
        "    location: 2.999.8.2",
        "    body site: left lung, Left (7771000)",
        f"    instance 1, {ROOT}.3.4.1, Of Interest (113000), Significant DICOM Instances",
        f"  manifest {ROOT}.4.1",
        "    title: Manifest with Description (131560)",
        "    made by: Example Maker, Example Hospital",
    ):
        assert line in lines
    assert f"{ROOT}.3.1.1" not in shown.stdout
    assert lines[-1].endswith("[series-repeated]")


def test_each_instance_is_shown_on_request(kos: Path) -> None:
    lines = manifest("show", "--instances", kos).stdout.splitlines()
    assert f"    instance 4, {ROOT}.3.1.4" in lines
    assert f"    instance 1, {ROOT}.3.3.1, 120 frames" in lines


def test_programs_get_manifest_and_findings_as_json(kos: Path) -> None:
    shown = json.loads(manifest("show", "--json", kos).stdout)
    assert shown["manifest"]["study"]["series"][1]["locations"] == [{"uid": "2.999.8.2"}]
    assert [one["rule"] for one in shown["findings"]] == ["series-repeated"]


def test_a_terminal_gets_a_drawn_tree_and_nothing_that_it_would_obey(tmp_path: Path) -> None:
    path = tmp_path / "kos.dcm"
    hostile = edited(
        write_kos(MANIFEST), lambda d: setattr(d, "StudyDescription", "CT [red]\x1b]0;owned\x07")
    )
    path.write_bytes(hostile)
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "manifest", "show", str(path)],
        stdout=follower,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "60"},
    ) as process:
        os.close(follower)
        shown = b""
        while chunk := _read(leader):
            shown += chunk
    os.close(leader)
    assert process.returncode == 0
    text = shown.decode()
    assert "├── description: CT [red]?]0;owned?" in text
    assert "\x1b]" not in text


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:
        return b""  # the other end is closed


def test_strict_is_about_what_is_more_than_a_note(kos: Path, tmp_path: Path) -> None:
    assert manifest("show", "--strict", kos).exit_code == 0
    worse = tmp_path / "worse.dcm"
    worse.write_bytes(edited(kos.read_bytes(), lambda d: setattr(d, "PatientBirthDate", "19601399")))
    assert manifest("show", worse).exit_code == 0
    assert manifest("show", "--strict", worse).exit_code == 1


@pytest.mark.parametrize("suffix", ["json", "xml"])
def test_a_kos_goes_to_fhir_and_back(kos: Path, tmp_path: Path, suffix: str) -> None:
    fhir, again = tmp_path / f"manifest.{suffix}", tmp_path / "again.dcm"
    there = manifest("convert", kos, fhir)
    assert (there.exit_code, there.stdout) == (0, f"{fhir}: 4 series, 9 instances\n")
    assert "[series-repeated]" in there.stderr
    assert "Manifest.title: " in there.stderr
    back = manifest("convert", fhir, again)
    assert back.exit_code == 0
    assert "[series-uid-derived]" in back.stderr
    returned = read_kos(again.read_bytes()).manifest
    assert replace(returned, series_instance_uid=None, title=None) == as_fhir_returns(MANIFEST)


def test_a_kos_changes_its_dialect_and_place_of_the_viewer(kos: Path, tmp_path: Path) -> None:
    trial = tmp_path / "trial.kos"
    assert manifest("convert", kos, trial, "--dialect", "ti", "--viewer", "both").exit_code == 0
    assert trial.read_bytes() == write_kos(MANIFEST, dialect="ti", viewer="both")


def test_a_legacy_kos_becomes_a_mado_one(tmp_path: Path) -> None:
    legacy, mado = tmp_path / "legacy", tmp_path / "mado"
    legacy.write_bytes(group_case_files()["legacy"])
    done = manifest("convert", legacy, mado, "--to", "kos")
    assert done.exit_code == 0
    assert "[title-replaced]" in done.stderr
    assert read_kos(mado.read_bytes()).manifest.title.code == "131560"
    assert read_kos(mado.read_bytes()).manifest.study.modalities[0].scheme == DCM


def test_a_study_without_accession_number_gets_one_on_request(tmp_path: Path) -> None:
    made = group_case()
    bare = replace(made, study=replace(made.study, requests=()))
    (source := tmp_path / "bare.dcm").write_bytes(write_kos(bare))
    for suffix in ("dcm", "json"):
        target = tmp_path / f"numbered.{suffix}"
        assert manifest("convert", source, target, "--accession-authority", "2.999.90").exit_code == 0
        shown = json.loads(manifest("show", target, "--json").stdout)["manifest"]
        (request,) = shown["study"]["requests"]
        assert len(request["accession"]["value"]) == 16
        assert request["accession"]["issuer"] == {"universal_id": "2.999.90", "universal_id_type": "ISO"}
    refused = manifest("convert", source, tmp_path / "x.dcm", "--accession-authority", "RIS")
    assert (refused.exit_code, (tmp_path / "x.dcm").exists()) == (1, False)
    assert "takes an OID" in refused.stderr


def test_what_is_no_manifest_ends_in_one_line(tmp_path: Path, kos: Path) -> None:
    texts = {
        "nothing.dcm": None,
        "other.dcm": b"PK\3\4" + bytes(200),
        "image.dcm": edited(
            kos.read_bytes(), lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")
        ),
        "other.json": b'{"resourceType": "Patient", "name": [{"family": "Secret"}]}',
        "broken.json": b'{"resourceType": ',
        "broken.xml": b"<Bundle",
    }
    for name, content in texts.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        done = manifest("show", path)
        assert (done.exit_code, done.stdout) == (1, ""), name
        assert done.stderr.startswith(f"manifest: {path}: ")
        assert len(done.stderr.splitlines()) == 1
        assert "Secret" not in done.stderr


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path: Path, kos: Path) -> None:
    before = kos.read_bytes()
    assert manifest("convert", kos, tmp_path / "kos.txt").exit_code == 2
    assert manifest("convert", kos, kos).exit_code == 1
    assert manifest("convert", kos, tmp_path / "missing" / "kos.dcm").exit_code == 1
    assert kos.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["kos.dcm"]
