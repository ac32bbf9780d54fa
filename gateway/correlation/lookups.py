"""Answers of the registry that are asked for again and again, kept for a while."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from gateway.correlation.store import CorrelationStore
from gateway.security.document_urls import DocumentKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lookup(Generic[T]):
    """A kind of look-up: its name in the store and the type of its values."""

    name: str
    value: type[T]


DOCUMENT_BY_ENTRY_UUID: Final = Lookup("document", DocumentKey)
"""entryUUID -> what a retrieve needs: nothing of it changes while a document exists."""


class LookupStore:
    """Remembers and finds values. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore) -> None:
        self._store = store

    async def remember(self, lookup: Lookup[T], key: str, value: T, lifetime: float) -> None:
        """Keep a value for `lifetime` seconds, in place of any other under this key."""
        await self._store.set(lookup.name, key, msgspec.msgpack.encode(value), lifetime)

    async def find(self, lookup: Lookup[T], key: str) -> T | None:
        """The value, or None where it is not known."""
        content = await self._store.get(lookup.name, key)
        if content is None:
            return None
        try:
            return msgspec.msgpack.decode(content, type=lookup.value)
        except msgspec.MsgspecError:
            return None


__all__ = ["DOCUMENT_BY_ENTRY_UUID", "Lookup", "LookupStore"]
