"""Images of a community at one of its locations, as XC-WADO names them (RAD-160; IHE RAD MADO): the gateway
as Initiating Imaging Gateway for its clients, and as Responding Imaging Gateway for other communities.

A manifest grants the images here as everywhere. Another community has it from this one's responding gateway,
so that this gateway need not have seen it: where that is enabled, images of the own community are given at
the location that is named, as for RAD-75.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson
from msgspec import Struct
from msgspec.structs import replace as changed

from gateway.clients.dicomweb import DicomWebSource, ImagePath
from gateway.fhir.issues import OutcomeError, fail
from gateway.fhir.target_communities import ReachedCommunities
from gateway.imaging.dicom_accept import DICOM_JSON
from gateway.imaging.grants import Grants
from gateway.imaging.plan import ImageSelection, Locations
from gateway.model import Cx
from gateway.model.errors import PeerProtocolError
from gateway.model.imaging import Instance, RetrieveLocation, RetrieveLocationUid, Series, Study
from gateway.model.oids import bare_oid
from gateway.security.access import is_limited

_SERIES_UID: Final = "0020000E"
_SOP_UID: Final = "00080018"
_MOST_BYTES: Final = 64 * 1024 * 1024
_TRANSACTION: Final = "RAD-107"


class Located(Struct, frozen=True):
    """What a path names; UIDs are bare, `home` is the OID of the community."""

    home: str
    location: str
    study: str
    series: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class LocatedImages:
    """Selections by community and location. With `responding` other communities are answered."""

    grants: Grants
    communities: ReachedCommunities
    locations: Locations
    responding: bool

    async def selection(self, wanted: Located, patient: Cx | None = None) -> ImageSelection:
        """The images. Raises OutcomeError 404, RegistryFailure and PeerError."""
        home = f"urn:oid:{wanted.home}"
        if not self.communities.is_known(home):
            raise fail(
                404,
                "not-found",
                f"{wanted.home} is not a community that this gateway reaches.",
                details_code="XDSUnknownCommunity",
            )
        is_own = home == self.communities.own_home
        try:
            granted = await self.grants.by_study(wanted.study, patient, home=home)
        except OutcomeError as error:
            if error.status != 404 or not (is_own and self._may_answer):
                raise
            return await self._at_location(wanted)
        there = granted.home_community_id
        if (there is not None and there != home) or (there is None and not is_own):
            raise self._nothing(wanted)
        series = tuple(s for s in granted.study.series if any(_is_at(p, wanted) for p in s.locations))
        if not series:
            raise self._nothing(wanted)
        at = tuple(changed(s, locations=tuple(p for p in s.locations if _is_at(p, wanted))) for s in series)
        return changed(granted, study=changed(granted.study, series=at))

    @property
    def _may_answer(self) -> bool:
        return self.responding and not is_limited()

    async def _at_location(self, wanted: Located) -> ImageSelection:
        place = RetrieveLocation(uid=RetrieveLocationUid(wanted.location))
        leg = self.locations.leg(place)
        if leg is None:
            raise self._nothing(wanted)
        if wanted.series is not None and wanted.instance is not None:
            listed = {wanted.series: [wanted.instance]}
        elif isinstance(leg, DicomWebSource):
            listed = await _instances(leg, wanted)
        else:
            raise fail(
                404,
                "not-found",
                "This gateway has seen no manifest of the study, and its source (RAD-69) lists nothing: ask "
                "for instances.",
            )
        if not listed:
            raise self._nothing(wanted)
        series = tuple(
            Series(uid, locations=(place,), instances=tuple(Instance(sop, "") for sop in sops))
            for uid, sops in listed.items()
        )
        return ImageSelection(Study(wanted.study, series=series), only_listed=True)

    def _nothing(self, wanted: Located) -> OutcomeError:
        return fail(404, "not-found", f"The study has no images at {wanted.location} of that community.")


def _is_at(place: RetrieveLocation, wanted: Located) -> bool:
    return place.uid is not None and bare_oid(place.uid) == wanted.location


async def _instances(source: DicomWebSource, wanted: Located) -> dict[str, list[str]]:
    """SOP Instance UIDs by series, as the archive says them. Raises PeerError."""
    path = ImagePath(wanted.study, wanted.series)
    # QIDO-RS says it in fewer bytes, yet not every archive of WADO-RS has it
    body = await _json(source, path, "/instances") or await _json(source, path, "/metadata")
    listed: dict[str, list[str]] = {}
    if body is None:
        return listed
    try:
        for item in orjson.loads(body):
            series = _value(item, _SERIES_UID) or wanted.series
            listed.setdefault(str(series), []).append(str(_value(item, _SOP_UID)))
    except (orjson.JSONDecodeError, TypeError, AttributeError, LookupError):
        raise PeerProtocolError(source.name, _TRANSACTION, "the list of instances is no DICOM JSON") from None
    return listed


async def _json(source: DicomWebSource, path: ImagePath, suffix: str) -> bytes | None:
    async with source.passed_through(path, suffix, DICOM_JSON) as answer:
        if answer.status != 200:
            return None
        body = bytearray()
        async for chunk in answer.chunks:
            body += chunk
            if len(body) > _MOST_BYTES:
                raise PeerProtocolError(source.name, _TRANSACTION, "the list of instances is too large")
        return bytes(body)


def _value(item: dict[str, Any], tag: str) -> str | None:
    values = item.get(tag, {}).get("Value")
    return values[0] if values else None
