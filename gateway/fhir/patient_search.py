"""Searches of Patient (ITI-78; IHE PDQm 3.2.0 2:3.78.4.1.2): what a request asks for.

XDS knows patients by their identifier in the affinity domain. A search by anything else starts from the
patients of whom this gateway has seen documents, under the keys of `gateway.fhir.patient_view`; what sources
find is compared with every parameter again.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.matching import folded
from gateway.fhir.patient_criteria import (
    HasId,
    HasIdentifier,
    HasTelecom,
    HasText,
    IsActive,
    IsDated,
    IsOfSex,
    PatientCriterion,
)
from gateway.fhir.patient_parameters import ADDRESS_PARTS, COMMUNITIES, MAIDEN, PATIENT_PARAMETERS
from gateway.fhir.patient_view import (
    KEY_LETTERS,
    addresses,
    beginning_key,
    birth_key,
    domain_key,
    identifier_key,
    maiden_names,
    names,
    plain_number,
    telecom_key,
)
from gateway.fhir.resource_view import View
from gateway.fhir.search_controls import SearchControls
from gateway.fhir.search_dates import read_date_in_zone
from gateway.fhir.search_table import CONTROLS, SearchParameter
from gateway.fhir.search_values import SearchProblem, Token, alternatives, read_token, shown, unescape
from gateway.fhir.target_communities import OwnCommunityAlone, ReachedCommunities, read_communities
from gateway.fhir.terminology import Terminology, UnmappedError
from gateway.model.metadata import Cx
from gateway.model.oids import is_oid

_GENDERS: Final = "http://hl7.org/fhir/administrative-gender"
_FLAGS: Final = {"true": True, "false": False}
_DAY: Final = len("2000-01-01")
_MOST_VALUES: Final = 100
"""Alternatives of one parameter, each of which is looked up."""
_NAMES: Final = ("name", "family", "given")


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who may meet a parameter: these patients, and whoever is kept under one of the keys."""

    patients: tuple[Cx, ...] = ()
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """A search that was understood.

    `ids` are the logical ids of those who are meant, None where nobody is named so; a patient who matches is
    among each of the `candidates`, all patients are where there are none. Of identifiers those of `domains`
    are given, all without any. `unmapped` are domains that no setting knows, with what is wrong where
    documents have none of them either. `communities` are those that are asked, None for the own one alone;
    `asked` is what selects, as the client wrote it.
    """

    ids: tuple[str, ...] | None
    candidates: tuple[Candidates, ...]
    criteria: tuple[PatientCriterion, ...]
    domains: frozenset[str]
    unmapped: tuple[tuple[str, Issue], ...]
    communities: frozenset[str] | None
    asked: tuple[tuple[str, str], ...]
    self_parameters: tuple[tuple[str, str], ...]
    view: View
    count: int
    warnings: tuple[Issue, ...] = ()

    def matches(self, patient: Json) -> bool:
        """True where a Patient is as asked."""
        return all(criterion.matches(patient) for criterion in self.criteria)

    @property
    def wants_time(self) -> bool:
        """True where it matters when a patient was changed last."""
        return any(name == "_lastUpdated" for name, _ in self.asked)


@dataclass(frozen=True, slots=True)
class PatientSearchContext:
    """What a search needs to know. `authorities` are OIDs that a value without system may belong to,
    `domains` gives those of every identifier domain of the settings."""

    terminology: Terminology
    authorities: Sequence[str]
    default_count: int = 100
    max_count: int = 1000
    domains: Callable[[], Collection[str]] = frozenset
    communities: ReachedCommunities = field(default_factory=OwnCommunityAlone)


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
        self._ids: frozenset[str] | None = None
        self._candidates: list[Candidates] = []
        self._criteria: list[PatientCriterion] = []
        self._domains: set[str] = set()
        self._unmapped: list[tuple[str, Issue]] = []
        self._communities: frozenset[str] | None = None
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
            elif len(values) > _MOST_VALUES:
                text = f"{shown(name)}: give {_MOST_VALUES} values at most."
                self._errors.append(Issue("error", "too-costly", text))
            else:
                self._read(row[0], row[1], values)
                self._used.append((name, value))
        except SearchProblem as problem:
            self._errors.append(problem.issue)

    def finish(self) -> PatientSearch:
        """The search. Raises OutcomeError 400 with every problem."""
        selecting = [pair for pair in self._used if pair[0] != COMMUNITIES]
        if not selecting and not self._errors:
            listed = ", ".join(row.name for row in PATIENT_PARAMETERS.rows if row.name != COMMUNITIES)
            text = f"A parameter is required to search Patient resources, one of {listed}."
            self._errors.append(Issue("error", "required", text))
        if self._errors:
            raise OutcomeError(400, self._errors)
        count = self._controls.page_size(self._ctx.default_count, self._ctx.max_count)
        return PatientSearch(
            None if self._ids is None else tuple(sorted(self._ids)),
            tuple(self._candidates),
            tuple(self._criteria),
            frozenset(self._domains),
            tuple(self._unmapped),
            self._communities,
            tuple(selecting),
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
            ids = frozenset(read_token(value).code or "" for value in values)
            self._ids = ids if self._ids is None else self._ids & ids
            self._criteria.append(HasId(ids))
        elif name == "identifier":
            self._read_identifiers(values)
        elif name in ("birthdate", "_lastUpdated"):
            self._read_date(name, values)
        elif name == "gender":
            tokens = [read_token(value) for value in values]
            known = {t.code for t in tokens if t.code and t.system in (None, "", _GENDERS)}
            self._criteria.append(IsOfSex(frozenset(known)))
        elif name == "active":
            self._read_active(values)
        elif name == "telecom":
            self._read_telecom(values)
        elif name == COMMUNITIES:
            homes = read_communities(values, self._ctx.communities)
            self._communities = homes if self._communities is None else self._communities & homes
        else:
            self._read_text(name, modifier, [unescape(value) for value in values])

    # --- identifiers --------------------------------------------------------------------------------------
    def _read_identifiers(self, values: Sequence[str]) -> None:
        tokens = [read_token(value) for value in values]
        wanted: set[tuple[str | None, str | None]] = set()
        patients: list[Cx] = []
        keys: set[str] = set()
        for token in tokens:
            if token.system is None:
                wanted.add((None, token.code))
                patients += [Cx(token.code or "", authority) for authority in self._ctx.authorities]
                keys.add(identifier_key("", token.code or ""))
            elif token.system:
                domain = self._domain(token)
                wanted.add((domain, token.code))
                if token.code is not None:
                    keys.add(identifier_key(domain, token.code))
                    patients += [Cx(token.code, domain)] if is_oid(domain) else []
        self._criteria.append(HasIdentifier(frozenset(wanted), self._ctx.terminology))
        if all(token.system and token.code is None for token in tokens):
            self._domains |= {domain for domain, _ in wanted if domain is not None}
        elif not any(token.system and token.code is None for token in tokens):
            self._candidates.append(Candidates(tuple(dict.fromkeys(patients)), frozenset(keys)))

    def _domain(self, token: Token) -> str:
        system = token.system or ""
        if ":" not in system and not is_oid(system):
            raise SearchProblem(
                "value", "identifier: the system has to be a URI, for example urn:oid:2.999.1."
            )
        domain = domain_key(system, self._ctx.terminology)
        if not is_oid(domain) and token.code is not None:
            problem = UnmappedError(system, "terminology.assigning_authorities")
            self._unmapped.append((domain, Issue("error", "value", f"identifier: the system {problem}.")))
        return domain

    # --- demographics -------------------------------------------------------------------------------------
    def _read_date(self, name: str, values: Sequence[str]) -> None:
        conditions = tuple(read_date_in_zone(unescape(v), name, self._now, UTC) for v in values)
        if name == "_lastUpdated":
            self._criteria.append(IsDated(_last_updated, conditions))
            return
        self._criteria.append(IsDated(_birth, conditions))
        days = [unescape(value).removeprefix("eq") for value in values]
        if all(len(day) == _DAY and day[:4].isdigit() for day in days):
            self._narrow(birth_key(day) for day in days)

    def _read_active(self, values: Sequence[str]) -> None:
        flags = [_FLAGS.get(read_token(value).code or "") for value in values]
        if None in flags:
            raise SearchProblem("value", "active: give true or false.")
        self._criteria.append(IsActive(frozenset(flag for flag in flags if flag is not None)))

    def _read_telecom(self, values: Sequence[str]) -> None:
        tokens = [read_token(value) for value in values]
        if not all(token.code for token in tokens):
            raise SearchProblem("value", "telecom: give a number or an address.")
        wanted = frozenset((token.system or "", plain_number(token.code or "")) for token in tokens)
        self._criteria.append(HasTelecom(wanted))
        self._narrow(telecom_key(number) for _, number in wanted)

    def _read_text(self, name: str, modifier: str | None, texts: Sequence[str]) -> None:
        mode = modifier or "starts"
        wanted = tuple(texts if mode == "exact" else map(folded, texts))
        self._criteria.append(HasText(_reader(name), wanted, mode))
        if mode != "contains" and all(len(folded(text)) >= KEY_LETTERS for text in texts):
            self._narrow(beginning_key(part, text) for part in _kept_under(name) for text in texts)

    def _narrow(self, keys: Iterable[str]) -> None:
        self._candidates.append(Candidates(keys=frozenset(keys)))


def _birth(patient: Json) -> object:
    return patient.get("birthDate")


def _last_updated(patient: Json) -> object:
    meta = patient.get("meta")
    return meta.get("lastUpdated") if isinstance(meta, dict) else None


def _reader(name: str) -> Callable[[Json], Iterable[str]]:
    if name == MAIDEN:
        return maiden_names
    if name in ADDRESS_PARTS:
        return partial(_address_part, part=ADDRESS_PARTS[name])
    return addresses if name == "address" else partial(names, part=name)


def _address_part(patient: Json, part: str) -> Iterable[str]:
    return addresses(patient, part)


def _kept_under(name: str) -> tuple[str, ...]:
    """The kinds of keys that begin as the texts of a parameter do."""
    if name == MAIDEN:
        return ("maiden",)
    if name in _NAMES:
        return _NAMES if name == "name" else (name,)
    return ("address",)
