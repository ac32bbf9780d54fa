"""Debian's Orthanc with its DICOMweb plugin, started for tests on free ports with state of its own."""

import json
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_READY_SECONDS = 60


class OrthancMissingError(Exception):
    """It is not installed; the text says what to do."""


@contextmanager
def orthanc(folder: Path, files: Iterable[bytes]) -> Iterator[str]:
    """DICOMweb base URL of an Orthanc that holds `files`, stored by STOW-RS. Raises OrthancMissingError."""
    program = shutil.which("Orthanc")
    if program is None or not _PLUGIN.exists():
        raise OrthancMissingError("no Orthanc with DICOMweb here (Debian: orthanc orthanc-dicomweb)")
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings), "utf-8")
    base = f"http://127.0.0.1:{port}/dicom-web"
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(config)], stdout=log, stderr=log)
    try:
        _wait(process, f"{base}/studies?limit=1")
        _store(base, files)
        yield base
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError("Orthanc does not start; its log is beside its configuration") from error
            time.sleep(0.2)


def _store(base: str, files: Iterable[bytes]) -> None:
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + data + b"\r\n" for data in files) + f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    request = urllib.request.Request(f"{base}/studies", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200, answer.read()
