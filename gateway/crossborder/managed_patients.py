"""Patients of the own community whom other communities look for (ITI-55; ITI TF-2 3.55.4.2.3), as the patient
manager knows them (ITI-78).

By name and birth one patient is told, and only where both are the same; where several are meant, more is
asked for, so that nobody learns of patients whom they did not mean.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from gateway.crossborder.domain_patients import DomainPatients
from gateway.fhir.matching import folded
from gateway.fhir.patient_manager import ManagedPatient, said_of
from gateway.model import Person
from gateway.model.identity import (
    Discovery,
    DiscoveryStatus,
    PatientMatch,
    PatientQuery,
    SourceIdentifier,
)

_NOT_AVAILABLE: Final = Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=("AnswerNotAvailable",))
_NO_MATCH: Final = Discovery(DiscoveryStatus.NO_MATCH)
_ASKED_FOR: Final = (
    ("gender", "LivingSubjectAdministrativeGenderRequested"),
    ("addresses", "PatientAddressRequested"),
    ("telecoms", "PatientTelecomRequested"),
)


class ManagedPatients:
    """Answers queries."""

    def __init__(self, patients: DomainPatients, home: str) -> None:
        """`home` is the own homeCommunityId."""
        self._patients = patients
        self._home = home

    async def meant(self, query: PatientQuery) -> Discovery:
        """Whom a query means: by its identifiers, else by name and birth. Raises PeerError."""
        if not self._patients.manager.rules.demographics:
            return _NO_MATCH if query.identifiers else _NOT_AVAILABLE
        by_identifier: list[ManagedPatient] = []
        for identifier in query.identifiers:
            source = SourceIdentifier(self._patients.uri(identifier.authority), identifier.id)
            by_identifier += await self._patients.holders(source)
        matches = self._matches(by_identifier, query)
        if matches:
            return Discovery(DiscoveryStatus.MATCHES, matches)
        if not (query.names and query.birth_date):
            return _NO_MATCH
        return await self._called(query)

    async def _called(self, query: PatientQuery) -> Discovery:
        asked = PatientQuery(names=query.names, birth_date=query.birth_date)
        found = await self._patients.manager.find(asked)
        if not found.complete:
            return _more(query)
        survivors = [await self._patients.manager.surviving(each) for each in found.patients]
        alike = [
            each
            for each in survivors
            if each is not None and _is_called(each, query) and not _is_numbered_otherwise(each, query)
        ]
        matches = self._matches(alike, query)
        if len(matches) > 1:
            return _more(query)
        return Discovery(DiscoveryStatus.MATCHES, matches) if matches else _NO_MATCH

    def _matches(self, patients: Iterable[ManagedPatient], query: PatientQuery) -> tuple[PatientMatch, ...]:
        """One for each identifier in the domain; several identifiers of one patient are several matches."""
        found: dict[object, PatientMatch] = {}
        for patient in patients:
            said = said_of(patient)
            for identifier in patient.identifiers:
                if identifier.authority != self._patients.domain:
                    continue
                match = PatientMatch(
                    home_community_id=self._home,
                    identifier=identifier,
                    names=tuple(structs.replace(name, id=None, authority=None) for name in said.names),
                    birth_date=said.birth_date,
                    gender=said.gender,
                    addresses=said.addresses,
                    telecoms=said.telecoms,
                    degree=100,
                )
                if not contradicts(query, match):
                    found[identifier] = match
        return tuple(found.values())


def contradicts(query: PatientQuery, match: PatientMatch) -> bool:
    """True where something that is asked for and known is different: it is not the patient who is meant."""
    if query.birth_date and match.birth_date:
        precision = min(8, len(query.birth_date), len(match.birth_date))
        if query.birth_date[:precision] != match.birth_date[:precision]:
            return True
    if query.gender and match.gender and query.gender != match.gender:
        return True
    asked = {name.family.casefold() for name in query.names if name.family}
    known = {name.family.casefold() for name in match.names if name.family}
    return bool(asked and known) and asked.isdisjoint(known)


def _is_called(patient: ManagedPatient, query: PatientQuery) -> bool:
    """Whether a name and the birth are the same, not only alike; without given name any is."""
    said = said_of(patient)
    if not said.birth_date or said.birth_date != (query.birth_date or "")[:8]:
        return False
    return any(_same(asked, known) for asked in query.names for known in said.names)


def _is_numbered_otherwise(patient: ManagedPatient, query: PatientQuery) -> bool:
    """Whether an authority of the query's identifiers has numbers for the patient, and none of those: it is
    somebody else of the same name and birth."""
    for authority in {identifier.authority for identifier in query.identifiers}:
        known = {each for each in patient.identifiers if each.authority == authority}
        if known and known.isdisjoint(query.identifiers):
            return True
    return False


def _same(asked: Person, known: Person) -> bool:
    if not asked.family or folded(asked.family) != folded(known.family or ""):
        return False
    return not asked.given or folded(asked.given) == folded(known.given or "")


def _more(query: PatientQuery) -> Discovery:
    """What would tell several patients apart; where all of it is known no answer is given."""
    codes = tuple(code for name, code in _ASKED_FOR if not getattr(query, name))
    return Discovery(DiscoveryStatus.MORE_ASKED, codes=codes) if codes else _NOT_AVAILABLE
