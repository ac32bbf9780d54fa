"""dcmtk reads the key object documents that are written.

`dcmdump` takes them as they are. `dsrdump` of this age knows Key Object Selection without an image library
(TID 1600), so its constraints on which item may contain which are off; all else that it checks is on.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pydicom
import pytest

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from tests.dicom.jpeg_lossless import lossless_file, samples
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.samples import group_case, group_case_files

EXPECTED = (
    "VR checker does not support this Specific Character Set",
    "template constraints not yet supported",
    "already exists in reference list",  # a series with two locations is listed once for each
)
pytestmark = pytest.mark.interop


def _run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"no {tool} here (Debian: dcmtk)")
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(params=["dcm", "ti", "legacy", *ORACLE_FILES])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A document that was written: in both dialects, and from what others made."""
    if request.param in ("dcm", "ti"):
        data = write_kos(group_case(), dialect=request.param)
    else:
        read = group_case_files()["legacy"] if request.param == "legacy" else oracle(request.param)
        data = write_kos(read_kos(read).manifest)
    path = tmp_path / "kos.dcm"
    path.write_bytes(data)
    return path


def test_dcmdump_reads_it_without_a_complaint(written: Path) -> None:
    done = _run("dcmdump", "-v", "+L", str(written))
    complaints = [line for line in done.stderr.splitlines() if line.startswith(("W:", "E:", "F:"))]
    assert (done.returncode, complaints) == (0, [])
    assert "# Dicom-Data-Set" in done.stdout
    assert read_kos(written.read_bytes()).manifest.study.study_instance_uid in done.stdout


def test_dsrdump_reads_its_content_tree(written: Path) -> None:
    done = _run("dsrdump", "-Ec", "+Pc", str(written))
    assert done.returncode == 0, done.stderr
    complaints = [
        line
        for line in done.stderr.splitlines()
        if line.startswith(("W:", "E:", "F:")) and not any(known in line for known in EXPECTED)
    ]
    assert complaints == []
    assert "Key Object Selection Document" in done.stdout
    assert '<contains CONTAINER:(111028,DCM,"Image Library")=SEPARATE>' in done.stdout
    study = read_kos(written.read_bytes()).manifest.study
    assert done.stdout.count("Image Library Group") == len(study.series)
    assert done.stdout.count("<contains IMAGE:") + done.stdout.count("<contains COMPOSITE:") == (
        2 * study.instance_count
    )


@pytest.mark.parametrize("seed", [0, 7])
def test_dcmdjpeg_unpacks_the_lossless_images_that_other_tests_pass_through(
    tmp_path: Path, seed: int
) -> None:
    packed, unpacked = tmp_path / "packed.dcm", tmp_path / "unpacked.dcm"
    packed.write_bytes(lossless_file("2.999.1", "2.999.2", "2.999.3", seed=seed))
    done = _run("dcmdjpeg", "+te", str(packed), str(unpacked))
    assert done.returncode == 0, done.stderr
    pixels = pydicom.dcmread(unpacked).PixelData
    assert list(struct.unpack(f"<{len(pixels) // 2}H", pixels)) == samples(seed)
