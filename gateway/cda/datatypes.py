"""HL7 V3 data types of CDA R2 -> values of document sharing metadata (PCC TF-2 4.1; ITI TF-3 4.2.3.1.7).

A reader takes the element or None. An element with a nullFlavor says nothing, so it reads as None. What is
said but cannot be used is noted in `Problems`.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from lxml.etree import _Element

from gateway.model.dtm import is_dtm
from gateway.model.metadata import Address, Code, Cx, Organization, Person, Telecom
from gateway.model.oids import is_oid

NS: Final = "urn:hl7-org:v3"
_NAMES: Final = {"h": NS}
_TS = re.compile(r"(\d{4}(?:\d{2}){0,5})(?:\.\d+)?([+-]\d{4})?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_FORMATS: Final = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_GENDERS: Final = {"M": "M", "F": "F", "UN": "O"}
_SYSTEMS: Final = {"tel": "phone", "fax": "fax", "mailto": "email", "http": "url", "https": "url"}
_USES: Final = {"H": "home", "HP": "home", "HV": "home", "WP": "work", "DIR": "work", "MC": "mobile"}


class Problems:
    """What a document says in a way that cannot be used: element path and rule, never content."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, path: str, text: str) -> None:
        """Note one; `path` is the element from the root, such as `recordTarget/patientRole/id`."""
        if (path, text) not in self.found:
            self.found.append((path, text))


# --- elements -------------------------------------------------------------------------------------------
def child(parent: _Element | None, path: str) -> _Element | None:
    """First element at a path of CDA names (`author/time`) that has no nullFlavor."""
    return next(children(parent, path), None)


def children(parent: _Element | None, path: str) -> Iterator[_Element]:
    """The elements at a path of CDA names that have no nullFlavor."""
    if parent is None:
        return
    steps = "/".join(f"h:{name}" for name in path.split("/"))
    for found in parent.iterfind(steps, _NAMES):
        if found.get("nullFlavor") is None:
            yield found


def text_of(element: _Element | None) -> str | None:
    """All text in an element with single spaces; None where there is none."""
    if element is None:
        return None
    return " ".join("".join(map(str, element.itertext())).split()) or None


# --- codes and times ------------------------------------------------------------------------------------
def read_code(
    element: _Element | None, path: str, problems: Problems, default_scheme: str | None = None
) -> Code | None:
    """Code of a CD or CE; the display falls back to the original text and then to the code."""
    if element is None or not element.get("code"):
        return None
    value, scheme = str(element.get("code")), element.get("codeSystem") or default_scheme
    if scheme is None or not is_oid(scheme):
        problems.add(f"{path}/@codeSystem", "A code needs the OID of its code system.")
        return None
    display = element.get("displayName") or text_of(child(element, "originalText"))
    return Code(value, scheme, display or value)


def read_time(
    element: _Element | None, path: str, problems: Problems, zone: tzinfo | None = None
) -> str | None:
    """DTM in UTC of a TS. `zone` is that of times without offset, UTC by default; dates stay as they are."""
    value = (element.get("value") or "").strip() if element is not None else ""
    if not value:
        return None
    found = _TS.fullmatch(value)
    if found is None or not is_dtm(found[1]):
        problems.add(
            f"{path}/@value", "A time is YYYYMMDDhhmmss with an offset such as +0100, or a part of it."
        )
        return None
    digits, offset = found[1], found[2]
    if len(digits) < 10:
        return digits
    # a leap second is legal in HL7 and unknown to datetime
    moment = datetime.strptime(digits[:12] + digits[12:].replace("60", "59"), _FORMATS[len(digits)])
    try:
        shifted = moment.replace(tzinfo=_zone(offset) or zone or UTC).astimezone(UTC)
    except OverflowError:
        problems.add(f"{path}/@value", "In UTC this is not a time between the years 0001 and 9999.")
        return None
    length = max(len(digits), 12 if shifted.minute and len(digits) == 10 else 0)
    return f"{shifted.year:04}{shifted.strftime('%m%d%H%M%S')}"[:length]


def _zone(offset: str | None) -> tzinfo | None:
    if not offset:
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    # 23:59 is the most that a zone can be away
    return timezone(timedelta(minutes=min(minutes, 1439) * (-1 if offset[0] == "-" else 1)))


# --- identifiers ----------------------------------------------------------------------------------------
def read_oid(root: str | None) -> str | None:
    """OID of the root of an II; a UUID is the OID that ITU-T X.667 makes of it. None for any other root."""
    if root is None:
        return None
    if is_oid(root):
        return root
    return f"2.25.{uuid.UUID(root).int}" if _UUID.fullmatch(root) else None


def read_unique_id(element: _Element | None, path: str, problems: Problems) -> str | None:
    """uniqueId of the id of a document: `root^extension`, or the root alone as OID or UUID URN."""
    if element is None:
        return None
    root, extension = element.get("root"), (element.get("extension") or "").strip()
    if root and not extension and _UUID.fullmatch(root):
        return f"urn:uuid:{root.lower()}"
    oid = read_oid(root)
    if oid is None:
        problems.add(f"{path}/@root", "The root of an id is an OID or a UUID.")
        return None
    unique_id = f"{oid}^{extension}" if extension else oid
    if not re.fullmatch(r"[!-~]{1,128}", unique_id):
        problems.add(path, "XDS takes at most 128 characters of ASCII, without spaces, as uniqueId.")
        return None
    return unique_id


def read_ids(elements: Iterable[_Element], path: str, problems: Problems) -> tuple[Cx, ...]:
    """Cx of each id that has root and extension; an id without extension is none of a patient."""
    ids: list[Cx] = []
    for element in elements:
        extension = (element.get("extension") or "").strip()
        authority = read_oid(element.get("root"))
        if authority is None:
            problems.add(f"{path}/@root", "The root of an id is an OID or a UUID.")
        elif extension:
            ids.append(Cx(extension, authority))
    return tuple(ids)


def read_party_id(elements: Iterable[_Element]) -> tuple[str | None, str | None]:
    """Id and authority of a person or an organization; a root without extension is the id itself."""
    for element in elements:
        authority = read_oid(element.get("root"))
        extension = (element.get("extension") or "").strip()
        if extension:
            return extension, authority
        if authority is not None:
            return authority, None
    return None, None


# --- people ---------------------------------------------------------------------------------------------
def read_name(element: _Element | None) -> Person | None:
    """Person of a PN, without id; text without parts is taken for the family name."""
    if element is None:
        return None
    given = _parts(element, "given")
    person = Person(
        family=" ".join(_parts(element, "family")) or (None if len(element) else text_of(element)),
        given=given[0] if given else None,
        further_given=" ".join(given[1:]) or None,
        suffix=" ".join(_parts(element, "suffix")) or None,
        prefix=" ".join(_parts(element, "prefix")) or None,
    )
    return None if person == Person() else person


def _parts(element: _Element, name: str) -> list[str]:
    return [text for part in children(element, name) if (text := text_of(part))]


def read_organization(element: _Element | None) -> Organization | None:
    """Organization with a name, which XDS requires; None without one."""
    name = text_of(child(element, "name"))
    if name is None:
        return None
    number, authority = read_party_id(children(element, "id"))
    return Organization(name, number, authority)


def read_telecoms(elements: Iterable[_Element]) -> tuple[Telecom, ...]:
    """Telecom of each TEL whose URL has a scheme that XDS can say."""
    telecoms = []
    for element in elements:
        url = (element.get("value") or "").strip()
        scheme, colon, rest = url.partition(":")
        system = _SYSTEMS.get(scheme.lower())
        if not colon or system is None or not rest:
            continue
        use = next((_USES[code] for code in (element.get("use") or "").split() if code in _USES), None)
        telecoms.append(Telecom(url if system == "url" else rest, system, use))
    return tuple(telecoms)


def read_address(element: _Element) -> Address | None:
    """Address of an AD; text without parts is taken for the street."""
    lines = _parts(element, "streetAddressLine")
    if not lines:
        street = " ".join([*_parts(element, "streetName"), *_parts(element, "houseNumber")])
        lines = [street] if street else []
    if not lines and not len(element):
        lines = [text] if (text := text_of(element)) else []
    further = [*lines[1:], *_parts(element, "additionalLocator")]
    address = Address(
        street=lines[0] if lines else None,
        other=", ".join(further) or None,
        city=text_of(child(element, "city")),
        state=text_of(child(element, "state")),
        postal_code=text_of(child(element, "postalCode")),
        country=text_of(child(element, "country")),
    )
    return None if address == Address() else address


def read_gender(element: _Element | None) -> str | None:
    """Letter of HL7 v2 of an administrativeGenderCode."""
    return _GENDERS.get(element.get("code") or "") if element is not None else None
