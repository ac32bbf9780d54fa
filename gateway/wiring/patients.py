"""Who answers for patients (ITI-78, ITI-119)."""

from gateway.correlation.patients import PatientStore
from gateway.crossborder.community_patients import CommunityPatients
from gateway.crossborder.identities import SharedOrDiscovered
from gateway.fhir.patient_search import PatientSearchContext
from gateway.mhd.find_patients import PatientFinder
from gateway.mhd.match_patients import PatientMatcher
from gateway.mhd.patient_records import PatientRecords
from gateway.mhd.references import PatientReferences
from gateway.model.releases import FhirRelease
from gateway.security.document_urls import PageTokens
from gateway.settings import Settings
from gateway.wiring.fhir import terminology
from gateway.wiring.parts import Parts
from gateway.wiring.resources import patient_directory


def patient_finder(
    settings: Settings, parts: Parts, references: PatientReferences, base_url: str, pages: str
) -> PatientFinder:
    """Searches and reads of Patient at one base; `pages` is what its page links are sealed for."""
    return PatientFinder(
        patient_records(settings, parts, references),
        patient_directory(settings, parts.imaging, references),
        patient_search_context(settings, parts),
        PageTokens(parts.ring, pages),
        base_url,
    )


def patient_matcher(
    settings: Settings, parts: Parts, references: PatientReferences, base_url: str, release: FhirRelease
) -> PatientMatcher:
    """`$match` at one base."""
    return PatientMatcher(
        patient_records(settings, parts, references),
        terminology(settings),
        parts.communities,
        base_url,
        release,
        graded=settings.search.match == "graded",
    )


def patient_records(settings: Settings, parts: Parts, references: PatientReferences) -> PatientRecords:
    """Who patients are, of every source."""
    lifetimes = settings.lifetimes
    store = PatientStore(parts.store, lifetimes.patient, lifetimes.unknown_patient)
    return PatientRecords(
        patient_directory(settings, parts.imaging, references),
        references,
        CommunityPatients(parts.communities, SharedOrDiscovered(store)),
        terminology(settings),
        asks_all=settings.fan_out.patients == "all",
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
