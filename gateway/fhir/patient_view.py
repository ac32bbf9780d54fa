"""The Patient that stands for an identifier of the affinity domain, with what documents say of the person
(FHIR R4 Patient; IHE PDQm asks for the same elements).

Nothing is merged of sources that disagree: the latest one is shown, others add what it leaves open where they
name the same person, and add nothing where a name, the birth or the sex is another one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from gateway.fhir.datatypes import Json, write_cx
from gateway.fhir.matching import folded
from gateway.fhir.people import write_source_patient, write_telecom
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.identity import PatientQuery
from gateway.model.metadata import AvailabilityStatus, Cx, DocumentEntry, SourcePatientInfo
from gateway.model.oids import bare_oid

_IDENTITY: Final = ("name", "birthDate", "gender")
_OWN: Final = frozenset({"resourceType", "id", "meta", "text", "contained", "identifier"})
_DATE_LENGTH: Final = 10


Details = Callable[[SourcePatientInfo], PatientQuery]
"""Reads the maiden name of the mother and telecoms of what sourcePatientInfo has besides."""


def no_details(_: SourcePatientInfo) -> PatientQuery:
    """Nothing besides."""
    return PatientQuery()


def said_by_entries(
    entries: Iterable[DocumentEntry], terminology: Terminology, details: Details = no_details
) -> list[Json]:
    """What sourcePatientInfo says, the latest document first, superseded ones where there are no others."""
    told = [entry for entry in entries if entry.source_patient_info is not None]
    approved = [entry for entry in told if entry.status is AvailabilityStatus.APPROVED]
    latest_first = sorted(approved or told, key=lambda entry: entry.creation_time or "", reverse=True)
    said = dict.fromkeys((entry.source_patient_id, entry.source_patient_info) for entry in latest_first)
    found = []
    for source, info in said:
        written = write_source_patient(source, info, "", terminology)
        if written is not None and written.keys() & set(_IDENTITY):
            found.append(written | _detailed(details(info)) if info is not None else written)
    return found


def _detailed(details: PatientQuery) -> Json:
    mother = details.mothers_maiden_name
    maiden = " ".join(filter(None, (mother.family, mother.given))) if mother is not None else ""
    elements = {
        "extension": [{"url": codes.MOTHERS_MAIDEN_NAME, "valueString": maiden}] if maiden else [],
        "telecom": [write_telecom(telecom) for telecom in details.telecoms],
    }
    return {name: value for name, value in elements.items() if value}


def write_domain_patient(
    patient: Cx, logical_id: str, said: Sequence[Json], terminology: Terminology
) -> tuple[Json, tuple[str, ...]]:
    """The Patient, and the elements about which a source disagrees with what is shown.

    `said` are Patients as sources have them, the latest first.
    """
    own = write_cx(patient, terminology)
    made: Json = {"resourceType": "Patient", "id": logical_id, "identifier": [own], "active": True}
    differing: dict[str, None] = {}
    for source in said:
        others = disagreement(made, source)
        differing |= dict.fromkeys(others)
        if not others:
            made |= {name: value for name, value in source.items() if name not in _OWN | made.keys()}
            made["identifier"] += _further(made["identifier"], source)
    if "name" in made:
        made["name"] = [_with_text(name) for name in made["name"]]
    return made, tuple(differing)


def _further(known: Iterable[Json], source: Json) -> list[Json]:
    """Identifiers that are not known; without domain an identifier is none to others (IHE PDQm)."""
    keys = {(i.get("system"), i.get("value")) for i in known}
    found = []
    for identifier in _objects(source.get("identifier")):
        system, value = identifier.get("system"), identifier.get("value")
        if system and value and (system, value) not in keys:
            found.append(identifier)
    return found


def _with_text(name: Json) -> Json:
    """A name with family, given or text, of which IHE PDQm wants one (iti-pdqm-patname)."""
    if name.keys() & {"family", "given", "text"}:
        return name
    text = " ".join(_texts(name, ("prefix", "suffix")))
    return {**name, "text": text} if text else name


def disagreement(one: Json, other: Json) -> tuple[str, ...]:
    """The elements of two Patients that say that they are not the same person."""
    return tuple(name for name in _IDENTITY if _differs(name, one, other))


def _differs(element: str, shown: Json, source: Json) -> bool:
    one, other = shown.get(element), source.get(element)
    if not one or not other:
        return False
    if element == "birthDate":
        length = min(len(one), len(other))
        return bool(one[:length] != other[:length])
    if element == "name":
        families = [{folded(text) for text in names(patient, "family")} for patient in (shown, source)]
        given = [{folded(text) for text in names(patient, "given")} for patient in (shown, source)]
        return _apart(*families) or _apart(*given)
    return bool(one != other)


def _apart(one: set[str], other: set[str]) -> bool:
    return bool(one and other) and one.isdisjoint(other)


# --- what searches compare --------------------------------------------------------------------------------
ADDRESS_PARTS: Final = ("line", "city", "district", "state", "postalCode", "country", "text")


def names(patient: Json, part: str) -> Iterator[str]:
    """Texts of a part of the names: `family`, `given`, or `name` for all of it."""
    wanted = ("family", "given", "prefix", "suffix", "text") if part == "name" else (part,)
    for name in _objects(patient.get("name")):
        yield from _texts(name, wanted)


def addresses(patient: Json, *parts: str) -> Iterator[str]:
    """Texts of parts of the addresses, of all of them where none is named."""
    for address in addresses_of(patient):
        yield from _texts(address, parts or ADDRESS_PARTS)


def addresses_of(patient: Json) -> Iterator[Json]:
    """Each address."""
    return _objects(patient.get("address"))


def maiden_names(patient: Json) -> Iterator[str]:
    """Maiden names of the mother."""
    for extension in _objects(patient.get("extension")):
        if extension.get("url") == codes.MOTHERS_MAIDEN_NAME:
            yield from _texts(extension, ("valueString",))


def telecoms(patient: Json) -> Iterator[tuple[str, str]]:
    """System (`phone`, `email`, ...) and value of each number or address, the value as `plain_number`."""
    for point in _objects(patient.get("telecom")):
        for value in _texts(point, ("value",)):
            yield str(point.get("system", "")), plain_number(value)


def plain_number(text: str) -> str:
    """A number or an address in small letters, without what only sets it out, `tel:` and `mailto:`."""
    bare = text.strip().lower().removeprefix("tel:").removeprefix("mailto:")
    return bare if "@" in bare else bare.translate(_SET_OUT)


_SET_OUT: Final = str.maketrans("", "", " -/()." + chr(0xA0))


def identifiers(patient: Json, terminology: Terminology) -> Iterator[tuple[str, str]]:
    """Domain and value of each identifier that has both; the domain as `domain_key`."""
    for identifier in _objects(patient.get("identifier")):
        system, value = identifier.get("system"), identifier.get("value")
        if isinstance(system, str) and isinstance(value, str) and system and value:
            yield domain_key(system, terminology), value


def domain_key(system: str, terminology: Terminology) -> str:
    """The OID of an identifier domain, where it has none its URI."""
    return terminology.authorities.oid_or_none(system) or bare_oid(system)


def _objects(value: object) -> Iterator[Json]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _texts(element: Json, parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        value = element.get(part)
        yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and v)


# --- what patients are kept under -------------------------------------------------------------------------
KEY_LETTERS: Final = 3
"""Letters of a text that patients are kept under."""
EVERYBODY: Final = "everybody"
"""The key of all patients."""


def search_keys(patient: Json, terminology: Terminology) -> frozenset[str]:
    """What a patient is kept under, so that a search finds them again."""
    beginnings = [(part, text) for part in ("family", "given") for text in names(patient, part)]
    beginnings += [("name", text) for part in ("prefix", "suffix", "text") for text in names(patient, part)]
    beginnings += [("address", text) for text in addresses(patient)]
    beginnings += [("maiden", text) for text in maiden_names(patient)]
    keys = {beginning_key(part, text) for part, text in beginnings if len(folded(text)) >= KEY_LETTERS}
    keys |= {telecom_key(value) for _, value in telecoms(patient)}
    for domain, value in identifiers(patient, terminology):
        keys |= {identifier_key(domain, value), identifier_key("", value), known_domain_key(domain)}
    born = patient.get("birthDate")
    if isinstance(born, str) and len(born) == _DATE_LENGTH:
        keys.add(birth_key(born))
    return frozenset((*keys, EVERYBODY))


def beginning_key(part: str, text: str) -> str:
    """The key of a name (`family`, `given`, `maiden`, `name` for the rest of it) or of a part of an address,
    or of its beginning."""
    return f"{part} {folded(text)[:KEY_LETTERS]}"


def birth_key(day: str) -> str:
    """The key of a day of birth."""
    return f"birth {day}"


def telecom_key(number: str) -> str:
    """The key of a number or an address, as `plain_number` has it."""
    return f"telecom {number}"


def identifier_key(domain: str, value: str) -> str:
    """The key of an identifier; of a value in whatever domain with an empty one."""
    return f"identifier {domain} {value}"


def known_domain_key(domain: str) -> str:
    """The key of everybody who has an identifier in a domain."""
    return f"domain {domain}"
