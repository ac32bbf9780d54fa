"""Codes, identifiers, UIDs, names and times of FHIR manifests, read tolerantly (IHE RAD MADO 0.1.0; what its
samples and older guides have instead is a finding).
"""

import re
from datetime import datetime
from typing import Final

from gateway.fhir.imaging_parts import IDEOGRAPHIC, PHONETIC
from gateway.fhir.imaging_times import EARLIEST_OFFSET, LATEST_OFFSET
from gateway.fhir.terminology import Terminology
from gateway.fhir.tolerant import Element
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer, LocalTime
from gateway.model.metadata import Code, Organization, Person
from gateway.model.oids import bare_oid, is_oid

_LONGEST_UID: Final = 64
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


# --- codes ------------------------------------------------------------------------------------------------
def read_coding(element: Element | None, terminology: Terminology) -> Code | None:
    """Code of a Coding; a CodeableConcept or CodeableReference of FHIR R5 in its place is read too."""
    if element is None:
        return None
    for wrapper in ("concept", "coding"):
        if wrapper in element.value:
            element.report("r5-element")
            inner = element.one("concept") if wrapper == "concept" else next(element.many("coding"), None)
            return (
                read_concept(inner, terminology) if wrapper == "concept" else read_coding(inner, terminology)
            )
    code, system = element.text("code"), element.text("system")
    if code is None:
        return None
    if system is None:
        element.report("code-incomplete", "system")
    return Code(code, scheme_of(system, terminology), element.text("display"))


def read_concept(element: Element | None, terminology: Terminology) -> Code | None:
    """Code of a CodeableConcept: its first coding that has a code; the others are translations."""
    if element is None:
        return None
    codings = (read_coding(coding, terminology) for coding in element.many("coding"))
    return next((code for code in codings if code is not None), None)


def scheme_of(system: str | None, terminology: Terminology) -> str:
    """Scheme of Coding.system: an OID where the settings know one, else the system itself."""
    if not system:
        return ""
    return terminology.code_systems.oid_or_none(system) or bare_oid(system)


# --- identifiers ------------------------------------------------------------------------------------------
def read_uid(element: Element, name: str, *, prefixed: bool) -> str | None:
    """A DICOM UID without prefix. `prefixed` says whether FHIR wants urn:oid: here."""
    value = element.text(name)
    if value is None:
        return None
    bare = bare_oid(value)
    if bare[:4].lower() == "oid:":
        bare = bare[4:]
    if (bare != value) is not prefixed:
        element.report("uid-prefix", name)
    if not is_oid(bare) or len(bare) > _LONGEST_UID:
        element.report("uid-invalid", name)
    return bare or None


def has_type(identifier: Element, system: str, code: str) -> bool:
    """True where one of the codings of Identifier.type is the given one."""
    kind = identifier.one("type")
    return kind is not None and any(
        coding.value.get("system") == system and coding.value.get("code") == code
        for coding in kind.many("coding")
    )


def is_accession(identifier: Element) -> bool:
    """True for an identifier of either type of accession number."""
    return has_type(identifier, codes.V2_IDENTIFIER_TYPE, imaging.V2_ACCESSION) or has_type(
        identifier, codes.DICOM_CODE_SYSTEM, imaging.ACCESSION_NUMBER
    )


def read_issued(identifier: Element | None, terminology: Terminology) -> IssuedId | None:
    """Identifier with its issuer; None where it has no value."""
    value = identifier.text("value") if identifier is not None else None
    if identifier is None or value is None:
        return None
    return IssuedId(value, _issuer(identifier, terminology))


def _issuer(identifier: Element, terminology: Terminology) -> Issuer | None:
    kind, universal = _universal(identifier, terminology)
    namespace = None
    assigner = identifier.one("assigner")
    if assigner is not None:
        namespace = assigner.text("display")
        named = assigner.one("identifier")
        if universal is None and named is not None:
            universal = named.text("value")
            typed = named.one("type")
            coded = next(typed.many("coding"), None) if typed is not None else None
            kind = coded.text("code") if coded is not None and universal else None
    return Issuer(namespace, universal, kind) if namespace or universal else None


def _universal(identifier: Element, terminology: Terminology) -> tuple[str | None, str | None]:
    """Type and value of the universal id that Identifier.system is."""
    system = identifier.text("system")
    if system is None:
        return None, None
    if system.lower() in ("urn:oid:", "urn:uuid:"):
        identifier.report("issuer-empty", "system")
        return None, None
    oid = terminology.authorities.oid_or_none(system)
    if oid is not None:
        return "ISO", oid
    if is_oid(system):
        identifier.report("issuer-not-a-uri", "system")
        return "ISO", system
    if system[:9].lower() == "urn:uuid:":
        return "UUID", system[9:]
    return "URI", system


def read_organization(element: Element, terminology: Terminology) -> Organization | None:
    """Organization by its name and first identifier; None where it has neither."""
    identifier = next(element.many("identifier"), None)
    number = identifier.text("value") if identifier is not None else None
    authority = None
    if identifier is not None and number is not None:
        system = identifier.text("system")
        if system == codes.URI_SYSTEM:
            number = bare_oid(number)
        elif system is not None:
            authority = terminology.authorities.oid_or_none(system) or system
    name = element.text("name")
    return Organization(name, number, authority) if name or number else None


# --- names ------------------------------------------------------------------------------------------------
def read_name(element: Element | None) -> Person | None:
    """Person of a HumanName."""
    if element is None:
        return None
    given = list(element.texts("given"))
    family = element.text("family")
    if family is None and not given:
        family = element.text("text")
        if family is None:
            return None
        element.report("name-as-text")
    return Person(
        family=family,
        given=given[0] if given else None,
        further_given=" ".join(given[1:]) or None,
        prefix=" ".join(element.texts("prefix")) or None,
        suffix=" ".join(element.texts("suffix")) or None,
    )


def representation_of(name: Element) -> str | None:
    """IDE or SYL for the ideographic and phonetic form of a name; None for the alphabetic one."""
    extension = name.extension(imaging.EXT_NAME_REPRESENTATION)
    value = extension.value.get("valueCode") if extension is not None else None
    return value if value in (IDEOGRAPHIC, PHONETIC) else None


# --- times ------------------------------------------------------------------------------------------------
def read_date(element: Element, name: str) -> str | None:
    """YYYYMMDD of a FHIR date."""
    read = read_time(element, name)
    return read.date if read is not None else None


def read_time(element: Element, name: str) -> LocalTime | None:
    """Local time of a dateTime; one without zone has no offset."""
    value = element.text(name)
    if value is None:
        return None
    parts = _DATE_TIME.fullmatch(value)
    if parts is None or not _exists(parts):
        element.report("date-invalid", name)
        return None
    year, month, day, hour, minute, second, fraction, zone = parts.groups()
    if day is None:
        element.report("date-partial", name)
        return None
    date = year + month + day
    if hour is None:
        return _uncertain(element, name, date) or LocalTime(date)
    if fraction is not None and len(fraction) > 6:
        element.report("fraction-cut", name)
        fraction = fraction[:6]
    time = hour + minute + (second or "00") + (f".{fraction}" if fraction else "")
    if zone is None:
        element.report("time-zone-missing", name)
    return LocalTime(date, time, "+0000" if zone == "Z" else zone.replace(":", "") if zone else None)


def _exists(parts: "re.Match[str]") -> bool:
    year, month, day, hour, minute, second, _, zone = parts.groups()
    try:
        datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            59 if second == "60" else int(second or 0),
        )
    except ValueError:
        return False
    return zone in (None, "Z") or ((int(zone[1:3]), int(zone[4:])) <= (14, 0) and int(zone[4:]) < 60)


def _uncertain(element: Element, name: str, date: str) -> LocalTime | None:
    """The time of day that stands as the period of an unknown zone."""
    beside = element.value.get(f"_{name}")
    if not isinstance(beside, dict):
        return None
    extension = Element(beside, f"{element.path}.{name}", element.found).extension(
        imaging.EXT_UNCERTAIN_PERIOD
    )
    period = extension.one("valuePeriod") if extension is not None else None
    start, end = (period.text("start"), period.text("end")) if period is not None else (None, None)
    if not start or not end or not start.endswith(EARLIEST_OFFSET) or not end.endswith(LATEST_OFFSET):
        return None
    local = start.removesuffix(EARLIEST_OFFSET)
    parts = _DATE_TIME.fullmatch(local)
    if local != end.removesuffix(LATEST_OFFSET) or parts is None or parts[4] is None or not _exists(parts):
        return None
    fraction = f".{parts[7][:6]}" if parts[7] else ""
    written = f"{parts[1]}{parts[2]}{parts[3]}"
    return LocalTime(date, f"{parts[4]}{parts[5]}{parts[6] or '00'}{fraction}") if written == date else None
