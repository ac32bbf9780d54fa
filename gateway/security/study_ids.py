"""FHIR id of an ImagingStudy from its community, its Study Instance UID and its patient, and back, without a
table.

The id must stay the same for a study whatever manifest lists it, and still lead to it after everything that
was remembered is gone: the registry can only be asked by patient. So the three are packed and sealed, as in
`gateway.security.patient_ids`. What does not fit 64 characters gets a digest instead, which leads nowhere
by itself: such an id is looked up among the studies that were seen.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.model import Cx
from gateway.security.packing import (
    FHIR_ID_LENGTH,
    open_id,
    pack_id,
    pack_oid,
    seal_id,
    unpack_id,
    unpack_oid,
)
from gateway.security.sealing import KeyRing, NotOurs, Sealer

_DIGEST_MARK: Final = "s-"
_DIGEST_BYTES: Final = 24


class StudyIdentity(Struct, frozen=True, gc=False):
    """What a study is asked for by. `home_community_id` is None in the own community."""

    study_instance_uid: str
    patient_id: Cx
    home_community_id: str | None = None


class StudyIds:
    """Writes and reads ImagingStudy ids."""

    def __init__(self, ring: KeyRing, communities: Sequence[str] = ()) -> None:
        """`communities` are the homeCommunityIds of the settings, whose order must not change."""
        self._sealer = Sealer(ring, "study id")
        self._digest_key = ring.derive("study id digest")[0]
        self._communities = tuple(communities)

    def write(self, study: StudyIdentity) -> str:
        """The FHIR id, the same each time."""
        packed = self._pack(study)
        sealed = None if packed is None else seal_id(self._sealer, packed)
        if sealed is not None:
            return sealed
        content = "\0".join((study.home_community_id or "", study.study_instance_uid)).encode()
        digest = hmac.digest(self._digest_key, content, "sha256")[:_DIGEST_BYTES]
        return _DIGEST_MARK + digest.hex()

    def read(self, fhir_id: str) -> StudyIdentity | None:
        """The study that an id stands for; None for a digest. Raises NotOurs."""
        if fhir_id.startswith(_DIGEST_MARK) and len(fhir_id) == len(_DIGEST_MARK) + 2 * _DIGEST_BYTES:
            return None
        return self._unpack(open_id(self._sealer, fhir_id))

    def _pack(self, study: StudyIdentity) -> bytes | None:
        uid, authority = pack_oid(study.study_instance_uid), pack_oid(study.patient_id.authority)
        if uid is None or authority is None or max(len(uid), len(authority)) > 0x3F:
            return None
        community = 0
        if study.home_community_id is not None:
            if study.home_community_id not in self._communities:
                return None
            community = 1 + self._communities.index(study.home_community_id)
        form, patient = pack_id(study.patient_id.id)
        return bytes([form << 6 | len(uid), len(authority), community]) + uid + authority + patient

    def _unpack(self, content: bytes) -> StudyIdentity:
        form, uid_end = content[0] >> 6, 3 + (content[0] & 0x3F)
        authority_end = uid_end + content[1]
        community = content[2]
        if community > len(self._communities):
            raise NotOurs
        return StudyIdentity(
            unpack_oid(content[3:uid_end]),
            Cx(unpack_id(form, content[authority_end:]), unpack_oid(content[uid_end:authority_end])),
            self._communities[community - 1] if community else None,
        )


__all__ = ["FHIR_ID_LENGTH", "NotOurs", "StudyIdentity", "StudyIds"]
