"""Who the patients of this community are in others, kept in Redis for a while.

Each answer of a community lies under the own identifier, and the own identifier under each of those of the
community. Both are single keys, so that any node of a cluster serves them.
"""

from typing import Final

from gateway.correlation.store import CorrelationStore
from gateway.correlation.values import Values
from gateway.model import Cx

THERE: Final = "patient-there"
HERE: Final = "patient-here"


class PatientStore:
    """Identifiers by community and identifier. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float, lifetime_of_unknown: float) -> None:
        """Lifetimes in seconds: of patients that a community knows, and of those that it does not know."""
        self._there = Values[tuple[Cx, ...]](store, THERE, tuple[Cx, ...], lifetime)
        self._unknown = Values[tuple[Cx, ...]](store, THERE, tuple[Cx, ...], lifetime_of_unknown)
        self._here = Values[Cx](store, HERE, Cx, lifetime)
        self._nobody = Values[Cx](store, HERE, Cx, lifetime_of_unknown)

    async def remember(
        self, home: str, patient: Cx, there: tuple[Cx, ...], at_most: float | None = None
    ) -> None:
        """Keep by which identifiers a community knows a patient; several are several patients.

        `at_most` is for how many seconds. What names the own patient in what was found is kept in any case.
        """
        await (self._there if there else self._unknown).put(_key(home, patient), there, at_most)
        if len(there) == 1:
            await self._here.put(_key(home, there[0]), patient)

    async def remember_alias(self, home: str, patient: Cx, there: Cx) -> None:
        """Keep another identifier that a community has for a patient."""
        await self._here.put(_key(home, there), patient)

    async def remember_stranger(self, home: str, there: Cx) -> None:
        """Keep that nobody says who a patient of a community is here; they are called as there."""
        await self._nobody.put(_key(home, there), there)

    async def there(self, home: str, patient: Cx) -> tuple[Cx, ...] | None:
        """By which identifiers a community knows a patient; None where that is not known."""
        return await self._there.get(_key(home, patient))

    async def here(self, home: str, there: Cx) -> Cx | None:
        """The own identifier of a patient of a community; None where it is not known."""
        return await self._here.get(_key(home, there))


def _key(home: str, patient: Cx) -> str:
    return f"{home}\0{patient.authority}\0{patient.id}"


__all__ = ["PatientStore"]
