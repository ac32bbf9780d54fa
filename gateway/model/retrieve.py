"""Keys and headers of documents and images in a retrieve (ITI TF-2 3.43; RAD-69, IHE RAD TF 4.69)."""

from msgspec import Struct

from gateway.model.imaging import RetrieveLocationUid


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


class ImageRequest(Struct, frozen=True, gc=False):
    """What names an instance: the source that holds it, and its place in study and series. Bare UIDs."""

    location_uid: RetrieveLocationUid
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    home_community_id: str | None = None


class ImageSetRequest(Struct, frozen=True):
    """Instances that are asked for at once, and the transfer syntaxes in which they may come (bare UIDs)."""

    images: tuple[ImageRequest, ...]
    transfer_syntaxes: tuple[str, ...]
