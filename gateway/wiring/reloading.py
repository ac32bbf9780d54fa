"""SIGHUP: the communities of the settings, read again while the gateway runs."""

from collections.abc import Callable

import structlog

from gateway.crossborder.communities import Communities
from gateway.settings import Settings, SettingsError, load_settings
from gateway.wiring.communities import members
from gateway.wiring.domain import PeerClients

log = structlog.get_logger()


class CommunityReload:
    """Takes the communities of the settings as they are now; everything else waits for a restart.

    What is under way goes on with what it began with. Settings that cannot be used change nothing.
    """

    def __init__(
        self, communities: Communities, clients: PeerClients, load: Callable[[], Settings] = load_settings
    ) -> None:
        self._communities = communities
        self._clients = clients
        self._load = load

    def __call__(self) -> None:
        """Read and change."""
        try:
            settings = self._load()
            found = members(settings, self._clients)
        except SettingsError as error:
            log.error("communities.not_reloaded", problems=str(error).splitlines())
            return
        if settings.home_community_id != self._communities.own_home:
            log.error("communities.not_reloaded", problems=["home_community_id: changes with a restart only"])
            return
        before = {member.name for member in self._communities.members}
        self._communities.change_to(found)
        after = {member.name for member in self._communities.members}
        log.info(
            "communities.reloaded",
            communities=len(after),
            added=sorted(after - before),
            removed=sorted(before - after),
        )
