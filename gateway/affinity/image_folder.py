"""DICOM files in a folder as the instances of one imaging document source.

The folder belongs to whoever puts files there: it is looked through at the start and, at most every few
seconds, before a request is answered; files that are new or changed are read as far as their UIDs. What is no
DICOM file is passed over.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.dicom.image_header import ImageHeader, read_image_header
from gateway.dicom.part10 import NotDicom

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One instance and the file that holds it, `size` bytes long."""

    header: ImageHeader
    path: Path
    size: int

    @property
    def is_there(self) -> bool:
        """True while the file is as it was when it was read. Blocks."""
        try:
            return self.path.stat().st_size == self.size
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """What a folder held at one look: instances by SOP Instance UID, ordered by series, number and file."""

    images: Mapping[str, StoredImage] = field(default_factory=dict)

    def select(
        self, study: str, series: str | None = None, sop: str | None = None
    ) -> tuple[StoredImage, ...]:
        """Instances of a study, of one of its series, or one of them."""
        return tuple(
            image
            for image in self._candidates(sop)
            if image.header.study_instance_uid == study and series in (None, image.header.series_instance_uid)
        )

    def _candidates(self, sop: str | None) -> Iterator[StoredImage]:
        if sop is None:
            yield from self.images.values()
        elif sop in self.images:
            yield self.images[sop]


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of one file: `stamp` changes when it does; no header where it is no instance."""

    stamp: tuple[int, int]
    header: ImageHeader | None


class ImageFolder:
    """The index of one folder, renewed as the folder changes."""

    def __init__(self, folder: Path, seconds_between_looks: float) -> None:
        """Raises NotADirectoryError where there is no such folder."""
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: is no folder of DICOM files")
        self._folder = folder
        self._pause = seconds_between_looks
        self._files: dict[Path, _File] = {}
        self._index = ImageIndex()
        self._looking = asyncio.Lock()
        self._looked = -self._pause

    async def index(self) -> ImageIndex:
        """The index, not older than the pause between two looks."""
        async with self._looking:
            if time.monotonic() - self._looked >= self._pause:
                self._index = await asyncio.to_thread(self.look)
                self._looked = time.monotonic()
        return self._index

    def look(self) -> ImageIndex:
        """Look through the folder now. Blocks."""
        files: dict[Path, _File] = {}
        for path, stamp in _stamped(self._folder):
            known = self._files.get(path)
            files[path] = known if known is not None and known.stamp == stamp else _read(path, stamp)
        self._files = files
        return ImageIndex(_ordered(files))


def _stamped(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            try:
                status = path.stat()
            except OSError:
                continue  # it went away between the listing and now
            yield path, (status.st_mtime_ns, status.st_size)


def _read(path: Path, stamp: tuple[int, int]) -> _File:
    try:
        return _File(stamp, read_image_header(path))
    except NotDicom:
        return _File(stamp, None)
    except OSError as error:
        log.warning("affinity.image_unreadable", error=type(error).__name__, errno=error.errno)
        return _File(stamp, None)


def _ordered(files: Mapping[Path, _File]) -> dict[str, StoredImage]:
    found: dict[str, StoredImage] = {}
    doubles = 0
    for path, file in files.items():
        if file.header is None:
            continue
        if file.header.sop_instance_uid in found:
            doubles += 1
            continue
        found[file.header.sop_instance_uid] = StoredImage(file.header, path, file.stamp[1])
    if doubles:
        log.warning("affinity.images_twice", count=doubles)
    order = sorted(found.items(), key=lambda item: _place(item[1]))
    return dict(order)


def _place(image: StoredImage) -> tuple[str, str, int, Path]:
    header = image.header
    return header.study_instance_uid, header.series_instance_uid, header.number, image.path
