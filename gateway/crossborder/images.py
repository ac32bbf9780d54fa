"""Cross Gateway Retrieve Imaging Document Set of the Responding Imaging Gateway (RAD-75; IHE RAD TF 4.75):
answered by the imaging document sources of the own community.

A request leads to its sources by the Retrieve Location UIDs in it. The other community has them from a
manifest that it retrieved here, which this gateway need not have read.
"""

from collections.abc import Sequence

from msgspec import structs

from gateway.crossborder.own_community import OwnCommunity
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.imaging_retrieve import read_imaging_request
from gateway.imaging.grants import Grants
from gateway.imaging.plan import ImageSelection
from gateway.imaging.rad69_server import ImagingFacade, Outcome, failed, reply
from gateway.imaging.retrieve import ImageRetriever
from gateway.model import ImageRequest, ImageSetRequest, RegistryError
from gateway.model.imaging import Instance, RetrieveLocation, Series, Study
from gateway.security.access import is_limited
from gateway.soap.server import SoapReply, SoapRequest


class AtTheirLocations:
    """The images of a request at the locations that it names."""

    def __init__(self, grants: Grants) -> None:
        """`grants` know whose study it is, where that matters for who asks."""
        self._grants = grants

    async def of_images(self, images: Sequence[ImageRequest]) -> ImageSelection:
        """A study of these images alone. Raises as `Grants.by_study` where who asks may not see all."""
        if is_limited():
            await self._grants.by_study(images[0].study_instance_uid)
        series: dict[str, list[ImageRequest]] = {}
        for image in images:
            series.setdefault(image.series_instance_uid, []).append(image)
        study = Study(
            images[0].study_instance_uid,
            series=tuple(_series(uid, of_series) for uid, of_series in series.items()),
        )
        return ImageSelection(study, only_listed=True)


def _series(uid: str, images: Sequence[ImageRequest]) -> Series:
    locations = dict.fromkeys(image.location_uid for image in images)
    instances = dict.fromkeys(image.sop_instance_uid for image in images)
    return Series(
        uid,
        locations=tuple(RetrieveLocation(uid=location) for location in locations),
        instances=tuple(Instance(instance, "") for instance in instances),
    )


class CrossGatewayImages:
    """The handler."""

    def __init__(self, community: OwnCommunity, retriever: ImageRetriever, grants: Grants) -> None:
        self._community = community
        self._images = ImagingFacade(AtTheirLocations(grants), retriever, home_community_id=community.home)

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """Each image with its homeCommunityId; errors have it as location and name the image."""
        with self._community.answering(request):
            try:
                asked = read_imaging_request(request.body)
            except MetadataError as error:
                return failed(self._community.error(error.code, error.context))
            outcomes: dict[ImageRequest, Outcome] = {}
            for image in asked.images:
                refusal = self._community.refusal(image.home_community_id, "a DocumentRequest")
                if refusal is not None:
                    outcomes[image] = refusal
            admitted = tuple(image for image in asked.images if image not in outcomes)
            if admitted:
                wanted = ImageSetRequest(admitted, asked.transfer_syntaxes)
                outcomes |= await self._images.outcomes(wanted, request.spool)
        return reply({image: self._located(outcomes[image], image) for image in asked.images})

    def _located(self, outcome: Outcome, image: ImageRequest) -> Outcome:
        if not isinstance(outcome, RegistryError):
            return outcome
        text = f"{image.sop_instance_uid}: {outcome.context}"
        return structs.replace(outcome, context=text, location=self._community.home)
