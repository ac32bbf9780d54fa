"""FHIR id of an ImagingStudy from its community, its Study Instance UID and its patient, and back, without a
table where they fit.

The id must stay the same for a study whatever manifest lists it, and still lead to it after everything that
was remembered is gone: the registry can only be asked by patient. So the three are packed and sealed, as in
`gateway.security.patient_ids`. What does not fit 64 characters gets a digest instead, which leads nowhere
by itself: what it stands for has to be remembered. Resources that are made of parts of a study, such as its
Endpoints, have ids that lead to the study in the same way.
"""

import hmac
import re
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from gateway.model import Cx
from gateway.model.object_ids import community_mark, mark_bytes
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

_PART_BYTES: Final = 3
_COMMUNITY_BYTES: Final = 3
_DIGEST_MARK: Final = "s-"
_DIGEST_BYTES: Final = 12
_DIGEST = re.compile(r"(s-[0-9a-f]{24})(?:-[0-9a-f]{24})?")


class StudyIdentity(Struct, frozen=True, gc=False):
    """What a study is asked for by. `home_community_id` is None in the own community."""

    study_instance_uid: str
    patient_id: Cx
    home_community_id: str | None = None


class StudyIds:
    """Writes and reads ImagingStudy ids."""

    def __init__(self, ring: KeyRing, communities: Callable[[], Iterable[str]] = tuple) -> None:
        """`communities` gives the homeCommunityIds of the settings as they are now."""
        self._sealer = Sealer(ring, "study id")
        self._part_sealer = Sealer(ring, "study part id")
        self._digest_key = ring.derive("study id digest")[0]
        self._communities = communities

    def write(self, study: StudyIdentity) -> str:
        """The FHIR id, the same each time."""
        packed = self._pack(study)
        sealed = None if packed is None else seal_id(self._sealer, packed)
        return sealed or self.digest(study)

    def write_part(self, study: StudyIdentity, *name: str) -> str:
        """The FHIR id of a resource that is made of a part of the study, such as an Endpoint."""
        packed = self._pack(study)
        mark = self._hash(*name)
        sealed = None if packed is None else seal_id(self._part_sealer, mark[:_PART_BYTES] + packed)
        return sealed or f"{self.digest(study)}-{mark.hex()}"

    def read(self, fhir_id: str) -> StudyIdentity | str:
        """The study that an id stands for, or the digest to look up. Raises NotOurs."""
        return _digest_in(fhir_id) or self._unpack(open_id(self._sealer, fhir_id))

    def read_part(self, fhir_id: str) -> StudyIdentity | str:
        """The study of which a part has this id; which part, who knows the study can tell. Raises NotOurs."""
        return _digest_in(fhir_id) or self._unpack(open_id(self._part_sealer, fhir_id)[_PART_BYTES:])

    def digest(self, study: StudyIdentity) -> str:
        """What a study is remembered under where its id cannot carry it."""
        return _DIGEST_MARK + self._hash(study.home_community_id or "", study.study_instance_uid).hex()

    def _hash(self, *texts: str) -> bytes:
        return hmac.digest(self._digest_key, "\0".join(texts).encode(), "sha256")[:_DIGEST_BYTES]

    def _pack(self, study: StudyIdentity) -> bytes | None:
        uid, authority = pack_oid(study.study_instance_uid), pack_oid(study.patient_id.authority)
        if uid is None or authority is None or max(len(uid), len(authority)) > 0x3F:
            return None
        home, community = study.home_community_id, b""
        if home is not None:
            community = _mark(home)
            if self._homes_of(community) != [home]:
                return None
        form, patient = pack_id(study.patient_id.id)
        return bytes([form << 6 | len(uid), len(authority), len(community)]) + b"".join(
            (community, uid, authority, patient)
        )

    def _unpack(self, content: bytes) -> StudyIdentity:
        form, uid_start = content[0] >> 6, 3 + content[2]
        uid_end = uid_start + (content[0] & 0x3F)
        authority_end = uid_end + content[1]
        home: str | None = None
        if content[2]:
            homes = self._homes_of(content[3:uid_start])
            if len(homes) != 1:
                # a community that the settings do not have any more
                raise NotOurs
            home = homes[0]
        return StudyIdentity(
            unpack_oid(content[uid_start:uid_end]),
            Cx(unpack_id(form, content[authority_end:]), unpack_oid(content[uid_end:authority_end])),
            home,
        )

    def _homes_of(self, mark: bytes) -> list[str]:
        return [home for home in self._communities() if _mark(home) == mark]


def _mark(home: str) -> bytes:
    return mark_bytes(community_mark(home))[:_COMMUNITY_BYTES]


def _digest_in(fhir_id: str) -> str | None:
    found = _DIGEST.fullmatch(fhir_id)
    return found[1] if found else None


__all__ = ["FHIR_ID_LENGTH", "NotOurs", "StudyIdentity", "StudyIds"]
