"""Imaging Document Source: which of the requested instances are there (RAD-69; IHE RAD TF 4.69.4.1.3).

A request is right as a whole or in parts: what is there comes, and each instance that does not come has an
error with its SOP Instance UID as location. An instance is sent as it is stored or not at all, it is never
transcoded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.affinity.errors import Refusal, Refused, refused
from gateway.affinity.image_folder import ImageFolder, ImageIndex, StoredImage
from gateway.affinity.options import AffinityOptions
from gateway.model import ImageRequest, ImageSetRequest, RegistryError


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One instance of an answer, with what asked for it."""

    request: ImageRequest
    image: StoredImage


class ImagingSource:
    """The locations of one affinity domain, each a folder of DICOM files."""

    def __init__(self, options: AffinityOptions) -> None:
        """Raises NotADirectoryError where a folder is not there."""
        self._options = options
        self.locations: Mapping[str, ImageFolder] = {
            location.uid: ImageFolder(location.folder, options.seconds_between_looks)
            for location in options.image_locations
        }
        self._rad69 = {location.uid for location in options.image_locations if location.rad69}

    async def look(self) -> None:
        """Read what is there, so that the first request need not wait for it."""
        await asyncio.gather(*(folder.index() for folder in self.locations.values()))

    async def find(
        self, request: ImageSetRequest
    ) -> tuple[tuple[FoundImage, ...], tuple[RegistryError, ...]]:
        """Instances that are there, and an error for each that is not, in the order of the request."""
        uids = dict.fromkeys(str(image.location_uid) for image in request.images)
        asked = [uid for uid in uids if uid in self._rad69]
        indexes = dict(
            zip(asked, await asyncio.gather(*(self.locations[uid].index() for uid in asked)), strict=True)
        )
        return await asyncio.to_thread(self._find, request, indexes)

    def _find(
        self, request: ImageSetRequest, indexes: Mapping[str, ImageIndex]
    ) -> tuple[tuple[FoundImage, ...], tuple[RegistryError, ...]]:
        found: list[FoundImage] = []
        errors: list[RegistryError] = []
        for image in dict.fromkeys(request.images):
            try:
                stored = self._find_one(image, indexes, request.transfer_syntaxes)
                found.append(FoundImage(image, stored))
            except Refused as error:
                errors.extend(error.errors)
        return tuple(found), tuple(errors)

    def _find_one(
        self, wanted: ImageRequest, indexes: Mapping[str, ImageIndex], syntaxes: Sequence[str]
    ) -> StoredImage:
        uid = wanted.sop_instance_uid
        if self._options.is_foreign(wanted.home_community_id):
            raise refused(
                Refusal.UNKNOWN_COMMUNITY,
                "the homeCommunityId is not that of this source's community",
                uid,
            )
        index = indexes.get(wanted.location_uid)
        if index is None:
            raise refused(
                Refusal.UNKNOWN_REPOSITORY,
                "the RepositoryUniqueId is not the Retrieve Location UID of this source",
                uid,
            )
        image = index.images.get(uid)
        if image is None or not image.is_there:
            raise refused(Refusal.DOCUMENT_UNIQUE_ID, "the source has no instance of this UID", uid)
        header = image.header
        if header.study_instance_uid != wanted.study_instance_uid:
            raise refused(
                Refusal.DOCUMENT_UNIQUE_ID, "the instance is not one of the study of the StudyRequest", uid
            )
        if header.series_instance_uid != wanted.series_instance_uid:
            raise refused(
                Refusal.DOCUMENT_UNIQUE_ID, "the instance is not one of the series of the SeriesRequest", uid
            )
        if header.transfer_syntax not in syntaxes:
            raise refused(
                Refusal.REPOSITORY,
                f"urn:dicom:wado:0007: the instance is stored as {header.transfer_syntax} only, which the "
                "TransferSyntaxUIDList does not have",
                uid,
            )
        return image
