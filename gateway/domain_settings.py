"""Settings of the own affinity domain: its registry and its repositories."""

from typing import Literal

from gateway.clients.quirks import RegistryQuirks, RepositoryQuirks
from gateway.setting_types import HttpUrl, Oid, PeerLimits


class PeerSettings(PeerLimits):
    """How to speak to one SOAP peer. Times in seconds."""

    url: HttpUrl


class RegistrySettings(PeerSettings):
    """The document registry."""

    quirks: RegistryQuirks = RegistryQuirks()


class RepositorySettings(PeerSettings):
    """A document repository and the repositoryUniqueId that leads to it."""

    unique_id: Oid
    limited_metadata: bool = False
    """True for an XDR recipient or XDM creator that takes metadata without what XDS requires: Minimal
    Bundles are then sent as they are, marked as limited."""
    does_not_take: tuple[Literal["folders", "replaces", "transforms", "appends", "signs"], ...] = ()
    """Folders and relations that it has no place for; `publish.not_taken` says what becomes of them."""
    quirks: RepositoryQuirks = RepositoryQuirks()
