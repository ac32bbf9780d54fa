"""Reads the parameters of ITI-67 one by one and builds the stored query and the filter from them.

Rules of ITI-18 that shape this: $XDSDocumentEntryPatientId is required and single; a repeated slot (AND) is
allowed only for event, confidentiality and reference ids; the other coded slots take one OR list, so further
ones are left to the filter; uniqueId and entryUUID cannot stand in one GetDocuments.
"""

from collections import defaultdict
from collections.abc import Callable

from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.matching import (
    CODES,
    INTERVALS,
    NAMES,
    Criterion,
    HasAuthor,
    HasCode,
    HasDisplay,
    HasIdentifier,
    HasStatus,
    IdentifierToken,
    IsInTime,
    IsMissing,
    IsOfPatient,
    IsRelated,
    folded,
    presence_of,
)
from gateway.fhir.search_dates import Limits, read_date, registry_limits, strictest
from gateway.fhir.search_parameters import (
    CONTROLS,
    Kind,
    SearchParameter,
    Support,
    find_parameter,
)
from gateway.fhir.search_queries import Asked, find_documents, get_documents
from gateway.fhir.search_request import DocumentSearch, SearchContext
from gateway.fhir.search_sort import SortKey, read_sort
from gateway.fhir.search_tokens import (
    pattern,
    read_code,
    read_identifier,
    read_logical_id,
    read_patient_identifier,
    read_related,
    related_patterns,
)
from gateway.fhir.search_values import CONTROL, SearchProblem, alternatives, read_token, shown, unescape
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Cx
from gateway.model.query import (
    ANY_STATUS,
    StoredQuery,
)

_MOST_VALUES = 500
"""Alternatives in one search; a stored query with more would be refused by most registries."""

_STATUS: dict[str, AvailabilityStatus | None] = {
    "current": AvailabilityStatus.APPROVED,
    "superseded": AvailabilityStatus.DEPRECATED,
    "entered-in-error": None,
}
_STATUS_SYSTEMS = frozenset({None, "", codes.DOCUMENT_REFERENCE_STATUS_SYSTEM})


class SearchParser:
    """Collects parameters with `add`, then `finish` gives the search."""

    def __init__(self, ctx: SearchContext, *, strict: bool) -> None:
        self._ctx = ctx
        self._strict = strict
        self._now = ctx.now()
        self._errors: list[Issue] = []
        self._warnings: list[Issue] = []
        self._used: list[tuple[str, str]] = []
        self._values = 0
        self._criteria: list[Criterion] = []
        self._patients: list[frozenset[Cx]] = []
        self._statuses: frozenset[AvailabilityStatus] | None = None
        self._ids: dict[str, list[tuple[IdentifierToken, ...]]] = defaultdict(list)
        self._limits: dict[str, list[Limits]] = defaultdict(list)
        self._asked = Asked()
        self._count: int | None = None
        self._only_count = False
        self._sort: SortKey | None = None
        self._impossible = False

    def add(self, name: str, value: str) -> None:
        """Take one parameter as the client sent it, decoded."""
        try:
            self._add(name, value)
        except SearchProblem as problem:
            self._errors.append(problem.issue)

    def finish(self) -> DocumentSearch:
        """The search. Raises OutcomeError 400 with every problem found."""
        count = self._page_size()
        queries = self._stored_queries() if not self._errors else ()
        if self._errors:
            left_out = [issue for issue in self._warnings if issue.severity == "warning"]
            raise OutcomeError(400, (*self._errors, *left_out))
        return DocumentSearch(
            stored_queries=queries,
            criteria=tuple(self._criteria),
            count=count,
            sort=self._sort or SortKey(),
            self_parameters=(*self._used, ("_count", str(count))),
            base_url=self._ctx.base_url,
            warnings=tuple(self._warnings),
        )

    def _add(self, name: str, value: str) -> None:
        if name in CONTROLS:
            self._add_control(name, value)
            return
        found = find_parameter(name)
        if found is None:
            self._leave_out(f"{shown(name)} is not a search parameter of DocumentReference here")
            return
        parameter, modifier = found
        if parameter.support is Support.REFUSED:
            raise SearchProblem(
                "not-supported",
                f"{parameter.name} is not supported: this server reaches its own community only. "
                "Leave it out to search there.",
            )
        if parameter.support is Support.IGNORED:
            self._leave_out(f"{parameter.name} cannot be searched by, since XDS has no such value")
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
        if modifier == "missing" and name != "status":
            self._criteria.append(IsMissing(presence_of(name), _flag(name, values)))
        elif name in CODES:
            self._read_codes(name, modifier, values)
        elif parameter.kind is Kind.DATE:
            conditions = tuple(read_date(unescape(v), name, self._now) for v in values)
            self._criteria.append(IsInTime(INTERVALS[name], conditions))
            self._limits[name].append(
                registry_limits(conditions, self._ctx.coarsest_time, period=name == "period")
            )
        elif parameter.kind is Kind.STRING:
            self._read_names(name, modifier, values)
        else:
            readers: dict[str, Callable[[str | None, list[str]], None]] = {
                "patient": self._read_patient,
                "patient.identifier": self._read_patient_identifier,
                "status": self._read_status,
                "related": self._read_related,
                "identifier": self._read_identifier,
                "_id": self._read_logical_id,
            }
            readers[name](modifier, values)

    def _read_codes(self, name: str, modifier: str | None, values: list[str]) -> None:
        if modifier == "text":
            self._criteria.append(HasDisplay(CODES[name], tuple(folded(unescape(v)) for v in values)))
            return
        asked = [read_code(value, name, self._ctx.terminology) for value in values]
        tokens = tuple(a.token for a in asked)
        self._criteria.append(HasCode(CODES[name], tokens, negated=modifier == "not"))
        pushed = [a.pushed for a in asked]
        if modifier is None and None not in pushed:
            self._asked.codes[name].append(
                tuple(dict.fromkeys(c for group in pushed if group for c in group))
            )

    def _read_names(self, name: str, modifier: str | None, values: list[str]) -> None:
        texts = [unescape(v) for v in values]
        if modifier != "exact":
            mode = "contains" if modifier == "contains" else "starts"
            self._criteria.append(HasAuthor(NAMES[name], tuple(folded(t) for t in texts), mode))
            return
        self._criteria.append(HasAuthor(NAMES[name], tuple(texts), "exact"))
        # without :exact, case and accents do not count in FHIR but may in the registry's LIKE
        caret = "^" if name == "author.family" else ""
        patterns = tuple("%" + caret + pattern(text) + "%" for text in texts)
        if all(any(c.isalnum() for c in p) for p in patterns):
            self._asked.authors.append(tuple(p.replace("%%", "%") for p in patterns))

    def _read_patient(self, _modifier: str | None, values: list[str]) -> None:
        found: set[Cx] = set()
        for value in values:
            reference = unescape(value.strip())
            if "|" in reference:
                raise SearchProblem(
                    "value", "patient: give Patient/id, or use patient.identifier for system|value."
                )
            reference = reference.removeprefix(self._ctx.base_url + "/")
            patient = self._ctx.patient_of(reference if "/" in reference else f"Patient/{reference}")
            if patient is not None:
                found.add(patient)
        self._patients.append(frozenset(found))

    def _read_patient_identifier(self, _modifier: str | None, values: list[str]) -> None:
        terminology = self._ctx.terminology
        self._patients.append(
            frozenset(read_patient_identifier(v, "patient.identifier", terminology) for v in values)
        )

    def _read_status(self, modifier: str | None, values: list[str]) -> None:
        asked: set[AvailabilityStatus] = set()
        if modifier == "missing":
            asked = set() if _flag("status", values) else set(ANY_STATUS)
        else:
            for value in values:
                token = read_token(value)
                if token.system not in _STATUS_SYSTEMS or token.code not in _STATUS:
                    raise SearchProblem("value", f"status: use {' or '.join(_STATUS)}, without a system.")
                status = _STATUS[token.code]
                if status is not None:
                    asked.add(status)
            if modifier == "not":
                asked = set(ANY_STATUS) - asked
        self._statuses = frozenset(asked) if self._statuses is None else self._statuses & asked

    def _read_related(self, modifier: str | None, values: list[str]) -> None:
        if modifier is None:
            raise SearchProblem(
                "not-supported",
                "related: XDS knows related things by identifier only; use related:identifier=system|value.",
            )
        tokens = tuple(read_related(v, "related", self._ctx.terminology) for v in values)
        self._criteria.append(IsRelated(tokens))
        patterns = related_patterns(tokens)
        if patterns is not None:
            self._asked.references.append(patterns)

    def _read_identifier(self, _modifier: str | None, values: list[str]) -> None:
        tokens = tuple(read_identifier(v, "identifier", self._ctx.terminology) for v in values)
        self._criteria.append(HasIdentifier(tokens))
        self._ids["identifier"].append(tokens)

    def _read_logical_id(self, _modifier: str | None, values: list[str]) -> None:
        tokens = tuple(read_logical_id(v) for v in values)
        self._criteria.append(HasIdentifier(tokens))
        self._ids["_id"].append(tokens)

    def _add_control(self, name: str, value: str) -> None:
        if name == "_count":
            if self._count is not None or not (value.isascii() and value.isdigit()):
                raise SearchProblem("value", "_count: give one whole number, 0 or more.")
            # more digits than any limit has, and fewer than are slow to read
            self._count = int(value.lstrip("0")[:12] or "0")
        elif name == "_summary":
            if value == "count":
                self._only_count = True
            elif value != "false":
                self._leave_out("_summary takes only count here")
        elif name == "_sort" and self._sort is None:
            try:
                self._sort = read_sort(value)
            except SearchProblem as problem:
                self._leave_out(problem.issue.diagnostics.rstrip("."))
            else:
                self._used.append((name, value))

    def _page_size(self) -> int:
        if self._only_count:
            return 0
        wanted = self._ctx.default_count if self._count is None else self._count
        return min(wanted, self._ctx.max_count)

    def _stored_queries(self) -> tuple[StoredQuery, ...]:
        by_id = get_documents([*self._ids["_id"], *self._ids["identifier"]])
        patient = self._one_patient(needed=by_id is None)
        statuses = self._wanted_statuses(needed=by_id is None)
        if self._errors:
            return ()
        if patient is not None:
            self._criteria.insert(0, IsOfPatient(patient))
        if statuses is not None:
            self._criteria.insert(0, HasStatus(statuses))
        if self._impossible or statuses == frozenset():
            return ()
        if by_id is not None:
            return by_id
        assert patient is not None and statuses is not None
        limits = {name: strictest(self._limits[name]) for name in INTERVALS}
        return (find_documents(patient, statuses, self._asked, limits),)

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
                    "patient or patient.identifier is required, unless identifier (with its system) or _id "
                    "names the document.",
                )
            )
        self._impossible = frozenset() in self._patients
        return next(iter(known)) if len(known) == 1 else None

    def _wanted_statuses(self, *, needed: bool) -> frozenset[AvailabilityStatus] | None:
        if self._statuses is not None or not needed:
            return self._statuses
        if self._ctx.status_required:
            self._errors.append(
                Issue("error", "required", "status is required: current, superseded or both.")
            )
            return None
        self._warnings.append(
            Issue(
                "information",
                "informational",
                "status was not given, so only current documents were searched. Send "
                "status=current,superseded for all.",
            )
        )
        self._used.append(("status", "current"))
        return frozenset({AvailabilityStatus.APPROVED})


def _flag(name: str, values: list[str]) -> bool:
    if values not in (["true"], ["false"]):
        raise SearchProblem("value", f"{name}:missing takes true or false.")
    return values == ["true"]
