"""The communities that this gateway reaches, as they are in the settings now.

Who holds a `Communities` sees a change of the settings with the next request; what is under way goes on with
what it began with.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.clients.community import Community
from gateway.clients.image_leg import ImageLeg
from gateway.clients.mhd_peer import MhdPeer
from gateway.clients.patient_discovery import PatientDiscovery
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.object_ids import community_mark


class CommunityLegs(Protocol):
    """The images of a community."""

    def leg(self, home_community_id: str, location: RetrieveLocation) -> ImageLeg | None:
        """The way to one of its locations; None where there is none."""


class CommunityImages:
    """The images of a community, as any other source of images: asked at once for all locations (RAD-75)."""

    def __init__(self, community: Community) -> None:
        self._community = community

    def leg(self, home_community_id: str, location: RetrieveLocation) -> ImageLeg | None:
        """See `CommunityLegs`. A location is named by its UID."""
        return self if location.uid is not None else None

    @property
    def name(self) -> str:
        """The name of the community."""
        return self._community.name

    @property
    def archive(self) -> ImageLeg | None:
        """What has its images, where it is one place that can be asked for more than images."""
        return self._community.archive if isinstance(self._community, MhdPeer) else None

    def retrieve(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[ImagePart | ImageError]]:
        """As `ImageLeg.retrieve`."""
        return self._community.images(wanted, transfer_syntaxes)


@dataclass(frozen=True, slots=True)
class Member:
    """One community: how it is asked, and what it is asked for.

    `homes` are its homeCommunityIds (`urn:oid:...`), `authorities` issue the patient identifiers that it
    knows as they are, `deadline` is in seconds. `discovery` finds its identifiers of other patients, `images`
    its images; None where it has no such service.
    """

    community: Community
    homes: tuple[str, ...]
    authorities: frozenset[str] = frozenset()
    deadline: float = 10.0
    discovery: PatientDiscovery | None = None
    images: CommunityLegs | None = None

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.community.name

    @property
    def home(self) -> str:
        """The first of its homeCommunityIds."""
        return self.homes[0]

    @property
    def label(self) -> str:
        """What warnings call it."""
        return f"{self.name} ({self.home})"


@dataclass(slots=True)
class Communities:
    """The own community (None where it has no homeCommunityId) and the others."""

    own_home: str | None = None
    members: tuple[Member, ...] = ()
    _by_home: dict[str, Member] = field(default_factory=dict, init=False)
    _homes_by_mark: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.change_to(self.members)

    def change_to(self, members: Iterable[Member]) -> None:
        """These communities from now on."""
        self.members = tuple(members)
        self._by_home = {home: member for member in self.members for home in member.homes}
        self._homes_by_mark = {community_mark(home): home for home in self._by_home}

    def of_home(self, home: str | None) -> Member | None:
        """The community with a homeCommunityId; None for the own one and for one that is not known."""
        return None if home is None else self._by_home.get(home)

    def home_of_mark(self, mark: str) -> str | None:
        """The homeCommunityId that the mark of an id stands for; None where it is not known."""
        return self._homes_by_mark.get(mark)

    def is_own(self, home: str | None) -> bool:
        """True for what no community, or the own one, is named by.

        Where the own community has no homeCommunityId in the settings, whatever is not another one's is its.
        """
        if home is None or home == self.own_home:
            return True
        return self.own_home is None and home not in self._by_home

    @property
    def homes(self) -> tuple[str, ...]:
        """The first homeCommunityId of each, the own one first."""
        own = () if self.own_home is None else (self.own_home,)
        return (*own, *(member.home for member in self.members))

    def all_homes(self) -> tuple[str, ...]:
        """Every homeCommunityId."""
        return tuple(self._by_home) if self.own_home is None else (self.own_home, *self._by_home)

    def is_known(self, home: str) -> bool:
        """True for a homeCommunityId that can be asked for."""
        return home == self.own_home or home in self._by_home
