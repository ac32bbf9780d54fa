"""FHIR ids of documents: the lasting id of a registered document; that and the format of its translation.

A translation is made when it is asked for and stands in no registry; its id leads to the document that it is
made of, on every replica and without a table.
"""

from typing import Final

from msgspec import Struct

from gateway.model import imaging_codes as imaging
from gateway.model.metadata import DocumentEntry
from gateway.model.object_ids import is_object_id

_PROVENANCE: Final = "-origin"
_SUFFIXES: Final = {imaging.MIME_DICOM: "-kos", imaging.MIME_FHIR_JSON: "-fhir"}


class DocumentId(Struct, frozen=True):
    """What an id names: the entryUUID of a document, and the MIME type where it is of a translation."""

    entry_uuid: str
    made_as: str | None = None


def read_document_id(text: str) -> DocumentId | None:
    """What the id of a DocumentReference names; None for an id that cannot be of one."""
    bare = text.lower()
    for mime_type, suffix in _SUFFIXES.items():
        if bare.endswith(suffix):
            found = bare.removesuffix(suffix)
            return DocumentId(f"urn:uuid:{found}", mime_type) if is_object_id(f"urn:uuid:{found}") else None
    return DocumentId(f"urn:uuid:{bare}") if is_object_id(f"urn:uuid:{bare}") else None


def provenance_id(document_id: str) -> str:
    """The id of the Provenance of a document, which leads back to it."""
    return document_id + _PROVENANCE


def read_provenance_id(text: str) -> DocumentId | None:
    """The document whose Provenance has this id; None for an id that cannot be of one."""
    bare = text.lower()
    return read_document_id(bare.removesuffix(_PROVENANCE)) if bare.endswith(_PROVENANCE) else None


def translation_id(document_id: str, mime_type: str) -> str:
    """The id of the translation of a document."""
    return document_id + _SUFFIXES[mime_type]


def made_as(entry: DocumentEntry) -> str | None:
    """The MIME type of a translation; None for a registered document."""
    return entry.mime_type if entry.made_of is not None else None
