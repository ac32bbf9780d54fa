"""Accession numbers of studies that have none (IHE RAD MADO 0.1.0, the case Absent: the creator of a manifest
makes one, and reports of the study carry the same).

What the registry says of a study counts; a number is made only where nobody has one, and only for an issuer
that the settings name. It follows from the Study Instance UID, so it is the same in metadata, in each format
of the manifest and in resources, on every replica and ever after.
"""

from base64 import b32encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from msgspec.structs import replace

from gateway.model import DocumentEntry, ReferenceId, codes
from gateway.model.imaging import ImagingRequest, IssuedId, Issuer, Manifest
from gateway.model.oids import is_oid

_BYTES: Final = 10
"""What 16 characters hold, the most of DICOM's SH."""


@dataclass(frozen=True, slots=True)
class Accessions:
    """`authority` is the OID that issues the numbers that are made; None makes none."""

    authority: str | None = None

    def completed(self, manifest: Manifest, entry: DocumentEntry | None = None) -> Manifest:
        """The manifest with an accession number, where it names none; `entry` is that of the registry."""
        study = manifest.study
        if any(request.accession is not None for request in study.requests):
            return manifest
        references = entry.reference_ids if entry is not None else ()
        stated = tuple(_issued(r) for r in references if r.type == codes.REFERENCE_ACCESSION)
        if not stated and self.authority is None:
            return manifest
        numbers = stated or (self.made(study.study_instance_uid),)
        return replace(manifest, study=replace(study, requests=tuple(_with(study.requests, numbers))))

    def made(self, study_instance_uid: str) -> IssuedId:
        """The number that is made for a study: 16 characters of the Base32 of a UUID (version 5)."""
        digits = uuid5(NAMESPACE_OID, study_instance_uid).bytes[:_BYTES]
        return IssuedId(b32encode(digits).decode("ascii"), Issuer(None, self.authority, "ISO"))


AS_STATED: Final = Accessions()
"""No number is made."""


def _issued(reference: ReferenceId) -> IssuedId:
    authority = reference.authority
    if not authority:
        return IssuedId(reference.id)
    return IssuedId(reference.id, Issuer(None, authority, "ISO") if is_oid(authority) else Issuer(authority))


def _with(requests: tuple[ImagingRequest, ...], numbers: tuple[IssuedId, ...]) -> Iterable[ImagingRequest]:
    """Orders of one number have it; which of several is whose nobody knows, so each is a request itself."""
    if len(numbers) == 1 and requests:
        return (replace(request, accession=numbers[0]) for request in requests)
    return (*requests, *(ImagingRequest(accession=number) for number in numbers))
