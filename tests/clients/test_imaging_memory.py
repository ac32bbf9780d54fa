"""Memory does not grow with a study: RAD-69 from the embedded source, each side in a process of its own.

256 MB by default; GATEWAY_TEST_STUDY_MB says how large the study is.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.dicom.files import image_file

LOCATION, STUDY, SERIES = "2.999.20.1", "2.999.21", "2.999.22"
IMAGE_MB = 16
IMAGES = int(os.environ.get("GATEWAY_TEST_STUDY_MB", "256")) // IMAGE_MB
MB = 1024 * 1024

CLIENT = """
import asyncio, json, sys
from pathlib import Path
from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.quirks import ImagingSourceQuirks
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract

url, location, study, series, count = sys.argv[1:]

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

async def fetch(source, numbers):
    wanted = SeriesWanted(study, series, tuple(f"2.999.23.{n}" for n in numbers), RetrieveLocation(uid=location))
    size, images = 0, 0
    async with source.retrieve([wanted]) as items:
        async for item in items:
            images += 1
            async for chunk in item.chunks:
                size += len(chunk)
    return images, size

async def main():
    async with SoapClient(load_contract()) as soap:
        source = ImagingDocumentSource(soap, Peer("pacs", url), quirks=ImagingSourceQuirks(images_per_request=5))
        await fetch(source, [0])
        before = peak()
        images, size = await fetch(source, range(int(count)))
        print(json.dumps({"images": images, "size": size, "grown": peak() - before}))

asyncio.run(main())
"""


def write_large(path: Path, sop: str) -> None:
    """An image whose private element is as large as is wanted, in a file with a hole."""
    head = image_file(STUDY, SERIES, sop, size=2)
    at = head.rindex(b"\x29\x00\x10\x10OB\0\0")
    size = IMAGE_MB * MB
    with path.open("wb") as file:
        file.write(head[: at + 8] + size.to_bytes(4, "little"))
        file.truncate(at + 12 + size)


@contextmanager
def source(folder: Path):
    arguments = ["affinity", "--port", "0", "--state-dir", str(folder / "state")]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *arguments, "--images", f"{LOCATION}={folder / 'images'}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline().split()[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def peak_of(process: subprocess.Popen) -> int:
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[1]) * 1024


def test_neither_client_nor_source_holds_more_than_a_little_of_a_study(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(IMAGES):
        write_large(tmp_path / "images" / f"{number}.dcm", f"2.999.23.{number}")
    with source(tmp_path) as (process, base):
        command = [sys.executable, "-c", CLIENT, f"{base}/xds/imaging", LOCATION, STUDY, SERIES]
        subprocess.run([*command, "1"], check=True, capture_output=True)
        before = peak_of(process)
        done = subprocess.run([*command, str(IMAGES)], check=True, capture_output=True, text=True)
        grown = peak_of(process) - before
    told = json.loads(done.stdout)
    assert told["images"] == IMAGES
    assert told["size"] > IMAGES * IMAGE_MB * MB
    assert told["grown"] < 32 * MB
    assert grown < 32 * MB
