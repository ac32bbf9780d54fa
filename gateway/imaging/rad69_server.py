"""Retrieve Imaging Document Set for consumers that speak nothing else (RAD-69; IHE RAD TF 4.69), answered
from whatever sources the locations lead to.

An image is given because a manifest that this gateway has seen lists it at the location that is asked, as for
WADO-RS. The answer begins with what became of each image, which is known only when the last source has
answered: meanwhile the images wait in files, so that memory does not grow with them, and the room for those
files is bounded (XDSRepositoryOutOfResources). Whoever wants images before the last of them has come asks for
fewer at once, or by WADO-RS.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final, Protocol

import structlog
from msgspec.structs import replace as changed

from gateway.chunks import Chunk
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.imaging_retrieve import read_imaging_request
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref, write_retrieve_response
from gateway.fhir.issues import OutcomeError
from gateway.imaging.plan import ImageSelection
from gateway.imaging.retrieve import FAILED as SOURCE_FAILED
from gateway.imaging.retrieve import (
    MISSING,
    OTHER_SYNTAX,
    UNREACHABLE,
    ImageRetriever,
    IncompleteImages,
    NoImages,
)
from gateway.model import (
    DocumentHeader,
    ImageRequest,
    ImageSetRequest,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
)
from gateway.model.errors import PeerBusy, PeerError
from gateway.model.images import ImageError
from gateway.model.imaging import RetrieveLocation, Series, Study
from gateway.model.oids import bare_oid
from gateway.soap.mtom import href_of_cid
from gateway.soap.outgoing import Attachment
from gateway.soap.server import Handler, SoapReply, SoapRequest
from gateway.soap.spool import RequestSpool, SpooledPart, SpoolFull

DICOM: Final = "application/dicom"
NOT_FOUND: Final = "XDSDocumentUniqueIdError"
UNKNOWN_LOCATION: Final = "XDSUnknownRepositoryId"
UNKNOWN_COMMUNITY: Final = "XDSUnknownCommunity"
FAILED: Final = "XDSRepositoryError"
BUSY: Final = "XDSRepositoryBusy"
OUT_OF_RESOURCES: Final = "XDSRepositoryOutOfResources"
_SYNTAX_CODES: Final = frozenset({OTHER_SYNTAX, "HTTP 406", "urn:dicom:wado:0007"})
_NOT_FOUND_CODES: Final = frozenset({MISSING, NOT_FOUND, "XDSMissingDocument", "HTTP 404", "HTTP 410"})

Outcome = SpooledPart | RegistryError

log = structlog.get_logger()


class ImageGrants(Protocol):
    """Says which images of a study may be given, and where they are."""

    async def of_images(self, images: Sequence[ImageRequest]) -> ImageSelection:
        """The study of the images, which are all of one. Raises OutcomeError, RegistryFailure, PeerError."""


class ImagingFacade:
    """The gateway as imaging document source."""

    def __init__(
        self, grants: ImageGrants, retriever: ImageRetriever, *, home_community_id: str | None = None
    ) -> None:
        self._grants = grants
        self._retriever = retriever
        self._home = home_community_id

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by transaction id."""
        return {"RAD-69": self.retrieve}

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """What is there, and an error for each image that is not."""
        try:
            asked = read_imaging_request(request.body)
        except MetadataError as error:
            return failed(RegistryError(error.code, error.context))
        return reply(await self.outcomes(asked, request.spool))

    async def outcomes(self, asked: ImageSetRequest, spool: RequestSpool) -> dict[ImageRequest, Outcome]:
        """What becomes of each image, in the order of the request; the images wait in `spool`."""
        outcomes: dict[ImageRequest, Outcome] = dict.fromkeys(asked.images, _missing(""))
        by_study: dict[str, list[ImageRequest]] = {}
        for image in outcomes:
            by_study.setdefault(image.study_instance_uid, []).append(image)
        for images in by_study.values():
            study = _StudyRequest(images, asked.transfer_syntaxes, spool)
            outcomes |= await self._of_study(study)
        return outcomes

    async def _of_study(self, asked: "_StudyRequest") -> dict[ImageRequest, Outcome]:
        try:
            granted = await self._grants.of_images(asked.images)
        except OutcomeError as error:
            code = NOT_FOUND if error.status == 404 else FAILED
            return asked.all(code, "this gateway knows no usable manifest of the study")
        except (PeerError, RegistryFailure) as error:
            log.warning("rad69.manifest_unavailable", error=type(error).__name__)
            return asked.all(_failure_code(error), "the manifest of the study cannot be fetched")
        homes = {bare_oid(home) for home in (granted.home_community_id, self._home) if home}
        asked.admit(granted.study, homes)
        if asked.admitted:
            await self._fetch(asked, granted)
        return asked.outcomes

    async def _fetch(self, asked: "_StudyRequest", granted: ImageSelection) -> None:
        selection = changed(granted, study=asked.narrowed(granted.study), only_listed=True)
        try:
            async with self._retriever.retrieve(selection, asked.transfer_syntaxes) as images:
                parts = aiter(images.parts)
                while (part := await anext(parts, None)) is not None:
                    if part.sop_instance_uid is None:
                        continue
                    try:
                        await asked.keep(part.sop_instance_uid, part.chunks)
                    except PeerError as error:
                        asked.refuse([ImageError(error.peer, _failure_code(error), part.sop_instance_uid)])
                asked.refuse(images.errors_now())
        except IncompleteImages as error:
            asked.refuse(error.errors)
        except NoImages as error:
            asked.refuse(e for e in error.errors if e.code != SOURCE_FAILED)
            for failure in error.failures:
                asked.refuse_rest(_failure_code(failure), "the source of the instance failed")
        except SpoolFull:
            log.warning("rad69.out_of_room")
            asked.refuse_rest(
                OUT_OF_RESOURCES, "too many images at once for this gateway; ask for fewer per request"
            )


class _StudyRequest:
    """The images of one study that a request names, and what has become of each."""

    def __init__(
        self, images: Sequence[ImageRequest], transfer_syntaxes: Sequence[str], spool: RequestSpool
    ) -> None:
        self.study_instance_uid = images[0].study_instance_uid
        self.transfer_syntaxes = tuple(transfer_syntaxes)
        self.outcomes: dict[ImageRequest, Outcome] = {}
        self.admitted: dict[str, list[ImageRequest]] = {}
        """Requests that the manifest grants, by SOP Instance UID."""
        self.images = images
        self._spool = spool

    def all(self, code: str, context: str) -> dict[ImageRequest, Outcome]:
        """The same error for each image."""
        return {image: RegistryError(code, context, location=image.sop_instance_uid) for image in self.images}

    def admit(self, study: Study, homes: Iterable[str]) -> None:
        """Compare the request with the manifest: community, location, series and instance."""
        listed = {series.series_instance_uid: series for series in study.series}
        located = {location.uid for series in study.series for location in series.locations}
        for image in self.images:
            refusal = _refusal(image, listed, located, homes)
            if refusal is None:
                self.admitted.setdefault(image.sop_instance_uid, []).append(image)
                self.outcomes[image] = _missing(image.sop_instance_uid)
            else:
                self.outcomes[image] = refusal

    def narrowed(self, study: Study) -> Study:
        """The study with what is admitted alone; the location that was asked for is the first of each."""
        series = tuple(
            changed(one, instances=wanted, locations=self._locations(one))
            for one in study.series
            if (wanted := tuple(i for i in one.instances if i.sop_instance_uid in self.admitted))
        )
        return changed(study, series=series)

    def _locations(self, series: Series) -> tuple[RetrieveLocation, ...]:
        named = {
            request.location_uid
            for requests in self.admitted.values()
            for request in requests
            if request.series_instance_uid == series.series_instance_uid
        }
        return tuple(sorted(series.locations, key=lambda location: location.uid not in named))

    async def keep(self, sop_instance_uid: str, chunks: AsyncIterator[Chunk]) -> None:
        """Take an image in. Raises PeerError where it breaks off, and SpoolFull."""
        requests = self.admitted.get(sop_instance_uid)
        if requests is None:
            return
        kept = await self._spool.keep(sop_instance_uid, DICOM, chunks, 0)
        self.outcomes |= dict.fromkeys(requests, kept)

    def refuse(self, errors: Iterable[ImageError]) -> None:
        """Note why images do not come."""
        for error in errors:
            for request in self.admitted.get(error.sop_instance_uid or "", ()):
                if not isinstance(self.outcomes[request], SpooledPart):
                    self.outcomes[request] = _explained(error, request.sop_instance_uid)

    def refuse_rest(self, code: str, context: str) -> None:
        """The same error for each image that has not come and of which nothing else is known."""
        for uid, requests in self.admitted.items():
            for request in requests:
                if self.outcomes[request] == _missing(uid):
                    self.outcomes[request] = RegistryError(code, context, location=uid)


def _refusal(
    image: ImageRequest, listed: Mapping[str, Series], located: Iterable[str | None], homes: Iterable[str]
) -> RegistryError | None:
    uid = image.sop_instance_uid
    if image.home_community_id and homes and bare_oid(image.home_community_id) not in homes:
        return RegistryError(UNKNOWN_COMMUNITY, "the study is not one of this homeCommunityId", location=uid)
    series = listed.get(image.series_instance_uid)
    if image.location_uid not in located:
        return RegistryError(
            UNKNOWN_LOCATION,
            "the RepositoryUniqueId is no Retrieve Location UID of the study's manifest",
            location=uid,
        )
    if series is None:
        return RegistryError(NOT_FOUND, "the manifest of the study lists no such series", location=uid)
    if all(instance.sop_instance_uid != uid for instance in series.instances):
        return RegistryError(NOT_FOUND, "the manifest lists no such instance in the series", location=uid)
    if all(location.uid != image.location_uid for location in series.locations):
        return RegistryError(
            UNKNOWN_LOCATION, "the series is at another Retrieve Location UID of the study", location=uid
        )
    return None


def _missing(uid: str) -> RegistryError:
    return RegistryError(NOT_FOUND, "the source of the instance does not give it", location=uid)


def _explained(error: ImageError, uid: str) -> RegistryError:
    """The error of a source in the terms of this one; its own text is not repeated."""
    if error.code in _SYNTAX_CODES:
        text = "urn:dicom:wado:0007: the instance is not stored in a transfer syntax of the request"
        return RegistryError(FAILED, text, location=uid)
    if error.code in _NOT_FOUND_CODES:
        return _missing(uid)
    if error.code in {UNREACHABLE, UNKNOWN_LOCATION}:
        return RegistryError(
            UNKNOWN_LOCATION, "the location of the instance cannot be reached from here", location=uid
        )
    if error.code == BUSY:
        return RegistryError(BUSY, "the source of the instance is busy", location=uid)
    return RegistryError(FAILED, "the source of the instance failed", location=uid)


def _failure_code(error: PeerError | RegistryFailure) -> str:
    return BUSY if isinstance(error, PeerBusy) else FAILED


def failed(*errors: RegistryError) -> SoapReply:
    """Nothing but errors."""
    return SoapReply(write_retrieve_response(RetrieveAnswer(ResponseStatus.FAILURE, errors)))


def reply(outcomes: Mapping[ImageRequest, Outcome]) -> SoapReply:
    """The answer with what is there, and an error for each image that is not."""
    errors = tuple(outcome for outcome in outcomes.values() if isinstance(outcome, RegistryError))
    documents: list[RetrievedDocument] = []
    attachments: list[Attachment] = []
    for request, part in outcomes.items():
        if isinstance(part, RegistryError):
            continue
        content_id = f"image{len(documents)}@gateway"
        header = DocumentHeader(
            repository_unique_id=request.location_uid,
            document_unique_id=request.sop_instance_uid,
            mime_type=DICOM,
            home_community_id=request.home_community_id,
        )
        documents.append(RetrievedDocument(header, XopHref(href_of_cid(content_id))))
        attachments.append(Attachment(content_id, DICOM, part.size, part.chunks))
    status = ResponseStatus.SUCCESS
    if errors:
        status = ResponseStatus.PARTIAL if documents else ResponseStatus.FAILURE
    log.info("rad69.answered", images=len(documents), missing=len(errors))
    answer = RetrieveAnswer(status, errors, tuple(documents))
    # consumers that ask in simple SOAP read images as attachments all the same, and errors without them
    return SoapReply(write_retrieve_response(answer), tuple(attachments), packaged=bool(attachments))
