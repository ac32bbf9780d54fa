"""Retrieve Imaging Document Set as SOAP handler (RAD-69; IHE RAD TF 4.69)."""

import functools
from collections.abc import Mapping

from gateway.affinity.file_chunks import FileReader
from gateway.affinity.imaging_source import FoundImage, ImagingSource
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.imaging_retrieve import read_imaging_request
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref, write_retrieve_response
from gateway.model import DocumentHeader, RegistryError, ResponseStatus
from gateway.soap.mtom import href_of_cid
from gateway.soap.outgoing import Attachment
from gateway.soap.server import Handler, SoapReply, SoapRequest

DICOM = "application/dicom"


class ImagingTransactions:
    """The handler over the locations of one domain; images flow from their files when the answer is sent."""

    def __init__(self, source: ImagingSource, files: FileReader) -> None:
        self._source = source
        self._files = files

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by transaction id."""
        return {"RAD-69": self.retrieve}

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """Answer with what is there; PartialSuccess where something is not, Failure where nothing is."""
        try:
            found, errors = await self._source.find(read_imaging_request(request.body))
        except MetadataError as error:
            found, errors = (), (RegistryError(error.code, error.context),)
        status = ResponseStatus.SUCCESS
        if errors:
            status = ResponseStatus.PARTIAL if found else ResponseStatus.FAILURE
        documents = tuple(_document(number, one) for number, one in enumerate(found))
        body = write_retrieve_response(RetrieveAnswer(status, errors, documents))
        # consumers that ask in simple SOAP read images as attachments all the same, and errors without them
        attachments = tuple(self._attachment(number, one) for number, one in enumerate(found))
        return SoapReply(body, attachments, packaged=bool(attachments))

    def _attachment(self, number: int, found: FoundImage) -> Attachment:
        return Attachment(
            content_id=_content_id(number),
            content_type=DICOM,
            size=found.image.size,
            source=functools.partial(self._files.chunks, found.image.path),
        )


def _document(number: int, found: FoundImage) -> RetrievedDocument:
    header = DocumentHeader(
        repository_unique_id=found.request.location_uid,
        document_unique_id=found.request.sop_instance_uid,
        mime_type=DICOM,
        home_community_id=found.request.home_community_id,
    )
    return RetrievedDocument(header, XopHref(href_of_cid(_content_id(number))))


def _content_id(number: int) -> str:
    return f"image{number}@affinity"
