"""Answers of registries about a patient's documents, kept for as long as a setting allows.

Under a patient lies a mark that changes with each publish for them by way of the gateway: an answer is good
while the mark is the one that was there before the registry was asked. What others store is seen when the
answer's time is over.
"""

import hashlib
import secrets
from typing import Final

import msgspec

from gateway.correlation.store import CorrelationStore
from gateway.correlation.values import Values
from gateway.model import Cx, QueryResult
from gateway.model.query import StoredQuery

ANSWER: Final = "answer"
MARK: Final = "answer-mark"

_LONGEST_QUERY: Final = 3_600.0

_encode: Final = msgspec.msgpack.Encoder().encode


class AnswerStore:
    """Answers by question. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float) -> None:
        """`lifetime` in seconds; with 0 nothing is kept."""
        self.keeps = lifetime > 0
        self._answers = Values[QueryResult](store, ANSWER, QueryResult, lifetime)
        # it outlives every answer that was asked for before it was set, however long the registry took
        self._marks = Values[str](store, MARK, str, 2 * lifetime + _LONGEST_QUERY)

    async def mark(self, patient: Cx) -> str:
        """What has to be asked for before the registry is."""
        return await self._marks.get(_patient(patient)) or ""

    async def forget(self, patient: Cx) -> None:
        """Make the answers about a patient useless: something was stored for them."""
        if self.keeps:
            await self._marks.put(_patient(patient), secrets.token_hex(8))

    async def find(self, query: StoredQuery, asker: bytes, mark: str) -> QueryResult | None:
        """The answer that `asker` got, where it is still good."""
        return await self._answers.get(_key(query, asker, mark))

    async def remember(self, query: StoredQuery, asker: bytes, mark: str, answer: QueryResult) -> None:
        """Keep an answer; `mark` is that of before the question."""
        await self._answers.put(_key(query, asker, mark), answer)


def _patient(patient: Cx) -> str:
    return f"{patient.authority}\0{patient.id}"


def _key(query: StoredQuery, asker: bytes, mark: str) -> str:
    asked = _encode((type(query).__name__, query, asker, mark))
    return hashlib.sha256(asked).hexdigest()


__all__ = ["AnswerStore"]
