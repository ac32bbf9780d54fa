"""FHIR id of a Patient from an identifier of the affinity domain, and back, without a table.

Sealed, 31 bytes of an id are left for the identifier, so it is packed (`gateway.security.packing`). The tag
keeps its full length: an id that someone made up opens no patient.
"""

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


class PatientIds:
    """Writes and reads Patient ids.

    Several sources may tell of one identifier: each `view` of it has ids of its own, which another one does
    not read.
    """

    def __init__(self, ring: KeyRing, view: str = "") -> None:
        self._sealer = Sealer(ring, f"patient id of {view}" if view else "patient id")

    def write(self, patient: Cx) -> str | None:
        """The FHIR id, the same each time; None where it would be too long or the authority is no OID."""
        authority = pack_oid(patient.authority)
        if authority is None:
            return None
        form, packed = pack_id(patient.id)
        # two bits of form and six of length: an OID of more octets would leave no room anyway
        if len(authority) > 0x3F:
            return None
        return seal_id(self._sealer, bytes([form << 6 | len(authority)]) + authority + packed)

    def read(self, fhir_id: str) -> Cx:
        """The identifier that an id stands for. Raises NotOurs."""
        content = open_id(self._sealer, fhir_id)
        end = 1 + (content[0] & 0x3F)
        return Cx(unpack_id(content[0] >> 6, content[end:]), unpack_oid(content[1:end]))


__all__ = ["FHIR_ID_LENGTH", "NotOurs", "PatientIds"]
