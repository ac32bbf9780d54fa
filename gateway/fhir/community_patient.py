"""Patients of other communities as FHIR has them, and what a client says of a patient as a community is asked
(XCPD ITI-55; ITI TF-2 3.55.4.1.2).
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

from gateway.fhir.datatypes import Json, write_cx, write_date
from gateway.fhir.patient_view import domain_key, identifiers, maiden_names
from gateway.fhir.people import write_address, write_name, write_telecom
from gateway.fhir.people_read import read_addresses, read_names, read_telecoms
from gateway.fhir.search_values import alternatives, read_token, unescape
from gateway.fhir.terminology import Terminology
from gateway.model.identity import PatientMatch, PatientQuery
from gateway.model.metadata import Address, Cx, Person, Telecom
from gateway.model.oids import is_oid

_GENDERS: Final = {"M": "male", "F": "female", "UN": "other"}
_LETTERS: Final = {code: letter for letter, code in _GENDERS.items()}
_DAY: Final = len("2000-01-01")
_MOST_NAMES: Final = 8
"""Combinations of family and given names that a community is asked for."""
_SYSTEMS: Final = frozenset({"email", "phone", "fax", "pager", "url", "other"})


def write_community_patient(match: PatientMatch, logical_id: str, terminology: Terminology) -> Json:
    """The Patient of a match. Where it comes from is in meta.source."""
    ids = dict.fromkeys((match.identifier, *match.other_identifiers))
    resource: Json = {
        "resourceType": "Patient",
        "id": logical_id,
        "meta": {"source": match.home_community_id},
        "identifier": [write_cx(each, terminology) for each in ids],
        "active": True,
    }
    elements = {
        "name": [name for name in map(write_name, match.names) if name],
        "telecom": [write_telecom(telecom) for telecom in match.telecoms],
        "gender": _GENDERS.get(match.gender or ""),
        "birthDate": write_date(match.birth_date),
        "address": [address for address in map(write_address, match.addresses) if address],
    }
    return resource | {name: value for name, value in elements.items() if value}


def query_of_patient(patient: Json, terminology: Terminology) -> PatientQuery:
    """What a Patient says, as a community is asked."""
    held = ((domain, value) for domain, value in identifiers(patient, terminology) if is_oid(domain))
    born = str(patient.get("birthDate") or "")
    maiden = next(iter(maiden_names(patient)), None)
    return PatientQuery(
        identifiers=tuple(dict.fromkeys(Cx(value, domain) for domain, value in held)),
        names=tuple(name for name in read_names(patient) if name.family or name.given)[:_MOST_NAMES],
        birth_date=born.replace("-", "") if len(born) == _DAY else None,
        gender=_LETTERS.get(patient.get("gender") or ""),
        addresses=read_addresses(patient),
        telecoms=read_telecoms(patient),
        mothers_maiden_name=Person(family=maiden) if maiden else None,
    )


def query_of_search(parameters: Sequence[tuple[str, str]], terminology: Terminology) -> PatientQuery:
    """What parameters of ITI-78 say, as a community is asked; what it cannot be asked for is left out."""
    said: dict[str, list[str]] = {}
    for name, value in parameters:
        # of a parameter that is repeated every value holds, of which a community is asked for the first
        bare, _, modifier = name.partition(":")
        if modifier != "contains":
            said.setdefault(bare, [unescape(text.strip()) for text in alternatives(value)])
    pairs = product(said.get("family", [""]), said.get("given", [""]))
    names = tuple(Person(family=f or None, given=g or None) for f, g in pairs if f or g)[:_MOST_NAMES]
    days = [text.removeprefix("eq") for text in said.get("birthdate", ())]
    genders = {_LETTERS.get(text.rpartition("|")[2]) for text in said.get("gender", ())}
    maiden = next(iter(said.get("mothersMaidenName", ())), None)
    address = Address(
        city=_first(said, "address-city"),
        state=_first(said, "address-state"),
        postal_code=_first(said, "address-postalcode"),
        country=_first(said, "address-country"),
    )
    return PatientQuery(
        identifiers=tuple(_identifiers(parameters, terminology)),
        names=names,
        birth_date=days[0].replace("-", "") if len(days) == 1 and len(days[0]) == _DAY else None,
        gender=genders.pop() if len(genders) == 1 else None,
        addresses=(address,) if address != Address() else (),
        telecoms=tuple(_telecom(text) for text in said.get("telecom", ())),
        mothers_maiden_name=Person(family=maiden) if maiden else None,
    )


def _first(said: dict[str, list[str]], name: str) -> str | None:
    return next(iter(said.get(name, ())), None)


def _telecom(text: str) -> Telecom:
    system, bar, value = text.partition("|")
    if bar and system in _SYSTEMS:
        return Telecom(value, system)
    return Telecom(text.rpartition("|")[2], "email" if "@" in text else "phone")


def _identifiers(parameters: Sequence[tuple[str, str]], terminology: Terminology) -> Iterable[Cx]:
    for name, value in parameters:
        for text in alternatives(value) if name == "identifier" else ():
            token = read_token(text)
            domain = domain_key(token.system, terminology) if token.system and token.code else ""
            if is_oid(domain):
                yield Cx(token.code or "", domain)
