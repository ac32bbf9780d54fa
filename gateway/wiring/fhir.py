"""What the FHIR side of every use case needs: code systems, references to patients, rules of searches."""

from functools import partial

from gateway.crossborder.communities import Communities
from gateway.fhir.search_request import SearchContext
from gateway.fhir.terminology import Terminology
from gateway.mhd.references import PatientReferences
from gateway.security.patient_ids import PatientIds
from gateway.security.sealing import KeyRing
from gateway.settings import Settings

_DTM_DIGITS = {"year": 4, "month": 6, "day": 8, "hour": 10, "minute": 12, "second": 14}


def terminology(settings: Settings) -> Terminology:
    """Code systems and assigning authorities of the settings, over the built-in table."""
    return Terminology(settings.terminology.code_systems, settings.terminology.assigning_authorities)


def patient_references(
    ring: KeyRing, terms: Terminology, base_url: str, communities: Communities | None = None
) -> PatientReferences:
    """References to patients below `base_url`; `communities` are those whose patients have ids here."""

    def homes() -> tuple[str, ...]:
        return () if communities is None else tuple(member.home for member in communities.members)

    return PatientReferences(partial(PatientIds, ring), terms, base_url, homes)


def search_context(
    settings: Settings,
    terms: Terminology,
    references: PatientReferences,
    base_url: str,
    communities: Communities,
) -> SearchContext:
    """What searches may ask for."""
    return SearchContext(
        terminology=terms,
        base_url=base_url,
        patient_of=references.resolve,
        default_count=settings.search.default_count,
        max_count=settings.search.max_count,
        status_required=settings.search.status_required,
        coarsest_time=_DTM_DIGITS[settings.search.coarsest_time],
        communities=communities,
    )
