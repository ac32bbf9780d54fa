"""HL7 v2 data types inside ebRIM values (ITI TF-3 Table 4.2.3.1.7-2): CX, CXi, XCN, XPN, XON, XTN, XAD.

Readers take what peers send: missing trailing components, authorities without `&...&ISO`, values that
should have been escaped. Writers use the delimiters `|^&~\\` and the escapes `\\F\\ \\S\\ \\T\\ \\R\\ \\E\\`,
and leave out empty trailing components.
"""

import re
from functools import lru_cache

from gateway.model import Code, Cx, Organization, Person, ReferenceId, Telecom
from gateway.model.metadata import Address
from gateway.model.oids import bare_oid

_ESCAPES = {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\"}
_ESCAPE_TABLE = str.maketrans(_ESCAPES)
_UNESCAPES = {escape[1]: char for char, escape in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\([FSTRE])\\")

_CACHE = 4096
"""Raw values kept read: persons, organizations and identifiers repeat within an answer."""


def escape(text: str) -> str:
    """Text as a component of an HL7 v2 value."""
    return text.translate(_ESCAPE_TABLE)


def unescape(text: str) -> str:
    """Text of a component. Escapes other than those of the five delimiters stay as they are."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda match: _UNESCAPES[match[1]], text)


def oid(text: str) -> str:
    """An OID without `urn:oid:`; other text unchanged."""
    return bare_oid(text.strip())


def _components(value: str, count: int) -> list[str]:
    parts = value.split("^")
    if len(parts) < count:
        parts.extend([""] * (count - len(parts)))
    return parts


def _text(component: str) -> str | None:
    """A component of type ST: an unescaped `&` is taken for text."""
    return unescape(component) or None if component else None


def _first(component: str) -> str | None:
    """First filled subcomponent of a component such as FN or SAD."""
    if "&" not in component:
        return _text(component)
    return next((unescape(part) for part in component.split("&") if part), None)


def _authority(component: str) -> str | None:
    """OID of an HD `namespace&oid&ISO`; a component without `&` is taken whole."""
    if not component:
        return None
    parts = component.split("&")
    universal = parts[1] if len(parts) > 1 and parts[1] else parts[0]
    return oid(unescape(universal)) or None


def _hd(authority: str | None) -> str:
    return f"&{escape(authority)}&ISO" if authority else ""


def _join(*components: str) -> str:
    return "^".join(components).rstrip("^")


def _escaped(*components: str | None) -> list[str]:
    return [escape(component) if component else "" for component in components]


@lru_cache(_CACHE)
def read_cx(value: str) -> Cx:
    """CX `id^^^&oid&ISO`. The authority is empty where the value has none."""
    parts = _components(value, 4)
    return Cx(unescape(parts[0]), _authority(parts[3]) or "")


def write_cx(cx: Cx) -> str:
    """CX with an OID as assigning authority."""
    return _join(escape(cx.id), "", "", _hd(cx.authority))


def read_reference_id(value: str) -> ReferenceId:
    """CXi `id^^^&oid&ISO^type^homeCommunityId`."""
    parts = _components(value, 6)
    home = _authority(parts[5])
    return ReferenceId(
        unescape(parts[0]),
        _authority(parts[3]),
        unescape(parts[4]),
        home_community_id(home) if home else None,
    )


def write_reference_id(reference: ReferenceId) -> str:
    """CXi. CX.6 is written as `&oid&ISO`."""
    home = oid(reference.home_community_id) if reference.home_community_id else None
    return _join(escape(reference.id), "", "", _hd(reference.authority), escape(reference.type), _hd(home))


def home_community_id(text: str) -> str | None:
    """homeCommunityId as `urn:oid:...`, which some peers leave out; None where empty."""
    stripped = text.strip()
    if not stripped:
        return None
    bare = bare_oid(stripped)
    return stripped if ":" in bare else "urn:oid:" + bare


@lru_cache(_CACHE)
def read_xcn(value: str) -> Person:
    """XCN `id^family^given^further^suffix^prefix^degree^^&oid&ISO`."""
    parts = _components(value, 9)
    return Person(
        id=_text(parts[0]),
        family=_first(parts[1]),
        given=_text(parts[2]),
        further_given=_text(parts[3]),
        suffix=_text(parts[4]),
        prefix=_text(parts[5]),
        degree=_text(parts[6]),
        authority=_authority(parts[8]),
    )


def write_xcn(person: Person) -> str:
    """XCN."""
    return _join(
        *_escaped(person.id, person.family, person.given, person.further_given),
        *_escaped(person.suffix, person.prefix, person.degree),
        "",
        _hd(person.authority),
    )


def read_xpn(value: str) -> Person:
    """XPN `family^given^further^suffix^prefix^degree`."""
    parts = _components(value, 6)
    return Person(
        family=_first(parts[0]),
        given=_text(parts[1]),
        further_given=_text(parts[2]),
        suffix=_text(parts[3]),
        prefix=_text(parts[4]),
        degree=_text(parts[5]),
    )


def write_xpn(person: Person) -> str:
    """XPN; `id` and `authority` have no place in it."""
    return _join(
        *_escaped(person.family, person.given, person.further_given),
        *_escaped(person.suffix, person.prefix, person.degree),
    )


@lru_cache(_CACHE)
def read_xon(value: str) -> Organization:
    """XON `name^^^^^&oid&ISO^^^^id`, or `name^^^^^^^^^oid` where the id itself is an OID."""
    parts = _components(value, 10)
    return Organization(name=_text(parts[0]), id=_text(parts[9]), authority=_authority(parts[5]))


def write_xon(organization: Organization) -> str:
    """XON."""
    name, identifier = _escaped(organization.name, organization.id)
    return _join(name, "", "", "", "", _hd(organization.authority), "", "", "", identifier)


_USE_TO_CODE = {"home": "PRN", "work": "WPN", "mobile": "PRS"}
_CODE_TO_USE = {"PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile"}
_SYSTEM_TO_EQUIPMENT = {"phone": "PH", "fax": "FX", "pager": "BP"}
_EQUIPMENT_TO_SYSTEM = {"": "phone", "PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager"}


@lru_cache(_CACHE)
def read_xtn(value: str) -> Telecom | None:
    """XTN; None where it holds neither number, address nor text.

    XTN.4 is an e-mail address or URL, XTN.12, XTN.5 to 8 or the old XTN.1 a number, XTN.9 any text.
    """
    parts = [unescape(part) for part in _components(value, 12)]
    use = _CODE_TO_USE.get(parts[1].upper())
    if parts[3]:
        return Telecom(parts[3], "url" if "://" in parts[3] else "email", use)
    number = parts[11] or _dialled(parts[4:8]) or parts[0]
    equipment = parts[2].upper()
    if number:
        if "@" in number and equipment in ("INTERNET", "X.400", ""):
            return Telecom(number, "email", use)
        if equipment == "CP" and use is None:
            use = "mobile"
        return Telecom(number, _EQUIPMENT_TO_SYSTEM.get(equipment, "other"), use)
    return Telecom(parts[8], "other", use) if parts[8] else None


def _dialled(parts: list[str]) -> str:
    """Number from country code, area code, local number and extension."""
    country, area, local, extension = parts
    if not local:
        return ""
    prefix = f"+{country.lstrip('+')}" if country else ""
    return " ".join(part for part in (prefix, area, local, f"x{extension}" if extension else "") if part)


def write_xtn(telecom: Telecom) -> str:
    """XTN: e-mail and URL in XTN.4, numbers unformatted in XTN.12, what is neither in XTN.9."""
    value = escape(telecom.value)
    use = _USE_TO_CODE.get(telecom.use or "", "")
    if telecom.system in ("email", "url"):
        return _join("", use, "Internet", value)
    if telecom.system not in _SYSTEM_TO_EQUIPMENT:
        return _join("", use, "", "", "", "", "", "", value)
    mobile = telecom.system == "phone" and telecom.use == "mobile"
    equipment = "CP" if mobile else _SYSTEM_TO_EQUIPMENT[telecom.system]
    return _join("", use, equipment, "", "", "", "", "", "", "", "", value)


def read_xad(value: str) -> Address:
    """XAD `street^other^city^state^postal code^country`."""
    parts = _components(value, 6)
    return Address(
        street=_first(parts[0]),
        other=_text(parts[1]),
        city=_text(parts[2]),
        state=_text(parts[3]),
        postal_code=_text(parts[4]),
        country=_text(parts[5]),
    )


def write_xad(address: Address) -> str:
    """XAD."""
    return _join(
        *_escaped(address.street, address.other, address.city),
        *_escaped(address.state, address.postal_code, address.country),
    )


@lru_cache(_CACHE)
def read_coded_text(value: str) -> Code | str:
    """authorRole and authorSpecialty: `code^^^&oid&ISO`, otherwise text."""
    if "^" in value:
        parts = _components(value, 4)
        scheme = _authority(parts[3])
        if scheme and parts[0]:
            return Code(unescape(parts[0]), scheme)
    return unescape(value)


def write_coded_text(value: Code | str) -> str:
    """authorRole and authorSpecialty; a coded value has no place for its display name."""
    if isinstance(value, Code):
        return _join(escape(value.code), "", "", _hd(value.scheme))
    return escape_where_needed(value)


def escape_where_needed(text: str) -> str:
    """Text that stays readable for peers that never unescape: escaped only where it would be misread."""
    return escape(text) if "^" in text or "\\" in text else text
