"""Data elements in little endian, explicit and implicit VR (DICOM PS3.5 section 7), as a small tree.

Only what a key object document needs: listed elements (`gateway.dicom.tags`) and private ones of group
000D are kept, with their raw bytes; all others are stepped over. Every deviation that leaves the rest
readable is a finding. Time and memory are bounded by the size of the input and `ReadLimits`.
"""

from collections.abc import Mapping
from struct import Struct as Layout
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.dicom import tags
from gateway.dicom.errors import DicomError
from gateway.dicom.findings import Findings


class Dataset(dict[int, "bytes | tuple[Dataset, ...]"]):
    """Elements by tag: raw bytes, or the items of a sequence. Equal sequences may share their items."""

    __slots__ = ()


_TAG_AND_VR: Final = Layout("<HH2sH").unpack_from
_TAG_AND_LENGTH: Final = Layout("<HHI").unpack_from
_LENGTH: Final = Layout("<I").unpack_from

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_DELIMITERS: Final = 0xFFFE

_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_LARGEST_SHARED: Final = 256
"""Bytes of a sequence up to which equal ones are read once: codes repeat in every content item."""

_VRS: Final[Mapping[int, bytes]] = {tag: vr for tag, (vr, _) in tags.DICTIONARY.items()}


_SHORT_ONES: Final = {tag: vr for tag, vr in _VRS.items() if vr in _SHORT_VRS}


class ReadLimits(Struct, frozen=True, gc=False):
    """What a document may cost: bytes (also when inflated), elements and items, nesting of sequences."""

    size: int = 64 * 1024 * 1024
    elements: int = 1_000_000
    depth: int = 24


class _Head(NamedTuple):
    """An element before its value: `end` is that of the data set around it."""

    tag: int
    vr: bytes
    start: int
    length: int
    end: int
    explicit: bool


class ElementReader:
    """Reads the data set in `data`. `base` is the offset of `data` in its file."""

    def __init__(self, data: bytes, limits: ReadLimits, findings: Findings) -> None:
        self._data = data
        self._limits = limits
        self._findings = findings
        self._count = 0
        self._path: list[str] = []
        self._shared: dict[bytes, tuple[Dataset, ...]] = {}

    def read(self, start: int, *, explicit: bool) -> Dataset:
        """The data set from `start` to the end. Raises DicomError where a limit is passed."""
        dataset, _ = self._dataset(start, len(self._data), explicit, delimited=False)
        return dataset

    def _report(self, rule: str, tag: int | None = None) -> None:
        names = self._path if tag is None else [*self._path, tags.name(tag)]
        self._findings.add(rule, ".".join(names) or "file")

    def _spend(self, number: int) -> None:
        self._count += number
        if self._count > self._limits.elements:
            raise DicomError(f"more than {self._limits.elements} data elements")

    def _dataset(self, at: int, end: int, explicit: bool, *, delimited: bool) -> tuple[Dataset, int]:
        """Elements up to `end` or, in an item of undefined length, up to its delimiter."""
        data, dataset, last = self._data, Dataset(), -1
        self._spend(1)
        while at < end:
            if end - at < 8:
                self._report("trailing-bytes")
                return dataset, end
            if explicit:
                group, number, vr, length = _TAG_AND_VR(data, at)
                start = at + 8
                tag = group << 16 | number
                if _SHORT_ONES.get(tag) == vr and tag > last and not length & 1:
                    following = start + length
                    if following <= end:
                        dataset[tag] = data[start:following]
                        self._count += 1
                        at, last = following, tag
                        continue
            else:
                group, number, length = _TAG_AND_LENGTH(data, at)
                vr, start = b"", at + 8
            tag = group << 16 | number
            if group == _DELIMITERS:
                return dataset, self._delimiter(tag, at, end, delimited)
            if explicit and vr not in _SHORT_VRS:
                if vr in _LONG_VRS and end - at >= 12:
                    length = _LENGTH(data, start)[0]
                    start += 4
                else:
                    vr, start, length = self._unknown_vr(tag, vr, at, end)
                    if length < 0:
                        return dataset, end
            if tag <= last:
                self._report("duplicate-element" if tag in dataset else "element-order", tag)
            at = self._element(dataset, _Head(tag, vr, start, length, end, explicit))
            last = tag
        if delimited:
            self._report("truncated")
        return dataset, end

    def _element(self, dataset: Dataset, head: _Head) -> int:
        """Keep one element where it is listed; where the next one starts."""
        tag, vr, start, length, end, explicit = head
        wanted = _VRS.get(tag)
        undefined = length == _UNDEFINED
        if not undefined and start + length > end:
            self._report("truncated", tag)
            head = head._replace(length=end - start)
        if wanted is None:
            return self._unlisted(dataset, head)
        if vr and vr != wanted:
            self._report("wrong-vr", tag)
        if wanted == b"SQ":
            items, following = self._items(head)
            dataset.setdefault(tag, items)
            return following
        if undefined:
            return self._sequence(tag, start, end, explicit and vr == b"SQ")[1]
        if length & 1:
            self._report("odd-length", tag)
        following = start + head.length
        if vr != b"SQ":
            self._spend(1)
            dataset.setdefault(tag, self._data[start:following])
        return following

    def _items(self, head: _Head) -> tuple[tuple[Dataset, ...], int]:
        """Items of a listed sequence. Inside UN the encoding is implicit (PS3.5 section 6.2.2)."""
        tag, vr, start, length, end, explicit = head
        inner = explicit and vr != b"UN"
        if length == _UNDEFINED:
            return self._sequence(tag, start, end, inner)
        following = start + length
        if not 0 < length <= _LARGEST_SHARED:
            return self._sequence(tag, start, following, inner, defined=True)[0], following
        raw = self._data[start:following] + (b"" if inner else b"i")
        items = self._shared.get(raw)
        if items is None:
            before = len(self._findings)
            items = self._sequence(tag, start, following, inner, defined=True)[0]
            if len(self._findings) == before:
                self._shared[raw] = items
        return items, following

    def _sequence(
        self, tag: int, at: int, end: int, explicit: bool, *, defined: bool = False
    ) -> tuple[tuple[Dataset, ...], int]:
        if len(self._path) >= self._limits.depth:
            raise DicomError(f"sequences nested deeper than {self._limits.depth}")
        data, items = self._data, list[Dataset]()
        name = tags.name(tag)
        self._path.append(name)
        try:
            while at < end:
                if end - at < 8:
                    self._report("trailing-bytes")
                    return tuple(items), end
                group, number, length = _TAG_AND_LENGTH(data, at)
                kind = group << 16 | number
                at += 8
                if kind == _SEQUENCE_END:
                    if defined:
                        self._report("stray-delimiter")
                    return tuple(items), at
                if kind != _ITEM:
                    self._report("no-item")
                    return tuple(items), end
                self._path[-1] = f"{name}[{len(items) + 1}]"
                undefined = length == _UNDEFINED
                if not undefined and at + length > end:
                    self._report("truncated")
                    length = end - at
                item, following = self._dataset(
                    at, end if undefined else at + length, explicit, delimited=undefined
                )
                at = following if undefined else at + length
                items.append(item)
            if not defined:
                self._report("truncated")
            return tuple(items), end
        finally:
            self._path.pop()

    def _unlisted(self, dataset: Dataset, head: _Head) -> int:
        """Step over an element that is not listed; keep it where it is private and may be asked for."""
        tag, vr, start, length, end, explicit = head
        if length == _UNDEFINED:
            return self._sequence(tag, start, end, explicit and vr != b"UN")[1]
        if tag >> 16 == tags.PRIVATE_DISPLAY_GROUP and vr != b"SQ":
            self._spend(1)
            dataset.setdefault(tag, self._data[start : start + length])
        return start + length

    def _delimiter(self, tag: int, at: int, end: int, delimited: bool) -> int:
        """After the delimiter that ends the item; the end of what is around it if it has no business here."""
        if tag == _ITEM_END and delimited:
            return at + 8
        self._report("stray-delimiter")
        return at if delimited else end

    def _unknown_vr(self, tag: int, vr: bytes, at: int, end: int) -> tuple[bytes, int, int]:
        """An element whose VR is none: VR, start and length of its value, or a length of -1.

        An element of implicit VR inside an explicit data set is what some writers leave behind; a VR
        that did not exist when this was written has the long form (PS3.5 section 7.1.2).
        """
        reserved, length = _TAG_AND_VR(self._data, at)[3], _LENGTH(self._data, at + 4)[0]
        if vr.isalpha() and vr.isupper() and reserved == 0 and end - at >= 12:
            self._report("wrong-vr", tag)
            return b"UN", at + 12, _LENGTH(self._data, at + 8)[0]
        if not vr.isalpha() and (length == _UNDEFINED or at + 8 + length <= end):
            self._report("implicit-element", tag)
            wanted = _VRS.get(tag, b"UN")
            return b"UN" if wanted == b"SQ" else wanted, at + 8, length
        if tag in _VRS and vr.isalpha():
            self._report("wrong-vr", tag)
            return vr, at + 8, reserved
        self._report("unreadable-element", tag)
        return vr, at, -1
