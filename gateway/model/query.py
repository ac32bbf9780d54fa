"""The 14 stored queries as values (ITI TF-2 3.18.4.1.2.3.7), independent of slot encoding.

A tuple is OR; a tuple of tuples is AND of ORs. Time limits are DTM strings: From <= x < To. Each class
carries the query's UUID in `query_id`.
"""

from typing import ClassVar

from msgspec import Struct

from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Code, Cx

ANY_DOCUMENT: tuple[str, ...] = (codes.STABLE_DOCUMENT, codes.ON_DEMAND_DOCUMENT)
APPROVED: tuple[AvailabilityStatus, ...] = (AvailabilityStatus.APPROVED,)
ANY_STATUS: tuple[AvailabilityStatus, ...] = (AvailabilityStatus.APPROVED, AvailabilityStatus.DEPRECATED)


OWN_COMMUNITY = ""
"""As `home` of a query: the own registry, whatever its homeCommunityId is."""


class StoredQuery(Struct, frozen=True, kw_only=True):
    """What all stored queries share.

    `home` addresses one community (AdhocQuery/@home); `target_communities` is $targetCommunityIdList.
    `metadata_level` 2 asks for every version of objects, with logicalID and version (Metadata Update);
    `association_status` limits the Associations of an answer, which by default are the approved ones at
    level 1 and all at level 2.
    """

    query_id: ClassVar[str] = ""
    home: str | None = None
    target_communities: tuple[str, ...] = ()
    metadata_level: int | None = None
    association_status: tuple[AvailabilityStatus, ...] = ()


class FindDocuments(StoredQuery, frozen=True, kw_only=True):
    """DocumentEntries of a patient. `author_person` values are LIKE patterns (`%`, `_`)."""

    query_id: ClassVar[str] = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
    patient_id: Cx
    status: tuple[AvailabilityStatus, ...] = APPROVED
    class_code: tuple[Code, ...] = ()
    type_code: tuple[Code, ...] = ()
    practice_setting: tuple[Code, ...] = ()
    facility_type: tuple[Code, ...] = ()
    format_code: tuple[Code, ...] = ()
    event_codes: tuple[tuple[Code, ...], ...] = ()
    confidentiality: tuple[tuple[Code, ...], ...] = ()
    author_person: tuple[str, ...] = ()
    document_type: tuple[str, ...] = ()
    """objectType values; empty means stable documents only."""
    creation_time_from: str | None = None
    creation_time_to: str | None = None
    service_start_time_from: str | None = None
    service_start_time_to: str | None = None
    service_stop_time_from: str | None = None
    service_stop_time_to: str | None = None


class FindDocumentsByReferenceId(FindDocuments, frozen=True, kw_only=True):
    """FindDocuments that also match referenceIdList; values are LIKE patterns over the CXi text."""

    query_id: ClassVar[str] = "urn:uuid:12941a89-e02e-4be5-967c-ce4bfc8fe492"
    reference_ids: tuple[tuple[str, ...], ...]


class FindSubmissionSets(StoredQuery, frozen=True, kw_only=True):
    """SubmissionSets of a patient. `author_person` is one LIKE pattern."""

    query_id: ClassVar[str] = "urn:uuid:f26abbcb-ac74-4422-8a30-edb644bbc1a9"
    patient_id: Cx
    status: tuple[AvailabilityStatus, ...] = APPROVED
    source_id: tuple[str, ...] = ()
    submission_time_from: str | None = None
    submission_time_to: str | None = None
    author_person: str | None = None
    content_type: tuple[Code, ...] = ()


class FindFolders(StoredQuery, frozen=True, kw_only=True):
    """Folders of a patient."""

    query_id: ClassVar[str] = "urn:uuid:958f3006-baad-4929-a4de-ff1114824431"
    patient_id: Cx
    status: tuple[AvailabilityStatus, ...] = APPROVED
    last_update_time_from: str | None = None
    last_update_time_to: str | None = None
    code_list: tuple[tuple[Code, ...], ...] = ()


class _ContentFilter(StoredQuery, frozen=True, kw_only=True):
    """Limits on the DocumentEntries of a composed answer."""

    format_code: tuple[Code, ...] = ()
    confidentiality: tuple[tuple[Code, ...], ...] = ()
    document_type: tuple[str, ...] = ()


class GetAll(_ContentFilter, frozen=True, kw_only=True):
    """Everything that is registered for a patient."""

    query_id: ClassVar[str] = "urn:uuid:10b545ea-725c-446d-9b95-8aeb444eddf3"
    patient_id: Cx
    entry_status: tuple[AvailabilityStatus, ...] = APPROVED
    submission_set_status: tuple[AvailabilityStatus, ...] = APPROVED
    folder_status: tuple[AvailabilityStatus, ...] = APPROVED


class GetDocuments(StoredQuery, frozen=True, kw_only=True):
    """DocumentEntries by entryUUID, by uniqueId or by logicalID: by one of them."""

    query_id: ClassVar[str] = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
    entry_uuids: tuple[str, ...] = ()
    unique_ids: tuple[str, ...] = ()
    logical_ids: tuple[str, ...] = ()


class GetFolders(StoredQuery, frozen=True, kw_only=True):
    """Folders by entryUUID or by uniqueId, never both."""

    query_id: ClassVar[str] = "urn:uuid:5737b14c-8a1a-4539-b659-e03a34a5e1e4"
    entry_uuids: tuple[str, ...] = ()
    unique_ids: tuple[str, ...] = ()


class GetAssociations(StoredQuery, frozen=True, kw_only=True):
    """Associations that have one of `uuids` as source or target."""

    query_id: ClassVar[str] = "urn:uuid:a7ae438b-4bc2-4642-93e9-be891f7bb155"
    uuids: tuple[str, ...]


class GetDocumentsAndAssociations(StoredQuery, frozen=True, kw_only=True):
    """DocumentEntries as by GetDocuments, with every Association that touches them."""

    query_id: ClassVar[str] = "urn:uuid:bab9529a-4a10-40b3-a01f-f68a615d247a"
    entry_uuids: tuple[str, ...] = ()
    unique_ids: tuple[str, ...] = ()
    logical_ids: tuple[str, ...] = ()


class GetSubmissionSets(StoredQuery, frozen=True, kw_only=True):
    """SubmissionSets that have one of `uuids` (DocumentEntries or Folders) as member."""

    query_id: ClassVar[str] = "urn:uuid:51224314-5390-4169-9b91-b1980040715a"
    uuids: tuple[str, ...]


class GetSubmissionSetAndContents(_ContentFilter, frozen=True, kw_only=True):
    """One SubmissionSet by entryUUID or uniqueId with all that it brought."""

    query_id: ClassVar[str] = "urn:uuid:e8e3cb2c-e39c-46b9-99e4-c12f57260b83"
    entry_uuid: str | None = None
    unique_id: str | None = None


class GetFolderAndContents(_ContentFilter, frozen=True, kw_only=True):
    """One Folder by entryUUID or uniqueId with its DocumentEntries."""

    query_id: ClassVar[str] = "urn:uuid:b909a503-523d-4517-8acf-8e5834dfc4c7"
    entry_uuid: str | None = None
    unique_id: str | None = None


class GetFoldersForDocument(StoredQuery, frozen=True, kw_only=True):
    """Folders that hold the DocumentEntry named by entryUUID or uniqueId."""

    query_id: ClassVar[str] = "urn:uuid:10cae35a-c7f9-4cf5-b61e-fc3278ffb578"
    entry_uuid: str | None = None
    unique_id: str | None = None


class GetRelatedDocuments(StoredQuery, frozen=True, kw_only=True):
    """DocumentEntries linked to the named one by the given association types."""

    query_id: ClassVar[str] = "urn:uuid:d90e5407-b356-4d91-a89f-873917b4b0e6"
    entry_uuid: str | None = None
    unique_id: str | None = None
    association_types: tuple[str, ...]
    document_type: tuple[str, ...] = ()


ALL_QUERIES: tuple[type[StoredQuery], ...] = (
    FindDocuments,
    FindSubmissionSets,
    FindFolders,
    GetAll,
    GetDocuments,
    GetFolders,
    GetAssociations,
    GetDocumentsAndAssociations,
    GetSubmissionSets,
    GetSubmissionSetAndContents,
    GetFolderAndContents,
    GetFoldersForDocument,
    GetRelatedDocuments,
    FindDocumentsByReferenceId,
)
