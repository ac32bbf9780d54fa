"""Scopes of access tokens: SMART App Launch v1 (`system/List.read`) and v2 (`system/List.rs`), and IHE IUA,
where a scope is the name of a transaction (`ITI-67`).

What is not understood grants nothing. A v2 scope with a query (`system/Observation.rs?code=1`) grants nothing
either: what it is limited to cannot be told of every transaction here, and to drop the limit would widen it.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from msgspec import Struct

Letter = Literal["c", "r", "u", "d", "s"]
_LETTERS: Final = "cruds"
_SMART = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]*|\*)\.([a-z*]+)")
_IN_ORDER = re.compile("(?=.)c?r?u?d?s?")
_V1: Final = MappingProxyType({"read": "rs", "write": "cud", "*": _LETTERS})
_EU: Final = MappingProxyType({"search": "s", "create": "c"})
_LONGEST: Final = 8192


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
    `console` is the scope of that name, which grants nothing else.
    """

    system: frozenset[Permission] = frozenset()
    transactions: frozenset[Permission] = frozenset()
    patient: frozenset[Permission] = frozenset()
    console: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> "Scopes":
        """Read scopes; those that are not understood are left out."""
        names = frozenset(names)
        system: set[Permission] = set()
        transactions: set[Permission] = set()
        patient: set[Permission] = set()
        for name in names:
            if name in TRANSACTION_SCOPES:
                transactions |= TRANSACTION_SCOPES[name]
            elif match := _SMART.fullmatch(name):
                level, resource_type, suffix = match.groups()
                granted = _permissions(resource_type, _letters(names, level, resource_type, suffix))
                (patient if level == "patient" else system).update(granted)
        return cls(frozenset(system), frozenset(transactions), frozenset(patient), CONSOLE in names)

    def covers(self, other: "Scopes") -> bool:
        """True where everything of `other` is granted at its own level, and `other` grants something."""
        pairs = (
            (self.system, other.system),
            (self.transactions, other.transactions),
            (self.patient, other.patient),
        )
        grants = other.console or any(theirs for _, theirs in pairs)
        return (
            grants
            and self.console >= other.console
            and all(permits(ours, permission) for ours, theirs in pairs for permission in theirs)
        )


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
