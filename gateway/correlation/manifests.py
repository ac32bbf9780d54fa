"""Parsed manifests, and the studies that they list, kept in Redis for a while.

A manifest never changes under its repository and uniqueId, so what was read once need not be fetched and
read again. Under a Study Instance UID lie the keys of all manifests seen for it: the same study may come
from two communities, and an image URL without a token is resolved here. The same lies under each accession
and placer order number, with its issuer and without, since those are what orders and reports name.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec
import structlog

from gateway.correlation.store import CorrelationStore
from gateway.model.imaging import ReadManifest, Study
from gateway.security.study_urls import StudyKey

MANIFEST: Final = "manifest"
STUDY: Final = "study"
ACCESSION: Final = "accession"
PLACER: Final = "placer"
_MOST_NUMBERS: Final = 64
"""Requests of one manifest whose numbers are kept."""
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
        names = {(STUDY, key.study_instance_uid): None, **dict.fromkeys(_numbers(read.manifest.study))}
        await asyncio.gather(*(self._add(kind, name, key) for kind, name in names))

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

    async def of_number(self, kind: str, value: str, authority: str | None = None) -> tuple[StudyKey, ...]:
        """Keys of the manifests that name an accession (`ACCESSION`) or placer order number (`PLACER`).

        `authority` is the OID of its issuer; without it any issuer will do.
        """
        return _read_keys(await self._store.get(kind, _number(value, authority)))

    async def _add(self, kind: str, name: str, key: StudyKey) -> None:
        for _ in range(_TRIES):
            held = await self._store.get(kind, name)
            known = _read_keys(held)
            if known[:1] == (key,):
                return
            others = (k for k in known if _document(k) != _document(key))
            new = _encoder.encode((key, *others)[:_MOST_KEYS])
            if held is None:
                done = await self._store.set_nx(kind, name, new, self._lifetime)
            else:
                done = await self._store.replace(kind, name, held, new, self._lifetime)
            if done is not False:
                return
        log.warning("study.index_contended")


def _numbers(study: Study) -> Iterator[tuple[str, str]]:
    for request in study.requests[:_MOST_NUMBERS]:
        for kind, issued in ((ACCESSION, request.accession), (PLACER, request.placer)):
            if issued is not None and issued.value:
                yield kind, _number(issued.value, None)
                if issued.issuer is not None and issued.issuer.oid:
                    yield kind, _number(issued.value, issued.issuer.oid)


def _number(value: str, authority: str | None) -> str:
    return f"{authority or ''}\0{value}"


def _document(key: StudyKey) -> str:
    return f"{key.home_community_id or ''}\0{key.repository_unique_id}\0{key.document_unique_id}"


def _read_keys(content: bytes | None) -> tuple[StudyKey, ...]:
    if content is None:
        return ()
    try:
        return _keys.decode(content)
    except msgspec.MsgspecError:
        return ()


__all__ = ["ACCESSION", "PLACER", "ManifestStore"]
