"""Coding of stored query parameters as slot values (ITI TF-2 3.18.4.1.2.3.4 and 3.18.4.1.2.3.5).

Text stands in single quotes with `'` doubled, numbers stand bare, lists stand in parentheses. A value of
256 characters is the most that ebRIM takes, so a list goes on in a further value with its own parentheses.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal as OneOf

from gateway.ebxml.names import LONG_NAME

_LITERAL = re.compile(r"""\s*(?:'((?:[^']|'')*)'|"([^"]*)"|([^\s'"(),]+))\s*""")


@dataclass(frozen=True, slots=True)
class Literal:
    """One value of a parameter, without its quotes."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class QueryStyle:
    """How literals stand in slot values; the default is the standard's way.

    `parentheses`: around lists (`lists`), only around lists of several literals (`several`), or around every
    value (`always`). `quotes`: around every text (`texts`), or only around those in lists (`lists`), as in
    published samples that leave the patient id bare.
    """

    parentheses: OneOf["lists", "several", "always"] = "lists"
    quotes: OneOf["texts", "lists"] = "texts"


STANDARD_STYLE = QueryStyle()


def quoted(text: str) -> str:
    """Text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def write_single(literal: str, style: QueryStyle = STANDARD_STYLE) -> str:
    """Value of a parameter that takes one literal. Raises ValueError where it is too long to be carried."""
    if style.quotes == "lists" and literal.startswith("'"):
        literal = literal[1:-1].replace("''", "'")
    return _short(f"({literal})" if style.parentheses == "always" else literal)


def _short(value: str) -> str:
    if len(value) > LONG_NAME:
        raise ValueError(f"has {len(value)} characters with its quotes and cannot be split, 256 is the limit")
    return value


def write_list(literals: Iterable[str], style: QueryStyle = STANDARD_STYLE) -> list[str]:
    """Values of a parameter that takes a list, each `(a,b)` in at most 256 characters.

    Raises ValueError where one literal alone is too long: a list is split only between its literals.
    """
    listed = list(literals)
    if len(listed) == 1 and style.parentheses == "several":
        return [_short(listed[0])]
    values: list[str] = []
    for literal in listed:
        if values and len(values[-1]) + 1 + len(literal) <= LONG_NAME:
            values[-1] = f"{values[-1][:-1]},{literal})"
        else:
            values.append(_short(f"({literal})"))
    return values


def read_value(value: str) -> list[Literal]:
    """Literals of one slot value, in parentheses or not, with blanks and line breaks between them.

    Double quotes, which examples of the Technical Framework have, count as quotes. Raises ValueError for
    quotes or parentheses without their partner and for missing commas.
    """
    text = value.strip()
    if text.startswith("("):
        if not text.endswith(")"):
            raise ValueError("has an opening parenthesis without a closing one")
        text = text[1:-1].strip()
    literals: list[Literal] = []
    position = 0
    while position < len(text) or (literals and text.endswith(",")):
        match = _LITERAL.match(text, position)
        if match is None:
            raise ValueError("is not a list of literals: check quotes, commas and parentheses")
        single, double, bare = match.groups()
        if bare is not None:
            literals.append(Literal(bare, quoted=False))
        else:
            literals.append(Literal(double if single is None else single.replace("''", "'"), quoted=True))
        position = match.end()
        if position == len(text):
            break
        if text[position] != ",":
            raise ValueError("has something other than a comma between two literals")
        position += 1
    return literals
