"""FHIR ids of the resources that report documents hold, which lead back to their document without a table.

An id carries, sealed, the UUID of the document's logicalID (its entryUUID, where it has no other), a mark
of the entry in its Bundle and, in another community, the mark of that (`gateway.model.object_ids`). A
registry can always be asked by them, so that an id is good after a restart, on every replica, and without
anything that was remembered. The same entry has the same id each time.
"""

import hmac
import re
from typing import Final
from uuid import UUID

from gateway.model.object_ids import MARK_BYTES, mark_bytes, mark_of_bytes, unmarked
from gateway.security.packing import open_id, seal_id
from gateway.security.sealing import KeyRing, NotOurs, Sealer

_UUID_BYTES: Final = 16
_MARK_BYTES: Final = 6
_URN: Final = re.compile(r"urn:uuid:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class ReportIds:
    """Writes and reads the ids."""

    def __init__(self, ring: KeyRing) -> None:
        self._sealer = Sealer(ring, "report resource id")
        self._mark_key = ring.derive("report resource mark")[0]

    def write(self, document: str, *name: str) -> str | None:
        """The FHIR id of the entry `name` of a document `urn:uuid:...`; None for another form."""
        uuid, community = unmarked(document)
        found = _URN.fullmatch(uuid)
        if found is None:
            return None
        mark = hmac.digest(self._mark_key, "\0".join(name).encode(), "sha256")[:_MARK_BYTES]
        return seal_id(
            self._sealer, UUID(found[1]).bytes + mark + (mark_bytes(community) if community else b"")
        )

    def read(self, fhir_id: str) -> str:
        """The document, as it was written. Raises NotOurs."""
        content = open_id(self._sealer, fhir_id)
        community = content[_UUID_BYTES + _MARK_BYTES :]
        if len(content) - len(community) != _UUID_BYTES + _MARK_BYTES or len(community) not in (
            0,
            MARK_BYTES,
        ):
            raise NotOurs
        urn = UUID(bytes=content[:_UUID_BYTES]).urn
        return f"{urn}.{mark_of_bytes(community)}" if community else urn


__all__ = ["NotOurs", "ReportIds"]
