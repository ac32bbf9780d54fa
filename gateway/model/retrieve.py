"""Keys and headers of documents in a retrieve (ITI-43, ITI-39; ITI TF-2 3.43)."""

from msgspec import Struct


class DocumentRequest(Struct, frozen=True, gc=False):
    """What names a document: repository and uniqueId, and the community where it is not the own one."""

    repository_unique_id: str
    document_unique_id: str
    home_community_id: str | None = None


class DocumentHeader(Struct, frozen=True, gc=False):
    """One DocumentResponse without its bytes.

    `new_*` are set when an On-Demand entry was retrieved and its snapshot stored (ITI TF-2 3.43.4.2.2).
    """

    repository_unique_id: str
    document_unique_id: str
    mime_type: str
    home_community_id: str | None = None
    new_repository_unique_id: str | None = None
    new_document_unique_id: str | None = None
