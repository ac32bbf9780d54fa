"""Ways to documents and to images: which leg each is, and whether it gives what it should."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.clients.community import DocumentPlaces, Documents
from gateway.clients.dicomweb import DicomWebSource
from gateway.clients.image_leg import ImageLeg
from gateway.clients.mhd_peer import MhdPeer
from gateway.clients.repository import WholeDocument
from gateway.crossborder.communities import Communities
from gateway.imaging.plan import Locations
from gateway.imaging.retrieve import MISSING
from gateway.model import DocumentEntry, DocumentRequest, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation, Series, Study
from gateway.trace.findings import Way


@dataclass(frozen=True, slots=True)
class Ways:
    """Over the repositories, sources of images and communities of the settings.

    `registry` is who answers for the own community. Documents of more than `max_bytes` are not fetched.
    `circuits` gives the state of each by peer and transaction (`registry ITI-18`), those that were called.
    """

    registry: Way
    places: DocumentPlaces
    locations: Locations
    communities: Communities
    max_bytes: int
    circuits: Callable[[], Mapping[str, str]] = dict

    def registered(self, home: str | None) -> Way:
        """Who says that a document is in a community."""
        member = self.communities.of_home(home)
        if member is None:
            return self.registry
        transaction = "ITI-67" if isinstance(member.community, MhdPeer) else "ITI-38"
        return Way(transaction=transaction, peer=member.name, tried=True)

    # --- documents ----------------------------------------------------------------------------------------
    def document(self, entry: DocumentEntry) -> Way:
        """The way to a document, which is not tried."""
        return self._document(entry)[0]

    async def fetched(self, entry: DocumentEntry) -> tuple[Way, bytes | None]:
        """The way to a document, and what it gives."""
        way, place, request = self._document(entry)
        if place is None or request is None:
            return way, None
        failure: str | None = None
        content: bytes | None = None
        async with aclosing(place.retrieve_many([request], max_bytes=self.max_bytes)) as found:
            async for _, outcome in found:
                if isinstance(outcome, WholeDocument):
                    content, failure = outcome.content, _difference(entry, outcome.content)
                else:
                    failure = problem_of(outcome)
        return tried(way, failure), content

    def _document(self, entry: DocumentEntry) -> tuple[Way, Documents | None, DocumentRequest | None]:
        home = entry.home_community_id
        unique_id = self.places.repository_of(home, entry.repository_unique_id)
        place = self.places.of(home, unique_id)
        if place is None or unique_id is None:
            problem = f"repository {unique_id or '(not said by the registry)'} is not in the settings"
            return Way(transaction="", peer="no way to the document", problem=problem), None, None
        member = self.communities.of_home(home)
        if isinstance(place if member is None else member.community, MhdPeer):
            transaction = "ITI-68"
        else:
            transaction = "ITI-43" if member is None else "ITI-39"
        request = DocumentRequest(unique_id, entry.unique_id, home)
        return self._untried(transaction, place.name), place, request

    # --- images -------------------------------------------------------------------------------------------
    async def of_series(
        self, study: Study, series: Series, home: str | None, *, try_each: bool
    ) -> tuple[Way, ...]:
        """The ways to a series, one for each of its locations; `try_each` fetches an image by each."""
        ways = [await self._images(study, series, place, home, try_each) for place in series.locations]
        nowhere = Way(transaction="", peer="no way to the images", problem="the manifest says no location")
        return tuple(ways) or (nowhere,)

    async def _images(
        self, study: Study, series: Series, place: RetrieveLocation, home: str | None, try_it: bool
    ) -> Way:
        named = place.uid or place.url
        leg = self.locations.leg(place, home)
        if leg is None:
            problem = self._why_no_leg(place, home)
            return Way(transaction="", peer="no way to the images", problem=problem, location=named)
        way = self._untried(self._of_images(leg, home), leg.name, named)
        if not try_it or not series.instances:
            return way
        wanted = SeriesWanted(
            study_instance_uid=study.study_instance_uid,
            series_instance_uid=series.series_instance_uid,
            sop_instance_uids=(series.instances[0].sop_instance_uid,),
            location=place,
            home_community_id=None if self.communities.is_own(home) else home,
        )
        return tried(way, await _problem_of_leg(leg, [wanted]))

    def _untried(self, transaction: str, peer: str, location: str | None = None) -> Way:
        # all calls of DICOMweb are of one lane
        names = (f"{peer} {transaction}", f"{peer} RAD-107")
        states = self.circuits()
        state = next((states[name] for name in names if name in states), "closed")
        circuit = None if state == "closed" else state
        return Way(transaction=transaction, peer=peer, location=location, circuit=circuit)

    def _of_images(self, leg: ImageLeg, home: str | None) -> str:
        if self.communities.is_own(home):
            return "RAD-107" if isinstance(leg, DicomWebSource) else "RAD-69"
        if isinstance(leg, DicomWebSource):
            return "RAD-160"
        member = self.communities.of_home(home)
        return "RAD-107" if member is not None and isinstance(member.community, MhdPeer) else "RAD-75"

    def _why_no_leg(self, place: RetrieveLocation, home: str | None) -> str:
        if self.communities.is_own(home):
            where = place.uid or place.url
            return (
                f"location {where} is neither in imaging.locations nor allowed by imaging.retrieve_url_hosts"
            )
        if self.communities.of_home(home) is None:
            return f"community {home} is not in the settings"
        return "the settings of the community say no way to images, or the manifest names no location UID"


def tried(way: Way, problem: str | None) -> Way:
    """The same way, after somebody was asked."""
    return Way(transaction=way.transaction, peer=way.peer, tried=True, problem=problem, location=way.location)


def problem_of(error: PeerError | RegistryFailure) -> str:
    """Why a peer does not give what it should; nothing of what it quotes."""
    if isinstance(error, PeerError):
        return error.detail
    return ", ".join(dict.fromkeys(each.code for each in error.errors)) or "Failure without a code"


async def _problem_of_leg(leg: ImageLeg, wanted: Sequence[SeriesWanted]) -> str | None:
    problem: str | None = "it gives no image"
    try:
        async with leg.retrieve(wanted, ()) as items:
            async for item in items:
                if isinstance(item, ImageError):
                    problem = "it does not have the image" if item.code == MISSING else item.code
                    continue
                async for _ in item.chunks:
                    problem = None
                break
    except (PeerError, RegistryFailure) as error:
        problem = problem_of(error)
    return problem


def _difference(entry: DocumentEntry, content: bytes) -> str | None:
    if entry.size is not None and entry.size != len(content):
        return f"it gives {len(content)} bytes, {entry.size} are registered"
    # the hash of the standard is SHA-1
    if entry.hash and hashlib.sha1(content, usedforsecurity=False).hexdigest() != entry.hash:
        return "it gives another document than the one that is registered (SHA-1)"
    return None
