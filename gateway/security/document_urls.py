"""Opaque tokens of retrieval URLs (ITI-68) and page links (ITI-66, ITI-67).

IHE MHD 4.2.4 3.65.4.1.2 and 3.67.4.2.2 leave the form of attachment.url free, but it must not leak
sensitive data and altering it must not open other documents. A token holds all that is needed, encrypted
and authenticated, so it works after a restart and on every replica that has the keys.
"""

import re
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.model import Cx, DocumentEntry, DocumentRequest
from gateway.model.imaging_codes import MIME_DICOM, MIME_FHIR_JSON
from gateway.model.releases import FhirRelease
from gateway.security.sealing import KeyRing, NotOurs, Sealer

_UUID = re.compile(r"urn:uuid:([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class DocumentKey(Struct, frozen=True, kw_only=True, gc=False):
    """What a retrieve needs without asking the registry.

    Fields are those of DocumentEntry; `entry_uuid` is that of its first version where the registry says it,
    which is the id that stays. `repository_unique_id` is absent where the registry did not say it;
    `hash` and `size` are absent for On-Demand entries and where metadata is limited. `release` is that of a
    FHIR document, where it is known. A `manifest` can be given in other formats too; `made_as` is the MIME
    type of the translation that the key names, where it names one: the other fields are those of its original
    then. `patient_id` is whose document it is.
    """

    document_unique_id: str
    entry_uuid: str
    repository_unique_id: str | None = None
    home_community_id: str | None = None
    mime_type: str = ""
    size: int | None = None
    hash: str | None = None
    on_demand: bool = False
    manifest: bool = False
    release: FhirRelease | None = None
    made_as: str = ""
    patient_id: Cx | None = None

    @classmethod
    def of(
        cls, entry: DocumentEntry, *, manifest: bool = False, release: FhirRelease | None = None
    ) -> "DocumentKey":
        """The key of a DocumentEntry."""
        stored = entry.made_of or entry
        return cls(
            document_unique_id=entry.unique_id,
            entry_uuid=entry.logical_id or entry.entry_uuid,
            repository_unique_id=entry.repository_unique_id,
            home_community_id=entry.home_community_id,
            mime_type=stored.mime_type,
            size=stored.size,
            hash=stored.hash,
            on_demand=entry.on_demand,
            manifest=manifest,
            release=release,
            made_as=entry.mime_type if entry.made_of is not None else "",
            patient_id=entry.patient_id,
        )

    @property
    def media_type(self) -> str:
        """The MIME type of what the key names."""
        return self.made_as or self.mime_type

    @property
    def request(self) -> DocumentRequest | None:
        """The same as an ITI-43 DocumentRequest; None where the repository is not known."""
        if self.repository_unique_id is None:
            return None
        return DocumentRequest(self.repository_unique_id, self.document_unique_id, self.home_community_id)


class PageKey(Struct, frozen=True, kw_only=True, gc=False):
    """Where a search goes on.

    `parameters` are the search as the client sent it, `snapshot` names the stored result (None where none
    could be stored), `offset` and `count` are entries. `anchor` is the entryUUID of the last entry before
    the page: it finds the place again when the snapshot is gone and the search is made anew.
    """

    parameters: tuple[tuple[str, str], ...]
    offset: int
    count: int
    snapshot: str | None = None
    anchor: str | None = None


class _Document(Struct, array_like=True, frozen=True, gc=False):
    """DocumentKey on the wire: positions instead of names; `flags` say which texts are packed as bytes."""

    flags: int
    document_unique_id: str
    entry_uuid: bytes
    repository_unique_id: str | None
    home_community_id: str | None
    mime_type: str
    size: int | None
    hash: bytes | None
    patient: tuple[str, str] | None = None


_ON_DEMAND, _PACKED_UUID, _PACKED_HASH, _MANIFEST = 1, 2, 4, 8
_RELEASES = {FhirRelease.R4: 64, FhirRelease.R5: 128}
_MADE_AS = {MIME_FHIR_JSON: 16, MIME_DICOM: 32}


class _Page(Struct, array_like=True, frozen=True, gc=False):
    parameters: tuple[tuple[str, str], ...]
    offset: int
    count: int
    snapshot: str | None
    anchor: str | None


_T = TypeVar("_T", _Document, _Page)


def _decode(decoder: "msgspec.msgpack.Decoder[_T]", content: bytes) -> _T:
    try:
        return decoder.decode(content)
    except msgspec.MsgspecError:
        # authentic, yet of another release: no different to a client than a token of another gateway
        raise NotOurs from None


def _pack(key: DocumentKey) -> _Document:
    flags = _ON_DEMAND if key.on_demand else 0
    flags |= (_MANIFEST if key.manifest else 0) | _MADE_AS.get(key.made_as, 0)
    flags |= _RELEASES[key.release] if key.release is not None else 0
    match = _UUID.fullmatch(key.entry_uuid)
    if match:
        flags |= _PACKED_UUID
        entry_uuid = bytes.fromhex("".join(match.groups()))
    else:
        entry_uuid = key.entry_uuid.encode()
    packed_hash = None
    if key.hash is not None:
        if _HEX.fullmatch(key.hash):
            flags |= _PACKED_HASH
            packed_hash = bytes.fromhex(key.hash)
        else:
            packed_hash = key.hash.encode()
    return _Document(
        flags,
        key.document_unique_id,
        entry_uuid,
        key.repository_unique_id,
        key.home_community_id,
        key.mime_type,
        key.size,
        packed_hash,
        None if key.patient_id is None else (key.patient_id.id, key.patient_id.authority),
    )


def _unpack(packed: _Document) -> DocumentKey:
    if packed.flags & _PACKED_UUID:
        entry_uuid = UUID(bytes=packed.entry_uuid).urn
    else:
        entry_uuid = packed.entry_uuid.decode()
    text_hash = None
    if packed.hash is not None:
        text_hash = packed.hash.hex() if packed.flags & _PACKED_HASH else packed.hash.decode()
    return DocumentKey(
        document_unique_id=packed.document_unique_id,
        entry_uuid=entry_uuid,
        repository_unique_id=packed.repository_unique_id,
        home_community_id=packed.home_community_id,
        mime_type=packed.mime_type,
        size=packed.size,
        hash=text_hash,
        on_demand=bool(packed.flags & _ON_DEMAND),
        manifest=bool(packed.flags & _MANIFEST),
        release=next((release for release, flag in _RELEASES.items() if packed.flags & flag), None),
        made_as=next((form for form, flag in _MADE_AS.items() if packed.flags & flag), ""),
        patient_id=None if packed.patient is None else Cx(*packed.patient),
    )


class DocumentTokens:
    """Tokens of documents: `write` and `read` are each other's inverse."""

    def __init__(self, ring: KeyRing) -> None:
        self._sealer = Sealer(ring, "document url")
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Document)

    def write(self, key: DocumentKey) -> str:
        """The token, the same whenever and wherever it is written under the same key."""
        return self._sealer.seal(self._encoder.encode(_pack(key)))

    def read(self, token: str) -> DocumentKey:
        """The document that a token names. Raises NotOurs."""
        return _unpack(_decode(self._decoder, self._sealer.open(token)))


class PageTokens:
    """Tokens of page links of one resource type: `write` and `read` are each other's inverse."""

    def __init__(self, ring: KeyRing, resource: str) -> None:
        self._sealer = Sealer(ring, f"page link {resource}")
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Page)

    def write(self, key: PageKey) -> str:
        """The token; its length grows with the parameters."""
        packed = _Page(key.parameters, key.offset, key.count, key.snapshot, key.anchor)
        return self._sealer.seal(self._encoder.encode(packed))

    def read(self, token: str) -> PageKey:
        """The page that a token names. Raises NotOurs."""
        packed = _decode(self._decoder, self._sealer.open(token))
        return PageKey(
            parameters=packed.parameters,
            offset=packed.offset,
            count=packed.count,
            snapshot=packed.snapshot,
            anchor=packed.anchor,
        )


__all__ = ["DocumentKey", "DocumentTokens", "NotOurs", "PageKey", "PageTokens"]
