"""query:AdhocQueryResponse <-> QueryResult (ITI-18, ITI-38; ITI TF-2 3.18.4.1.3).

The reader is on the path of every search: it works in steps, so that an answer of a thousand entries
does not hold up other requests.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml.association import read_association, write_association
from gateway.ebxml.document_entry import read_document_entry, write_document_entry
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    ADHOC_QUERY_RESPONSE,
    ASSOCIATION,
    EXTRINSIC_OBJECT,
    OBJECT_REF,
    REGISTRY_OBJECT_LIST,
    REGISTRY_PACKAGE,
    REGISTRY_RESPONSE,
)
from gateway.ebxml.object_reader import read_home, read_uuid
from gateway.ebxml.registry_package import (
    package_labels,
    package_node,
    read_folder,
    read_submission_set,
    write_folder,
    write_submission_set,
)
from gateway.ebxml.responses import read_errors, read_response_status, write_errors
from gateway.model import (
    Association,
    DocumentEntry,
    Folder,
    ObjectRef,
    QueryResult,
    RegistryError,
    Severity,
    SubmissionSet,
    codes,
)

# what a registered object is called by: a UUID, or what a registry takes for one
_ID = re.compile(r"(?:urn:uuid:)?[A-Za-z0-9\-.]{1,64}")


class QueryResponseReader:
    """Reads an answer object by object.

    An object without what identifies it (a DocumentEntry without uniqueId, an id that is no UUID) is left
    out, and the result says so in a warning. With `consume` each object is taken out of the tree once it is
    read: to free a large tree at once holds up other requests as much as to read it would.
    """

    def __init__(self, element: _Element, *, consume: bool = False) -> None:
        if element.tag not in (ADHOC_QUERY_RESPONSE, REGISTRY_RESPONSE):
            raise MetadataError("XDSRegistryError", "the answer is not an AdhocQueryResponse")
        self._element = element
        object_list = element.find(REGISTRY_OBJECT_LIST)
        self._labels = {} if object_list is None else package_labels(object_list)
        self._list = object_list
        self._objects: Iterator[_Element] = iter(()) if object_list is None else iter(object_list)
        self._consume = consume
        self._position = 0
        self._warnings: list[RegistryError] = []
        self._entries: list[DocumentEntry] = []
        self._submission_sets: list[SubmissionSet] = []
        self._folders: list[Folder] = []
        self._associations: list[Association] = []
        self._object_refs: list[ObjectRef] = []

    def read_some(self, n: int) -> bool:
        """Read the next `n` objects. True when the whole answer is read."""
        if self._consume and self._list is not None:
            taken = list(islice(self._list, n))
            self._read_all(taken)
            for element in taken:
                self._list.remove(element)
            return len(self._list) == 0
        batch = list(islice(self._objects, n))
        self._read_all(batch)
        return len(batch) < n

    def _read_all(self, objects: Iterable[_Element]) -> None:
        for element in objects:
            self._position += 1
            try:
                self._read(element)
            except MetadataError as error:
                self._warnings.append(
                    RegistryError(
                        code=error.code,
                        context=f"object {self._position} of the answer is left out: {error.context}",
                        severity=Severity.WARNING,
                    )
                )

    def _read(self, element: _Element) -> None:
        tag = element.tag
        if tag == EXTRINSIC_OBJECT:
            entry = read_document_entry(element)
            _check_ids(entry.entry_uuid)
            self._entries.append(entry)
        elif tag == ASSOCIATION:
            association = read_association(element)
            _check_ids(association.source, association.target)
            self._associations.append(association)
        elif tag == OBJECT_REF:
            self._object_refs.append(ObjectRef(read_uuid(element.get("id")), read_home(element)))
        elif tag == REGISTRY_PACKAGE:
            node = package_node(element, self._labels)
            if node == codes.SS_NODE:
                submission_set = read_submission_set(element)
                _check_ids(submission_set.entry_uuid)
                self._submission_sets.append(submission_set)
            elif node == codes.FOLDER_NODE:
                folder = read_folder(element)
                _check_ids(folder.entry_uuid)
                self._folders.append(folder)
            else:
                raise MetadataError(
                    "XDSRegistryMetadataError", "a RegistryPackage is neither SubmissionSet nor Folder"
                )

    def result(self) -> QueryResult:
        """What has been read so far."""
        errors = read_errors(self._element)
        return QueryResult(
            status=read_response_status(self._element.get("status"), errors, empty=self._position == 0),
            errors=errors + tuple(self._warnings),
            entries=tuple(self._entries),
            submission_sets=tuple(self._submission_sets),
            folders=tuple(self._folders),
            associations=tuple(self._associations),
            object_refs=tuple(self._object_refs),
        )


def _check_ids(*ids: str) -> None:
    if not all(map(_ID.fullmatch, ids)):
        raise MetadataError("XDSRegistryMetadataError", "an id in it is no UUID")


_ALL = 1 << 30


def read_query_response(element: _Element) -> QueryResult:
    """Read an answer at once. Raises MetadataError where the element is not an answer to a query."""
    reader = QueryResponseReader(element)
    reader.read_some(_ALL)
    return reader.result()


def write_query_response(result: QueryResult) -> _Element:
    """query:AdhocQueryResponse: SubmissionSets, entries, Folders, Associations, then references."""
    element = Element(
        ADHOC_QUERY_RESPONSE,
        {"status": result.status.value},
        nsmap={"query": codes.NS_QUERY, "rs": codes.NS_RS, "rim": codes.NS_RIM},
    )
    write_errors(element, result.errors)
    object_list = SubElement(element, REGISTRY_OBJECT_LIST)
    for submission_set in result.submission_sets:
        write_submission_set(submission_set, object_list)
    for entry in result.entries:
        write_document_entry(entry, object_list)
    for folder in result.folders:
        write_folder(folder, object_list)
    for association in result.associations:
        write_association(association, object_list)
    for reference in result.object_refs:
        attributes = {"id": reference.id}
        if reference.home_community_id:
            attributes["home"] = reference.home_community_id
        SubElement(object_list, OBJECT_REF, attributes)
    return element
