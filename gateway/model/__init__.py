"""The domain of document sharing: immutable values, no I/O, no wire format.

Sources: IHE ITI TF-3 section 4 (metadata), ITI TF-2 3.18 (stored queries). Each wire format maps to and
from these values in its own package; no wire format is visible here.
"""

from gateway.model.errors import RegistryError, RegistryFailure, RegistryResponse, ResponseStatus, Severity
from gateway.model.metadata import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    IntendedRecipient,
    ObjectRef,
    Organization,
    Person,
    QueryResult,
    ReferenceId,
    SourcePatientInfo,
    Submission,
    SubmissionSet,
    Telecom,
)
from gateway.model.retrieve import DocumentHeader, DocumentRequest, ImageRequest, ImageSetRequest

__all__ = [
    "Association",
    "Author",
    "AvailabilityStatus",
    "Code",
    "Cx",
    "DocumentEntry",
    "DocumentHeader",
    "DocumentRequest",
    "Folder",
    "ImageRequest",
    "ImageSetRequest",
    "IntendedRecipient",
    "ObjectRef",
    "Organization",
    "Person",
    "QueryResult",
    "ReferenceId",
    "RegistryError",
    "RegistryFailure",
    "RegistryResponse",
    "ResponseStatus",
    "Severity",
    "SourcePatientInfo",
    "Submission",
    "SubmissionSet",
    "Telecom",
]
