"""Data elements as bytes: explicit VR little endian, defined lengths, UTF-8 (DICOM PS3.5 section 7.1).

What an element cannot hold is reported by the names of `KOS_LOSSES`.
"""

from collections.abc import Iterable
from struct import Struct as Layout
from typing import Final

from gateway.dicom import tags
from gateway.dicom.findings import Findings

_SHORT: Final = Layout("<HH2sH").pack
_LONG: Final = Layout("<HH2s2xI").pack
_ITEM: Final = Layout("<HHI").pack

_LONG_VRS: Final = frozenset({b"OB", b"SQ", b"UC", b"UR", b"UT"})
_FREE_TEXT: Final = frozenset({b"UT", b"UR", b"UC"})
_CHARACTERS: Final = {b"SH": 16, b"CS": 16, b"UI": 64, b"LO": 64}
_LARGEST: Final = 65_534
"""Bytes of a value whose length has 16 bits."""
_CONTROLS: Final = dict.fromkeys(range(32), " ")
_ONE_VALUE: Final = {**_CONTROLS, ord("\\"): "/"}
_FREE_CONTROLS: Final = {code: " " for code in range(32) if chr(code) not in "\t\n\f\r"}


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element; the value is padded to an even length."""
    if len(value) & 1:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    pack = _LONG if vr in _LONG_VRS else _SHORT
    return pack(tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """A sequence of encoded data sets."""
    content = b"".join([_ITEM(0xFFFE, 0xE000, len(item)) + item for item in items])
    return _LONG(tag >> 16, tag & 0xFFFF, b"SQ", len(content)) + content


def plain(tag: int, value: str) -> bytes:
    """An element of ASCII text that is known to fit: UIDs, dates, defined terms."""
    return element(tag, tags.DICTIONARY[tag][0], value.encode("ascii"))


class TextEncoder:
    """Encodes text of the model, and reports what its element cannot hold as it is."""

    def __init__(self, losses: Findings) -> None:
        self._losses = losses

    def report(self, loss: str, place: str) -> None:
        """Note a loss."""
        self._losses.add(loss, place)

    def text(self, tag: int, value: str | None) -> bytes:
        """An element of type 2: empty where there is no value."""
        vr = tags.DICTIONARY[tag][0]
        if value is None:
            return element(tag, vr, b"")
        kept = value.translate(_FREE_CONTROLS if vr in _FREE_TEXT else _ONE_VALUE)
        if vr == b"UI":
            kept = kept.encode("ascii", "replace").decode()
        if kept != value:
            self.report("characters-replaced", tags.name(tag))
            kept = kept.strip(" ")
        return element(tag, vr, self.fitting(tag, kept, len(kept) > _CHARACTERS.get(vr, len(kept))))

    def fitting(self, tag: int, text: str, too_long: bool) -> bytes:
        """The text in UTF-8, cut where the length of the element has no room for it."""
        raw = text.encode("utf-8", "replace")
        if tags.DICTIONARY[tag][0] not in _LONG_VRS and len(raw) > _LARGEST:
            self.report("cut", tags.name(tag))
            return raw[:_LARGEST].decode("utf-8", "ignore").encode()
        if too_long:
            self.report("longer-than-allowed", tags.name(tag))
        return raw

    def present(self, tag: int, value: str | None) -> bytes:
        """An element of type 3: left out where there is no value."""
        return b"" if value is None else self.text(tag, value)


def joined(*elements: bytes) -> bytes:
    """A data set of elements that are in ascending order already."""
    return b"".join(elements)


def in_order(elements: Iterable[bytes]) -> bytes:
    """A data set of encoded elements in any order; empty ones are left out."""
    ordered: list[bytes] = sorted([one for one in elements if one], key=_tag_bytes)
    return b"".join(ordered)


def _tag_bytes(encoded: bytes) -> tuple[int, int, int, int]:
    return encoded[1], encoded[0], encoded[3], encoded[2]
