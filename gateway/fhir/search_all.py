"""Search over documents and Lists at once, at the base (FHIR R4 search 3.1.1.1, `search-system`).

It takes what both types have, and means by it what each type means. A parameter that only one of them has is
like one that is not known: it would select in one part of the answer only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from gateway.fhir.document_elements import DOCUMENT_ELEMENTS
from gateway.fhir.imaging_document_search import ImagingDocumentSearch, parse_imaging_document_search
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.list_elements import BOTH_KINDS, LIST_ELEMENTS, RegistryList
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.list_search import ListSearch, parse_list_search
from gateway.fhir.matching import Criterion, Elements
from gateway.fhir.search_controls import SearchControls
from gateway.fhir.search_dates import Interval
from gateway.fhir.search_parameters import DOCUMENT_PARAMETERS
from gateway.fhir.search_request import LateCriterion, Search, SearchContext
from gateway.fhir.search_sort import SortKey
from gateway.fhir.search_table import CONTROLS, ParameterTable
from gateway.fhir.search_values import SearchProblem, shown
from gateway.model.metadata import DocumentEntry

Item = DocumentEntry | RegistryList
"""What a search over all types finds."""

SEARCHED: Final = ("DocumentReference", "List")
COMMON_PARAMETERS: Final = ParameterTable(
    "",
    [row for row in DOCUMENT_PARAMETERS.rows if LIST_PARAMETERS.has(row.name)],
    resource_types=SEARCHED,
)
"""Parameters of every type that is searched."""

S = TypeVar("S", bound=Search[Any])

_LATE: Final = frozenset({"date", "_lastUpdated"})


def _creation(item: Item) -> Interval | None:
    return DOCUMENT_ELEMENTS.intervals["creation"](item) if isinstance(item, DocumentEntry) else None


def _list_date(item: Item) -> Interval | None:
    return None if isinstance(item, DocumentEntry) else LIST_ELEMENTS.intervals["date"](item)


_ELEMENTS: Final[Elements[Item]] = Elements(
    codes=MappingProxyType({}),
    intervals=MappingProxyType({"creation": _creation, "list date": _list_date}),
    persons=lambda _: (),
)
_ORDER: Final = (("creation", True), ("list date", True))
"""Documents, then Lists, the latest first."""


@dataclass(frozen=True, slots=True)
class _OfEither:
    """The criteria of the type that an object has."""

    documents: ImagingDocumentSearch
    lists: ListSearch

    def matches(self, item: Item) -> bool:
        """True where the object meets every parameter, as its type means it."""
        if isinstance(item, DocumentEntry):
            return self.documents.matches(item)
        return self.lists.matches(item)


@dataclass(frozen=True, slots=True)
class _OfDocuments:
    """A criterion that Lists were compared with before."""

    criterion: Criterion[DocumentEntry]

    def matches(self, item: Item) -> bool:
        """True for every List."""
        return not isinstance(item, DocumentEntry) or self.criterion.matches(item)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOfAll(Search[Item]):
    """A search of both types, and what it means in each."""

    documents: ImagingDocumentSearch
    lists: ListSearch


def read_types(parameters: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The types that `_type` names; all without it. Raises OutcomeError 400 for one that is not searched."""
    named = [part for name, value in parameters if name == "_type" for part in value.split(",") if part]
    if not named:
        return SEARCHED
    if not set(named) <= set(SEARCHED):
        text = f"_type: {' and '.join(SEARCHED)} can be searched here."
        raise OutcomeError(400, (Issue("error", "not-supported", text),))
    return tuple(resource_type for resource_type in SEARCHED if resource_type in named)


def parse_search_of_all(
    parameters: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> SearchOfAll:
    """Understand a search over both types; see `parse_imaging_document_search`. Raises OutcomeError 400."""
    issues: dict[Issue, None] = {}

    def leave_out(reason: str) -> None:
        if strict:
            raise SearchProblem("not-supported", f"{reason}. Leave it out or use Prefer: handling=lenient.")
        issues[Issue("warning", "not-supported", f"{reason}; it was left out.")] = None

    controls = SearchControls(COMMON_PARAMETERS, _ORDER, leave_out)
    common = []
    for name, value in parameters:
        try:
            if name.partition(":")[0] in CONTROLS:
                controls.add(name, value)
            elif name != "_type":
                if COMMON_PARAMETERS.find(name) is None:
                    leave_out(f"{shown(name)} is not a search parameter of both {' and '.join(SEARCHED)}")
                else:
                    common.append((name, value))
        except SearchProblem as problem:
            issues[problem.issue] = None
    documents = _parsed(lambda: parse_imaging_document_search(common, ctx, strict=strict), issues)
    of_lists = [("code", ",".join(BOTH_KINDS)), *common]
    lists = _parsed(lambda: parse_list_search(of_lists, ctx, strict=strict), issues)
    try:
        includes = controls.includes()
    except SearchProblem as problem:
        issues[problem.issue] = None
    if documents is None or lists is None or any(issue.severity == "error" for issue in issues):
        raise OutcomeError(400, tuple(issues))
    count = controls.page_size(ctx.default_count, ctx.max_count)
    used = [parameter for parameter in documents.self_parameters if parameter[0] != "_count"]
    return SearchOfAll(
        documents=documents,
        lists=lists,
        resource="",
        stored_queries=(*documents.stored_queries, *lists.stored_queries),
        queries_of_patient=(*documents.queries_of_patient, *lists.queries_of_patient),
        criteria=(_OfEither(documents, lists),),
        count=count,
        sort=SortKey(_ELEMENTS, controls.sort),
        self_parameters=(("_type", ",".join(SEARCHED)), *used, *controls.used, ("_count", str(count))),
        base_url=ctx.base_url,
        warnings=tuple(issues),
        late=tuple(map(_of_documents, documents.late)),
        late_names=_LATE,
        view=controls.view(),
        includes=includes,
    )


def _of_documents(late: LateCriterion[DocumentEntry]) -> LateCriterion[Item]:
    def made(read: Callable[[Item], Interval | None]) -> Criterion[Item]:
        return _OfDocuments(late(read))

    return made


def _parsed(parse: Callable[[], S], issues: dict[Issue, None]) -> S | None:
    """The search of one type; what it has to say goes to `issues`, once."""
    try:
        search = parse()
    except OutcomeError as error:
        issues.update(dict.fromkeys(error.issues))
        return None
    issues.update(dict.fromkeys(search.warnings))
    return search
