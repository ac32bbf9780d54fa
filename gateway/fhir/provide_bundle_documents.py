"""The documents of a Provide Document Bundle (ITI-65): Binary and document Bundle entries, and the
attachments that name them.

IHE MHD 4.2.4 3.65.4.1.2: attachment.url is the fullUrl of an entry; hash and size are of the decoded bytes
of a Binary, and absent for a document Bundle, whose bytes the recipient makes. A document that another
server holds is fetched from there and stored like one of the Bundle.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.fhir.datatypes import Json, decode_base64
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, DocumentEntry

_DOCUMENTS: Final = (EntryKind.BINARY, EntryKind.FHIR_DOCUMENT)


class ProvidedDocument(Struct, frozen=True):
    """Bytes of one DocumentEntry. `sha1` is 40 hex digits, `size` in bytes."""

    entry_uuid: str
    mime_type: str
    content: bytes
    sha1: str
    size: int


@dataclass(frozen=True, slots=True)
class HostedDocument:
    """A document that another server holds, as that serves it; the media type has no parameters."""

    mime_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why there is nothing for a URL; the text is for the client."""

    reason: str


Hosted = Mapping[str, HostedDocument | Unreachable]
"""What a URL of an attachment led to."""

NOTHING_HOSTED: Final[Hosted] = {}


def hosted_urls(index: BundleIndex) -> tuple[str, ...]:
    """URLs of attachments whose document another server holds; On-Demand documents are none yet."""
    attachments = (
        content["attachment"]
        for entry in index.of(EntryKind.DOCUMENT)
        for content in entry.resource.get("content") or ()
    )
    urls = (a.get("url") for a in attachments if a.get("size") and a.get("hash"))
    return tuple(dict.fromkeys(u for u in urls if u and _is_elsewhere(u, index)))


def _is_elsewhere(url: str, index: BundleIndex) -> bool:
    is_http = url.lower().startswith(("https://", "http://"))
    return is_http and index.entry_of(url) is None and not url.startswith(f"{index.base_url}/")


def decode_binaries(index: BundleIndex, findings: Findings) -> dict[int, bytes]:
    """Bytes of each Binary entry by its position. A Binary without data is an empty document."""
    decoded: dict[int, bytes] = {}
    for entry in index.of(EntryKind.BINARY):
        # the text is the larger copy of a document and not needed again
        data = entry.resource.pop("data", None)
        content = decode_base64(data) if isinstance(data, str) else b"" if data is None else None
        if content is None:
            findings.error(f"{entry.resource_path}.data", "value", "The data of a Binary is base64.")
        else:
            decoded[entry.index] = content
    return decoded


class AttachmentReader:
    """Gives each DocumentEntry its bytes and remembers which entry they came in.

    `wire_format` is that of the request, in which a document Bundle is stored.
    """

    def __init__(
        self, index: BundleIndex, contents: Mapping[int, bytes], wire_format: FhirFormat, findings: Findings
    ) -> None:
        self._index = index
        self._contents = contents
        self._wire_format = wire_format
        self._findings = findings
        self.hosted: Hosted = NOTHING_HOSTED
        """Documents of other servers, fetched before `read`."""
        self.binaries: dict[int, str] = {}
        """entryUUID by position of the entry with the bytes."""

    def read(
        self, entry: RequestEntry, document_entry: DocumentEntry
    ) -> tuple[DocumentEntry, ProvidedDocument | None]:
        """The entry as it is submitted, with the hash and size of its bytes, and these."""
        path = f"{entry.resource_path}.content[0].attachment"
        attachment = entry.resource["content"][0]["attachment"]
        submitted = replace(
            document_entry,
            object_type=codes.STABLE_DOCUMENT,
            status=AvailabilityStatus.APPROVED,
        )
        hosted = self.hosted.get(attachment.get("url") or "")
        if hosted is not None:
            return self._read_hosted(hosted, submitted, attachment, path)
        binary = self._binary(attachment, path)
        if binary is None:
            return submitted, None
        self.binaries[binary.index] = submitted.entry_uuid
        content = self._contents[binary.index]
        if binary.kind is EntryKind.FHIR_DOCUMENT:
            submitted = self._as_fhir_document(submitted, attachment, path)
        elif not _same_mime_type(binary.resource.get("contentType"), attachment.get("contentType")):
            self._findings.error(
                f"{binary.resource_path}.contentType",
                "value",
                f"The contentType is not that of {path}.contentType, which refers to this Binary.",
            )
        return self._with_content(submitted, content, path)

    def _with_content(
        self, entry: DocumentEntry, content: bytes, path: str
    ) -> tuple[DocumentEntry, ProvidedDocument]:
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self._compare(entry, sha1, len(content), path)
        described = replace(entry, hash=sha1, size=len(content))
        return described, ProvidedDocument(entry.entry_uuid, entry.mime_type, content, sha1, len(content))

    def _read_hosted(
        self, hosted: HostedDocument | Unreachable, entry: DocumentEntry, attachment: Json, path: str
    ) -> tuple[DocumentEntry, ProvidedDocument | None]:
        if isinstance(hosted, Unreachable):
            self._findings.error(
                f"{path}.url",
                "not-found",
                f"The document is not in the Bundle and cannot be fetched: {hosted.reason}. Put it into the "
                "Bundle as Binary.",
                "XDSMissingDocument",
            )
            return entry, None
        if not _same_mime_type(hosted.mime_type, attachment.get("contentType")):
            self._findings.error(
                f"{path}.contentType", "value", "The server that holds the document serves another type."
            )
        return self._with_content(entry, hosted.content, path)

    def _binary(self, attachment: Json, path: str) -> RequestEntry | None:
        url = attachment.get("url")
        found = self._index.entry_of(url)
        if found is None:
            if url:
                text = _why_missing(attachment)
                self._findings.error(f"{path}.url", "not-found", text, "XDSMissingDocument")
            return None
        if found.kind not in _DOCUMENTS:
            self._findings.error(
                f"{path}.url", "value", "The url is the fullUrl of an entry with a Binary or document Bundle."
            )
            return None
        if found.index in self.binaries:
            self._findings.error(
                f"{path}.url", "business-rule", "Another DocumentReference refers to the same document."
            )
            return None
        return found

    def _as_fhir_document(self, entry: DocumentEntry, attachment: Json, path: str) -> DocumentEntry:
        for element in ("hash", "size"):
            if element in attachment:
                self._findings.error(
                    f"{path}.{element}",
                    "structure",
                    "The bytes of a document Bundle are made here, so the attachment has no hash and size.",
                )
        if not _same_mime_type(attachment.get("contentType"), self._wire_format.value):
            self._findings.warn(
                f"{path}.contentType",
                "value",
                f"The document is stored in the format of the request, {self._wire_format}.",
            )
        return replace(entry, mime_type=self._wire_format.value, hash=None, size=None)

    def _compare(self, entry: DocumentEntry, sha1: str, size: int, path: str) -> None:
        if entry.hash is not None and entry.hash != sha1:
            self._findings.error(
                f"{path}.hash",
                "value",
                "The hash is not the SHA-1 of the document that the url leads to.",
                "XDSRepositoryMetadataError",
            )
        if entry.size is not None and entry.size != size:
            self._findings.error(
                f"{path}.size",
                "value",
                f"The size is not that of the document that the url leads to, which has {size} bytes.",
                "XDSRepositoryMetadataError",
            )

    def check_unused(self) -> None:
        """Report every document that no DocumentReference refers to."""
        for entry in self._index.of(*_DOCUMENTS):
            if entry.index not in self.binaries:
                self._findings.error(
                    entry.path,
                    "business-rule",
                    "No DocumentReference has the fullUrl of this document as attachment.url.",
                    "XDSMissingDocumentMetadata",
                )


def _why_missing(attachment: Json) -> str:
    """What an attachment is whose url is not an entry of the Bundle."""
    if "hash" not in attachment and "size" not in attachment:
        return (
            "The url is not the fullUrl of an entry, and without hash and size it is On-Demand. "
            "This server takes documents as they are: put a Binary or a document Bundle into the Bundle."
        )
    if attachment.get("size") == 0:
        return (
            "The url is not the fullUrl of an entry, and with size 0 this is a document of Delayed Assembly, "
            "which only the repository that assembles it can register."
        )
    return "The url is not the fullUrl of an entry; documents are taken from the Bundle only."


def _same_mime_type(one: object, other: object) -> bool:
    return _bare(one) == _bare(other) or other is None


def _bare(mime_type: object) -> str:
    return str(mime_type).partition(";")[0].strip().lower()
