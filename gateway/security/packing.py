"""Identifiers in few bytes, and FHIR ids that carry them sealed.

OIDs are packed as their octets (ITU-T X.690 8.19), digits and UUIDs as numbers. A FHIR id has at most 64
characters of `[A-Za-z0-9\\-.]` (FHIR R4 2.24.0.1), which are 64 symbols: six bits each, 48 bytes in all, of
which sealing takes 17.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from gateway.security.sealing import NotOurs, Sealer

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_MOST_DIGITS: Final = 64
"""More do not fit, and counting them in base 2 would take time that a client could make us spend."""
_LONGEST_OID: Final = 128
FHIR_ID_LENGTH: Final = 64
_ALTERNATE: Final = b"-."


def seal_id(sealer: Sealer, content: bytes) -> str | None:
    """A FHIR id that carries the content, the same each time; None where it would be too long."""
    text = base64.b64encode(sealer.seal_bytes(content), _ALTERNATE).rstrip(b"=").decode()
    return text if len(text) <= FHIR_ID_LENGTH else None


def open_id(sealer: Sealer, fhir_id: str) -> bytes:
    """The content of an id. Raises NotOurs, also where only the spelling of the id was altered."""
    try:
        text = fhir_id.encode("ascii")
        sealed = base64.b64decode(text + b"=" * (-len(text) % 4), _ALTERNATE, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NotOurs from None
    if base64.b64encode(sealed, _ALTERNATE).rstrip(b"=") != text:
        raise NotOurs
    return sealer.open_bytes(sealed)


_TEXT, _NUMBER, _UUID_FORM = range(3)


def pack_id(value: str) -> tuple[int, bytes]:
    """The form (two bits) and the bytes of any identifier."""
    if _UUID.fullmatch(value):
        return _UUID_FORM, UUID(value).bytes
    if len(value) <= _MOST_DIGITS and _DIGITS.fullmatch(value):
        # the leading 1 keeps leading zeros
        number = int("1" + value)
        return _NUMBER, number.to_bytes((number.bit_length() + 7) // 8)
    return _TEXT, value.encode()


def unpack_id(form: int, packed: bytes) -> str:
    """The identifier that was packed."""
    if form == _UUID_FORM:
        return str(UUID(bytes=packed))
    if form == _NUMBER:
        return str(int.from_bytes(packed))[1:]
    return packed.decode()


def pack_oid(oid: str) -> bytes | None:
    """The octets of an OID; None for what is none."""
    if len(oid) > _LONGEST_OID or not _OID.fullmatch(oid):
        return None
    arcs = [int(arc) for arc in oid.split(".")]
    if arcs[0] < 2 and arcs[1] > 39:
        return None
    return b"".join(_base_128(arc) for arc in (40 * arcs[0] + arcs[1], *arcs[2:]))


def _base_128(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(0x80 | number & 0x7F)
    return bytes(reversed(octets))


def unpack_oid(packed: bytes) -> str:
    """The OID that was packed."""
    first, *others = _arcs(packed)
    top = min(first // 40, 2)
    return ".".join(map(str, (top, first - 40 * top, *others)))


def _arcs(packed: bytes) -> Iterator[int]:
    number = 0
    for octet in packed:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            yield number
            number = 0
