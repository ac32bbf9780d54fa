"""Searches of resources that documents of a patient hold (FHIR R4 search): what all of them share.

The registry is asked for the patient's documents; whatever else is asked is compared with the resources.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway.fhir.matching import IdentifierToken, Registered, RelatedToken
from gateway.fhir.search_parser import SearchParser
from gateway.fhir.search_request import Search
from gateway.fhir.search_table import SearchParameter
from gateway.fhir.search_tokens import read_related
from gateway.fhir.search_values import SearchProblem, read_token, unescape
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Code, Cx, ReferenceId
from gateway.model.query import ANY_DOCUMENT, FindDocuments, StoredQuery

UID_SYSTEMS: Final = frozenset({None, codes.URI_SYSTEM, codes.DICOM_UID_SYSTEM})
"""Systems of tokens that are UIDs; None is no system."""


# --- criteria ---------------------------------------------------------------------------------------------
_R = TypeVar("_R", bound=Registered)


@dataclass(frozen=True, slots=True)
class HasAny(Generic[_R]):
    """One of the values that `read` gives is among `values`."""

    read: Callable[[_R], Iterable[str]]
    values: frozenset[str]

    def matches(self, item: _R) -> bool:
        """True where a value is as asked."""
        return not self.values.isdisjoint(self.read(item))


@dataclass(frozen=True, slots=True)
class IsNumbered(Generic[_R]):
    """One of the numbers that `read` gives, with its issuer, is asked for."""

    read: Callable[[_R], Iterable[ReferenceId]]
    tokens: tuple[RelatedToken, ...]

    def matches(self, item: _R) -> bool:
        """True where a number is as asked."""
        return any(token.fits(number) for number in self.read(item) for token in self.tokens)


# --- parser -----------------------------------------------------------------------------------------------
class PatientResourceParser(SearchParser[_R]):
    """What searches of resources that documents hold have in common: they start from the patient.

    `formats` are the formatCodes of the documents to look into; empty for all of them.
    """

    formats: tuple[Code, ...] = ()

    def _queries_by_id(self, groups: Sequence[Sequence[IdentifierToken]]) -> tuple[StoredQuery, ...] | None:
        return None

    def _queries_of_patient(
        self, patient: Cx, statuses: frozenset[AvailabilityStatus]
    ) -> tuple[StoredQuery, ...]:
        return (
            FindDocuments(
                patient_id=patient,
                status=tuple(statuses),
                format_code=self.formats,
                document_type=ANY_DOCUMENT,
            ),
        )

    def _without_patient(self) -> str:
        return f" to search {self._resource.table.resource} resources"

    def _wanted_statuses(self, *, needed: bool) -> frozenset[AvailabilityStatus] | None:
        return frozenset({AvailabilityStatus.APPROVED}) if self._statuses is None else self._statuses

    def _read(self, parameter: SearchParameter, modifier: str | None, values: list[str]) -> None:
        if parameter.name in ("_id", "identifier"):
            self._read_own(parameter, modifier, values)
        else:
            super()._read(parameter, modifier, values)

    def ids_of(self, name: str, resource_type: str, values: Sequence[str]) -> frozenset[str]:
        """Ids in references `Type/id`, `id` or an absolute URL of this server."""
        found = set()
        for value in values:
            reference = unescape(value.strip()).removeprefix(self._ctx.base_url + "/")
            kind, slash, number = reference.rpartition("/")
            if slash and kind != resource_type:
                raise SearchProblem("value", f"{name}: give {resource_type}/id of this server.")
            found.add(number)
        return frozenset(found)

    def numbers(self, name: str, values: Sequence[str]) -> tuple[RelatedToken, ...]:
        """Tokens of numbers with issuers; a URI that the settings do not map is an issuer as it stands."""
        tokens = []
        for value in values:
            token = read_token(value)
            system = token.system or ""
            known = self._ctx.terminology.authorities.oid_or_none(system) is not None
            if ":" in system and not known and system not in UID_SYSTEMS:
                tokens.append(RelatedToken(frozenset({token.code or ""} - {""}), frozenset({system})))
            else:
                tokens.append(read_related(value, name, self._ctx.terminology))
        return tuple(tokens)


def parsed(parser: PatientResourceParser[_R], parameters: Sequence[tuple[str, str]]) -> Search[_R]:
    """The search that parameters make. Raises OutcomeError 400 with every problem."""
    for name, value in parameters:
        parser.add(name, value)
    return parser.finish()


def token_codes(values: Sequence[str]) -> frozenset[str]:
    """What tokens ask for, without their systems."""
    return frozenset(read_token(value).code or "" for value in values)
