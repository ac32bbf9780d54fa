"""Does a Patient meet a search parameter? The meaning that FHIR gives it (FHIR R4 search 3.1.1.4), for the
parameters of ITI-78.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC
from typing import Protocol

from gateway.fhir.datatypes import Json
from gateway.fhir.held import interval_at
from gateway.fhir.matching import folded
from gateway.fhir.patient_view import identifiers, telecoms
from gateway.fhir.search_dates import DateCondition
from gateway.fhir.terminology import Terminology


class PatientCriterion(Protocol):
    """What a Patient has to be like."""

    def matches(self, patient: Json, /) -> bool:
        """True where the Patient is as asked."""


@dataclass(frozen=True, slots=True)
class HasText:
    """One of the texts that `read` gives is one of the values, or begins with or contains it.

    `values` are folded unless the mode is exact.
    """

    read: Callable[[Json], Iterable[str]]
    values: tuple[str, ...]
    mode: str

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return any(self._fits(text) for text in self.read(patient))

    def _fits(self, text: str) -> bool:
        if self.mode == "exact":
            return text in self.values
        plain = folded(text)
        if self.mode == "contains":
            return any(value in plain for value in self.values)
        return plain.startswith(self.values)


@dataclass(frozen=True, slots=True)
class IsDated:
    """A date (`birthDate`) or the time of the last change meets one of the conditions; none meets none."""

    read: Callable[[Json], object]
    conditions: tuple[DateCondition, ...]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        held = interval_at([self.read(patient)], UTC)
        return held is not None and any(c.matches(held.start, held.end) for c in self.conditions)


@dataclass(frozen=True, slots=True)
class IsOfSex:
    """Patient.gender is one of the codes."""

    codes: frozenset[str]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return patient.get("gender") in self.codes


@dataclass(frozen=True, slots=True)
class IsActive:
    """Patient.active is one of the values."""

    values: frozenset[bool]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return patient.get("active") in self.values


@dataclass(frozen=True, slots=True)
class HasTelecom:
    """A number or an address is one of `wanted`: system, empty for any, and `plain_number`."""

    wanted: frozenset[tuple[str, str]]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return any({("", value), (system, value)} & self.wanted for system, value in telecoms(patient))


@dataclass(frozen=True, slots=True)
class HasIdentifier:
    """An identifier is one of `wanted`: domain, None for any, and value, None for any."""

    wanted: frozenset[tuple[str | None, str | None]]
    terminology: Terminology

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        held = identifiers(patient, self.terminology)
        return any({(d, v), (None, v), (d, None)} & self.wanted for d, v in held)


@dataclass(frozen=True, slots=True)
class HasId:
    """Patient.id is one of the ids."""

    ids: frozenset[str]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return patient.get("id") in self.ids
