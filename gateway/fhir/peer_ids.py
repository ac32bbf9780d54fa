"""Ids of XDS for resources of servers that do not know them, and back, without a table.

An entryUUID is what a resource says it is, else its id where that is a UUID. Any other id of up to 19
characters is written into a UUID of version 8 (RFC 9562: 122 bits to be filled freely), so that the entryUUID
leads back to the resource on every replica and after every restart. A uniqueId that a resource lacks is the
OID of its entryUUID (ITU-T X.667: 2.25 and the UUID as a number).
"""

import re
import uuid
from typing import Final

from gateway.fhir.datatypes import is_uuid_urn

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."
_LONGEST: Final = 19
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LENGTH_BITS: Final = 5
_CHECK_BITS: Final = 3
_OID_OF_UUID: Final = "2.25."


def entry_uuid_of_id(resource_id: str) -> str | None:
    """entryUUID of a resource by its FHIR id; None for an id that is too long to be written into a UUID."""
    urn = f"urn:uuid:{resource_id.lower()}"
    if is_uuid_urn(urn):
        return urn
    if not _ID.fullmatch(resource_id) or len(resource_id) > _LONGEST:
        return None
    number = 0
    for character in resource_id.ljust(_LONGEST, "A"):
        number = number << 6 | _ALPHABET.index(character)
    payload = (number << _LENGTH_BITS | len(resource_id)) << _CHECK_BITS | _check(resource_id)
    high, middle, low = payload >> 74, payload >> 62 & 0xFFF, payload & (1 << 62) - 1
    return uuid.UUID(int=high << 80 | 8 << 76 | middle << 64 | 0b10 << 62 | low).urn


def id_of_entry_uuid(entry_uuid: str) -> str | None:
    """The FHIR id that was written into an entryUUID; None for any other."""
    if not is_uuid_urn(entry_uuid):
        return None
    number = uuid.UUID(entry_uuid).int
    if number >> 76 & 0xF != 8 or number >> 62 & 0b11 != 0b10:
        return None
    payload = (number >> 80) << 74 | (number >> 64 & 0xFFF) << 62 | number & (1 << 62) - 1
    check, payload = payload & (1 << _CHECK_BITS) - 1, payload >> _CHECK_BITS
    length, payload = payload & (1 << _LENGTH_BITS) - 1, payload >> _LENGTH_BITS
    if not 1 <= length <= _LONGEST:
        return None
    text = "".join(_ALPHABET[payload >> 6 * at & 0x3F] for at in reversed(range(_LONGEST)))
    found = text[:length]
    return found if text == found.ljust(_LONGEST, "A") and check == _check(found) else None


def unique_id_of_uuid(entry_uuid: str) -> str:
    """The uniqueId of a resource that has none."""
    return f"{_OID_OF_UUID}{uuid.UUID(entry_uuid).int}"


def uuid_of_unique_id(unique_id: str) -> str | None:
    """The entryUUID that such a uniqueId was made of; None for any other."""
    digits = unique_id.removeprefix(_OID_OF_UUID)
    if digits == unique_id or not (digits.isascii() and digits.isdigit()) or len(digits) > 39:
        return None
    return uuid.UUID(int=int(digits)).urn if int(digits) < 1 << 128 else None


def _check(text: str) -> int:
    return sum(map(ord, text)) % (1 << _CHECK_BITS)
