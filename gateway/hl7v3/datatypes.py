"""HL7 V3 data types in XML: II, TS, PN, AD, TEL, CE (HL7 V3 NE2008 core schemas)."""

import re
from typing import Final

from lxml.etree import SubElement, _Element

from gateway.hl7v3.errors import Hl7v3Error
from gateway.model import Cx, Person
from gateway.model.codes import HL7_GENDER, NS_HL7V3
from gateway.model.metadata import Address, Telecom
from gateway.model.oids import bare_oid, is_oid

_ROOT: Final = re.compile(r"[0-2](\.(0|[1-9]\d*))*|[0-9a-zA-Z]{8}(-[0-9a-zA-Z]{4}){3}-[0-9a-zA-Z]{12}")
_TS: Final = re.compile(r"\d{1,8}|(\d{9,14}|\d{14}\.\d+)([+\-]\d{1,4})?", re.ASCII)
_DEGREE: Final = re.compile(r"\d{1,2}|100", re.ASCII)
_TELECOM: Final = {"phone": "tel", "fax": "fax", "email": "mailto"}
_USES: Final = {"home": "H", "work": "WP", "mobile": "MC"}
_SYSTEMS: Final = {scheme: system for system, scheme in _TELECOM.items()}
_USE_OF: Final = {code: use for use, code in _USES.items()} | {"HP": "home", "HV": "home"}
GENDERS: Final = frozenset({"M", "F", "UN"})


def tag(name: str) -> str:
    """Clark name of an element."""
    return f"{{{NS_HL7V3}}}{name}"


def add(parent: _Element, name: str, **attributes: str) -> _Element:
    """Append an element."""
    return SubElement(parent, tag(name), attributes)


def child(parent: _Element | None, *path: str) -> _Element | None:
    """The first element at the end of a path of child names."""
    for name in path:
        if parent is None:
            return None
        parent = parent.find(tag(name))
    return parent


def children(parent: _Element | None, name: str) -> list[_Element]:
    """The child elements of a name."""
    return [] if parent is None else parent.findall(tag(name))


def attribute(element: _Element | None, name: str) -> str | None:
    """A trimmed attribute, None where it is empty or not there."""
    return None if element is None else (element.get(name) or "").strip() or None


# --- identifiers ----------------------------------------------------------------------------------------


def add_id(parent: _Element, name: str, text: str) -> _Element:
    """An II of `root` or `root^extension`. Raises Hl7v3Error where the root is neither OID nor UUID."""
    root, caret, extension = text.partition("^")
    if not _ROOT.fullmatch(root):
        raise Hl7v3Error(f"the root of {name} must be an OID or a UUID")
    element = add(parent, name, root=root)
    if caret and extension:
        element.set("extension", extension)
    return element


def read_id(element: _Element | None) -> str | None:
    """`root` or `root^extension`; None without root."""
    root, extension = attribute(element, "root"), attribute(element, "extension")
    if root is None:
        return None
    return f"{bare_oid(root)}^{extension}" if extension else bare_oid(root)


def add_cx(parent: _Element, name: str, identifier: Cx) -> None:
    """A patient identifier. Raises Hl7v3Error where its authority is no OID."""
    if not is_oid(identifier.authority):
        raise Hl7v3Error(f"the authority of {name} must be an OID")
    if not identifier.id.strip():
        raise Hl7v3Error(f"the extension of {name} is empty")
    add(parent, name, root=identifier.authority, extension=identifier.id)


def read_cx(element: _Element | None) -> Cx | None:
    """A patient identifier; None where root or extension is missing."""
    root, extension = attribute(element, "root"), attribute(element, "extension")
    if root is None or extension is None or not is_oid(bare_oid(root)):
        return None
    return Cx(extension, bare_oid(root))


# --- times and codes ------------------------------------------------------------------------------------


def checked_time(name: str, value: str) -> str:
    """A TS value. Raises Hl7v3Error."""
    if not _TS.fullmatch(value):
        raise Hl7v3Error(f"{name} is no HL7 time")
    return value


def read_time(element: _Element | None) -> str | None:
    """The value of a TS, or of an IVL<TS> whose limits are the same or of which there is one."""
    value = attribute(element, "value")
    if value is None:
        low, high = (attribute(child(element, limit), "value") for limit in ("low", "high"))
        value = low if high is None or low == high else None
    return value if value and _TS.fullmatch(value) else None


def read_degree(element: _Element | None) -> int | None:
    """The value of an INT from 0 to 100; None for anything else."""
    value = attribute(element, "value") or ""
    return int(value) if _DEGREE.fullmatch(value) else None


def add_gender(parent: _Element, name: str, gender: str) -> None:
    """A CE of AdministrativeGender. Raises Hl7v3Error for another letter."""
    if gender not in GENDERS:
        raise Hl7v3Error(f"{name} must be M, F or UN")
    add(parent, name, code=gender, codeSystem=HL7_GENDER)


def read_gender(element: _Element | None) -> str | None:
    """M, F or UN; None for anything else."""
    code = (attribute(element, "code") or "").upper()
    return code if code in GENDERS else None


# --- names, addresses, telecoms -------------------------------------------------------------------------


def add_name(parent: _Element, name: str, person: Person) -> None:
    """A PN: prefix, given, family, suffix. Raises Hl7v3Error where there is nothing to write."""
    parts = [
        ("prefix", person.prefix),
        ("given", person.given),
        ("given", person.further_given),
        ("family", person.family),
        ("suffix", person.suffix),
    ]
    written = [(part, text) for part, text in parts if text]
    if not written:
        raise Hl7v3Error(f"{name} has neither family nor given name")
    element = add(parent, name)
    for part, text in written:
        add(element, part).text = text


def read_name(element: _Element) -> Person | None:
    """A PN of parts; further given names are joined. None where it has none (a nullFlavor)."""
    given = _texts(element, "given")
    person = Person(
        family=" ".join(_texts(element, "family")) or None,
        given=given[0] if given else None,
        further_given=" ".join(given[1:]) or None,
        suffix=" ".join(_texts(element, "suffix")) or None,
        prefix=" ".join(_texts(element, "prefix")) or None,
    )
    return None if person == Person() else person


def add_address(parent: _Element, name: str, address: Address) -> None:
    """An AD. Raises Hl7v3Error where there is nothing to write."""
    parts = [
        ("streetAddressLine", address.street),
        ("streetAddressLine", address.other if address.street else None),
        ("additionalLocator", None if address.street else address.other),
        ("city", address.city),
        ("state", address.state),
        ("postalCode", address.postal_code),
        ("country", address.country),
    ]
    written = [(part, text) for part, text in parts if text]
    if not written:
        raise Hl7v3Error(f"{name} is an empty address")
    element = add(parent, name)
    for part, text in written:
        add(element, part).text = text


def read_address(element: _Element) -> Address | None:
    """An AD of parts; None where it has none."""
    lines = _texts(element, "streetAddressLine")
    address = Address(
        street=lines[0] if lines else None,
        other=" ".join([*lines[1:], *_texts(element, "additionalLocator")]) or None,
        city=" ".join(_texts(element, "city")) or None,
        state=" ".join(_texts(element, "state")) or None,
        postal_code=" ".join(_texts(element, "postalCode")) or None,
        country=" ".join(_texts(element, "country")) or None,
    )
    return None if address == Address() else address


def add_telecom(parent: _Element, name: str, telecom: Telecom) -> None:
    """A TEL. What is neither phone, fax nor e-mail is written as the URL that it is."""
    scheme = _TELECOM.get(telecom.system)
    element = add(parent, name, value=f"{scheme}:{telecom.value}" if scheme else telecom.value)
    if telecom.use in _USES:
        element.set("use", _USES[telecom.use])


def read_telecom(element: _Element) -> Telecom | None:
    """A TEL; None without value."""
    value = attribute(element, "value")
    if value is None:
        return None
    scheme, colon, rest = value.partition(":")
    system = _SYSTEMS.get(scheme.lower()) if colon else "phone"
    uses = (attribute(element, "use") or "").split()
    use = next((_USE_OF[code] for code in uses if code in _USE_OF), None)
    if system is None:
        return Telecom(value, "url" if scheme.lower() in {"http", "https"} else "other", use)
    return Telecom(rest if colon else value, system, use) if (rest or not colon) else None


def _texts(element: _Element, name: str) -> list[str]:
    found = ("".join(map(str, part.itertext())).strip() for part in children(element, name))
    return [text for text in found if text]
