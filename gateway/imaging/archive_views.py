"""Metadata and rendered images (DICOM PS3.18 10.4.1.1.2, 10.4.1.1.3), where the archive behind gives them.

RAD-69 has neither, so series behind it are left out, which the answer says. Nothing of an archive's own
addresses goes out: bulk data references are dropped and retrieve URLs are the gateway's.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from gateway.clients.dicomweb import DicomWebSource, ImagePath, PassedThrough
from gateway.crossborder.communities import CommunityImages
from gateway.fhir.issues import OutcomeError, fail
from gateway.imaging.dicom_accept import DICOM_JSON
from gateway.imaging.plan import ImageSelection, Locations, Way, plan
from gateway.model.errors import PeerError, PeerProtocolError

_RETRIEVE_URL: Final = "00081190"
_SOP_UID: Final = "00080018"
_OPTIONS: Final = ("viewport", "window", "quality", "annotation", "iccprofile")
_TRANSACTION: Final = "RAD-107"
_SMALL: Final = "image/jpeg, image/png;q=0.9"


class ArchiveViews:
    """What only DICOMweb archives can answer."""

    def __init__(self, locations: Locations, *, max_bytes: int) -> None:
        """`max_bytes` bounds the metadata of one series."""
        self._locations = locations
        self._max_bytes = max_bytes

    async def metadata(self, selection: ImageSelection, address: str) -> tuple[bytes, str | None]:
        """DICOM JSON of all that is selected, and a warning where some of it is missing.

        `address` is the URL of what is selected. Raises NoSuchImage, OutcomeError and PeerError.
        """
        ways, unreachable = plan(selection, self._locations)
        found: list[dict[str, Any]] = []
        failure: PeerError | None = None
        left_out = len(unreachable)
        for way in ways:
            source = _archive(way)
            try:
                some = None if source is None else await self._of_series(source, selection, way)
            except PeerError as error:
                failure, some = error, None
            if some is None:
                left_out += 1
            else:
                found += some
        if not found:
            if failure is not None:
                raise failure
            raise fail(
                501,
                "not-supported",
                "The sources of these images give no metadata (RAD-69 has none). Retrieve the instances.",
            )
        for instance in found:
            _clean(instance)
            instance[_RETRIEVE_URL] = {"vr": "UR", "Value": [address]}
        warning = f'299 - "metadata of {left_out} series cannot be had"' if left_out else None
        return orjson.dumps(found), warning

    @asynccontextmanager
    async def rendered(
        self, selection: ImageSelection, query: Mapping[str, str], accept: str, view_of: str = "/rendered"
    ) -> AsyncIterator[PassedThrough]:
        """A picture of one instance. Raises NoSuchImage, OutcomeError and PeerError."""
        ways, _ = plan(selection, self._locations)
        source = next((s for way in ways if (s := _archive(way)) is not None), None)
        if source is None:
            raise fail(
                501,
                "not-supported",
                "The source of this image renders nothing (RAD-69 cannot). Retrieve the instance.",
            )
        options = urlencode({name: query[name] for name in _OPTIONS if name in query})
        path = ImagePath(selection.study.study_instance_uid, selection.series_uid, selection.sop_instance_uid)
        suffix = view_of + (f"?{options}" if options else "")
        async with source.passed_through(path, suffix, accept) as view:
            if view.status == 406:
                raise fail(406, "not-supported", "The archive renders in none of the types of Accept.")
            if view.status != 200:
                raise fail(404, "not-found", "The archive gives no picture of this instance.")
            yield view

    @asynccontextmanager
    async def thumbnail(self, selection: ImageSelection, pixels: int) -> AsyncIterator[PassedThrough]:
        """A small picture of one instance: rendered, else the thumbnail that an archive has (PS3.18
        10.4.1.1.3, 10.4.1.1.5). Raises the same as `rendered`."""
        query = {"viewport": f"{pixels},{pixels}"}
        async with AsyncExitStack() as stack:
            try:
                view = await stack.enter_async_context(self.rendered(selection, query, _SMALL))
            except OutcomeError as error:
                if error.status != 404:
                    raise
                other = self.rendered(selection, query, _SMALL, "/thumbnail")
                view = await stack.enter_async_context(other)
            yield view

    async def _of_series(
        self, source: DicomWebSource, selection: ImageSelection, way: Way
    ) -> list[dict[str, Any]] | None:
        wanted = way.wanted
        path = ImagePath(wanted.study_instance_uid, wanted.series_instance_uid, selection.sop_instance_uid)
        async with source.passed_through(path, "/metadata", DICOM_JSON) as view:
            if view.status not in {200, 206}:
                return None
            body = bytearray()
            async for chunk in view.chunks:
                body += chunk
                if len(body) > self._max_bytes:
                    raise PeerProtocolError(source.name, _TRANSACTION, "the metadata are too large")
        try:
            instances = orjson.loads(body)
            listed = set(wanted.sop_instance_uids)
            return [i for i in instances if wanted.whole or _value(i, _SOP_UID) in listed]
        except (orjson.JSONDecodeError, TypeError, AttributeError, LookupError):
            raise PeerProtocolError(source.name, _TRANSACTION, "the metadata are no DICOM JSON") from None


def _archive(way: Way) -> DicomWebSource | None:
    """The first of the legs that is an archive, or that leads to the one of a community."""
    legs = (leg.archive if isinstance(leg, CommunityImages) else leg for _, leg in way.legs)
    return next((leg for leg in legs if isinstance(leg, DicomWebSource)), None)


def _value(instance: dict[str, Any], tag: str) -> object:
    return (instance.get(tag, {}).get("Value") or [None])[0]


def _clean(item: dict[str, Any]) -> None:
    """Drop references to bulk data, at any depth."""
    for tag, element in list(item.items()):
        if not isinstance(element, dict):
            del item[tag]
            continue
        element.pop("BulkDataURI", None)
        for value in element.get("Value") or ():
            if element.get("vr") == "SQ" and isinstance(value, dict):
                _clean(value)
