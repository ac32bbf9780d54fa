"""Parsed manifests, and the studies that they list, kept in Redis for a while.

A manifest never changes under its repository and uniqueId, so what was read once need not be fetched and
read again. Under a Study Instance UID lie the keys of all manifests seen for it: the same study may come
from two communities, and an image URL without a token is resolved here.
"""

from typing import Final

import msgspec
import structlog

from gateway.correlation.store import CorrelationStore
from gateway.model.imaging import ReadManifest
from gateway.security.study_urls import StudyKey

MANIFEST: Final = "manifest"
STUDY: Final = "study"
_MOST_KEYS: Final = 64
"""Manifests of one study that are kept: versions and communities together."""
_TRIES: Final = 5

_encoder = msgspec.msgpack.Encoder()
_manifests = msgspec.msgpack.Decoder(ReadManifest)
_keys = msgspec.msgpack.Decoder(tuple[StudyKey, ...])

log = structlog.get_logger()


class ManifestStore:
    """Manifests by document, and keys of manifests by study. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        """`lifetime` in seconds."""
        self._store = store
        self._lifetime = lifetime

    async def remember(self, key: StudyKey, read: ReadManifest) -> None:
        """Keep a manifest and add it to those of its study."""
        await self._store.set(MANIFEST, _document(key), _encoder.encode(read), self._lifetime)
        await self._add(key)

    async def find(self, key: StudyKey) -> ReadManifest | None:
        """The manifest, or None where it is not known."""
        content = await self._store.get(MANIFEST, _document(key))
        if content is None:
            return None
        try:
            return _manifests.decode(content)
        except msgspec.MsgspecError:
            # written by a release with another model
            return None

    async def of_study(self, study_instance_uid: str) -> tuple[StudyKey, ...]:
        """Keys of the manifests that were seen for a study, the latest first."""
        return _read_keys(await self._store.get(STUDY, study_instance_uid))

    async def _add(self, key: StudyKey) -> None:
        uid = key.study_instance_uid
        for _ in range(_TRIES):
            held = await self._store.get(STUDY, uid)
            known = _read_keys(held)
            if known[:1] == (key,):
                return
            others = (k for k in known if _document(k) != _document(key))
            new = _encoder.encode((key, *others)[:_MOST_KEYS])
            if held is None:
                done = await self._store.set_nx(STUDY, uid, new, self._lifetime)
            else:
                done = await self._store.replace(STUDY, uid, held, new, self._lifetime)
            if done is not False:
                return
        log.warning("study.index_contended")


def _document(key: StudyKey) -> str:
    return f"{key.home_community_id or ''}\0{key.repository_unique_id}\0{key.document_unique_id}"


def _read_keys(content: bytes | None) -> tuple[StudyKey, ...]:
    if content is None:
        return ()
    try:
        return _keys.decode(content)
    except msgspec.MsgspecError:
        return ()


__all__ = ["ManifestStore"]
