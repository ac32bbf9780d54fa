"""Reads the parameters of a search one by one and builds the stored queries and the filter from them.

Here is what ITI-66 and ITI-67 have in common (FHIR R4 search; ITI TF-2 3.18.4.1.2.3.7): the patient is
required and single, uniqueId and entryUUID cannot stand in one Get query, and what ITI-18 cannot say is left
to the filter.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Generic

from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.matching import (
    NAMES,
    Criterion,
    HasCode,
    HasDisplay,
    HasIdentifier,
    HasName,
    HasStatus,
    IdentifierToken,
    IsInTime,
    IsMissing,
    IsOfPatient,
    T,
    folded,
)
from gateway.fhir.search_controls import SearchControls
from gateway.fhir.search_dates import Limits, read_date, registry_limits, strictest
from gateway.fhir.search_includes import Inclusion
from gateway.fhir.search_queries import Asked
from gateway.fhir.search_request import LateCriterion, Search, Searchable, SearchContext
from gateway.fhir.search_sort import SortKey
from gateway.fhir.search_table import CONTROLS, Kind, SearchParameter
from gateway.fhir.search_tokens import (
    pattern,
    read_code,
    read_identifier,
    read_logical_id,
    read_patient_identifier,
)
from gateway.fhir.search_values import CONTROL, SearchProblem, alternatives, read_token, shown, unescape
from gateway.fhir.target_communities import IsOfCommunities, addressed, read_communities
from gateway.model.metadata import AvailabilityStatus, Cx
from gateway.model.query import ANY_STATUS, StoredQuery

_MOST_VALUES = 500
"""Alternatives in one search; a stored query with more would be refused by most registries."""


class SearchParser(ABC, Generic[T]):
    """Collects parameters with `add`, then `finish` gives the search.

    A resource type adds the parameters that it has for itself and the stored queries.
    """

    def __init__(self, resource: Searchable[T], ctx: SearchContext, *, strict: bool) -> None:
        self._resource = resource
        self._elements = resource.elements
        self._ctx = ctx
        self._strict = strict
        self._now = ctx.now()
        self._errors: list[Issue] = []
        self._warnings: list[Issue] = list(ctx.nobody)
        self._used: list[tuple[str, str]] = []
        self._values = 0
        self._criteria: list[Criterion[T]] = []
        self._patients: list[frozenset[Cx]] = []
        self._statuses: frozenset[AvailabilityStatus] | None = None
        self._ids: dict[str, list[tuple[IdentifierToken, ...]]] = defaultdict(list)
        self._limits: dict[str, list[Limits]] = defaultdict(list)
        self._asked = Asked()
        self._controls = SearchControls(resource.table, resource.order, self._leave_out)
        self._late: list[LateCriterion[T]] = []
        self._of_patient: tuple[StoredQuery, ...] = ()
        self._impossible = False
        self._targets: frozenset[str] | None = None

    def add(self, name: str, value: str) -> None:
        """Take one parameter as the client sent it, decoded."""
        try:
            self._add(name, value)
        except SearchProblem as problem:
            self._errors.append(problem.issue)

    def finish(self) -> Search[T]:
        """The search. Raises OutcomeError 400 with every problem found."""
        count = self._controls.page_size(self._ctx.default_count, self._ctx.max_count)
        includes = self._shaped()
        queries = self._stored_queries() if not self._errors else ()
        if self._errors:
            left_out = [issue for issue in self._warnings if issue.severity == "warning"]
            raise OutcomeError(400, (*self._errors, *left_out))
        return Search(
            resource=self._resource.table.resource,
            stored_queries=self.addressed(queries),
            criteria=tuple(self._criteria),
            count=count,
            sort=SortKey(self._elements, self._controls.sort),
            self_parameters=(*self._used, *self._controls.used, ("_count", str(count))),
            base_url=self._ctx.base_url,
            warnings=tuple(self._warnings),
            queries_of_patient=self.addressed(self._of_patient),
            late=tuple(self._late),
            late_names=self._resource.late,
            view=self._controls.view(),
            includes=includes,
            steps=self._controls.steps(),
        )

    def addressed(self, queries: Iterable[StoredQuery]) -> tuple[StoredQuery, ...]:
        """The queries for the communities that the search is for.

        An identifier does not say whose it is, so that each community is asked; an `_id` does.
        """
        return addressed(queries, self.targets)

    @property
    def targets(self) -> tuple[str, ...]:
        """homeCommunityIds to ask; empty where the queries say it by themselves."""
        if self._targets is not None:
            return tuple(sorted(self._targets))
        homes = self._ctx.communities.homes
        by_identifier = self._ids["identifier"] and not self._ids["_id"]
        return homes if by_identifier and len(homes) > 1 else ()

    @abstractmethod
    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        """Read a parameter that only this resource type has."""

    @abstractmethod
    def _queries_by_id(self, groups: Sequence[Sequence[IdentifierToken]]) -> tuple[StoredQuery, ...] | None:
        """Queries for what one of the OR lists `groups` names; None where none is enough to ask with."""

    @abstractmethod
    def _queries_of_patient(
        self, patient: Cx, statuses: frozenset[AvailabilityStatus]
    ) -> tuple[StoredQuery, ...]:
        """Queries for the objects of a patient."""

    def _reason_to_leave_out(self, parameter: SearchParameter) -> str | None:
        """Why a parameter selects nothing in this search; None where it does."""
        return None

    def _without_patient(self) -> str:
        """What may stand in place of the patient, as it ends the sentence that asks for one."""
        return f", unless identifier (with its system) or _id names the {self._resource.table.resource}"

    def _shaped(self) -> frozenset[Inclusion]:
        try:
            return self._controls.includes()
        except SearchProblem as problem:
            self._errors.append(problem.issue)
            return frozenset()

    def _strictest(self, *names: str) -> Limits:
        """What the registry can be asked of date parameters that mean the same time."""
        return strictest([limits for name in names for limits in self._limits[name]])

    def _add(self, name: str, value: str) -> None:
        if name.partition(":")[0] in CONTROLS:
            self._controls.add(name, value)
            return
        found = self._resource.table.find(name)
        if found is None:
            self._leave_out(
                f"{shown(name)} is not a search parameter of {self._resource.table.resource} here"
            )
            return
        parameter, modifier = found
        reason = self._reason_to_leave_out(parameter)
        if reason is not None:
            self._leave_out(reason)
            return
        if CONTROL.search(value):
            raise SearchProblem("value", f"{shown(name)}: the value has a control character.")
        values = alternatives(value)
        if not values:
            self._leave_out(f"{shown(name)} has no value")
            return
        self._values += len(values)
        if self._values > _MOST_VALUES:
            raise SearchProblem("too-costly", f"At most {_MOST_VALUES} values are taken in one search.")
        self._read(parameter, modifier, values)
        self._used.append((name, value))

    def _leave_out(self, reason: str) -> None:
        if self._strict:
            raise SearchProblem("not-supported", f"{reason}. Leave it out or use Prefer: handling=lenient.")
        self._warnings.append(Issue("warning", "not-supported", f"{reason}; it was left out."))

    def _read(self, parameter: SearchParameter, modifier: str | None, values: list[str]) -> None:
        name = parameter.name
        if name in self._resource.late:
            self._late.append(_late(name, modifier, values, self._now))
        elif modifier == "missing" and name != "status":
            self._criteria.append(IsMissing(self._elements.presence_of(name), _flag(name, values)))
        elif name in self._elements.codes:
            self._read_codes(name, modifier, values)
        elif parameter.kind is Kind.DATE:
            self._read_dates(name, values)
        elif parameter.kind is Kind.STRING:
            self._read_names(name, modifier, values)
        elif name in ("patient", "subject"):
            self._read_patient(name, values)
        elif name in ("patient.identifier", "subject.identifier"):
            self._read_patient_identifier(name, values)
        elif name == "status":
            self._read_status(modifier, values)
        elif name in ("identifier", "_id"):
            self._read_ids(name, values)
        elif name == "targetCommunityIdList":
            self._read_communities(values)
        else:
            self._read_own(parameter, modifier, values)

    def _read_dates(self, name: str, values: list[str]) -> None:
        conditions = tuple(read_date(unescape(v), name, self._now) for v in values)
        self._criteria.append(IsInTime(self._elements.intervals[name], conditions))
        self._limits[name].append(
            registry_limits(conditions, self._ctx.coarsest_time, period=name == "period")
        )

    def _read_codes(self, name: str, modifier: str | None, values: list[str]) -> None:
        read = self._elements.codes[name]
        if modifier == "text":
            self._criteria.append(
                HasDisplay(self._elements.codes[name], tuple(folded(unescape(v)) for v in values))
            )
            return
        asked = [read_code(value, name, self._ctx.terminology) for value in values]
        tokens = tuple(a.token for a in asked)
        self._criteria.append(HasCode(read, tokens, negated=modifier == "not"))
        pushed = [a.pushed for a in asked]
        if modifier is None and None not in pushed:
            self._asked.codes[name].append(
                tuple(dict.fromkeys(c for group in pushed if group for c in group))
            )

    def _read_names(self, name: str, modifier: str | None, values: list[str]) -> None:
        texts = [unescape(v) for v in values]
        persons, part = self._elements.persons, name.rpartition(".")[2]
        if modifier != "exact":
            mode = "contains" if modifier == "contains" else "starts"
            self._criteria.append(HasName(persons, NAMES[part], tuple(folded(t) for t in texts), mode))
            return
        self._criteria.append(HasName(persons, NAMES[part], tuple(texts), "exact"))
        # without :exact, case and accents do not count in FHIR but may in the registry's LIKE
        caret = "^" if part == "family" else ""
        patterns = tuple("%" + caret + pattern(text) + "%" for text in texts)
        if all(any(c.isalnum() for c in p) for p in patterns):
            self._asked.authors.append(tuple(p.replace("%%", "%") for p in patterns))

    def _read_patient(self, name: str, values: list[str]) -> None:
        found: set[Cx] = set()
        for value in values:
            reference = unescape(value.strip())
            if "|" in reference:
                raise SearchProblem(
                    "value", f"{name}: give Patient/id, or use {name}.identifier for system|value."
                )
            reference = reference.removeprefix(self._ctx.base_url + "/")
            patient = self._ctx.patient_of(reference if "/" in reference else f"Patient/{reference}")
            if patient is not None:
                found.add(patient)
        self._patients.append(frozenset(found))

    def _read_patient_identifier(self, name: str, values: list[str]) -> None:
        if self._ctx.nobody:
            # whoever knows patients of systems that no setting maps was asked
            self._patients.append(frozenset())
            return
        terminology = self._ctx.terminology
        self._patients.append(frozenset(read_patient_identifier(v, name, terminology) for v in values))

    def _read_status(self, modifier: str | None, values: list[str]) -> None:
        known, possible = self._resource.statuses, set(self._resource.statuses.values()) - {None}
        asked: set[AvailabilityStatus | None] = set()
        if modifier == "missing":
            asked = set() if _flag("status", values) else possible
        else:
            for value in values:
                token = read_token(value)
                code = token.code or ""
                if token.system not in (None, "", self._resource.status_system) or code not in known:
                    raise SearchProblem("value", f"status: use {' or '.join(known)}, without a system.")
                asked.add(known[code])
            if modifier == "not":
                asked = possible - asked
        statuses = frozenset(status for status in asked if status is not None)
        self._statuses = statuses if self._statuses is None else self._statuses & statuses

    def _read_ids(self, name: str, values: list[str]) -> None:
        if name == "_id":
            tokens = tuple(map(read_logical_id, values))
        else:
            tokens = tuple(read_identifier(v, name, self._ctx.terminology) for v in values)
        self._criteria.append(HasIdentifier(tokens))
        self._ids[name].append(tokens)

    def _read_communities(self, values: list[str]) -> None:
        reached = self._ctx.communities
        homes = read_communities(values, reached)
        self._criteria.append(IsOfCommunities(homes, reached.own_home))
        self._targets = homes if self._targets is None else self._targets & homes

    def _stored_queries(self) -> tuple[StoredQuery, ...]:
        by_id = self._queries_by_id([*self._ids["_id"], *self._ids["identifier"]])
        patient = self._one_patient(needed=by_id is None)
        statuses = self._wanted_statuses(needed=by_id is None)
        if self._errors:
            return ()
        if patient is not None:
            self._criteria.insert(0, IsOfPatient(patient))
        if statuses is not None:
            self._criteria.insert(0, HasStatus(statuses))
        if self._impossible or self._targets == frozenset() or statuses == frozenset():
            return ()
        if by_id is not None:
            if patient is not None:
                self._of_patient = self._queries_of_patient(patient, statuses or frozenset(ANY_STATUS))
            return by_id
        assert patient is not None and statuses is not None
        return self._queries_of_patient(patient, statuses)

    def _one_patient(self, *, needed: bool) -> Cx | None:
        known = frozenset().union(*self._patients)
        if len(known) > 1:
            self._errors.append(
                Issue(
                    "error",
                    "business-rule",
                    "patient, patient.identifier: all values have to name the same patient, since XDS "
                    "searches one patient at a time. Make one search per patient.",
                )
            )
        elif not self._patients and needed:
            self._errors.append(
                Issue(
                    "error",
                    "required",
                    f"patient or patient.identifier is required{self._without_patient()}.",
                )
            )
        self._impossible = frozenset() in self._patients or bool(self._ctx.nobody)
        return next(iter(known)) if len(known) == 1 else None

    def _wanted_statuses(self, *, needed: bool) -> frozenset[AvailabilityStatus] | None:
        if self._statuses is not None or not needed:
            return self._statuses
        if self._ctx.status_required:
            self._errors.append(Issue("error", "required", "status is required, for example status=current."))
            return None
        self._warnings.append(
            Issue(
                "information",
                "informational",
                "status was not given, so only what is current was searched. Send "
                "status=current,superseded for all.",
            )
        )
        self._used.append(("status", "current"))
        return frozenset({AvailabilityStatus.APPROVED})


def _late(name: str, modifier: str | None, values: list[str], now: datetime) -> LateCriterion[T]:
    if modifier == "missing":
        missing = _flag(name, values)
        return lambda read: IsMissing(lambda item: read(item) is not None, missing)
    conditions = tuple(read_date(unescape(v), name, now) for v in values)
    return lambda read: IsInTime(read, conditions)


def _flag(name: str, values: list[str]) -> bool:
    if values not in (["true"], ["false"]):
        raise SearchProblem("value", f"{name}:missing takes true or false.")
    return values == ["true"]
