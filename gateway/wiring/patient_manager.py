"""The patient manager of the own affinity domain, and what is known by it."""

from gateway.clients.fhir_server import FhirClient
from gateway.clients.patient_manager import ManagerRules, PatientManager
from gateway.correlation.managed_patients import ManagedPatientStore
from gateway.crossborder.domain_patients import DomainPatients
from gateway.crossborder.managed_patients import ManagedPatients
from gateway.crossborder.named_patients import AS_NAMED, NamedPatients, ResolvedPatients
from gateway.mhd.references import PatientReferences
from gateway.settings import Settings
from gateway.wiring.domain import fhir_server
from gateway.wiring.fhir import terminology
from gateway.wiring.reaching import Reaching
from gateway.wiring.tls import context_of

NAME = "patient manager"
"""What errors, logs and metrics call it."""


def patient_manager(settings: Settings, client: FhirClient) -> PatientManager | None:
    """The manager; None where the settings have none. Raises SettingsError where its key cannot be read."""
    section = settings.patient_manager
    if section is None:
        return None
    tls = context_of(section.tls or settings.security.tls)
    return PatientManager(
        client,
        fhir_server(section, NAME, "patient_manager", tls=tls),
        terminology(settings),
        ManagerRules(
            cross_references="PIXm" in section.speaks,
            demographics="PDQm" in section.speaks,
            known_as=section.known_as,
            by_get=section.search == "get",
            by_post=section.cross_reference == "post",
            most=section.max_results,
        ),
    )


def domain_patients(settings: Settings, parts: Reaching) -> DomainPatients | None:
    """Who patients of other domains are in the own one; None where there is no manager."""
    manager, section = patient_manager(settings, parts.fhir), settings.patient_manager
    if manager is None or section is None:
        return None
    return DomainPatients(
        manager,
        ManagedPatientStore(parts.store, section.lifetime, section.unknown_lifetime),
        terminology(settings),
        section.domain,
        settings.search.patient_authorities,
    )


def resolved_patients(
    settings: Settings, parts: Reaching, references: PatientReferences
) -> ResolvedPatients | None:
    """Who is meant by what searches name; None where there is no manager."""
    patients = domain_patients(settings, parts)
    if patients is None:
        return None
    return ResolvedPatients(patients, parts.communities, terminology(settings), references.of)


def named_patients(settings: Settings, parts: Reaching, references: PatientReferences) -> NamedPatients:
    """The same, or everybody as named."""
    return resolved_patients(settings, parts, references) or AS_NAMED


def managed_patients(settings: Settings, parts: Reaching, home: str) -> ManagedPatients | None:
    """Patients whom other communities may look for; None where there is no manager."""
    patients = domain_patients(settings, parts)
    return None if patients is None else ManagedPatients(patients, home)
