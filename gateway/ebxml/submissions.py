"""Submission <-> lcm:SubmitObjectsRequest (ITI-42) and xds:ProvideAndRegisterDocumentSetRequest (ITI-41).

Sources: ITI TF-3 4.2.1.4 (submission requests), ITI TF-2 3.41.4.1 and 3.42.4.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml.association import read_association, write_association
from gateway.ebxml.document_entry import read_document_entry, write_document_entry
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    ASSOCIATION,
    DOCUMENT,
    EXTRINSIC_OBJECT,
    PROVIDE_AND_REGISTER_REQUEST,
    REGISTRY_OBJECT_LIST,
    REGISTRY_PACKAGE,
    SUBMIT_OBJECTS_REQUEST,
)
from gateway.ebxml.object_reader import read_uuid
from gateway.ebxml.registry_package import (
    package_labels,
    package_node,
    read_folder,
    read_submission_set,
    write_folder,
    write_submission_set,
)
from gateway.ebxml.retrieve import XopHref, read_content, write_content
from gateway.ebxml.structure import check_objects
from gateway.model import Folder, Submission, SubmissionSet, codes

__all__ = [
    "MetadataError",
    "ProvidedSubmission",
    "read_provide_and_register",
    "read_submit_objects",
    "write_provide_and_register",
    "write_submit_objects",
]


@dataclass(frozen=True, slots=True)
class ProvidedSubmission:
    """Submission with its documents by id of their DocumentEntry: bytes, or where they are."""

    submission: Submission
    documents: dict[str, XopHref | bytes]


def write_submit_objects(submission: Submission) -> _Element:
    """lcm:SubmitObjectsRequest. Raises MetadataError where a value is longer than ebRIM allows."""
    element = Element(
        SUBMIT_OBJECTS_REQUEST, nsmap={"lcm": codes.NS_LCM, "rs": codes.NS_RS, "rim": codes.NS_RIM}
    )
    object_list = SubElement(element, REGISTRY_OBJECT_LIST)
    for entry in submission.entries:
        write_document_entry(entry, object_list)
    write_submission_set(submission.submission_set, object_list)
    for folder in submission.folders:
        write_folder(folder, object_list)
    for association in submission.associations:
        write_association(association, object_list)
    return element


def read_submit_objects(element: _Element) -> Submission:
    """Submission with ids as they stand in the request: symbolic ones are the registry's to resolve.

    Raises MetadataError (XDSRegistryMetadataError) where the structure breaks a rule.
    """
    object_list = element.find(REGISTRY_OBJECT_LIST) if element.tag == SUBMIT_OBJECTS_REQUEST else None
    if object_list is None:
        raise MetadataError(
            "XDSRegistryMetadataError", "the request is no SubmitObjectsRequest with a RegistryObjectList"
        )
    check_objects(object_list)
    submission_sets, folders = _read_packages(object_list)
    if len(submission_sets) != 1:
        raise MetadataError(
            "XDSRegistryMetadataError",
            f"a submission has exactly one SubmissionSet, this one has {len(submission_sets)}",
        )
    return Submission(
        submission_set=submission_sets[0],
        entries=tuple(read_document_entry(child) for child in object_list.iterchildren(EXTRINSIC_OBJECT)),
        folders=tuple(folders),
        associations=tuple(read_association(child) for child in object_list.iterchildren(ASSOCIATION)),
    )


def _read_packages(object_list: _Element) -> tuple[list[SubmissionSet], list[Folder]]:
    submission_sets: list[SubmissionSet] = []
    folders: list[Folder] = []
    labels = package_labels(object_list)
    for child in object_list.iterchildren(REGISTRY_PACKAGE):
        node = package_node(child, labels)
        if node == codes.SS_NODE:
            submission_sets.append(read_submission_set(child))
        elif node == codes.FOLDER_NODE:
            folders.append(read_folder(child))
        else:
            raise MetadataError(
                "XDSRegistryMetadataError", "a RegistryPackage is neither SubmissionSet nor Folder"
            )
    return submission_sets, folders


def write_provide_and_register(submission: Submission, content_ids: Mapping[str, str]) -> _Element:
    """xds:ProvideAndRegisterDocumentSetRequest with an xop:Include for each DocumentEntry.

    `content_ids` maps entryUUIDs to the Content-IDs (without `<>`) of the MIME parts. Raises MetadataError
    where an entry has no document or a document no entry.
    """
    _match_documents({entry.entry_uuid for entry in submission.entries}, set(content_ids))
    element = Element(
        PROVIDE_AND_REGISTER_REQUEST,
        nsmap={"xds": codes.NS_XDS, "lcm": codes.NS_LCM, "rs": codes.NS_RS, "rim": codes.NS_RIM},
    )
    element.append(write_submit_objects(submission))
    for entry in submission.entries:
        document = SubElement(element, DOCUMENT, {"id": entry.entry_uuid})
        write_content(document, XopHref("cid:" + quote(content_ids[entry.entry_uuid], safe="@:+=,;!$&()*'")))
    return element


def read_provide_and_register(element: _Element) -> ProvidedSubmission:
    """Submission and documents.

    Raises MetadataError: XDSRepositoryMetadataError for the structure, XDSMissingDocument for an entry
    without document, XDSMissingDocumentMetadata for a document without entry.
    """
    submit = element.find(SUBMIT_OBJECTS_REQUEST) if element.tag == PROVIDE_AND_REGISTER_REQUEST else None
    if submit is None:
        raise MetadataError(
            "XDSRepositoryMetadataError",
            "the request is no ProvideAndRegisterDocumentSetRequest with a SubmitObjectsRequest",
        )
    try:
        submission = read_submit_objects(submit)
    except MetadataError as error:
        raise MetadataError("XDSRepositoryMetadataError", error.context) from None
    documents: dict[str, XopHref | bytes] = {}
    for document in element.iterchildren(DOCUMENT):
        document_id = read_uuid(document.get("id"))
        if document_id in documents:
            raise MetadataError("XDSRepositoryMetadataError", "two Documents have the same id")
        documents[document_id] = read_content(document)
    _match_documents({entry.entry_uuid for entry in submission.entries}, set(documents))
    return ProvidedSubmission(submission, documents)


def _match_documents(entries: set[str], documents: set[str]) -> None:
    if entries - documents:
        raise MetadataError(
            "XDSMissingDocument",
            f"{len(entries - documents)} of {len(entries)} DocumentEntries have no Document",
        )
    if documents - entries:
        raise MetadataError(
            "XDSMissingDocumentMetadata",
            f"{len(documents - entries)} of {len(documents)} Documents have no DocumentEntry",
        )
