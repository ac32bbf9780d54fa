"""Registry objects <-> ebRIM, all four kinds in one place (ITI TF-3 4.2.1)."""

from gateway.ebxml.association import read_association, write_association
from gateway.ebxml.document_entry import read_document_entry, write_document_entry
from gateway.ebxml.registry_package import (
    read_folder,
    read_submission_set,
    write_folder,
    write_submission_set,
)

__all__ = [
    "read_association",
    "read_document_entry",
    "read_folder",
    "read_submission_set",
    "write_association",
    "write_document_entry",
    "write_folder",
    "write_submission_set",
]
