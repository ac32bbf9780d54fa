"""Retrieve Document Set request and response <-> model (ITI-43, ITI-39; ITI TF-2 3.43.4).

Document bytes are either inline or an xop:Include that names a MIME part (XOP 1.0, ITI TF-2 Appendix V.8).
"""

import binascii
from collections.abc import Iterable
from dataclasses import dataclass

import pybase64
from lxml.etree import Element, SubElement, _Element

from gateway.ebxml import hl7
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    DOCUMENT,
    DOCUMENT_REQUEST,
    DOCUMENT_RESPONSE,
    DOCUMENT_UNIQUE_ID,
    HOME_COMMUNITY_ID,
    LONG_NAME,
    MIME_TYPE,
    NEW_DOCUMENT_UNIQUE_ID,
    NEW_REPOSITORY_UNIQUE_ID,
    REGISTRY_RESPONSE,
    REPOSITORY_UNIQUE_ID,
    RETRIEVE_REQUEST,
    RETRIEVE_RESPONSE,
    XOP_INCLUDE,
)
from gateway.ebxml.object_writer import checked
from gateway.ebxml.responses import read_errors, read_response_status, write_errors
from gateway.model import DocumentHeader, DocumentRequest, RegistryError, ResponseStatus
from gateway.model.codes import NS_RS, NS_XDS, NS_XOP


class XopHref(str):
    """`cid:` URL of the MIME part that holds the bytes of a document."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One DocumentResponse: its header, and its bytes or where they are."""

    header: DocumentHeader
    content: XopHref | bytes


@dataclass(frozen=True, slots=True)
class RetrieveAnswer:
    """RetrieveDocumentSetResponse, documents in its order."""

    status: ResponseStatus
    errors: tuple[RegistryError, ...] = ()
    documents: tuple[RetrievedDocument, ...] = ()


def read_content(element: _Element) -> XopHref | bytes:
    """Content of an xds:Document element.

    Raises MetadataError for a href that is not `cid:` (it would make the receiver fetch for the sender)
    and for text that is not base64.
    """
    include = element.find(XOP_INCLUDE)
    if include is not None:
        href = (include.get("href") or "").strip()
        if not href.lower().startswith("cid:"):
            raise MetadataError("XDSRepositoryError", "xop:Include of a Document must have a cid: href")
        return XopHref(href)
    try:
        return pybase64.b64decode("".join((element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise MetadataError("XDSRepositoryError", "the content of a Document is not base64") from None


def write_content(element: _Element, content: XopHref | bytes) -> None:
    """Fill an xds:Document element with an xop:Include or base64."""
    if isinstance(content, XopHref):
        SubElement(element, XOP_INCLUDE, {"href": str(content)}, nsmap={"xop": NS_XOP})
    else:
        element.text = pybase64.b64encode_as_string(content)


def write_retrieve_request(requests: Iterable[DocumentRequest]) -> _Element:
    """xds:RetrieveDocumentSetRequest."""
    element = Element(RETRIEVE_REQUEST, nsmap={"xds": NS_XDS})
    add_document_requests(element, requests)
    return element


def add_document_requests(element: _Element, requests: Iterable[DocumentRequest]) -> None:
    """Append an xds:DocumentRequest for each document."""
    for request in requests:
        item = SubElement(element, DOCUMENT_REQUEST)
        _add(item, HOME_COMMUNITY_ID, request.home_community_id)
        _add(item, REPOSITORY_UNIQUE_ID, request.repository_unique_id)
        _add(item, DOCUMENT_UNIQUE_ID, request.document_unique_id)


def read_retrieve_request(element: _Element) -> tuple[DocumentRequest, ...]:
    """Requested documents, in order. Raises MetadataError where the request names none, or one in part."""
    if element.tag != RETRIEVE_REQUEST:
        raise MetadataError("XDSRepositoryError", "the request is not a RetrieveDocumentSetRequest")
    return read_document_requests(element)


def read_document_requests(element: _Element) -> tuple[DocumentRequest, ...]:
    """The xds:DocumentRequest children, in order. Raises MetadataError as `read_retrieve_request` does."""
    requests = tuple(
        DocumentRequest(
            repository_unique_id=hl7.oid(_required(item, REPOSITORY_UNIQUE_ID)),
            document_unique_id=_required(item, DOCUMENT_UNIQUE_ID),
            home_community_id=_home(item),
        )
        for item in element.iterchildren(DOCUMENT_REQUEST)
    )
    if not requests:
        name = str(element.tag).rpartition("}")[2]
        raise MetadataError("XDSRepositoryError", f"the {name} has no DocumentRequest")
    return requests


def write_retrieve_response(answer: RetrieveAnswer) -> _Element:
    """xds:RetrieveDocumentSetResponse."""
    element = Element(RETRIEVE_RESPONSE, nsmap={"xds": NS_XDS, "rs": NS_RS})
    response = SubElement(element, REGISTRY_RESPONSE, {"status": answer.status.value})
    write_errors(response, answer.errors)
    for document in answer.documents:
        header = document.header
        item = SubElement(element, DOCUMENT_RESPONSE)
        _add(item, HOME_COMMUNITY_ID, header.home_community_id)
        _add(item, REPOSITORY_UNIQUE_ID, header.repository_unique_id)
        _add(item, DOCUMENT_UNIQUE_ID, header.document_unique_id)
        _add(item, NEW_REPOSITORY_UNIQUE_ID, header.new_repository_unique_id)
        _add(item, NEW_DOCUMENT_UNIQUE_ID, header.new_document_unique_id)
        _add(item, MIME_TYPE, header.mime_type)
        write_content(SubElement(item, DOCUMENT), document.content)
    return element


def read_retrieve_response(element: _Element) -> RetrieveAnswer:
    """Answer to a retrieve; a bare RegistryResponse, which some peers send on failure, is one too.

    A document of 0 bytes is `b""`. Raises MetadataError where a DocumentResponse lacks ids or Document.
    """
    if element.tag == REGISTRY_RESPONSE:
        response: _Element | None = element
    elif element.tag == RETRIEVE_RESPONSE:
        response = element.find(REGISTRY_RESPONSE)
    else:
        raise MetadataError("XDSRepositoryError", "the answer is not a RetrieveDocumentSetResponse")
    errors = () if response is None else read_errors(response)
    documents = tuple(_read_document(item) for item in element.iterchildren(DOCUMENT_RESPONSE))
    status = None if response is None else response.get("status")
    return RetrieveAnswer(read_response_status(status, errors, empty=not documents), errors, documents)


def _read_document(item: _Element) -> RetrievedDocument:
    document: _Element | None = None
    texts: dict[str, str] = {}
    # in one pass: an answer of images has thousands
    for child in item.iterchildren(f"{{{NS_XDS}}}*"):
        if child.tag != DOCUMENT:
            texts.setdefault(child.tag, (child.text or "").strip())
        elif document is None:
            document = child
    if document is None:
        raise MetadataError("XDSRepositoryError", "a DocumentResponse has no Document")
    for required in (REPOSITORY_UNIQUE_ID, DOCUMENT_UNIQUE_ID):
        if not texts.get(required):
            raise _lacking(item, required)
    home = texts.get(HOME_COMMUNITY_ID)
    new_repository = texts.get(NEW_REPOSITORY_UNIQUE_ID)
    header = DocumentHeader(
        repository_unique_id=hl7.oid(texts[REPOSITORY_UNIQUE_ID]),
        document_unique_id=texts[DOCUMENT_UNIQUE_ID],
        mime_type=texts.get(MIME_TYPE, ""),
        home_community_id=hl7.home_community_id(home) if home else None,
        new_repository_unique_id=hl7.oid(new_repository) if new_repository else None,
        new_document_unique_id=texts.get(NEW_DOCUMENT_UNIQUE_ID) or None,
    )
    return RetrievedDocument(header, read_content(document))


def _add(parent: _Element, tag: str, text: str | None) -> None:
    if text is not None:
        SubElement(parent, tag).text = checked(text, LONG_NAME, tag.rpartition("}")[2])


def _text(parent: _Element, tag: str) -> str | None:
    child = parent.find(tag)
    return None if child is None else (child.text or "").strip() or None


def _required(parent: _Element, tag: str) -> str:
    text = _text(parent, tag)
    if text is None:
        raise _lacking(parent, tag)
    return text


def _lacking(parent: _Element, tag: str) -> MetadataError:
    name = tag.rpartition("}")[2]
    where = str(parent.tag).rpartition("}")[2]
    return MetadataError("XDSRepositoryError", f"a {where} has no {name}")


def _home(parent: _Element) -> str | None:
    text = _text(parent, HOME_COMMUNITY_ID)
    return hl7.home_community_id(text) if text else None
