"""Refusals of the affinity domain: error codes of ITI TF-3 Table 4.2.4.1-2 that it answers with.

Texts name object, attribute and rule; they quote ids of objects, never of patients.
"""

from enum import StrEnum

from gateway.model import RegistryError


class Refusal(StrEnum):
    """Error codes, each written once."""

    REGISTRY_METADATA = "XDSRegistryMetadataError"
    REPOSITORY_METADATA = "XDSRepositoryMetadataError"
    REGISTRY = "XDSRegistryError"
    REPOSITORY = "XDSRepositoryError"
    MISSING_DOCUMENT = "XDSMissingDocument"
    MISSING_DOCUMENT_METADATA = "XDSMissingDocumentMetadata"
    PATIENT_ID_DOES_NOT_MATCH = "XDSPatientIdDoesNotMatch"
    UNKNOWN_PATIENT_ID = "XDSUnknownPatientId"
    DUPLICATE_UNIQUE_ID = "XDSDuplicateUniqueIdInRegistry"
    DUPLICATE_IN_MESSAGE = "XDSRegistryDuplicateUniqueIdInMessage"
    NON_IDENTICAL_HASH = "XDSNonIdenticalHash"
    NON_IDENTICAL_SIZE = "XDSNonIdenticalSize"
    UNRESOLVED_REFERENCE = "UnresolvedReferenceException"
    DEPRECATED_DOCUMENT = "XDSRegistryDeprecatedDocumentError"
    UNKNOWN_REPOSITORY = "XDSUnknownRepositoryId"
    UNKNOWN_COMMUNITY = "XDSUnknownCommunity"
    DOCUMENT_UNIQUE_ID = "XDSDocumentUniqueIdError"
    TOO_MANY_RESULTS = "XDSTooManyResults"
    NOT_SINGLE_PATIENT = "XDSResultNotSinglePatient"
    METADATA_UPDATE = "XDSMetadataUpdateError"
    METADATA_VERSION = "XDSMetadataVersionError"
    METADATA_IDENTIFIER = "XDSMetadataIdentifierError"
    OBJECT_TYPE = "XDSObjectTypeError"
    PATIENT_ID_RECONCILIATION = "XDSPatientIDReconciliationError"
    REFERENCES_EXIST = "ReferencesExistException"
    UNREFERENCED_OBJECT = "XDSUnreferencedObjectException"
    INVALID_REQUEST = "XDSInvalidRequestException"
    REMOVE_DOCUMENTS = "XDSRemoveDocumentsError"


class Refused(Exception):
    """A request is refused as a whole; nothing of it is stored. `errors` says why."""

    def __init__(self, *errors: RegistryError) -> None:
        super().__init__(", ".join(error.code for error in errors))
        self.errors = errors


def refused(code: Refusal, context: str, location: str | None = None) -> Refused:
    """A refusal for one reason."""
    return Refused(RegistryError(code, context, location=location))
