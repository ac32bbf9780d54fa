"""Ids that may be used once, for all replicas together: the jti of a client's assertion (RFC 7523 3)."""

import secrets
from typing import Final

from gateway.correlation.store import CorrelationStore

KIND: Final = "used"


class UsedIds:
    """Remembers ids for as long as they could be used again."""

    def __init__(self, store: CorrelationStore) -> None:
        self._store = store

    async def first_use(self, client_id: str, token_id: str, lifetime: float) -> bool | None:
        """True the first time, False from then on for `lifetime` seconds; None where Redis is away."""
        key, mine = f"{client_id}\0{token_id}", secrets.token_bytes(16)
        stored = await self._store.set_nx(KIND, key, mine, lifetime)
        if stored is False:
            # a repeat inside the client after a lost answer finds what it stored itself
            return await self._store.get(KIND, key) == mine
        return stored


__all__ = ["UsedIds"]
