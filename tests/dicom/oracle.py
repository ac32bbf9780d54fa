"""DICOM files that others made; tests of them skip where there are none."""

from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[3] / "shared" / "oracle" / "dicom"
ORACLE_FILES = ("mado-kos-a.dcm", "legacy-kos-cr.dcm")


def oracle(name: str) -> bytes:
    """The bytes of a file."""
    path = _FOLDER / name
    if not path.is_file():
        pytest.skip(f"no {name} here")
    return path.read_bytes()
