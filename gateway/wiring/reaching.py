"""What reaching peers and communities needs of what lives as long as the gateway runs."""

from typing import Protocol

from gateway.correlation.store import CorrelationStore
from gateway.crossborder.communities import Communities
from gateway.soap.client import SoapClient


class Reaching(Protocol):
    """Some of the parts."""

    @property
    def soap(self) -> SoapClient:
        """The SOAP client."""

    @property
    def store(self) -> CorrelationStore:
        """The correlation store."""

    @property
    def communities(self) -> Communities:
        """The communities of the settings, as they are now."""
