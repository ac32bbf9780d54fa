"""Retrieve Imaging Document Set request <-> model (RAD-69, RAD-75; IHE RAD TF 4.69.4.1, 4.75).

Study and series are named by attributes. DocumentRequest and its children are those of XDS.b: their
RepositoryUniqueId is the Retrieve Location UID of the source, their DocumentUniqueId the SOP Instance UID.
The answer is that of ITI-43 and is read and written by `retrieve`.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml import hl7
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    DOCUMENT_REQUEST,
    DOCUMENT_UNIQUE_ID,
    HOME_COMMUNITY_ID,
    IMAGING_REQUEST,
    LONG_NAME,
    MISPLACED_DOCUMENT_REQUEST,
    REPOSITORY_UNIQUE_ID,
    SERIES_REQUEST,
    STUDY_REQUEST,
    TRANSFER_SYNTAX,
    TRANSFER_SYNTAX_LIST,
)
from gateway.ebxml.object_writer import checked
from gateway.model import ImageRequest, ImageSetRequest
from gateway.model.codes import NS_XDS, NS_XDSI
from gateway.model.imaging import RetrieveLocationUid

_STUDY_UID: Final = "studyInstanceUID"
_SERIES_UID: Final = "seriesInstanceUID"
BAD_REQUEST: Final = "XDSIRequestError"
"""Error code for a request whose structure is broken, as the simulator of the IHE test tools has it."""


def write_imaging_request(request: ImageSetRequest) -> _Element:
    """RetrieveImagingDocumentSetRequest. Images that follow each other share their series and study.

    Raises MetadataError for a request without images or without transfer syntaxes, which no source takes.
    """
    if not request.images or not request.transfer_syntaxes:
        raise MetadataError(BAD_REQUEST, "a retrieve of images names no image or no transfer syntax")
    root = Element(IMAGING_REQUEST, nsmap={"xdsi": NS_XDSI, "xds": NS_XDS})
    for study_uid, of_study in groupby(request.images, lambda image: image.study_instance_uid):
        study = SubElement(root, STUDY_REQUEST, {_STUDY_UID: checked(study_uid, LONG_NAME, _STUDY_UID)})
        for series_uid, of_series in groupby(of_study, lambda image: image.series_instance_uid):
            named = {_SERIES_UID: checked(series_uid, LONG_NAME, _SERIES_UID)}
            series = SubElement(study, SERIES_REQUEST, named)
            for image in of_series:
                _write_document_request(series, image)
    syntaxes = SubElement(root, TRANSFER_SYNTAX_LIST)
    for uid in request.transfer_syntaxes:
        _add(syntaxes, TRANSFER_SYNTAX, uid)
    return root


def _write_document_request(series: _Element, image: ImageRequest) -> None:
    item = SubElement(series, DOCUMENT_REQUEST)
    if image.home_community_id is not None:
        _add(item, HOME_COMMUNITY_ID, image.home_community_id)
    _add(item, REPOSITORY_UNIQUE_ID, image.location_uid)
    _add(item, DOCUMENT_UNIQUE_ID, image.sop_instance_uid)


def read_imaging_request(root: _Element) -> ImageSetRequest:
    """Requested images, in order. Raises MetadataError that names the element which is missing or empty.

    DocumentRequest is also taken from the namespace of XDS-I.b, where a widespread schema has it.
    """
    if root.tag != IMAGING_REQUEST:
        raise MetadataError(BAD_REQUEST, "the request is not a RetrieveImagingDocumentSetRequest")
    images = tuple(_read_images(root))
    if not images:
        raise MetadataError(BAD_REQUEST, "the request has no StudyRequest")
    syntaxes = tuple(
        text
        for syntax_list in root.iterchildren(TRANSFER_SYNTAX_LIST)
        for syntax in syntax_list.iterchildren(TRANSFER_SYNTAX)
        if (text := hl7.oid((syntax.text or "").strip()))
    )
    if not syntaxes:
        raise MetadataError(BAD_REQUEST, "the request has no TransferSyntaxUIDList with a TransferSyntaxUID")
    return ImageSetRequest(images, syntaxes)


def _read_images(root: _Element) -> Iterator[ImageRequest]:
    for study in root.iterchildren(STUDY_REQUEST):
        study_uid = _attribute(study, _STUDY_UID)
        series = list(study.iterchildren(SERIES_REQUEST))
        if not series:
            raise MetadataError(BAD_REQUEST, "a StudyRequest has no SeriesRequest")
        for one in series:
            series_uid = _attribute(one, _SERIES_UID)
            items = list(one.iterchildren(DOCUMENT_REQUEST, MISPLACED_DOCUMENT_REQUEST))
            if not items:
                raise MetadataError(BAD_REQUEST, f"a SeriesRequest has no DocumentRequest of {NS_XDS}")
            for item in items:
                yield _read_image(item, study_uid, series_uid)


def _read_image(item: _Element, study_uid: str, series_uid: str) -> ImageRequest:
    home = _text(item, HOME_COMMUNITY_ID)
    location_uid = hl7.oid(_required(item, REPOSITORY_UNIQUE_ID))
    return ImageRequest(
        location_uid=RetrieveLocationUid(location_uid),
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        sop_instance_uid=hl7.oid(_required(item, DOCUMENT_UNIQUE_ID)),
        home_community_id=hl7.home_community_id(home) if home else None,
    )


def _attribute(element: _Element, name: str) -> str:
    uid = hl7.oid((element.get(name) or "").strip())
    if not uid:
        raise MetadataError(BAD_REQUEST, f"a {_local(element.tag)} has no {name}")
    return uid


def _required(item: _Element, tag: str) -> str:
    text = _text(item, tag)
    if text is None:
        raise MetadataError(BAD_REQUEST, f"a DocumentRequest has no {_local(tag)}")
    return text


def _text(item: _Element, tag: str) -> str | None:
    """Text of a child; the namespace of the parent is taken as well, for a misplaced DocumentRequest."""
    child = item.find(tag)
    if child is None and item.tag == MISPLACED_DOCUMENT_REQUEST:
        child = item.find(f"{{{NS_XDSI}}}{_local(tag)}")
    return None if child is None else (child.text or "").strip() or None


def _add(parent: _Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = checked(text, LONG_NAME, _local(tag))


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
