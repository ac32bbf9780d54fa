"""Reading the parts of an ebRIM RegistryObject (ITI TF-3 4.2.3.1): slots, texts, codes, authors, status.

These run for every element of a query answer of many megabytes. An element that lxml hands out costs far
more than a string, so each reader first takes the shape that the schema's order gives (a Slot holds one
ValueList, a Classification its codingScheme and then its Name) by position, and walks through the children
only where that does not fit. Values that repeat within answers are read once and kept.
"""

import re
from functools import lru_cache

from lxml.etree import _Element

from gateway.ebxml import hl7
from gateway.ebxml.names import NAME, SLOT, VALUE
from gateway.model import Author, AvailabilityStatus, Code

_CACHE = 4096
_BARE_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def slot_value(slot: _Element) -> str | None:
    """First value of a Slot without blanks around it; None where it has none."""
    try:
        text = slot[0][0].text
    except IndexError:
        text = None
    stripped = text.strip() if text else ""
    return stripped or next(iter(slot_values(slot)), None)


def slot_values(slot: _Element) -> list[str]:
    """Values of a Slot without blanks around them; empty values are left out."""
    return [text for value in slot.iter(VALUE) if value.text and (text := value.text.strip())]


def localized(text: _Element) -> str | None:
    """Text of Name or Description in its first language; None where empty."""
    for string in text:
        value = string.get("value")
        if value:
            return value
    return None


def read_code(classification: _Element) -> Code:
    """Coded attribute of a Classification. The scheme is empty where the peer left it out.

    Equal codes are the same object.
    """
    code = classification.get("nodeRepresentation")
    try:
        slot = classification[0]
        name = classification[1]
        display = name[0].get("value")
        if display and slot.get("name") == "codingScheme" and name.tag == NAME:
            return _shared_code(code, slot[0][0].text, display)
    except IndexError:
        pass
    scheme: str | None = None
    display = None
    for part in classification:
        if part.tag == SLOT and part.get("name") == "codingScheme":
            scheme = slot_value(part)
        elif part.tag == NAME:
            display = localized(part)
    return _shared_code(code, scheme, display)


@lru_cache(_CACHE)
def _shared_code(code: str | None, scheme: str | None, display: str | None) -> Code:
    return Code((code or "").strip(), hl7.oid(scheme or ""), display)


_AUTHOR_SLOTS = {
    "authorPerson": 0,
    "authorInstitution": 1,
    "authorRole": 2,
    "authorSpecialty": 3,
    "authorTelecommunication": 4,
}


def read_authors(classification: _Element) -> tuple[Author, ...]:
    """Author of one Classification; none where it is empty.

    It has one authorPerson (ITI TF-3 4.2.3.1.4). Where a peer puts several into it, each becomes an Author
    of its own and shares what else the Classification says. Equal authors are the same object.
    """
    values: list[str | tuple[str, ...] | None] = [None, None, None, None, None]
    for slot in classification:
        position = _AUTHOR_SLOTS.get(slot.get("name") or "")
        if position is not None:
            value_list = slot[0] if len(slot) else slot
            values[position] = value_list[0].text if len(value_list) == 1 else tuple(slot_values(slot))
    return _shared_authors(*values)


_Raw = str | tuple[str, ...] | None


@lru_cache(_CACHE)
def _shared_authors(
    persons: _Raw, institutions: _Raw, roles: _Raw, specialties: _Raw, telecoms: _Raw
) -> tuple[Author, ...]:
    shared = Author(
        institutions=tuple([hl7.read_xon(value) for value in _texts(institutions)]),
        roles=tuple([hl7.read_coded_text(value) for value in _texts(roles)]),
        specialties=tuple([hl7.read_coded_text(value) for value in _texts(specialties)]),
        telecoms=tuple(
            [telecom for value in _texts(telecoms) if (telecom := hl7.read_xtn(value)) is not None]
        ),
    )
    named = [hl7.read_xcn(value) for value in _texts(persons) if value.strip("^&")]
    if named:
        return tuple(
            [
                Author(person, shared.institutions, shared.roles, shared.specialties, shared.telecoms)
                for person in named
            ]
        )
    return () if shared == Author() else (shared,)


def _texts(raw: _Raw) -> tuple[str, ...]:
    if raw is None:
        return ()
    if isinstance(raw, tuple):
        return raw
    stripped = raw.strip()
    return (stripped,) if stripped else ()


@lru_cache(64)
def read_status(status: str | None) -> AvailabilityStatus:
    """availabilityStatus by the last token of its URN, whatever stands before it; Approved where absent."""
    state = (status or "").strip().rpartition(":")[2].lower()
    return AvailabilityStatus.DEPRECATED if state == "deprecated" else AvailabilityStatus.APPROVED


@lru_cache(256)
def read_scheme(text: str | None) -> str:
    """A scheme, node or object type as `urn:uuid:` in lower case, which peers write in any case or bare.

    Other text is unchanged, None is empty.
    """
    stripped = (text or "").strip()
    bare = stripped[9:] if stripped[:9].lower() == "urn:uuid:" else stripped
    return f"urn:uuid:{bare.lower()}" if _BARE_UUID.fullmatch(bare) else stripped


def read_uuid(text: str | None) -> str:
    """entryUUID in lower case; a symbolic id unchanged."""
    stripped = (text or "").strip()
    return stripped.lower() if stripped[:9].lower() == "urn:uuid:" else stripped


def read_home(element: _Element) -> str | None:
    """homeCommunityId of @home as `urn:oid:...`; None where absent or empty."""
    home = element.get("home")
    return hl7.home_community_id(home) if home else None
