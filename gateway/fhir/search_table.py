"""Tables of search parameters: what a resource type can be searched by (FHIR R4 search).

The parser, the filter and the CapabilityStatement read the same table, so that they cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.fhir.search_values import SearchProblem, shown
from gateway.model.codes import EXT_HOME_COMMUNITY, FHIR_SEARCH_PARAMETER, MHD_SEARCH_PARAMETER


class Kind(StrEnum):
    """FHIR type of a search parameter."""

    TOKEN = "token"  # noqa: S105 - the name of a FHIR type
    REFERENCE = "reference"
    STRING = "string"
    DATE = "date"
    URI = "uri"


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One row. `definition` is the canonical, None for a chained one; `slots` are what ITI-18 is asked."""

    name: str
    kind: Kind
    expression: str
    definition: str | None
    documentation: str
    modifiers: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    sortable: bool = False


CODED = frozenset({"not", "text", "missing"})
"""Modifiers of a coded element."""
DATED = frozenset({"missing"})
"""Modifiers of a date."""
NAMED = frozenset({"exact", "contains"})
"""Modifiers of a name."""

CONTROLS = frozenset(
    {
        "_count",
        "_elements",
        "_format",
        "_include",
        "_pretty",
        "_revinclude",
        "_sort",
        "_summary",
        "_total",
    }
)
"""Parameters that shape the answer and select nothing."""


class ParameterTable:
    """The search parameters of one resource type, or those that several have in common."""

    def __init__(
        self, resource: str, rows: Sequence[SearchParameter], *, resource_types: tuple[str, ...] = ()
    ) -> None:
        """`resource` is empty for a table of several types, which are `resource_types`."""
        self.resource = resource
        self.resource_types = resource_types or (resource,)
        """The types of the matches."""
        self.rows = tuple(rows)
        self._by_name: Mapping[str, SearchParameter] = MappingProxyType({row.name: row for row in rows})
        self._spellings: Mapping[str, tuple[SearchParameter, str | None]] = MappingProxyType(
            {
                alias: (
                    row,
                    "identifier" if "identifier" in row.modifiers and alias.endswith("identifier") else None,
                )
                for row in rows
                for alias in row.aliases
            }
        )

    def has(self, name: str) -> bool:
        """True where a row has the name."""
        return name in self._by_name

    def find(self, name: str) -> tuple[SearchParameter, str | None] | None:
        """Row and modifier of a parameter as a client writes it; None for one that is not in the table.

        Raises SearchProblem for a modifier that the row does not have, as FHIR asks.
        """
        if name in self._spellings:
            return self._spellings[name]
        if name in self._by_name:
            return self._by_name[name], None
        bare, _, modifier = name.rpartition(":")
        parameter = self._by_name.get(bare)
        if parameter is None and bare in self._spellings:
            parameter = self._spellings[bare][0]
        if parameter is None:
            return None
        if modifier not in parameter.modifiers:
            known = ", ".join(f":{m}" for m in sorted(parameter.modifiers)) or "none"
            raise SearchProblem(
                "not-supported",
                f"{shown(bare)}: the modifier :{shown(modifier)} is not supported; supported: {known}.",
            )
        return parameter, modifier

    def can_sort_by(self, name: str) -> bool:
        """True where `_sort` takes the name."""
        return name in self._by_name and self._by_name[name].sortable

    def sortable_names(self) -> list[str]:
        """Names that `_sort` takes."""
        return [row.name for row in self.rows if row.sortable]


def patient_parameters(resource: str) -> tuple[SearchParameter, ...]:
    """The ways to name the patient; IHE MHD names the first two."""
    return (
        SearchParameter(
            "patient",
            Kind.REFERENCE,
            f"{resource}.subject.where(resolve() is Patient)",
            FHIR_SEARCH_PARAMETER + "clinical-patient",
            "A Patient of this server. One patient per search.",
            aliases=("patient:Patient",),
        ),
        SearchParameter(
            "patient.identifier",
            Kind.TOKEN,
            f"{resource}.subject",
            None,
            "system|value of the patient in the affinity domain. One patient per search.",
            aliases=("patient:Patient.identifier", "patient:identifier"),
        ),
        SearchParameter(
            "subject",
            Kind.REFERENCE,
            f"{resource}.subject",
            f"{FHIR_SEARCH_PARAMETER}{resource}-subject",
            "The same as patient.",
            aliases=("subject:Patient",),
        ),
        SearchParameter(
            "subject.identifier",
            Kind.TOKEN,
            f"{resource}.subject",
            None,
            "The same as patient.identifier.",
            aliases=("subject:Patient.identifier", "subject:identifier"),
        ),
    )


def person_parameters(
    resource: str, element: str, whom: str, *, also: str | None = None
) -> tuple[SearchParameter, ...]:
    """Given and family name of `whom`, the persons of an element; `also` is another name of it."""
    return tuple(
        SearchParameter(
            f"{element}.{part}",
            Kind.STRING,
            f"{resource}.{element}",
            None,
            f"Start of {name} of {whom}, without regard to case and accents.",
            modifiers=NAMED,
            aliases=tuple(
                alias
                for spelling in (element, *((also,) if also else ()))
                for alias in (f"{spelling}.{part}", f"{spelling}:Practitioner.{part}")
                if alias != f"{element}.{part}"
            ),
        )
        for part, name in (("given", "a given name"), ("family", "the family name"))
    )


def identifier_parameters(resource: str, identifiers: str, updated: str) -> tuple[SearchParameter, ...]:
    """What names a single resource, and what every resource type has.

    `identifiers` is a FHIRPath, `updated` says what `_lastUpdated` is here.
    """
    return (
        SearchParameter(
            "identifier",
            Kind.TOKEN,
            identifiers,
            FHIR_SEARCH_PARAMETER + "clinical-identifier",
            "uniqueId or entryUUID; needs no patient.",
        ),
        SearchParameter(
            "_id",
            Kind.TOKEN,
            f"{resource}.id",
            FHIR_SEARCH_PARAMETER + "Resource-id",
            "The UUID of the entryUUID; needs no patient.",
            sortable=True,
        ),
        SearchParameter(
            "_lastUpdated",
            Kind.DATE,
            f"{resource}.meta.lastUpdated",
            FHIR_SEARCH_PARAMETER + "Resource-lastUpdated",
            updated,
            modifiers=DATED,
            sortable=True,
        ),
        SearchParameter(
            "targetCommunityIdList",
            Kind.URI,
            f"{resource}.extension('{EXT_HOME_COMMUNITY}').value.ofType(oid)",
            MHD_SEARCH_PARAMETER + "IHE-TargetCommunityIdList",
            "homeCommunityIds of the communities to search; all that the server reaches without it.",
        ),
    )
