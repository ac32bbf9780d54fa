"""SIGHUP: the communities of the settings, read again while the gateway runs."""

from collections.abc import Callable

import structlog

from gateway.crossborder.communities import Communities
from gateway.settings import Settings, SettingsError, load_settings
from gateway.soap.client import SoapClient
from gateway.wiring.communities import members

log = structlog.get_logger()


class CommunityReload:
    """Takes the communities of the settings as they are now; everything else waits for a restart.

    What is under way goes on with what it began with. Settings that cannot be used change nothing.
    """

    def __init__(
        self, communities: Communities, soap: SoapClient, load: Callable[[], Settings] = load_settings
    ) -> None:
        self._communities = communities
        self._soap = soap
        self._load = load

    def __call__(self) -> None:
        """Read and change."""
        try:
            settings = self._load()
        except SettingsError as error:
            log.error("communities.not_reloaded", problems=str(error).splitlines())
            return
        if settings.home_community_id != self._communities.own_home:
            log.error("communities.not_reloaded", problems=["home_community_id: changes with a restart only"])
            return
        before = {member.name for member in self._communities.members}
        self._communities.change_to(members(settings, self._soap))
        after = {member.name for member in self._communities.members}
        log.info(
            "communities.reloaded",
            communities=len(after),
            added=sorted(after - before),
            removed=sorted(before - after),
        )
