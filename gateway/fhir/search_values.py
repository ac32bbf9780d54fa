"""Values of FHIR search parameters as text: OR lists, escapes and tokens (FHIR R4 search 3.1.1.4).

Diagnostics never repeat a value, since a value may name a patient.
"""

import re
from dataclasses import dataclass

from gateway.fhir.issues import Issue

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no text of a registry has, since XML cannot carry them."""

_LONGEST_NAME = 60


class SearchProblem(Exception):
    """One parameter that cannot be met; becomes an error issue of the answer."""

    def __init__(self, code: str, diagnostics: str, details_code: str | None = None) -> None:
        super().__init__(diagnostics)
        self.issue = Issue("error", code, diagnostics, details_code=details_code)


def shown(name: str) -> str:
    """A parameter name as diagnostics may show it."""
    printable = "".join(c if c.isprintable() else "?" for c in name[:_LONGEST_NAME])
    return printable if len(name) <= _LONGEST_NAME else printable + "..."


def split_unescaped(text: str, separator: str, most: int = -1) -> list[str]:
    """Split at `separator` where no backslash stands before it; escapes stay in the parts."""
    parts: list[str] = []
    start = position = 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator and len(parts) != most:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


def unescape(text: str) -> str:
    r"""Resolve `\,`, `\|`, `\$` and `\\`; another backslash stands for itself."""
    if "\\" not in text:
        return text
    out: list[str] = []
    position = 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1 : position + 2] in {",", "|", "$", "\\"}:
            position += 1
        out.append(text[position])
        position += 1
    return "".join(out)


def escape(text: str) -> str:
    r"""The opposite of `unescape`."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


def write_token(system: str, value: str) -> str:
    """`system|value` of a token parameter."""
    return f"{escape(system)}|{escape(value)}"


def alternatives(value: str) -> list[str]:
    """The OR list of a value, each still escaped; empty alternatives are left out."""
    return [part for part in split_unescaped(value, ",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Token:
    """`system|code`. `system` is None where none was given and "" for `|code` (the value has no system)."""

    system: str | None
    code: str | None


def read_token(text: str) -> Token:
    """Read one alternative of a token parameter. `code` is None for `system|`."""
    parts = [unescape(part) for part in split_unescaped(text.strip(), "|", 1)]
    if len(parts) == 1:
        return Token(None, parts[0])
    return Token(parts[0], parts[1] or None)
