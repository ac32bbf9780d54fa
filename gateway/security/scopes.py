"""Scopes of access tokens: SMART App Launch v1 (`system/List.read`) and v2 (`system/List.rs`), and IHE IUA,
where a scope is the name of a transaction (`ITI-67`).

What is not understood grants nothing. A v2 scope with a query limits documents
(`gateway.security.scope_limits`); of other types it grants nothing: to drop the limit would widen it.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gateway.security.scope_limits import Level, Limit, read_limit

Letter = Literal["c", "r", "u", "d", "s"]
_LETTERS: Final = "cruds"
_SMART = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]*|\*)\.([a-z*]+)(?:\?(\S+))?")
_IN_ORDER = re.compile("(?=.)c?r?u?d?s?")
_V1: Final = MappingProxyType({"read": "rs", "write": "cud", "*": _LETTERS})
_EU: Final = MappingProxyType({"search": "s", "create": "c"})
_LONGEST: Final = 8192
_LIMITED: Final = "DocumentReference"


class Permission(NamedTuple):
    """One interaction with one resource type: `c`, `r`, `u`, `d` or `s` of SMART v2."""

    resource_type: str
    letter: Letter


def _permissions(resource_type: str, letters: str) -> frozenset[Permission]:
    return frozenset(Permission(resource_type, letter) for letter in letters)  # type: ignore[arg-type]


TRANSACTION_SCOPES: Final[Mapping[str, frozenset[Permission]]] = MappingProxyType(
    {
        "ITI-65": frozenset(
            {Permission("List", "c"), Permission("DocumentReference", "c"), Permission("Binary", "c")}
        ),
        "ITI-66": _permissions("List", "rs"),
        "ITI-67": _permissions("DocumentReference", "rs"),
        "ITI-68": _permissions("Binary", "r"),
        "ITI-78": _permissions("Patient", "rs"),
        "ITI-81": _permissions("AuditEvent", "rs"),
        "ITI-105": _permissions("DocumentReference", "c"),
        "ITI-106": _permissions("DocumentReference", "c"),
        "ITI-119": _permissions("Patient", "s"),
        "RAD-107": _permissions("ImagingStudy", "r"),
    }
)
"""What the name of a transaction grants as a scope."""

CONSOLE: Final = "console"
"""The scope of who may look at the state of the gateway; it opens no data of patients."""


class Scopes(Struct, frozen=True):
    """What a token grants: for every patient, and within the compartment of the patient it is bound to.

    `transactions` are granted by scopes of IUA, `system` by `system/` and `user/`, `patient` by `patient/`;
    `limits` are granted besides, for some documents alone; `console` is the scope of that name, which grants
    nothing else.
    """

    system: frozenset[Permission] = frozenset()
    transactions: frozenset[Permission] = frozenset()
    patient: frozenset[Permission] = frozenset()
    limits: frozenset[Limit] = frozenset()
    console: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> "Scopes":
        """Read scopes; those that are not understood are left out."""
        names = frozenset(names)
        system: set[Permission] = set()
        transactions: set[Permission] = set()
        patient: set[Permission] = set()
        limits: set[Limit] = set()
        for name in names:
            if name in TRANSACTION_SCOPES:
                transactions |= TRANSACTION_SCOPES[name]
            elif match := _SMART.fullmatch(name):
                level, resource_type, suffix, query = match.groups()
                letters = _letters(names, level, resource_type, suffix)
                if query is None:
                    granted = _permissions(resource_type, letters)
                    (patient if level == "patient" else system).update(granted)
                elif resource_type == _LIMITED:
                    limit = read_limit("patient" if level == "patient" else "system", letters, query)
                    limits.update(() if limit is None else (limit,))
        return cls(
            frozenset(system),
            frozenset(transactions),
            frozenset(patient),
            frozenset(limits),
            CONSOLE in names,
        )

    def with_limited(self) -> "Scopes":
        """The same with what is granted for some documents alone, as if it were for all."""
        return replace(
            self,
            system=self.system | self._limited("system"),
            patient=self.patient | self._limited("patient"),
        )

    def _limited(self, level: Level) -> frozenset[Permission]:
        return frozenset(
            each
            for limit in self.limits
            if limit.level == level
            for each in _permissions(_LIMITED, "".join(limit.letters))
        )

    def limits_of(self, letter: Letter, levels: Iterable[Level]) -> tuple[Limit, ...]:
        """What documents are limited to by scopes of the levels; nothing where they are not.

        Where documents are limited in another way alone, that counts: who may read some documents and all
        Binaries may not have the content of others.
        """
        free = self.system | self.transactions | (self.patient if "patient" in levels else frozenset())
        if permits(free, Permission(_LIMITED, letter)):
            return ()
        limits = tuple(limit for limit in self.limits if limit.level in levels)
        return tuple(limit for limit in limits if letter in limit.letters) or limits

    def covers(self, other: "Scopes") -> bool:
        """True where everything of `other` is granted at its own level, and `other` grants something."""
        pairs = (
            (self.system, other.system),
            (self.transactions, other.transactions),
            (self.patient, other.patient),
        )
        grants = other.console or other.limits or any(theirs for _, theirs in pairs)
        return (
            bool(grants)
            and self.console >= other.console
            and all(map(self._covers_limit, other.limits))
            and all(permits(ours, permission) for ours, theirs in pairs for permission in theirs)
        )

    def _covers_limit(self, limit: Limit) -> bool:
        ours = self.patient if limit.level == "patient" else self.system
        wanted = _permissions(_LIMITED, "".join(limit.letters))
        return all(permits(ours, each) for each in wanted) or any(map(limit.within, self.limits))


def _letters(names: frozenset[str], level: str, resource_type: str, suffix: str) -> str:
    """Letters of a scope. `.read` beside `.search` of the same type is that of the EU guide: reads by id."""
    if suffix == "read" and f"{level}/{resource_type}.search" in names:
        return "r"
    letters = _V1.get(suffix) or _EU.get(suffix)
    if letters is None:
        letters = suffix if _IN_ORDER.fullmatch(suffix) else ""
    return letters


def permits(granted: frozenset[Permission], wanted: Permission) -> bool:
    """True where the permission is among the granted, or one of all types is."""
    return wanted in granted or Permission("*", wanted.letter) in granted


def scope_names(value: object) -> tuple[str, ...]:
    """Scopes of a claim: names with spaces between them (RFC 6749 3.3), or a list of names."""
    if isinstance(value, str) and len(value) <= _LONGEST:
        return tuple(dict.fromkeys(value.split()))
    if isinstance(value, list):
        return tuple(dict.fromkeys(name for name in value if isinstance(name, str)))
    return ()


def as_scope(permissions: Iterable[Permission]) -> str:
    """Scopes that would grant `permissions`, as `WWW-Authenticate` names them."""
    by_type: dict[str, set[str]] = {}
    for permission in permissions:
        by_type.setdefault(permission.resource_type, set()).add(permission.letter)
    return " ".join(
        f"system/{name}.{''.join(sorted(letters, key=_LETTERS.index))}"
        for name, letters in sorted(by_type.items())
    )
