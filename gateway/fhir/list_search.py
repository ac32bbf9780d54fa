"""Find Document Lists (ITI-66) as Registry Stored Query (ITI-18) plus an exact filter.

As in ITI-67 `queries()` asks the registry for at least what the search means and `matches()` keeps exactly
that (IHE MHD 4.2.4 2:3.66.4.1.2; ITI TF-2 3.18.4.1.2.3.7). Two rules are those of Lists:

- Without `code` both kinds are searched, as FHIR means it, and the answer says so.
- `source.given`, `source.family` and `sourceId` are ignored where Folders alone are searched, as IHE MHD
  says, yet not in silence. Where both kinds are searched no Folder has the value that is asked for.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.fhir.datatypes import canonical
from gateway.fhir.issues import Issue
from gateway.fhir.list_elements import BOTH_KINDS, LIST_ELEMENTS, HasSource, IsOfKind, RegistryList
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.list_queries import find_lists, get_lists
from gateway.fhir.lists import FOLDER
from gateway.fhir.matching import HasName, IdentifierToken
from gateway.fhir.search_parser import SearchParser
from gateway.fhir.search_request import Search, Searchable, SearchContext
from gateway.fhir.search_table import SearchParameter
from gateway.fhir.search_values import SearchProblem, read_token
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Cx
from gateway.model.oids import bare_oid
from gateway.model.query import StoredQuery

__all__ = ["ListSearch", "SearchContext", "parse_list_search"]

ListSearch = Search[RegistryList]

_MOST_QUERIES_BY_ID = 20
"""Queries for what is named by its ids, since ITI-18 gives one SubmissionSet at a time."""

_OF_SUBMISSION_SETS: Final = frozenset({"source.given", "source.family", "sourceId"})
_LISTS: Final = Searchable(
    table=LIST_PARAMETERS,
    elements=LIST_ELEMENTS,
    statuses={
        "current": AvailabilityStatus.APPROVED,
        # named by IHE MHD, though FHIR R4 has no such List.status
        "superseded": None,
        "retired": None,
        "entered-in-error": None,
    },
    status_system=codes.LIST_STATUS_SYSTEM,
    order=(("date", True),),
)


def parse_list_search(
    params: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> ListSearch:
    """Understand the decoded parameters of URL and form.

    Repeated parameters are AND, values separated by comma are OR. `strict` is `Prefer: handling=strict`:
    what would be a warning is an error then. Raises OutcomeError 400 with every problem.
    """
    parser = _ListSearchParser(_LISTS, ctx, strict=strict)
    for name, value in _code_first(params):
        parser.add(name, value)
    return parser.finish()


def _code_first(params: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """What other parameters select depends on the kinds that are searched."""
    return sorted(params, key=lambda parameter: parameter[0].partition(":")[0] != "code")


class _ListSearchParser(SearchParser[RegistryList]):
    _kinds: frozenset[str] | None = None
    _by_id = False

    def _reason_to_leave_out(self, parameter: SearchParameter) -> str | None:
        if parameter.name in _OF_SUBMISSION_SETS and self._kinds == frozenset({FOLDER}):
            return f"{parameter.name} cannot be searched by with code=folder, since a Folder has no source"
        return super()._reason_to_leave_out(parameter)

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        if parameter.name == "code":
            self._read_kinds(modifier, values)
        else:
            source_ids = tuple(map(_source_id, values))
            self._criteria.append(HasSource(source_ids))
            self._asked.sources.append(source_ids)

    def _read_kinds(self, modifier: str | None, values: Sequence[str]) -> None:
        asked: set[str] = set()
        for value in values:
            token = read_token(value)
            known = token.system is None or canonical(token.system) == codes.MHD_LIST_TYPES
            if not known or token.code not in (*BOTH_KINDS, None):
                raise SearchProblem(
                    "value",
                    f"code: use {' or '.join(BOTH_KINDS)}, with the system {codes.MHD_LIST_TYPES} or none.",
                )
            asked |= {token.code} if token.code else set(BOTH_KINDS)
        kinds = frozenset(set(BOTH_KINDS) - asked if modifier == "not" else asked)
        self._kinds = kinds if self._kinds is None else self._kinds & kinds
        self._criteria.append(IsOfKind(kinds))

    def _queries_by_id(self, groups: Sequence[Sequence[IdentifierToken]]) -> tuple[StoredQuery, ...] | None:
        queries = get_lists(self._reachable_kinds(), groups)
        if queries is None or len(queries) <= _MOST_QUERIES_BY_ID:
            self._by_id = queries is not None
            return queries
        if not self._patients:
            self._errors.append(
                Issue(
                    "error",
                    "too-costly",
                    f"identifier, _id: {len(queries)} queries would be needed, at most {_MOST_QUERIES_BY_ID} "
                    "are made. Name fewer Lists, or their patient.",
                )
            )
        return None

    def _reachable_kinds(self) -> frozenset[str]:
        """The kinds that can match: a Folder has no author and no source."""
        kinds = frozenset(BOTH_KINDS) if self._kinds is None else self._kinds
        if any(isinstance(criterion, HasName | HasSource) for criterion in self._criteria):
            return kinds - {FOLDER}
        return kinds

    def _queries_of_patient(
        self, patient: Cx, statuses: frozenset[AvailabilityStatus]
    ) -> tuple[StoredQuery, ...]:
        if self._kinds is None and not self._by_id:
            self._warnings.append(
                Issue(
                    "information",
                    "informational",
                    "code was not given, so SubmissionSets and Folders were searched. Send "
                    "code=submissionset or code=folder for one of them.",
                )
            )
            self._used.insert(0, ("code", ",".join(BOTH_KINDS)))
        return find_lists(
            self._reachable_kinds(), patient, self._asked, self._strictest("date", "_lastUpdated")
        )


def _source_id(text: str) -> str:
    token = read_token(text)
    if token.system not in (None, codes.URI_SYSTEM) or not token.code:
        raise SearchProblem(
            "value", f"sourceId: give urn:oid: and an OID, with the system {codes.URI_SYSTEM} or none."
        )
    return bare_oid(token.code)
