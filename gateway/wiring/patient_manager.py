"""The patient manager of the own affinity domain."""

from gateway.clients.fhir_server import FhirClient
from gateway.clients.patient_manager import ManagerRules, PatientManager
from gateway.settings import Settings
from gateway.wiring.domain import fhir_server
from gateway.wiring.fhir import terminology
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
