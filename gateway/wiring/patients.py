"""Who answers for patients (ITI-78, ITI-119)."""

from gateway.fhir.patient_search import PatientSearchContext
from gateway.mhd.find_patients import PatientFinder
from gateway.mhd.patient_records import PatientRecords
from gateway.mhd.references import PatientReferences
from gateway.security.document_urls import PageTokens
from gateway.settings import Settings
from gateway.wiring.fhir import terminology
from gateway.wiring.parts import Parts
from gateway.wiring.resources import patient_directory


def patient_finder(
    settings: Settings, parts: Parts, references: PatientReferences, base_url: str, pages: str
) -> PatientFinder:
    """Searches and reads of Patient at one base; `pages` is what its page links are sealed for."""
    directory = patient_directory(settings, parts.imaging, references)
    return PatientFinder(
        PatientRecords(directory, references),
        directory,
        patient_search_context(settings, parts),
        PageTokens(parts.ring, pages),
        base_url,
    )


def patient_search_context(settings: Settings, parts: Parts) -> PatientSearchContext:
    """What searches of Patient may ask for."""
    own = {*settings.search.patient_authorities, *settings.terminology.assigning_authorities.values()}

    def domains() -> frozenset[str]:
        return frozenset(own).union(*(member.authorities for member in parts.communities.members))

    return PatientSearchContext(
        terminology(settings),
        settings.search.patient_authorities,
        settings.search.default_count,
        settings.search.max_count,
        domains,
        parts.communities,
    )
