"""Who answers for patients (ITI-78, ITI-119)."""

from typing import Final

from gateway.clients.fhir_server import FhirClient
from gateway.clients.patient_manager import ManagerRules, PatientManager
from gateway.crossborder.community_patients import CommunityPatients
from gateway.fhir.patient_search import PatientSearchContext
from gateway.mhd.find_patients import PatientFinder
from gateway.mhd.managed_records import ManagedRecords
from gateway.mhd.match_patients import PatientMatcher
from gateway.mhd.patient_records import PatientRecords
from gateway.mhd.references import PatientReferences
from gateway.mhd_settings import MhdServerSettings
from gateway.model.releases import FhirRelease
from gateway.security.document_urls import PageTokens
from gateway.settings import Settings
from gateway.wiring.domain import PeerClients, fhir_server
from gateway.wiring.fan_out import own_domains, patient_identities
from gateway.wiring.fhir import terminology
from gateway.wiring.parts import Parts
from gateway.wiring.patient_manager import patient_manager
from gateway.wiring.resources import patient_directory
from gateway.wiring.tls import context_of

_MOST_PATIENTS: Final = 200
"""Of one search at the MHD server that is the own domain."""


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
    return PatientRecords(
        patient_directory(settings, parts.imaging, references),
        references,
        CommunityPatients(parts.communities, patient_identities(settings, parts)),
        terminology(settings),
        managed_records(settings, parts, references),
        asks_all=settings.fan_out.patients == "all",
    )


def managed_records(
    settings: Settings, parts: PeerClients, references: PatientReferences
) -> ManagedRecords | None:
    """Patients as the patient manager has them, or the MHD server that is the own domain; None where neither
    answers searches of Patient. Raises SettingsError where a key cannot be read."""
    manager, domains = patient_manager(settings, parts.fhir), settings.search.patient_authorities
    if settings.patient_manager is not None:
        domains = (settings.patient_manager.domain, *domains)
    elif settings.mhd_domain is not None and settings.mhd_domain.patients:
        manager = _patients_of_domain(settings, settings.mhd_domain, parts.fhir)
    if manager is None or not manager.rules.demographics:
        return None
    return ManagedRecords(manager, terminology(settings), references.logical_id, domains)


def patient_search_context(settings: Settings, parts: Parts) -> PatientSearchContext:
    """What searches of Patient may ask for."""
    own = own_domains(settings).union(settings.terminology.assigning_authorities.values())

    def domains() -> frozenset[str]:
        return own.union(*(member.authorities for member in parts.communities.members))

    return PatientSearchContext(
        terminology(settings),
        settings.search.patient_authorities,
        settings.search.default_count,
        settings.search.max_count,
        domains,
        parts.communities,
    )


def _patients_of_domain(settings: Settings, server: MhdServerSettings, client: FhirClient) -> PatientManager:
    """The MHD server that is the own domain, as a server of patients."""
    tls = context_of(server.tls or settings.security.tls)
    return PatientManager(
        client,
        fhir_server(server, "mhd domain", "mhd_domain", tls=tls),
        terminology(settings),
        ManagerRules(cross_references=False, by_get=server.search == "get", most=_MOST_PATIENTS),
    )
