"""Searches of Patient by identifier, `_id`, names, birth and sex (HL7 Europe Imaging; a part of ITI-78).

XDS knows patients by their identifier in the affinity domain. A search by names or birth starts from the
patients of whom this gateway has seen documents, under the keys of `gateway.fhir.patient_view`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from gateway.fhir.datatypes import Json
from gateway.fhir.held import interval_at
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.matching import folded
from gateway.fhir.patient_view import KEY_LETTERS, birth_key, name_key, names
from gateway.fhir.resource_view import View
from gateway.fhir.search_controls import SearchControls
from gateway.fhir.search_dates import DateCondition, read_date_in_zone
from gateway.fhir.search_table import CONTROLS, NAMED, Kind, ParameterTable, SearchParameter
from gateway.fhir.search_tokens import read_patient_identifier
from gateway.fhir.search_values import SearchProblem, alternatives, read_token, shown, unescape
from gateway.fhir.terminology import Terminology
from gateway.model.codes import FHIR_SEARCH_PARAMETER
from gateway.model.metadata import Cx

_GENDERS: Final = "http://hl7.org/fhir/administrative-gender"
_DAY: Final = len("2000-01-01")


def _name(name: str, definition: str, what: str) -> SearchParameter:
    return SearchParameter(
        name,
        Kind.STRING,
        f"Patient.name.{name}" if name != "name" else "Patient.name",
        FHIR_SEARCH_PARAMETER + definition,
        f"Start of {what}, without regard to case and accents. Finds patients of whom this gateway has seen "
        f"documents; {KEY_LETTERS} letters at least, unless something else names the patient.",
        modifiers=NAMED,
    )


PATIENT_PARAMETERS: Final = ParameterTable(
    "Patient",
    (
        SearchParameter(
            "identifier",
            Kind.TOKEN,
            "Patient.identifier",
            FHIR_SEARCH_PARAMETER + "Patient-identifier",
            "system|value of the patient in the affinity domain, or the value alone in the authorities of "
            "search.patient_authorities.",
        ),
        SearchParameter(
            "_id",
            Kind.TOKEN,
            "Patient.id",
            FHIR_SEARCH_PARAMETER + "Resource-id",
            "The id of a Patient of this server.",
        ),
        _name("name", "Patient-name", "a part of a name"),
        _name("family", "individual-family", "the family name"),
        _name("given", "individual-given", "a given name"),
        SearchParameter(
            "birthdate",
            Kind.DATE,
            "Patient.birthDate",
            FHIR_SEARCH_PARAMETER + "individual-birthdate",
            "Every prefix and precision. A day alone finds patients of whom this gateway has seen documents.",
        ),
        SearchParameter(
            "gender",
            Kind.TOKEN,
            "Patient.gender",
            FHIR_SEARCH_PARAMETER + "individual-gender",
            "male, female, other or unknown; with another parameter that names the patient.",
        ),
    ),
)


class PatientCriterion(Protocol):
    """What a Patient has to be like."""

    def matches(self, patient: Json, /) -> bool:
        """True where the Patient is as asked."""


@dataclass(frozen=True, slots=True)
class IsCalled:
    """A part of the names is one of the texts, or begins with or contains it."""

    part: str
    values: tuple[str, ...]
    mode: str

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return any(self._fits(text) for text in names(patient, self.part))

    def _fits(self, text: str) -> bool:
        if self.mode == "exact":
            return text in self.values
        plain = folded(text)
        if self.mode == "contains":
            return any(value in plain for value in self.values)
        return plain.startswith(self.values)


@dataclass(frozen=True, slots=True)
class IsBorn:
    """The birth meets one of the conditions; one that is not known meets none."""

    conditions: tuple[DateCondition, ...]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        born = interval_at([patient.get("birthDate")], UTC)
        return born is not None and any(c.matches(born.start, born.end) for c in self.conditions)


@dataclass(frozen=True, slots=True)
class IsOfSex:
    """Patient.gender is one of the codes."""

    codes: frozenset[str]

    def matches(self, patient: Json) -> bool:
        """See `PatientCriterion`."""
        return patient.get("gender") in self.codes


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """A search that was understood.

    `patients` are those that may match, each once; None where only `keys` can tell: a patient who matches is
    under one of each group.
    """

    patients: tuple[Cx, ...] | None
    criteria: tuple[PatientCriterion, ...]
    keys: tuple[frozenset[str], ...]
    self_parameters: tuple[tuple[str, str], ...]
    view: View
    count: int
    warnings: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class PatientSearchContext:
    """What a search needs to know. `authorities` are OIDs that a value without system may belong to."""

    terminology: Terminology
    patient_of: Callable[[str], Cx | None]
    authorities: Sequence[str]
    default_count: int = 100
    max_count: int = 1000


def parse_patient_search(
    parameters: Sequence[tuple[str, str]], ctx: PatientSearchContext, *, strict: bool = False
) -> PatientSearch:
    """Understand a search. Raises OutcomeError 400 with every problem."""
    parser = _Parser(ctx, strict=strict)
    for name, value in parameters:
        parser.add(name, value)
    return parser.finish()


class _Parser:
    def __init__(self, ctx: PatientSearchContext, *, strict: bool) -> None:
        self._ctx = ctx
        self._strict = strict
        self._groups: list[list[Cx]] = []
        self._criteria: list[PatientCriterion] = []
        self._keys: list[frozenset[str]] = []
        self._used: list[tuple[str, str]] = []
        self._errors: list[Issue] = []
        self._warnings: list[Issue] = []
        self._controls = SearchControls(PATIENT_PARAMETERS, (), self._leave_out)
        self._now = datetime.now(UTC)

    def add(self, name: str, value: str) -> None:
        """Take one parameter."""
        try:
            if name.partition(":")[0] in CONTROLS:
                self._controls.add(name, value)
                return
            row = PATIENT_PARAMETERS.find(name)
            values = alternatives(value)
            if row is None:
                listed = ", ".join(row.name for row in PATIENT_PARAMETERS.rows)
                self._leave_out(f"{shown(name)}: Patients are searched by {listed}")
            elif not values:
                self._leave_out(f"{shown(name)} has no value")
            else:
                self._read(row[0], row[1], values)
                self._used.append((name, value))
        except SearchProblem as problem:
            self._errors.append(problem.issue)

    def finish(self) -> PatientSearch:
        """The search. Raises OutcomeError 400 with every problem."""
        if not self._groups and not self._keys and not self._errors:
            text = (
                "identifier or _id is required to search Patient resources, or birthdate with a day, or "
                f"{KEY_LETTERS} letters of name, family or given."
            )
            self._errors.append(Issue("error", "required", text))
        if self._errors:
            raise OutcomeError(400, self._errors)
        count = self._controls.page_size(self._ctx.default_count, self._ctx.max_count)
        patients: tuple[Cx, ...] | None = None
        if self._groups:
            first, *others = self._groups
            patients = tuple(dict.fromkeys(p for p in first if all(p in other for other in others)))
        return PatientSearch(
            patients,
            tuple(self._criteria),
            tuple(self._keys),
            (*self._used, *self._controls.used, ("_count", str(count))),
            self._controls.view(),
            count,
            tuple(self._warnings),
        )

    def _leave_out(self, reason: str) -> None:
        if self._strict:
            raise SearchProblem("not-supported", f"{reason}. Leave it out or use Prefer: handling=lenient.")
        self._warnings.append(Issue("warning", "not-supported", f"{reason}; it was left out."))

    def _read(self, row: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        name = row.name
        if name == "_id":
            found = [self._ctx.patient_of(f"Patient/{read_token(value).code}") for value in values]
            self._groups.append([patient for patient in found if patient is not None])
        elif name == "identifier":
            self._groups.append([p for value in values for p in _patients(value, name, self._ctx)])
        elif name == "birthdate":
            self._read_birth(values)
        elif name == "gender":
            tokens = [read_token(value) for value in values]
            known = {t.code for t in tokens if t.code and t.system in (None, "", _GENDERS)}
            self._criteria.append(IsOfSex(frozenset(known)))
        else:
            self._read_name(name, modifier, [unescape(value) for value in values])

    def _read_birth(self, values: Sequence[str]) -> None:
        conditions = tuple(read_date_in_zone(unescape(v), "birthdate", self._now, UTC) for v in values)
        self._criteria.append(IsBorn(conditions))
        days = [unescape(value).removeprefix("eq") for value in values]
        if all(len(day) == _DAY and day[:4].isdigit() for day in days):
            self._keys.append(frozenset(map(birth_key, days)))

    def _read_name(self, part: str, modifier: str | None, texts: Sequence[str]) -> None:
        mode = modifier or "starts"
        wanted = tuple(texts if mode == "exact" else map(folded, texts))
        self._criteria.append(IsCalled(part, wanted, mode))
        if mode != "contains" and all(len(folded(text)) >= KEY_LETTERS for text in texts):
            parts = ("family", "given") if part == "name" else (part,)
            self._keys.append(frozenset(name_key(one, text) for one in parts for text in texts))


def _patients(value: str, name: str, ctx: PatientSearchContext) -> list[Cx]:
    token = read_token(value)
    if token.system:
        return [read_patient_identifier(value, name, ctx.terminology)]
    if not ctx.authorities:
        raise SearchProblem(
            "value", f"{name}: give system|value; no setting says which authorities a value may belong to."
        )
    return [Cx(token.code or "", authority) for authority in ctx.authorities]
