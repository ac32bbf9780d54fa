"""FHIR id of a Patient from an identifier of the affinity domain, and back, without a table.

A FHIR id has at most 64 characters of `[A-Za-z0-9\\-.]` (FHIR R4 2.24.0.1), which are 64 symbols: six bits
each, 48 bytes in all. Sealing takes 17 of them, 31 are left for the identifier. It is packed for that: the
authority as the octets of an OID (ITU-T X.690 8.19), an id of digits or a UUID as a number. The tag keeps
its full length, so an id that someone made up opens no patient.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from gateway.model import Cx
from gateway.security.sealing import KeyRing, NotOurs, Sealer

FHIR_ID_LENGTH: Final = 64
_ALTERNATE = b"-."
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_MOST_DIGITS = 64
"""More do not fit, and counting them in base 2 would take time that a client could make us spend."""


class PatientIds:
    """Writes and reads Patient ids."""

    def __init__(self, ring: KeyRing) -> None:
        self._sealer = Sealer(ring, "patient id")

    def write(self, patient: Cx) -> str | None:
        """The FHIR id, the same each time; None where it would be too long or the authority is no OID."""
        authority = _pack_oid(patient.authority)
        if authority is None:
            return None
        form, packed = _pack_id(patient.id)
        # two bits of form and six of length: an OID of more octets would leave no room anyway
        if len(authority) > 0x3F:
            return None
        sealed = self._sealer.seal_bytes(bytes([form << 6 | len(authority)]) + authority + packed)
        text = base64.b64encode(sealed, _ALTERNATE).rstrip(b"=").decode()
        return text if len(text) <= FHIR_ID_LENGTH else None

    def read(self, fhir_id: str) -> Cx:
        """The identifier that an id stands for. Raises NotOurs."""
        try:
            text = fhir_id.encode("ascii")
            sealed = base64.b64decode(text + b"=" * (-len(text) % 4), _ALTERNATE, validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise NotOurs from None
        if base64.b64encode(sealed, _ALTERNATE).rstrip(b"=") != text:
            raise NotOurs
        content = self._sealer.open_bytes(sealed)
        end = 1 + (content[0] & 0x3F)
        return Cx(_unpack_id(content[0] >> 6, content[end:]), _unpack_oid(content[1:end]))


_TEXT, _NUMBER, _UUID_FORM = range(3)


def _pack_id(value: str) -> tuple[int, bytes]:
    if _UUID.fullmatch(value):
        return _UUID_FORM, UUID(value).bytes
    if len(value) <= _MOST_DIGITS and _DIGITS.fullmatch(value):
        # the leading 1 keeps leading zeros
        number = int("1" + value)
        return _NUMBER, number.to_bytes((number.bit_length() + 7) // 8)
    return _TEXT, value.encode()


def _unpack_id(form: int, packed: bytes) -> str:
    if form == _UUID_FORM:
        return str(UUID(bytes=packed))
    if form == _NUMBER:
        return str(int.from_bytes(packed))[1:]
    return packed.decode()


def _pack_oid(oid: str) -> bytes | None:
    if len(oid) > FHIR_ID_LENGTH * 2 or not _OID.fullmatch(oid):
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


def _unpack_oid(packed: bytes) -> str:
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


__all__ = ["FHIR_ID_LENGTH", "NotOurs", "PatientIds"]
