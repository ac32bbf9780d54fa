"""Images of another community by XC-WADO as Initiating Imaging Gateway (RAD-160; IHE RAD MADO): WADO-RS with
community and location in the path.
"""

from functools import lru_cache
from typing import Final

from gateway.clients.dicomweb import DicomWebClient, DicomWebSource
from gateway.clients.image_leg import ImageLeg
from gateway.model.imaging import RetrieveLocation
from gateway.model.oids import bare_oid, is_oid
from gateway.soap.client import Peer

_MOST_LOCATIONS: Final = 256
"""Whose legs are kept: that of a location is always the same, so that it is asked once for all."""


class CommunityWado:
    """The locations of one community, behind one service."""

    def __init__(self, client: DicomWebClient, peer: Peer, studies: str = "study") -> None:
        """`peer.url` is the base that `/homeCommunityId` follows; `studies` is what stands for `studies`."""
        self._client = client
        self._peer = peer
        self._studies = studies
        self._leg = lru_cache(maxsize=_MOST_LOCATIONS)(self._made)

    def leg(self, home_community_id: str, location: RetrieveLocation) -> ImageLeg | None:
        """See `CommunityLegs`. A location is named by its UID."""
        if location.uid is None:
            return None
        home, uid = bare_oid(home_community_id), bare_oid(location.uid)
        return self._leg(home, uid) if is_oid(home) and is_oid(uid) else None

    def _made(self, home: str, uid: str) -> ImageLeg:
        prefix = f"/homeCommunityId/{home}/RetrieveLocationUID/{uid}"
        return DicomWebSource(self._client, self._peer, prefix, self._studies)
