"""The XDS peers of the settings."""

from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository
from gateway.domain_settings import PeerSettings
from gateway.setting_types import PeerLimits
from gateway.settings import Settings, SettingsError
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.wiring.tls import client_tls


def peer_of(name: str, settings: PeerSettings) -> Peer:
    """The SOAP client's view of a peer in the settings."""
    return peer_at(settings.url, name, settings)


def peer_at(url: str, name: str, limits: PeerLimits, via: tuple[str, ...] = ()) -> Peer:
    """The same for one of several URLs with the same limits."""
    return Peer(
        name=name,
        url=url,
        connect_timeout=limits.connect_timeout,
        read_timeout=limits.read_timeout,
        total_timeout=limits.total_timeout,
        max_in_flight=limits.max_in_flight,
        max_waiting=limits.max_waiting,
        max_answer_bytes=limits.max_answer_bytes,
        max_attempts=limits.max_attempts,
        circuit_threshold=limits.circuit_threshold,
        circuit_reset=limits.circuit_reset,
        via=via,
        external=limits.external,
        assertion=limits.assertion,
        treatment=limits.treatment,
        audience=limits.audience,
        tls=None if limits.tls is None else client_tls(limits.tls),
    )


def document_registry(settings: Settings, soap: SoapClient) -> DocumentRegistry:
    """The registry. Raises SettingsError where the settings have none."""
    if settings.registry is None:
        raise SettingsError("registry: is not set")
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
