"""What reaching peers and communities needs of what lives as long as the gateway runs."""

from typing import Protocol

from gateway.correlation.store import CorrelationStore
from gateway.crossborder.communities import Communities
from gateway.wiring.domain import PeerClients


class Reaching(PeerClients, Protocol):
    """Some of the parts."""

    @property
    def store(self) -> CorrelationStore:
        """The correlation store."""

    @property
    def communities(self) -> Communities:
        """The communities of the settings, as they are now."""
