"""Is a request of another community one for this community? (ITI TF-2 3.38.4.1.3, 3.39.4.1.3)

Nothing is passed on: what is for another community is refused, and so is a request that has been here before.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from gateway.model import RegistryError
from gateway.soap.envelope import SoapFault
from gateway.soap.server import SoapRequest
from gateway.soap.via import answering, read_via

MISSING_HOME: Final = "XDSMissingHomeCommunityId"
UNKNOWN_COMMUNITY: Final = "XDSUnknownCommunity"


class OwnCommunity:
    """The community that this gateway answers for. `home` is `urn:oid:...`."""

    def __init__(self, home: str) -> None:
        self.home = home

    @contextmanager
    def answering(self, request: SoapRequest) -> Iterator[None]:
        """Answer the request in here. Raises SoapFault for one that has come through this community."""
        communities = read_via(request.header)
        if self.home in communities:
            raise SoapFault(
                "Sender",
                "the request has come back to a community that it came through; gateways on its way send "
                "requests for others in a circle",
            )
        with answering((*communities, self.home)):
            yield

    def refusal(self, home: str | None, what: str) -> RegistryError | None:
        """Why something with (or without) a homeCommunityId is not for this community; None where it is."""
        if home is None:
            return self.error(MISSING_HOME, f"{what} has to name the homeCommunityId that it is for")
        if home != self.home:
            return self.error(UNKNOWN_COMMUNITY, f"{what} is for another community than this one")
        return None

    def error(self, code: str, context: str) -> RegistryError:
        """An error of this community."""
        return RegistryError(code, context, location=self.home)

    def targeted(self, communities: Sequence[str]) -> bool:
        """True where a list of target communities is empty or has this one."""
        return not communities or self.home in communities
