"""Retrieve Document (ITI-68) carried out as Retrieve Document Set (ITI-43).

The document flows from the repository's answer to the client in constant memory. Its size, and up to a
limit its SHA-1, are checked on the way with the last chunk held back, so that a client never takes an altered
document for a complete one (IHE MHD 4.2.4 2:3.68; ITI TF-2 3.43).
"""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from gateway.chunks import Resumed
from gateway.clients.community import DocumentPlaces, Documents, Queries
from gateway.correlation.lookups import DocumentLookup
from gateway.fhir.document_ids import read_document_id
from gateway.fhir.document_release import is_fhir, release_in
from gateway.fhir.error_table import known_code
from gateway.fhir.issues import OutcomeError, fail
from gateway.imaging.manifests import AlteredManifest, ManifestError
from gateway.imaging.translations import MANIFEST_TYPES, ManifestTranslator
from gateway.mhd.conditions import (
    ByteRange,
    UnsatisfiableRange,
    accepts,
    best_type,
    none_match,
    parse_range,
)
from gateway.mhd.current_version import named, with_current_versions
from gateway.mhd.document_types import (
    bare,
    first_media_type,
    is_negotiated,
    manifest_type,
    stored_type,
    with_release,
)
from gateway.mhd.references import document_key
from gateway.mhd.stream_digest import StreamDigest
from gateway.model import AvailabilityStatus, DocumentEntry, DocumentRequest, RegistryFailure
from gateway.model.codes import EMPTY_SHA1
from gateway.model.errors import PeerError
from gateway.model.imaging_codes import MIME_DICOM
from gateway.model.query import GetDocuments
from gateway.security.access import is_limited
from gateway.security.document_urls import DocumentKey, DocumentTokens, NotOurs
from gateway.security.subjects import about_document, forged

_HASH = re.compile(r"[0-9A-Za-z+/=]{1,128}")
_NO_SUCH_DOCUMENT = frozenset({"XDSDocumentUniqueIdError", "XDSMissingDocument"})


class AlteredDocument(Exception):
    """The bytes of the repository `peer` are not those that the registry describes; the text says in what."""

    def __init__(self, peer: str, difference: str) -> None:
        super().__init__(difference)
        self.peer = peer


@dataclass(frozen=True, slots=True)
class Conditions:
    """Request headers that decide what is answered."""

    accept: str | None = None
    if_none_match: str | None = None
    if_range: str | None = None
    range: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """An answer ready to be written: `size` of the whole document where known, and the bytes to send.

    `negotiated` says that another Accept would give another document.

    Iterating `chunks` raises PeerError or AlteredDocument when the document cannot be completed.
    """

    status: int
    media_type: str
    etag: str | None
    size: int | None
    range: ByteRange | None
    chunks: AsyncIterator[bytes] | None
    negotiated: bool = False

    @property
    def length(self) -> int | None:
        """Bytes to send, None where unknown."""
        return self.range.length if self.range else self.size


@dataclass(frozen=True, slots=True)
class RetrievePolicy:
    """What becomes of superseded and of removed documents, and up to how many bytes the SHA-1 is checked."""

    deprecated: Literal["serve", "gone"] = "serve"
    removed: Literal["gone", "not-found"] = "gone"
    verify_sha1_up_to: int = 64 * 1024 * 1024


class Retriever:
    """The use case of ITI-68."""

    def __init__(
        self,
        registry: Queries,
        places: DocumentPlaces,
        *,
        tokens: DocumentTokens,
        lookup: DocumentLookup,
        policy: RetrievePolicy,
        translator: ManifestTranslator | None = None,
    ) -> None:
        """`translator` gives manifests in the formats too that they are not stored in."""
        self._registry = registry
        self._places = places
        self._tokens = tokens
        self._lookup = lookup
        self._policy = policy
        self._translator = translator

    async def describe(self, token: str, conditions: Conditions) -> Retrieval:
        """Answer a HEAD request from the registry, without moving the document."""
        key = self._key(token)
        about_document(key)
        served = self._negotiate(key, conditions)
        await self._check_registered(key.entry_uuid, known=not is_limited())
        if served is not None:
            return Retrieval(200, served, None, None, None, None, negotiated=True)
        status = 304 if none_match(conditions.if_none_match, _etag(key)) else 200
        return Retrieval(
            status,
            first_media_type(stored_type(key)),
            _etag(key),
            _size(key),
            None,
            None,
            negotiated=is_negotiated(key),
        )

    def retrieve(self, token: str, conditions: Conditions) -> AbstractAsyncContextManager[Retrieval]:
        """Open the document of an ITI-68 URL. Leaving the context ends the repository's answer.

        Raises OutcomeError 404, 406, 410 and 416, RegistryFailure and PeerError.
        """
        return self._retrieve(self._key(token), conditions)

    async def find_binary(self, logical_id: str) -> DocumentKey:
        """Where the document lies whose DocumentReference has this id. Raises OutcomeError 404 and 410."""
        wanted = read_document_id(logical_id)
        unknown = fail(404, "not-found", "No Binary with this id; it is that of a DocumentReference.")
        if wanted is None:
            raise unknown
        key = await self._lookup.find(wanted.entry_uuid)
        if key is None:
            key = document_key(await self._check_registered(wanted.entry_uuid, known=False))
            await self._lookup.remember(key)
        if wanted.made_as is None:
            return key
        if not key.manifest or (key.mime_type == MIME_DICOM) is (wanted.made_as == MIME_DICOM):
            raise unknown
        return replace(key, made_as=wanted.made_as)

    def retrieve_binary(
        self, key: DocumentKey, conditions: Conditions
    ) -> AbstractAsyncContextManager[Retrieval]:
        """The same as `retrieve` for what `find_binary` found."""
        return self._retrieve(key, conditions)

    @asynccontextmanager
    async def _retrieve(self, key: DocumentKey, conditions: Conditions) -> AsyncIterator[Retrieval]:
        about_document(key)
        if is_limited():
            # the URL does not say whose document it is: the registry does, and shows only what may be seen
            await self._check_registered(key.entry_uuid, known=False)
        served = self._negotiate(key, conditions)
        if served is not None:
            yield await self._translated(key, served, conditions)
            return
        etag = _etag(key)
        if none_match(conditions.if_none_match, etag):
            await self._check_registered(key.entry_uuid)
            media_type = first_media_type(stored_type(key))
            yield Retrieval(304, media_type, etag, _size(key), None, None, negotiated=is_negotiated(key))
            return
        if self._policy.deprecated == "gone":
            await self._check_registered(key.entry_uuid)
        wanted = self._range(key, conditions)
        place, request = self._route(key)
        try:
            async with place.retrieve(request) as document:
                chunks = _checked(document.chunks, key, self._policy, place.name)
                first = await anext(chunks, b"")
                media_type = first_media_type(stored_type(key), document.header.mime_type)
                if key.release is None and is_fhir(media_type):
                    media_type = with_release(media_type, release_in(first))
                    _require_accepted(media_type, conditions)
                whole = Resumed(first, chunks)
                yield Retrieval(
                    206 if wanted else 200,
                    media_type,
                    etag,
                    _size(key),
                    wanted,
                    _cut(whole, wanted) if wanted else whole,
                    negotiated=is_negotiated(key),
                )
        except RegistryFailure as failure:
            if any(known_code(error.code) in _NO_SUCH_DOCUMENT for error in failure.errors):
                await self._explain_missing(key)
            raise

    def _key(self, token: str) -> DocumentKey:
        try:
            return self._tokens.read(token)
        except NotOurs:
            forged("a URL of a document that was not given out here, or was altered")
            raise fail(
                404,
                "not-found",
                "No document at this URL. Search again and use attachment.url as it is given.",
            ) from None

    def _negotiate(self, key: DocumentKey, conditions: Conditions) -> str | None:
        """The type that a manifest has to be translated to; None for the document as it is stored."""
        if key.manifest and self._translator is not None:
            offered = (key.media_type, *MANIFEST_TYPES)
            served = best_type([manifest_type(each) for each in offered], conditions.accept)
            if served is None:
                types = ", ".join(map(manifest_type, MANIFEST_TYPES))
                raise fail(
                    406, "not-supported", f"The manifest is given as one of {types}; Accept allows none."
                )
            return served if bare(served) != bare(key.mime_type) else None
        stored = stored_type(key)
        if stored:
            _require_accepted(stored, conditions)
        return None

    async def _translated(self, key: DocumentKey, served: str, conditions: Conditions) -> Retrieval:
        """A manifest in another format, which is made now: it has neither hash nor size before."""
        assert self._translator is not None
        entry = await self._check_registered(key.entry_uuid)
        place, request = self._route(key)
        entry = replace(entry, repository_unique_id=request.repository_unique_id)
        try:
            content = await self._translator.translated(entry, bare(served))
        except AlteredManifest as error:
            raise AlteredDocument(place.name, str(error)) from None
        except ManifestError as error:
            own = f" Its own type, {entry.mime_type}, can be had." if not key.made_as else ""
            raise fail(
                502 if key.made_as else 406,
                "exception" if key.made_as else "not-supported",
                f"The manifest cannot be given as {served}: {error}.{own}",
            ) from None
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        if none_match(conditions.if_none_match, etag):
            return Retrieval(304, served, etag, None, None, None, negotiated=True)
        return Retrieval(200, served, etag, None, None, _once(content), negotiated=True)

    def _range(self, key: DocumentKey, conditions: Conditions) -> ByteRange | None:
        size = _size(key)
        try:
            return parse_range(conditions.range, conditions.if_range, size, _etag(key))
        except UnsatisfiableRange:
            problem = fail(416, "value", f"The range starts behind the end: the document has {size} bytes.")
            raise OutcomeError(416, problem.issues, {"Content-Range": f"bytes */{size}"}) from None

    def _route(self, key: DocumentKey) -> tuple[Documents, DocumentRequest]:
        unique_id = self._places.repository_of(key.home_community_id, key.repository_unique_id)
        found = self._places.of(key.home_community_id, unique_id)
        if found is None or unique_id is None:
            raise fail(
                404,
                "not-found",
                f"Repository {unique_id or '(not named by the registry)'} is not one that this gateway "
                "reaches; an operator can add it to the setting repositories.",
                details_code="XDSUnknownRepositoryId",
            )
        return found, DocumentRequest(unique_id, key.document_unique_id, key.home_community_id)

    async def _explain_missing(self, key: DocumentKey) -> None:
        """The repository holds no such document: 410 where the registry says that it was superseded."""
        try:
            entry = await self._check_registered(key.entry_uuid)
        except (PeerError, RegistryFailure):
            return
        if entry.status is AvailabilityStatus.DEPRECATED:
            raise _superseded()

    async def _check_registered(self, entry_uuid: str, *, known: bool = True) -> DocumentEntry:
        """The registry's entry of the document. Raises OutcomeError 404 or 410.

        `known` says that the registry had it once: the id comes out of what this gateway has written.
        """
        query = GetDocuments(entry_uuids=(entry_uuid,))
        found = await with_current_versions(self._registry, query, await self._registry.query(query))
        entry = named(found.entries, entry_uuid)
        if entry is None:
            gone = known and self._policy.removed == "gone"
            raise fail(
                410 if gone else 404,
                "deleted" if gone else "not-found",
                "The document is not registered any more.",
                details_code="XDSDocumentUniqueIdError",
            )
        if self._policy.deprecated == "gone" and entry.status is AvailabilityStatus.DEPRECATED:
            raise _superseded()
        return entry


def _require_accepted(media_type: str, conditions: Conditions) -> None:
    if not accepts(conditions.accept, media_type):
        raise fail(
            406,
            "not-supported",
            f"The document is {media_type}; the Accept header allows it not, and documents are not "
            "converted. Ask for that type or for */*.",
        )


def _superseded() -> OutcomeError:
    return fail(410, "deleted", "The document was superseded. Search for the one that replaces it.")


def _delayed(key: DocumentKey) -> bool:
    """Delayed Assembly: size and hash stand for a document that is only made when it is asked for."""
    return key.size == 0 and key.hash == EMPTY_SHA1


def _size(key: DocumentKey) -> int | None:
    return None if _delayed(key) else key.size


def _etag(key: DocumentKey) -> str | None:
    # a registry may say anything as hash; what is none is compared with the document, and no part of a header
    known = key.hash is not None and not _delayed(key) and _HASH.fullmatch(key.hash)
    return f'"{key.hash}"' if known else None


async def _checked(
    chunks: AsyncIterator[bytes], key: DocumentKey, policy: RetrievePolicy, peer: str
) -> AsyncIterator[bytes]:
    """Pass the chunks on, the last one only when size and SHA-1 of the whole agree with the metadata."""
    size, expected = _size(key), None if _delayed(key) else key.hash
    hashed = expected is not None and (size or 0) <= policy.verify_sha1_up_to
    digest = StreamDigest() if hashed else None
    seen = 0
    held = b""
    async for chunk in chunks:
        seen += len(chunk)
        if size is not None and seen > size:
            raise AlteredDocument(peer, f"longer than the {size} bytes of the metadata")
        if digest is not None:
            await digest.update(chunk)
        if held:
            yield held
        held = chunk
    if size is not None and seen != size:
        raise AlteredDocument(peer, f"{seen} bytes instead of the {size} of the metadata")
    if digest is not None and await digest.hexdigest() != expected:
        raise AlteredDocument(peer, "its SHA-1 is not that of the metadata")
    if held:
        yield held


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _cut(chunks: AsyncIterator[bytes], wanted: ByteRange) -> AsyncIterator[bytes]:
    position = 0
    async for chunk in chunks:
        start = max(wanted.first - position, 0)
        end = min(wanted.last + 1 - position, len(chunk))
        if start < end:
            yield chunk[start:end]
        position += len(chunk)
        if position > wanted.last:
            return
