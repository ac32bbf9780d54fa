"""Patients by the beginning of their names, their day of birth and more, of documents that were seen here.

A registry cannot be asked for names (ITI-18 wants the patient's identifier), so this is all that a search
by demographics can start from. What a patient is called is not kept here, and asked of the registry again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from gateway.correlation.store import CorrelationStore
from gateway.model import Cx

PATIENTS: Final = "patients"
_MOST_PATIENTS: Final = 256
"""Patients under one key; of more of them it is not known who they are."""
_MOST_NOTED: Final = 4096
_AGAIN: Final = 4
"""A patient is noted again when this part of the lifetime is over."""
_TRIES: Final = 5

_encoder = msgspec.msgpack.Encoder()
_patients = msgspec.msgpack.Decoder(tuple[Cx, ...])

log = structlog.get_logger()


class PatientIndex:
    """Patients by keys. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        """`lifetime` in seconds."""
        self._store = store
        self._lifetime = lifetime
        self._noted: OrderedDict[tuple[Cx, frozenset[str]], float] = OrderedDict()
        self._full: OrderedDict[str, float] = OrderedDict()

    async def note(self, patient: Cx, keys: frozenset[str]) -> None:
        """Keep a patient under each of the keys."""
        now = time.monotonic()
        noted = self._noted.get((patient, keys))
        if not keys or (noted is not None and now - noted < self._lifetime / _AGAIN):
            return
        await asyncio.gather(*(self._add(key, patient) for key in keys))
        self._noted[patient, keys] = now
        self._noted.move_to_end((patient, keys))
        if len(self._noted) > _MOST_NOTED:
            self._noted.popitem(last=False)

    async def under(self, keys: Iterable[str]) -> frozenset[Cx] | None:
        """The patients under one of the keys; None where there are more than are kept."""
        held = await asyncio.gather(*(self._store.get(PATIENTS, key) for key in keys))
        lists = [_read(content) for content in held]
        if any(len(found) >= _MOST_PATIENTS for found in lists):
            return None
        return frozenset(patient for found in lists for patient in found)

    async def _add(self, key: str, patient: Cx) -> None:
        if time.monotonic() < self._full.get(key, 0.0):
            # of whom there are too many it makes no difference who they are
            return
        for _ in range(_TRIES):
            held = await self._store.get(PATIENTS, key)
            known = _read(held)
            others = [other for other in known if other != patient]
            new = _encoder.encode((patient, *others)[:_MOST_PATIENTS])
            if held is None:
                done = await self._store.set_nx(PATIENTS, key, new, self._lifetime)
            else:
                done = await self._store.replace(PATIENTS, key, held, new, self._lifetime)
            if done is not False:
                if done and len(known) >= _MOST_PATIENTS:
                    self._is_full(key)
                return
        log.warning("patients.index_contended")

    def _is_full(self, key: str) -> None:
        self._full[key] = time.monotonic() + self._lifetime / _AGAIN
        self._full.move_to_end(key)
        if len(self._full) > _MOST_NOTED:
            self._full.popitem(last=False)


def _read(content: bytes | None) -> tuple[Cx, ...]:
    if content is None:
        return ()
    try:
        return _patients.decode(content)
    except msgspec.MsgspecError:
        return ()


__all__ = ["PatientIndex"]
