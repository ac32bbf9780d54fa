"""Typed values in the correlation store: what does not decode was written by a release with another model."""

from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.correlation.store import CorrelationStore

T = TypeVar("T")

_encoder: Final = msgspec.msgpack.Encoder()


class Values(Generic[T]):
    """Values of one type under one kind, each for `lifetime` seconds. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, kind: str, type_: Any, lifetime: float) -> None:
        self._store = store
        self._kind = kind
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(type_)
        self._lifetime = lifetime

    async def put(self, key: str, value: T, at_most: float | None = None) -> None:
        """Keep a value in place of any other; for `at_most` seconds where that is less, with 0 not at all."""
        lifetime = self._lifetime if at_most is None else min(at_most, self._lifetime)
        if lifetime > 0:
            await self._store.set(self._kind, key, _encoder.encode(value), lifetime)

    async def get(self, key: str) -> T | None:
        """The value, or None where it is not known."""
        content = await self._store.get(self._kind, key)
        if content is None:
            return None
        try:
            return self._decoder.decode(content)
        except msgspec.MsgspecError:
            return None


__all__ = ["Values"]
