"""The XDS peers of the settings."""

from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository
from gateway.settings import PeerSettings, Settings
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract


def peer_of(name: str, settings: PeerSettings) -> Peer:
    """The SOAP client's view of a peer in the settings."""
    return Peer(
        name=name,
        url=settings.url,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        total_timeout=settings.total_timeout,
        max_in_flight=settings.max_in_flight,
        max_waiting=settings.max_waiting,
        max_answer_bytes=settings.max_answer_bytes,
        max_attempts=settings.max_attempts,
        circuit_threshold=settings.circuit_threshold,
        circuit_reset=settings.circuit_reset,
    )


def document_registry(settings: Settings, soap: SoapClient) -> DocumentRegistry:
    """The registry."""
    return DocumentRegistry(soap, peer_of("registry", settings.registry), settings.registry.quirks)


def document_repositories(settings: Settings, soap: SoapClient) -> dict[str, DocumentRepository]:
    """Every repository by its repositoryUniqueId."""
    contract = load_contract()
    return {
        r.unique_id: DocumentRepository(
            soap, contract, peer_of(f"repository {r.unique_id}", r), r.unique_id, r.quirks
        )
        for r in settings.repositories
    }
