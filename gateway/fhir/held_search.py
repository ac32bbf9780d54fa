"""Searches of the resources that documents of a patient hold (HL7 Europe Imaging Report 1.0.0-ballot,
resource access; FHIR R4 search).

A report that later versions replace is found by `identifier` and `_id` only: a search for what is known of a
patient gives the current version of each report.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from typing import Any, Final

from gateway.fhir.document_ids import DocumentId, read_document_id, read_provenance_id
from gateway.fhir.found_study import with_synonyms
from gateway.fhir.held import (
    IMPLIED,
    HeldResource,
    codes_in,
    identifier_key,
    identifiers_in,
    interval_at,
    reference_of,
    values_at,
)
from gateway.fhir.manifest_read_values import scheme_of
from gateway.fhir.matching import (
    CodeToken,
    Elements,
    HasCode,
    HasDisplay,
    IdentifierToken,
    IsInTime,
    IsMissing,
    folded,
)
from gateway.fhir.patient_resources import HasAny, PatientResourceParser, parsed, token_codes
from gateway.fhir.search_dates import Interval, dtm_interval, read_date_in_zone
from gateway.fhir.search_request import Search, Searchable, SearchContext
from gateway.fhir.search_sort import Rules
from gateway.fhir.search_table import Kind, ParameterTable, SearchParameter
from gateway.fhir.search_values import SearchProblem, read_token, unescape
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import AvailabilityStatus, Code
from gateway.model.query import GetDocumentsAndAssociations, StoredQuery

_EVERY_VERSION: Final = frozenset(AvailabilityStatus)
_PATIENT: Final = frozenset({"patient", "subject", "patient.identifier", "subject.identifier"})
_ORDER: Final[Rules] = (("_lastUpdated", True),)
_DATES: Final = ("issued", "date")


def parse_held_search(
    table: ParameterTable,
    parameters: Sequence[tuple[str, str]],
    ctx: SearchContext,
    *,
    zone: tzinfo = UTC,
    strict: bool = False,
) -> Search[HeldResource]:
    """Understand a search of the type of `table`. `zone` is the server's: of what has no zone.

    Raises OutcomeError 400 with every problem.
    """
    terminology = ctx.terminology
    elements: Elements[HeldResource] = Elements(
        codes={
            row.name: partial(_codes, row.expression, terminology)
            for row in table.rows
            if row.kind is Kind.TOKEN and row.name not in _PATIENT
        },
        intervals={
            row.name: _updated if row.name == "_lastUpdated" else partial(_interval, row.expression, zone)
            for row in table.rows
            if row.kind is Kind.DATE
        },
        persons=lambda held: (),
    )
    latest: Rules = tuple((name, True) for name in _DATES if table.can_sort_by(name))
    kind = _ProvenanceParser if table.resource == "Provenance" else _HeldParser
    parser = kind(Searchable(table, elements, {}, "", (*latest[:1], *_ORDER)), ctx, strict=strict)
    parser.zone = zone
    return parsed(parser, parameters)


# --- criteria ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class IsCurrent:
    """No later version of the report replaces the one that holds the resource."""

    def matches(self, held: HeldResource) -> bool:
        """True where it is current."""
        return held.is_current


@dataclass(frozen=True, slots=True)
class IdentifierAsked:
    """`system` None is any system, `value` None any value; else as `identifier_key` writes them."""

    system: str | None
    value: str | None

    def fits(self, key: tuple[str, str]) -> bool:
        """True where an identifier is the one asked for."""
        return self.system in (None, key[0]) and self.value in (None, key[1])


@dataclass(frozen=True, slots=True)
class IsIdentified:
    """One of the identifiers that `read` gives is asked for."""

    read: Callable[[HeldResource], Iterable[tuple[str, str]]]
    tokens: tuple[IdentifierAsked, ...]

    def matches(self, held: HeldResource) -> bool:
        """True where an identifier is as asked."""
        return any(token.fits(key) for key in self.read(held) for token in self.tokens)


# --- parser -----------------------------------------------------------------------------------------------
class _HeldParser(PatientResourceParser[HeldResource]):
    zone: tzinfo = UTC
    _every_version = False

    def _wanted_statuses(self, *, needed: bool) -> frozenset[AvailabilityStatus]:
        if self._every_version:
            return _EVERY_VERSION
        self._criteria.append(IsCurrent())
        return frozenset({AvailabilityStatus.APPROVED})

    def _read(self, parameter: SearchParameter, modifier: str | None, values: list[str]) -> None:
        if parameter.name in _PATIENT:
            super()._read(parameter, modifier, values)
        elif modifier == "missing":
            if values not in (["true"], ["false"]):
                raise SearchProblem("value", f"{parameter.name}:missing takes true or false.")
            self._criteria.append(IsMissing(partial(_has, parameter.expression), values == ["true"]))
        elif parameter.kind is Kind.DATE:
            conditions = tuple(
                read_date_in_zone(unescape(v), parameter.name, self._now, self.zone) for v in values
            )
            self._criteria.append(IsInTime(self._elements.intervals[parameter.name], conditions))
        else:
            self._read_own(parameter, modifier, values)

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        name = parameter.name
        if name == "_id":
            self._every_version = True
            self._criteria.append(HasAny(lambda held: (held.id,), token_codes(values)))
        elif name == "identifier":
            self._every_version = True
            self._criteria.append(IsIdentified(self._identifiers(parameter), self._asked_identifiers(values)))
        elif name.endswith(".identifier"):
            self._criteria.append(IsIdentified(self._linked(parameter), self._asked_identifiers(values)))
        elif parameter.kind is Kind.REFERENCE:
            wanted = frozenset(self._references(values))
            self._criteria.append(HasAny(partial(_references, parameter.expression), wanted))
        else:
            self._read_tokens(parameter, modifier, values)

    def _read_tokens(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        read = self._elements.codes[parameter.name]
        if modifier == "text":
            self._criteria.append(HasDisplay(read, tuple(folded(unescape(v)) for v in values)))
            return
        tokens = tuple(_code_token(value, self._ctx.terminology) for value in values)
        self._criteria.append(HasCode(read, tokens, negated=modifier == "not"))

    def _references(self, values: Sequence[str]) -> Iterable[str]:
        """`Type/id` as it was asked for, and an id alone."""
        for value in values:
            yield unescape(value.strip()).removeprefix(self._ctx.base_url + "/")

    def _identifiers(self, parameter: SearchParameter) -> Callable[[HeldResource], Iterable[tuple[str, str]]]:
        terminology = self._ctx.terminology
        return lambda held: identifiers_in(values_at(held.resource, parameter.expression), terminology)

    def _linked(self, parameter: SearchParameter) -> Callable[[HeldResource], Iterable[tuple[str, str]]]:
        """Identifiers that references have, and those of what they refer to."""
        terminology = self._ctx.terminology

        def read(held: HeldResource) -> Iterable[tuple[str, str]]:
            for value in values_at(held.resource, parameter.expression):
                reference = _as_reference(value)
                if reference is not None:
                    yield from identifiers_in([reference.get("identifier")], terminology)
                    yield from identifiers_in(
                        held.linked.get(str(reference.get("reference")), ()), terminology
                    )

        return read

    def _asked_identifiers(self, values: Sequence[str]) -> tuple[IdentifierAsked, ...]:
        asked = []
        for value in values:
            token = read_token(value)
            if not token.code and not token.system:
                raise SearchProblem("value", "identifier: give system|value or a value.")
            if token.code is None:
                system, _ = identifier_key(token.system, "", self._ctx.terminology)
                asked.append(IdentifierAsked(system, None))
                continue
            system, code = identifier_key(token.system, token.code, self._ctx.terminology)
            asked.append(IdentifierAsked(None if token.system is None else system, code))
        return tuple(asked)


class _ProvenanceParser(_HeldParser):
    """That of a document is found by the document, so that nothing has to be asked of its patient."""

    _documents: frozenset[str] | None = None

    def _read_own(self, parameter: SearchParameter, modifier: str | None, values: Sequence[str]) -> None:
        super()._read_own(parameter, modifier, values)
        if parameter.name == "target":
            named = [_document_of(reference) for reference in self._references(values)]
        elif parameter.name == "_id":
            named = [read_provenance_id(one) for one in token_codes(values)]
        else:
            return
        if not any(named):
            return
        if not all(named):
            raise SearchProblem("value", f"{parameter.name}: search what is of documents by itself.")
        found = frozenset(one.entry_uuid for one in named if one is not None)
        self._documents = found if self._documents is None else self._documents & found
        self._every_version = True

    def _queries_by_id(self, groups: Sequence[Sequence[IdentifierToken]]) -> tuple[StoredQuery, ...] | None:
        if not self._documents:
            return None if self._documents is None else ()
        return (GetDocumentsAndAssociations(entry_uuids=tuple(sorted(self._documents))),)

    def _without_patient(self) -> str:
        return f"{super()._without_patient()}, unless target or _id names a document"


def _document_of(reference: str) -> DocumentId | None:
    """The document that `DocumentReference/id` or an id names; the ids of other resources are none of one."""
    return read_document_id(reference.removeprefix("DocumentReference/"))


def _code_token(value: str, terminology: Terminology) -> CodeToken:
    token = read_token(value)
    if token.system is None:
        return CodeToken(token.code, None)
    # elements of type code have no system of their own: their value set implies it
    return CodeToken(token.code, frozenset({scheme_of(token.system, terminology), IMPLIED}))


# --- values -----------------------------------------------------------------------------------------------
def _codes(expression: str, terminology: Terminology, held: HeldResource) -> tuple[Code, ...]:
    return with_synonyms(list(codes_in(values_at(held.resource, expression), terminology)))


def _interval(expression: str, zone: tzinfo, held: HeldResource) -> Interval | None:
    return interval_at(values_at(held.resource, expression), zone)


def _updated(held: HeldResource) -> Interval | None:
    return dtm_interval(held.updated)


def _has(expression: str, held: HeldResource) -> bool:
    return next(values_at(held.resource, expression), None) is not None


def _as_reference(value: Any) -> dict[str, Any] | None:
    """A Reference, or the one that an extension has as its value."""
    if not isinstance(value, dict):
        return None
    inner = value.get("valueReference")
    return inner if isinstance(inner, dict) else value


def _references(expression: str, held: HeldResource) -> Iterable[str]:
    for value in values_at(held.resource, expression):
        literal = reference_of(value)
        if literal is not None:
            yield literal
            yield literal.rpartition("/")[2]
