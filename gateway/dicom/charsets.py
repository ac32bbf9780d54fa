"""Character sets of text values (DICOM PS3.3 C.12.1.1.2, PS3.5 section 6.1)."""

import warnings
from collections.abc import Callable, Sequence
from typing import Final

from gateway.dicom.findings import Findings

_SINGLE: Final[dict[str, str]] = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "iso8859_11",
    "ISO_IR 192": "utf_8",
    "ISO_IR 203": "iso8859_15",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
_EXTENDED: Final = "ISO 2022 IR "
_ESCAPED_ONLY: Final = frozenset({"ISO 2022 IR 58", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 159"})
"""Multi-byte sets, which are reached by an escape sequence only."""

Decode = Callable[[bytes, str], str]
"""Text of bytes found at a place."""


def _spelled(term: str) -> str:
    """The defined term for the spellings that are met: `ISO-IR 100`, `ISO_IR100`, `iso_ir 100`, `UTF-8`."""
    term = term.strip().upper()
    if term in _SINGLE or term.startswith(_EXTENDED):
        return term
    digits = "".join(letter for letter in term if letter.isdigit())
    if term.startswith("ISO") and "2022" in term[:9]:
        return _EXTENDED + digits.removeprefix("2022")
    if term.startswith("ISO") and f"ISO_IR {digits}" in _SINGLE:
        return f"ISO_IR {digits}"
    return {"UTF-8": "ISO_IR 192", "UTF8": "ISO_IR 192"}.get(term, term)


def decoder(terms: Sequence[str], findings: Findings, place: str) -> Decode:
    """How to decode text under the values of Specific Character Set (0008,0005)."""
    spelled = [_spelled(term) for term in terms] or [""]
    if len(spelled) == 1 and not spelled[0].startswith(_EXTENDED):
        codec = _SINGLE.get(spelled[0])
        if codec is None:
            findings.add("character-set-unknown", place)
            return _lenient("utf_8", findings, "text-undecodable", None)
        fallback = "latin_1" if codec in ("ascii", "utf_8") else None
        rule = "text-undecodable" if fallback is None else "character-set-undeclared"
        return _lenient(codec, findings, rule, fallback)
    known = [
        term
        for term in spelled
        if term in _SINGLE or f"ISO_IR {term[len(_EXTENDED) :]}" in _SINGLE or term in _ESCAPED_ONLY
    ]
    if len(known) < len(spelled):
        findings.add("character-set-unknown", place)
    return _switching(known or [""], findings)


def _lenient(codec: str, findings: Findings, rule: str, fallback: str | None) -> Decode:
    def decode(raw: bytes, place: str) -> str:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            pass
        findings.add(rule, place)
        if fallback is None:
            return raw.decode(codec, "replace")
        try:
            return raw.decode("utf_8")
        except UnicodeDecodeError:
            return raw.decode(fallback)

    return decode


def _switching(terms: list[str], findings: Findings) -> Decode:
    """Code extension by ISO/IEC 2022 escape sequences, by pydicom, which is costly to import."""

    def decode(raw: bytes, place: str) -> str:
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        from pydicom.charset import convert_encodings, decode_bytes

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            text = str(
                decode_bytes(raw, convert_encodings(terms), {0x5E, 0x3D, 0x5C, 0x0A, 0x0D, 0x0C, 0x09})
            )
        if caught or "\ufffd" in text:
            findings.add("text-undecodable", place)
        return text

    return decode
