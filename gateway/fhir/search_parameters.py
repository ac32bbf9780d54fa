"""The search parameters of DocumentReference (ITI-67, IHE MHD 4.2.4 2:3.67.4.1.2; FHIR R4), as one table.

The parser, the filter and the CapabilityStatement read this table, so that they cannot disagree.
"""

from collections.abc import Iterable, Mapping
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


class Support(StrEnum):
    """FULL: the answer is exact. IGNORED: XDS has no such value (warning, or 400 in strict handling).

    REFUSED: leaving it out would change whom the search asks, so it is always an error.
    """

    FULL = "full"
    IGNORED = "ignored"
    REFUSED = "refused"


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
    support: Support = Support.FULL
    sortable: bool = False


_CODED = frozenset({"not", "text", "missing"})
_DATED = frozenset({"missing"})
_NAMED = frozenset({"exact", "contains"})


def _coded(
    name: str, expression: str, definition: str, slot: str, *, sortable: bool = True
) -> SearchParameter:
    return SearchParameter(
        name,
        Kind.TOKEN,
        expression,
        FHIR_SEARCH_PARAMETER + definition,
        f"Asked of the registry as $XDSDocumentEntry{slot} where system and code are given.",
        modifiers=_CODED,
        sortable=sortable,
    )


PARAMETERS: tuple[SearchParameter, ...] = (
    SearchParameter(
        "patient",
        Kind.REFERENCE,
        "DocumentReference.subject.where(resolve() is Patient)",
        FHIR_SEARCH_PARAMETER + "clinical-patient",
        "A Patient of this server. One patient per search.",
        aliases=("patient:Patient",),
    ),
    SearchParameter(
        "patient.identifier",
        Kind.TOKEN,
        "DocumentReference.subject",
        None,
        "system|value of the patient in the affinity domain. One patient per search.",
        aliases=("patient:Patient.identifier", "patient:identifier"),
    ),
    SearchParameter(
        "status",
        Kind.TOKEN,
        "DocumentReference.status",
        FHIR_SEARCH_PARAMETER + "DocumentReference-status",
        "current (Approved) or superseded (Deprecated).",
        modifiers=frozenset({"not", "missing"}),
        sortable=True,
    ),
    SearchParameter(
        "author.given",
        Kind.STRING,
        "DocumentReference.author",
        None,
        "Start of a given name of an author, without regard to case and accents.",
        modifiers=_NAMED,
        aliases=("author:Practitioner.given",),
    ),
    SearchParameter(
        "author.family",
        Kind.STRING,
        "DocumentReference.author",
        None,
        "Start of the family name of an author, without regard to case and accents.",
        modifiers=_NAMED,
        aliases=("author:Practitioner.family",),
    ),
    _coded("category", "DocumentReference.category", "DocumentReference-category", "ClassCode"),
    _coded("type", "DocumentReference.type", "clinical-type", "TypeCode"),
    _coded(
        "setting",
        "DocumentReference.context.practiceSetting",
        "DocumentReference-setting",
        "PracticeSettingCode",
    ),
    _coded(
        "facility",
        "DocumentReference.context.facilityType",
        "DocumentReference-facility",
        "HealthcareFacilityTypeCode",
    ),
    _coded("format", "DocumentReference.content.format", "DocumentReference-format", "FormatCode"),
    _coded(
        "event",
        "DocumentReference.context.event",
        "DocumentReference-event",
        "EventCodeList",
        sortable=False,
    ),
    _coded(
        "security-label",
        "DocumentReference.securityLabel",
        "DocumentReference-security-label",
        "ConfidentialityCode",
        sortable=False,
    ),
    SearchParameter(
        "creation",
        Kind.DATE,
        "DocumentReference.content.attachment.creation",
        MHD_SEARCH_PARAMETER + "DocumentReference-Creation",
        "Every prefix and precision. An On-Demand document has no creation time and does not match.",
        modifiers=_DATED,
        sortable=True,
    ),
    SearchParameter(
        "period",
        Kind.DATE,
        "DocumentReference.context.period",
        FHIR_SEARCH_PARAMETER + "DocumentReference-period",
        "Every prefix and precision, compared with the period as FHIR defines it.",
        modifiers=_DATED,
        sortable=True,
    ),
    SearchParameter(
        "date",
        Kind.DATE,
        "DocumentReference.date",
        FHIR_SEARCH_PARAMETER + "DocumentReference-date",
        "XDS has no such value: left out with a warning, refused with Prefer: handling=strict.",
        support=Support.IGNORED,
    ),
    SearchParameter(
        "related",
        Kind.REFERENCE,
        "DocumentReference.context.related",
        FHIR_SEARCH_PARAMETER + "DocumentReference-related",
        "related:identifier=system|value with an accession, a Study Instance UID or another id of "
        "referenceIdList. The registry needs the Reference ID option.",
        modifiers=frozenset({"identifier", "missing"}),
        aliases=("related.identifier",),
    ),
    SearchParameter(
        "identifier",
        Kind.TOKEN,
        "DocumentReference.masterIdentifier | DocumentReference.identifier",
        FHIR_SEARCH_PARAMETER + "clinical-identifier",
        "uniqueId or entryUUID; needs no patient.",
    ),
    SearchParameter(
        "_id",
        Kind.TOKEN,
        "DocumentReference.id",
        FHIR_SEARCH_PARAMETER + "Resource-id",
        "The UUID of the entryUUID; needs no patient.",
        sortable=True,
    ),
    SearchParameter(
        "_lastUpdated",
        Kind.DATE,
        "DocumentReference.meta.lastUpdated",
        FHIR_SEARCH_PARAMETER + "Resource-lastUpdated",
        "XDS has no such value: left out with a warning, refused with Prefer: handling=strict.",
        support=Support.IGNORED,
    ),
    SearchParameter(
        "targetCommunityIdList",
        Kind.URI,
        f"DocumentReference.extension('{EXT_HOME_COMMUNITY}').value.ofType(oid)",
        MHD_SEARCH_PARAMETER + "IHE-TargetCommunityIdList",
        "Documents of other communities are not reached: always refused.",
        support=Support.REFUSED,
    ),
)

BY_NAME: Mapping[str, SearchParameter] = MappingProxyType({p.name: p for p in PARAMETERS})
_SPELLINGS: Mapping[str, tuple[SearchParameter, str | None]] = MappingProxyType(
    {alias: (p, "identifier" if p.name == "related" else None) for p in PARAMETERS for alias in p.aliases}
)

CONTROLS = frozenset({"_count", "_format", "_pretty", "_sort", "_summary", "_total"})
"""Parameters that shape the answer and select nothing."""


def find_parameter(name: str) -> tuple[SearchParameter, str | None] | None:
    """Row and modifier of a parameter as a client writes it; None for a parameter that is not in the table.

    Raises SearchProblem for a modifier that the row does not have, as FHIR asks.
    """
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    if name in BY_NAME:
        return BY_NAME[name], None
    bare, _, modifier = name.rpartition(":")
    parameter = BY_NAME.get(bare) or (_SPELLINGS[bare][0] if bare in _SPELLINGS else None)
    if parameter is None:
        return None
    if modifier not in parameter.modifiers:
        known = ", ".join(f":{m}" for m in sorted(parameter.modifiers)) or "none"
        raise SearchProblem(
            "not-supported",
            f"{shown(bare)}: the modifier :{shown(modifier)} is not supported; supported: {known}.",
        )
    return parameter, modifier


def sortable_names(parameters: Iterable[SearchParameter] = PARAMETERS) -> list[str]:
    """Names that `_sort` takes."""
    return [p.name for p in parameters if p.sortable]
