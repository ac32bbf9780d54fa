"""Opaque tokens of image URLs: the manifest that grants the images, and the patient whose it is.

WADO-RS paths name a study and no patient. A token in front of them holds both, encrypted and authenticated,
so that a URL opens the images of one manifest alone, after a restart and on every replica.
"""

from typing import Final

import msgspec
from msgspec import Struct

from gateway.model import Cx
from gateway.security.sealing import KeyRing, NotOurs, Sealer

PURPOSE: Final = "image url"


class StudyKey(Struct, frozen=True, kw_only=True, gc=False):
    """A study and the document that is its manifest.

    `home_community_id` is None in the own community. `entry_uuid` is that of the manifest's DocumentEntry,
    `mime_type` tells a DICOM from a FHIR manifest.
    """

    study_instance_uid: str
    repository_unique_id: str
    document_unique_id: str
    entry_uuid: str
    patient_id: Cx | None = None
    home_community_id: str | None = None
    mime_type: str = ""


class _Packed(Struct, array_like=True, frozen=True, gc=False):
    study_instance_uid: str
    repository_unique_id: str
    document_unique_id: str
    entry_uuid: str
    patient_id: tuple[str, str] | None
    home_community_id: str | None
    mime_type: str


class StudyTokens:
    """Tokens of studies: `write` and `read` are each other's inverse."""

    def __init__(self, ring: KeyRing) -> None:
        self._sealer = Sealer(ring, PURPOSE)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Packed)

    def write(self, key: StudyKey) -> str:
        """The token, the same whenever and wherever it is written under the same key."""
        patient = key.patient_id
        packed = _Packed(
            key.study_instance_uid,
            key.repository_unique_id,
            key.document_unique_id,
            key.entry_uuid,
            None if patient is None else (patient.id, patient.authority),
            key.home_community_id,
            key.mime_type,
        )
        return self._sealer.seal(self._encoder.encode(packed))

    def read(self, token: str) -> StudyKey:
        """The study that a token names. Raises NotOurs."""
        try:
            packed = self._decoder.decode(self._sealer.open(token))
        except msgspec.MsgspecError:
            # authentic, yet of another release: no different to a client than a token of another gateway
            raise NotOurs from None
        return StudyKey(
            study_instance_uid=packed.study_instance_uid,
            repository_unique_id=packed.repository_unique_id,
            document_unique_id=packed.document_unique_id,
            entry_uuid=packed.entry_uuid,
            patient_id=None if packed.patient_id is None else Cx(*packed.patient_id),
            home_community_id=packed.home_community_id,
            mime_type=packed.mime_type,
        )


__all__ = ["NotOurs", "StudyKey", "StudyTokens"]
