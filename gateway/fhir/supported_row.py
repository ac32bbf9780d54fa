"""A row of what is supported."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How far a row is supported."""

    YES = "yes"
    PART = "part"
    NO = "no"


@dataclass(frozen=True, slots=True)
class SupportedRow:
    """One transaction and option."""

    transaction: str
    option: str
    supported: Level
    note: str
