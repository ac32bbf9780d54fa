"""Which instances of a study are asked for, and which ways lead to each series (DICOM PS3.18 10.4.1).

The manifest is what grants: an instance that it does not list is not there, whatever a source may hold
under that UID. A series may have several locations; all that can be reached are kept, in the order of the
manifest, and the next is tried where one fails.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace as changed

from gateway.clients.image_leg import ImageLeg
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation, RetrieveLocationUid, Series, Study
from gateway.model.oids import bare_oid


class NoSuchImage(LookupError):
    """The manifest lists no such series or instance; `level` says which."""

    def __init__(self, level: str) -> None:
        super().__init__(f"no such {level}")
        self.level = level


class ImageSelection(Struct, frozen=True):
    """A study, one of its series, or one instance. `home_community_id` is that of another community.

    `only_listed` says that what `study` lists is all that is wanted, whatever else its series may have.
    """

    study: Study
    series_uid: str | None = None
    sop_instance_uid: str | None = None
    home_community_id: str | None = None
    only_listed: bool = False


class CommunityLegs(Protocol):
    """The images of other communities."""

    def is_own(self, home: str | None) -> bool:
        """True for what is not another community's."""

    def leg(self, home: str, location: RetrieveLocation) -> ImageLeg | None:
        """The way to a location of a community; None where there is none."""


class Locations:
    """Where retrieve locations lead: the table of the settings first, then Retrieve URLs that are allowed."""

    def __init__(
        self,
        by_uid: Mapping[str, ImageLeg],
        by_url: Callable[[str], ImageLeg | None] = lambda url: None,
        communities: "CommunityLegs | None" = None,
        otherwise: ImageLeg | None = None,
    ) -> None:
        """Locations of other communities lead to these communities alone, which know them; `otherwise` leads
        to every own location that is not in the table and has a UID."""
        self._otherwise = otherwise
        self._by_uid = {bare_oid(uid): leg for uid, leg in by_uid.items()}
        self._by_url = by_url
        self._communities = communities

    def leg(self, location: RetrieveLocation, home_community_id: str | None = None) -> ImageLeg | None:
        """The way to a location of a community; None where it cannot be reached from here."""
        if self._communities is not None and not self._communities.is_own(home_community_id):
            return None if home_community_id is None else self._communities.leg(home_community_id, location)
        if location.uid is not None:
            found = self._by_uid.get(bare_oid(location.uid))
            if found is None:
                found = self._otherwise
            if found is not None:
                return found
        return self._by_url(location.url) if location.url else None

    @property
    def uids(self) -> Iterable[RetrieveLocationUid]:
        """The locations of the table."""
        return map(RetrieveLocationUid, self._by_uid)


@dataclass(frozen=True, slots=True)
class Way:
    """One series, the instances wanted of it, and the legs that lead to it, the first being tried next."""

    wanted: SeriesWanted
    legs: tuple[tuple[RetrieveLocation, ImageLeg], ...]

    @property
    def leg(self) -> ImageLeg:
        """What is tried next."""
        return self.legs[0][1]

    def request(self) -> SeriesWanted:
        """What the leg is asked for."""
        return changed(self.wanted, location=self.legs[0][0])

    def further(self, left: Iterable[str]) -> "Way | None":
        """The same by the next location, for the instances that are left; None where there is no other."""
        wanted = changed(self.wanted, sop_instance_uids=tuple(left), whole=False)
        return replace(self, wanted=wanted, legs=self.legs[1:]) if self.legs[1:] else None


def plan(selection: ImageSelection, locations: Locations) -> tuple[list[Way], list[SeriesWanted]]:
    """Ways to all that is selected, in the order of the manifest, and the series that none leads to.

    Raises NoSuchImage.
    """
    ways: list[Way] = []
    unreachable: list[SeriesWanted] = []
    for series in _selected(selection):
        wanted = _wanted(selection, series)
        legs = tuple(
            (location, leg)
            for location in series.locations
            if (leg := locations.leg(location, selection.home_community_id)) is not None
        )
        if legs:
            ways.append(Way(wanted, legs))
        else:
            unreachable.append(wanted)
    return ways, unreachable


def by_leg(ways: Sequence[Way]) -> list[list[Way]]:
    """The ways of each leg together, so that a source is asked once for all that it has."""
    groups: dict[int, list[Way]] = {}
    for way in ways:
        groups.setdefault(id(way.leg), []).append(way)
    return list(groups.values())


def by_run(ways: Sequence[Way]) -> list[list[Way]]:
    """The same, but only neighbours together: the order of the manifest is kept."""
    runs: list[list[Way]] = []
    for way in ways:
        if runs and runs[-1][0].leg is way.leg:
            runs[-1].append(way)
        else:
            runs.append([way])
    return runs


def _selected(selection: ImageSelection) -> Sequence[Series]:
    every = selection.study.series
    if selection.series_uid is None:
        return every
    found = [s for s in every if s.series_instance_uid == selection.series_uid]
    if not found:
        raise NoSuchImage("series")
    return found


def _wanted(selection: ImageSelection, series: Series) -> SeriesWanted:
    listed = tuple(dict.fromkeys(i.sop_instance_uid for i in series.instances))
    one = selection.sop_instance_uid
    if one is not None and one not in listed:
        raise NoSuchImage("instance")
    return SeriesWanted(
        study_instance_uid=selection.study.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        sop_instance_uids=listed if one is None else (one,),
        location=RetrieveLocation(),
        home_community_id=selection.home_community_id,
        whole=one is None and not selection.only_listed,
    )
