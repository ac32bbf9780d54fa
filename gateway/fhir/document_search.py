"""Find Document References (ITI-67) as Registry Stored Query (ITI-18) plus an exact filter.

`queries()` asks the registry for at least what the search means, `matches()` keeps exactly that (IHE MHD
4.2.4 2:3.67.4.1.2; ITI TF-2 3.18.4.1.2.3.7; FHIR R4 search). Nothing is dropped in silence: what neither can
do is an error, or a warning where leaving it out makes the answer larger and never smaller.

Of the slots of FindDocuments only those of event, confidentiality and reference ids may be repeated (AND);
the other coded slots take one OR list, so further ones are left to the filter.
"""

from collections.abc import Sequence
from typing import Final

from gateway.fhir.document_elements import DOCUMENT_ELEMENTS
from gateway.fhir.matching import NAMES, HasName, IdentifierToken, IsRelated, folded
from gateway.fhir.reference_ids import ORDERS_AND_STUDIES
from gateway.fhir.search_parameters import DOCUMENT_PARAMETERS
from gateway.fhir.search_parser import SearchParser
from gateway.fhir.search_queries import find_documents, get_documents
from gateway.fhir.search_request import Search, Searchable, SearchContext
from gateway.fhir.search_table import SearchParameter
from gateway.fhir.search_tokens import read_related, related_patterns
from gateway.fhir.search_values import SearchProblem, unescape
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Cx, DocumentEntry, Person
from gateway.model.query import StoredQuery

__all__ = ["DOCUMENTS", "DocumentSearch", "DocumentSearchParser", "SearchContext", "parse_document_search"]

DocumentSearch = Search[DocumentEntry]

DOCUMENTS: Final = Searchable(
    table=DOCUMENT_PARAMETERS,
    elements=DOCUMENT_ELEMENTS,
    statuses={
        "current": AvailabilityStatus.APPROVED,
        "superseded": AvailabilityStatus.DEPRECATED,
        "entered-in-error": None,
    },
    status_system=codes.DOCUMENT_REFERENCE_STATUS_SYSTEM,
    order=(("creation", True),),
    late=frozenset({"date", "_lastUpdated"}),
)


def parse_document_search(
    params: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> DocumentSearch:
    """Understand the decoded parameters of URL and form.

    Repeated parameters are AND, values separated by comma are OR. `strict` is `Prefer: handling=strict`:
    what would be a warning is an error then. Raises OutcomeError 400 with every problem.
    """
    parser = DocumentSearchParser(DOCUMENTS, ctx, strict=strict)
    for name, value in params:
        parser.add(name, value)
    return parser.finish()


_KINDS: Final = {
    "encounter": frozenset({codes.REFERENCE_ENCOUNTER}),
    "based-on": ORDERS_AND_STUDIES,
}
"""Types of the ids of referenceIdList that a parameter means; `related` means all."""


def _authenticator(entry: DocumentEntry) -> tuple[Person, ...]:
    return () if entry.legal_authenticator is None else (entry.legal_authenticator,)


class DocumentSearchParser(SearchParser[DocumentEntry]):
    """The parameters of IHE MHD."""

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        """What Lists do not have in another form: `related`, and parts of it."""
        name = parameter.name
        if name == "relatesto":
            raise SearchProblem("not-supported", "relatesto: it is for searches of DocumentReference alone.")
        if modifier is None:
            raise SearchProblem(
                "not-supported",
                f"{name}: XDS knows related things by identifier only; use {name}:identifier=system|value.",
            )
        tokens = tuple(read_related(v, parameter.name, self._ctx.terminology) for v in values)
        self._criteria.append(IsRelated(tokens, _KINDS.get(name)))
        patterns = related_patterns(tokens)
        if patterns is not None:
            self._asked.references.append(patterns)

    def _read_names(self, name: str, modifier: str | None, values: list[str]) -> None:
        """Names of the legal authenticator, which no query has a parameter for, or of authors."""
        if not name.startswith("authenticator"):
            super()._read_names(name, modifier, values)
            return
        texts = [unescape(value) for value in values]
        shown = texts if modifier == "exact" else [folded(text) for text in texts]
        mode = {"exact": "exact", "contains": "contains"}.get(modifier or "", "starts")
        part = NAMES[name.rpartition(".")[2]]
        self._criteria.append(HasName(_authenticator, part, tuple(shown), mode))

    def _queries_by_id(self, groups: Sequence[Sequence[IdentifierToken]]) -> tuple[StoredQuery, ...] | None:
        return get_documents(groups)

    def _queries_of_patient(
        self, patient: Cx, statuses: frozenset[AvailabilityStatus]
    ) -> tuple[StoredQuery, ...]:
        limits = {name: self._strictest(name) for name in self._elements.intervals}
        return (find_documents(patient, statuses, self._asked, limits),)
