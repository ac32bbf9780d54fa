"""The own domain and the communities of the settings, as one registry and one place of documents."""

from gateway.clients.community import DocumentPlaces, Queries
from gateway.clients.image_leg import ImageLeg
from gateway.correlation.patients import PatientStore
from gateway.crossborder.communities import Communities
from gateway.crossborder.community_documents import CommunityDocuments
from gateway.crossborder.fan_out import FanOutRegistry
from gateway.crossborder.identities import SharedOrDiscovered
from gateway.model.imaging import RetrieveLocation
from gateway.settings import Settings
from gateway.wiring.domain import own_documents, own_registry
from gateway.wiring.patient_manager import domain_patients
from gateway.wiring.reaching import Reaching


def every_registry(settings: Settings, parts: Reaching, own: Queries | None = None) -> Queries:
    """What answers stored queries: `own`, by default the registry, and the communities."""
    return FanOutRegistry(
        own or own_registry(settings, parts),
        parts.communities,
        patient_identities(settings, parts),
        deadline=settings.fan_out.deadline,
    )


def patient_identities(settings: Settings, parts: Reaching) -> SharedOrDiscovered:
    """Who patients are in other communities, and those of them here."""
    lifetimes = settings.lifetimes
    return SharedOrDiscovered(
        PatientStore(parts.store, lifetimes.patient, lifetimes.unknown_patient),
        domain_patients(settings, parts),
        unasked=settings.patient_discovery.remember == "always",
        domains=own_domains(settings),
    )


def own_domains(settings: Settings) -> frozenset[str]:
    """Assigning authorities of patient identifiers of the own domain, as far as the settings say them."""
    manager = settings.patient_manager
    said = (settings.patient_discovery.authority, manager.domain if manager is not None else None)
    return frozenset((*settings.search.patient_authorities, *(domain for domain in said if domain)))


def every_place(settings: Settings, parts: Reaching) -> DocumentPlaces:
    """What gives documents: the repositories and the communities."""
    communities = parts.communities

    def of_community(home: str) -> CommunityDocuments | None:
        member = communities.of_home(home)
        return None if member is None else CommunityDocuments(member)

    return DocumentPlaces(own_documents(settings, parts), of_community, communities.is_own)


class LegsOfCommunities:
    """What gives images of other communities."""

    def __init__(self, communities: Communities) -> None:
        self._communities = communities

    def is_own(self, home: str | None) -> bool:
        """See `CommunityLegs`."""
        return self._communities.is_own(home)

    def leg(self, home: str, location: RetrieveLocation) -> ImageLeg | None:
        """See `CommunityLegs`."""
        member = self._communities.of_home(home)
        return None if member is None or member.images is None else member.images.leg(home, location)
