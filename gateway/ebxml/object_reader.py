"""Reading the parts of an ebRIM RegistryObject (ITI TF-3 4.2.3.1): slots, texts, codes, authors, status.

These run once per element of a query answer of many megabytes: they touch as few elements as they can
and keep repeated values.
"""

from functools import lru_cache

from lxml.etree import _Element

from gateway.ebxml import hl7
from gateway.ebxml.names import NAME, SLOT, VALUE
from gateway.model import Author, AvailabilityStatus, Code, Organization, Telecom

_CACHE = 4096


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


@lru_cache(_CACHE)
def shared_code(code: str, scheme: str, display: str | None) -> Code:
    """The same object for the same code."""
    return Code(code, scheme, display)


def read_code(classification: _Element) -> Code:
    """Coded attribute of a Classification. The scheme is empty where the peer left it out."""
    scheme = ""
    display = None
    for part in classification:
        tag = part.tag
        if tag == SLOT:
            if part.get("name") == "codingScheme":
                scheme = hl7.oid(next(iter(slot_values(part)), ""))
        elif tag == NAME:
            display = localized(part)
    return shared_code((classification.get("nodeRepresentation") or "").strip(), scheme, display)


def read_authors(classification: _Element) -> tuple[Author, ...]:
    """Author of one Classification.

    It has one authorPerson (ITI TF-3 4.2.3.1.4). Where a peer puts several into it, each becomes an Author
    of its own and shares what else the Classification says.
    """
    persons: list[str] = []
    institutions: tuple[Organization, ...] = ()
    roles: tuple[Code | str, ...] = ()
    specialties: tuple[Code | str, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    for slot in classification.iterchildren(SLOT):
        values = slot_values(slot)
        match slot.get("name"):
            case "authorPerson":
                persons = [value for value in values if value.strip("^&")]
            case "authorInstitution":
                institutions = tuple([hl7.read_xon(value) for value in values])
            case "authorRole":
                roles = tuple([hl7.read_coded_text(value) for value in values])
            case "authorSpecialty":
                specialties = tuple([hl7.read_coded_text(value) for value in values])
            case "authorTelecommunication":
                read = (hl7.read_xtn(value) for value in values)
                telecoms = tuple([telecom for telecom in read if telecom is not None])
            case _:
                pass
    if persons:
        return tuple(
            [Author(hl7.read_xcn(text), institutions, roles, specialties, telecoms) for text in persons]
        )
    if institutions or roles or specialties or telecoms:
        return (Author(None, institutions, roles, specialties, telecoms),)
    return ()


@lru_cache(64)
def read_status(status: str | None) -> AvailabilityStatus:
    """availabilityStatus by the last token of its URN, whatever stands before it; Approved where absent."""
    state = (status or "").strip().rpartition(":")[2].lower()
    return AvailabilityStatus.DEPRECATED if state == "deprecated" else AvailabilityStatus.APPROVED


def read_uuid(text: str | None) -> str:
    """entryUUID in lower case; a symbolic id unchanged."""
    stripped = (text or "").strip()
    return stripped.lower() if stripped[:9].lower() == "urn:uuid:" else stripped


def read_home(element: _Element) -> str | None:
    """homeCommunityId of @home as `urn:oid:...`; None where absent or empty."""
    home = element.get("home")
    return hl7.home_community_id(home) if home else None
