"""What ends registered metadata and stored documents <-> ids (ITI TF-2 3.62.4.1 and 3.86.4.1).

lcm:RemoveObjectsRequest (ITI-62) names registry objects by entryUUID, rmd:RemoveDocumentsRequest (ITI-86)
documents by repositoryUniqueId and uniqueId.
"""

from collections.abc import Iterable

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    ADHOC_QUERY,
    LONG_NAME,
    OBJECT_REF,
    OBJECT_REF_LIST,
    REMOVE_DOCUMENTS_REQUEST,
    REMOVE_OBJECTS_REQUEST,
)
from gateway.ebxml.object_reader import read_uuid
from gateway.ebxml.object_writer import checked
from gateway.ebxml.retrieve import add_document_requests, read_document_requests
from gateway.model import DocumentRequest
from gateway.model.codes import NS_LCM, NS_RIM, NS_RMD, NS_XDS

_INVALID = "XDSInvalidRequestException"


def write_remove_objects(entry_uuids: Iterable[str]) -> _Element:
    """lcm:RemoveObjectsRequest. Raises MetadataError where an id is longer than ebRIM allows."""
    element = Element(REMOVE_OBJECTS_REQUEST, nsmap={"lcm": NS_LCM, "rim": NS_RIM})
    references = SubElement(element, OBJECT_REF_LIST)
    for entry_uuid in entry_uuids:
        SubElement(references, OBJECT_REF, {"id": checked(entry_uuid, LONG_NAME, "an entryUUID")})
    return element


def read_remove_objects(element: _Element) -> tuple[str, ...]:
    """entryUUIDs of the objects to delete, in lower case and in order.

    Raises MetadataError where the request names none, or names objects by a query, which IHE does not use.
    """
    if element.tag != REMOVE_OBJECTS_REQUEST:
        raise MetadataError(_INVALID, "the request is not a RemoveObjectsRequest")
    if element.find(ADHOC_QUERY) is not None:
        raise MetadataError(_INVALID, "objects to delete are named by ObjectRefList, not by AdhocQuery")
    references = element.iterfind(f"{OBJECT_REF_LIST}/{OBJECT_REF}")
    entry_uuids = tuple(read_uuid(reference.get("id")) for reference in references)
    if not entry_uuids:
        raise MetadataError(_INVALID, "the ObjectRefList of the RemoveObjectsRequest names no object")
    return entry_uuids


def write_remove_documents(requests: Iterable[DocumentRequest]) -> _Element:
    """rmd:RemoveDocumentsRequest."""
    element = Element(REMOVE_DOCUMENTS_REQUEST, nsmap={"rmd": NS_RMD, "xds": NS_XDS})
    add_document_requests(element, requests)
    return element


def read_remove_documents(element: _Element) -> tuple[DocumentRequest, ...]:
    """Documents to remove, in order. Raises MetadataError where the request names none, or one in part."""
    if element.tag != REMOVE_DOCUMENTS_REQUEST:
        raise MetadataError("XDSRepositoryError", "the request is not a RemoveDocumentsRequest")
    return read_document_requests(element)
