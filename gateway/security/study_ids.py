"""FHIR id of an ImagingStudy from its community, Study Instance UID and patient, and back to community and
patient, without a table.

The id must stay the same for a study whatever manifest lists it, and still lead to it after everything that
was remembered is gone: registries can be asked for studies by patient alone. So patient and community are
packed and sealed, as in `gateway.security.patient_ids`, with a mark of the study that tells it from the
others of the patient. Where that does not fit 64 characters the id carries a document that lists the study:
whose it is, its registry says. Such an id leads to the study also when other manifests have taken the place
of that one. Resources that are made of parts of a study, such as its Endpoints, have ids that lead to the
study in the same way. Where there is no document by a UUID either, the id is a digest, and what it stands for
has to be remembered.
"""

import hmac
import re
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct

from gateway.model import Cx
from gateway.model.object_ids import (
    MARK_BYTES,
    community_mark,
    is_object_id,
    mark_bytes,
    mark_of_bytes,
    unmarked,
)
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
_COMMUNITY_BYTES: Final = 2
_STUDY_BYTES: Final = 5
"""Enough to tell apart the studies that one patient has in one community."""
_UUID_BYTES: Final = 16
_ABROAD: Final = 0x20
_BY_DOCUMENT: Final = 3
"""In the place of the form of a patient identifier: the id carries a document."""
_DIGEST_MARK: Final = "s-"
_DIGEST_BYTES: Final = 12
_DIGEST = re.compile(r"(s-[0-9a-f]{24})(?:-[0-9a-f]{24})?")


class StudyOwner(Struct, frozen=True, gc=False):
    """Whose a study is. `home_community_id` is None in the own community."""

    patient_id: Cx
    home_community_id: str | None = None


class StudyDocument(Struct, frozen=True, gc=False):
    """A document that lists a study, by its lasting id, and the mark of which of its studies is meant."""

    document: str
    mark: bytes


class StudyIdentity(Struct, frozen=True, gc=False):
    """What a study is known by. `home_community_id` is None in the own community.

    `document` is the lasting id (`gateway.model.object_ids`) of a document that lists it, for where the rest
    does not fit.
    """

    study_instance_uid: str
    patient_id: Cx
    home_community_id: str | None = None
    document: str | None = None

    @property
    def owner(self) -> StudyOwner:
        """Whose it is."""
        return StudyOwner(self.patient_id, self.home_community_id)


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
        return self._sealed(self._sealer, b"", study) or self.digest(study)

    def write_part(self, study: StudyIdentity, *name: str) -> str:
        """The FHIR id of a resource that is made of a part of the study, such as an Endpoint."""
        mark = self._hash(*name)
        part = self._sealed(self._part_sealer, mark[:_PART_BYTES], study)
        return part or f"{self.digest(study)}-{mark.hex()}"

    def read(self, fhir_id: str) -> StudyOwner | StudyDocument | str:
        """Whose the study with an id is, else a document that lists it, else a digest. Raises NotOurs."""
        return _digest_in(fhir_id) or self._unpack(open_id(self._sealer, fhir_id))

    def read_part(self, fhir_id: str) -> StudyOwner | StudyDocument | str:
        """As `read`, of the study of which a part has this id; which part, its studies tell."""
        return _digest_in(fhir_id) or self._unpack(open_id(self._part_sealer, fhir_id)[_PART_BYTES:])

    def is_meant(self, by: StudyDocument, study_instance_uid: str) -> bool:
        """True for the study that an id means which carries a document."""
        return self._study_mark(study_instance_uid) == by.mark

    def digest(self, study: StudyIdentity) -> str:
        """What a study is remembered under where its id cannot carry it."""
        return _DIGEST_MARK + self._hash(study.home_community_id or "", study.study_instance_uid).hex()

    def _hash(self, *texts: str) -> bytes:
        return hmac.digest(self._digest_key, "\0".join(texts).encode(), "sha256")[:_DIGEST_BYTES]

    def _study_mark(self, study_instance_uid: str) -> bytes:
        return self._hash("study", study_instance_uid)[:_STUDY_BYTES]

    def _sealed(self, sealer: Sealer, part: bytes, study: StudyIdentity) -> str | None:
        """The id with the patient, else the one with the document; None where neither can be."""
        for packed in (self._pack(study), self._pack_document(study)):
            sealed = None if packed is None else seal_id(sealer, part + packed)
            if sealed is not None:
                return sealed
        return None

    def _pack_document(self, study: StudyIdentity) -> bytes | None:
        if study.document is None or not is_object_id(study.document):
            return None
        urn, community = unmarked(study.document)
        head = bytes([_BY_DOCUMENT << 6 | (_ABROAD if community else 0)])
        marks = self._study_mark(study.study_instance_uid), mark_bytes(community) if community else b""
        return b"".join((head, UUID(urn).bytes, *marks))

    def _pack(self, study: StudyIdentity) -> bytes | None:
        authority = pack_oid(study.patient_id.authority)
        if authority is None or len(authority) > 0xFF:
            return None
        home, community = study.home_community_id, b""
        if home is not None:
            community = _mark(home)
            if self._homes_of(community) != [home]:
                return None
        form, patient = pack_id(study.patient_id.id)
        head = bytes([form << 6 | (_ABROAD if community else 0), len(authority)])
        mark = self._study_mark(study.study_instance_uid)
        return b"".join((head, mark, community, authority, patient))

    def _unpack(self, content: bytes) -> StudyOwner | StudyDocument:
        if content[0] >> 6 == _BY_DOCUMENT:
            return _document_in(content)
        start = 2 + _STUDY_BYTES
        home: str | None = None
        if content[0] & _ABROAD:
            homes = self._homes_of(content[start : start + _COMMUNITY_BYTES])
            if len(homes) != 1:
                # a community that the settings do not have any more
                raise NotOurs
            home, start = homes[0], start + _COMMUNITY_BYTES
        end = start + content[1]
        return StudyOwner(Cx(unpack_id(content[0] >> 6, content[end:]), unpack_oid(content[start:end])), home)

    def _homes_of(self, mark: bytes) -> list[str]:
        return [home for home in self._communities() if _mark(home) == mark]


def _document_in(content: bytes) -> StudyDocument:
    end = 1 + _UUID_BYTES
    urn, mark = UUID(bytes=content[1:end]).urn, content[end : end + _STUDY_BYTES]
    if not content[0] & _ABROAD:
        return StudyDocument(urn, mark)
    return StudyDocument(f"{urn}.{mark_of_bytes(content[-MARK_BYTES:])}", mark)


def _mark(home: str) -> bytes:
    return mark_bytes(community_mark(home))[:_COMMUNITY_BYTES]


def _digest_in(fhir_id: str) -> str | None:
    found = _DIGEST.fullmatch(fhir_id)
    return found[1] if found else None


__all__ = ["FHIR_ID_LENGTH", "NotOurs", "StudyDocument", "StudyIdentity", "StudyIds", "StudyOwner"]
