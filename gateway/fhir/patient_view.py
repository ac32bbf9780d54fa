"""The Patient that stands for an identifier of the affinity domain, with what documents say of the person
(FHIR R4 Patient; IHE PDQm asks for the same elements).

Nothing is merged of sources that disagree: the latest one is shown, others add what it leaves open where they
name the same person, and add nothing where a name, the birth or the sex is another one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.fhir.datatypes import Json, write_cx
from gateway.fhir.matching import folded
from gateway.fhir.people import write_source_patient
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import AvailabilityStatus, Cx, DocumentEntry

_IDENTITY: Final = ("name", "birthDate", "gender")
_OWN: Final = frozenset({"resourceType", "id", "meta", "text", "contained", "identifier"})
_DATE_LENGTH: Final = 10


def said_by_entries(entries: Iterable[DocumentEntry], terminology: Terminology) -> list[Json]:
    """What sourcePatientInfo says, the latest document first, superseded ones where there are no others."""
    told = [entry for entry in entries if entry.source_patient_info is not None]
    approved = [entry for entry in told if entry.status is AvailabilityStatus.APPROVED]
    latest_first = sorted(approved or told, key=lambda entry: entry.creation_time or "", reverse=True)
    said = dict.fromkeys((entry.source_patient_id, entry.source_patient_info) for entry in latest_first)
    written = (write_source_patient(source, info, "", terminology) for source, info in said)
    return [patient for patient in written if patient is not None and patient.keys() & set(_IDENTITY)]


def write_domain_patient(
    patient: Cx, logical_id: str, said: Sequence[Json], terminology: Terminology
) -> tuple[Json, tuple[str, ...]]:
    """The Patient, and the elements about which a source disagrees with what is shown.

    `said` are Patients as sources have them, the latest first.
    """
    own = write_cx(patient, terminology)
    made: Json = {"resourceType": "Patient", "id": logical_id, "identifier": [own]}
    differing: dict[str, None] = {}
    for source in said:
        others = [name for name in _IDENTITY if _differs(name, made, source)]
        differing |= dict.fromkeys(others)
        if not others:
            made |= {name: value for name, value in source.items() if name not in _OWN | made.keys()}
            made["identifier"] += _further(made["identifier"], source)
    return made, tuple(differing)


def _further(known: Iterable[Json], source: Json) -> list[Json]:
    keys = {(i.get("system"), i.get("value")) for i in known}
    listed = source.get("identifier")
    found = []
    for identifier in listed if isinstance(listed, list) else ():
        if isinstance(identifier, dict) and (identifier.get("system"), identifier.get("value")) not in keys:
            found.append(identifier)
    return found


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
def names(patient: Json, part: str) -> Iterator[str]:
    """Texts of a part of the names: `family`, `given`, or `name` for all of it."""
    listed = patient.get("name")
    for name in listed if isinstance(listed, list) else ():
        if not isinstance(name, dict):
            continue
        wanted = ("family", "given", "prefix", "suffix", "text") if part == "name" else (part,)
        for element in wanted:
            value = name.get(element)
            yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str))


KEY_LETTERS: Final = 3
"""Letters of a name that patients are kept under."""


def search_keys(patient: Json) -> frozenset[str]:
    """What a patient is kept under, so that a search by names or birth finds them again."""
    keys = {
        name_key(part, text)
        for part in ("family", "given")
        for text in names(patient, part)
        if len(folded(text)) >= KEY_LETTERS
    }
    born = patient.get("birthDate")
    if isinstance(born, str) and len(born) == _DATE_LENGTH:
        keys.add(birth_key(born))
    return frozenset(keys)


def name_key(part: str, text: str) -> str:
    """The key of a name, or of the beginning of one."""
    return f"{part} {folded(text)[:KEY_LETTERS]}"


def birth_key(day: str) -> str:
    """The key of a day of birth."""
    return f"birth {day}"
