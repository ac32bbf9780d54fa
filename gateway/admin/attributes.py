"""What `gateway admin update --set NAME=VALUE` may change, and how a value is written (ITI TF-3 4.2.3.2).

What describes the bytes of a document, and whose it is, is not among them: such a document is replaced.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from gateway.model import Code, DocumentEntry
from gateway.model.dtm import is_dtm
from gateway.model.oids import bare_oid

_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")


class BadSetting(ValueError):
    """A `--set` that means nothing; the text says what to write."""


class Attribute(Struct, frozen=True):
    """One attribute of a DocumentEntry. Several values are a list; free text may be about a patient."""

    name: str
    field: str
    read: Callable[[str], Any]
    several: bool = False
    optional: bool = False
    free_text: bool = False


def _code(text: str) -> Code:
    parts = text.split("^")
    if len(parts) != 3 or not parts[0].strip() or not parts[2].strip():
        raise BadSetting(
            "must be code^display^scheme, for example 11488-4^Consult note^2.16.840.1.113883.6.1"
        )
    return Code(parts[0].strip(), bare_oid(parts[2].strip()), parts[1].strip() or None)


def _time(text: str) -> str:
    if not is_dtm(text):
        raise BadSetting("must be a time YYYY[MM[DD[hh[mm[ss]]]]] in UTC")
    return text


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise BadSetting("must be a language tag such as en or de-AT")
    return text


_ATTRIBUTES: Final = (
    Attribute("title", "title", str, optional=True, free_text=True),
    Attribute("comments", "comments", str, optional=True, free_text=True),
    Attribute("confidentiality", "confidentiality", _code, several=True),
    Attribute("type", "type_code", _code),
    Attribute("class", "class_code", _code),
    Attribute("format", "format_code", _code),
    Attribute("facility", "facility_type", _code),
    Attribute("setting", "practice_setting", _code),
    Attribute("event", "event_codes", _code, several=True, optional=True),
    Attribute("language", "language", _language),
    Attribute("start", "service_start_time", _time, optional=True),
    Attribute("stop", "service_stop_time", _time, optional=True),
)
ATTRIBUTES: Final[Mapping[str, Attribute]] = {attribute.name: attribute for attribute in _ATTRIBUTES}
"""By the name that is written before `=`."""


def read_settings(settings: Iterable[str]) -> dict[str, Any]:
    """New values by field. An empty value ends an optional attribute. Raises BadSetting."""
    given: dict[str, list[str]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name.strip() not in ATTRIBUTES:
            raise BadSetting(
                f"--set {name.strip()}: must be NAME=VALUE with NAME one of {', '.join(ATTRIBUTES)}"
            )
        given.setdefault(name.strip(), []).append(value.strip())
    return {ATTRIBUTES[name].field: _value(ATTRIBUTES[name], texts) for name, texts in given.items()}


def _value(attribute: Attribute, texts: list[str]) -> Any:
    if len(texts) > 1 and not attribute.several:
        raise BadSetting(f"--set {attribute.name}: it has one value, {len(texts)} are given")
    if texts == [""]:
        if not attribute.optional:
            raise BadSetting(f"--set {attribute.name}: it cannot be without a value")
        return () if attribute.several else None
    try:
        values = tuple(attribute.read(text) for text in texts)
    except BadSetting as error:
        raise BadSetting(f"--set {attribute.name}: {error}") from None
    return values if attribute.several else values[0]


def differences(before: DocumentEntry, after: DocumentEntry, *, show_text: bool) -> list[str]:
    """A line for each attribute that changes. Free texts are shown with `show_text` alone."""
    lines = []
    for attribute in _ATTRIBUTES:
        old, new = (getattr(entry, attribute.field) for entry in (before, after))
        if old != new:
            hidden = attribute.free_text and not show_text
            lines.append(f"{attribute.name}: {_shown(old, hidden)} -> {_shown(new, hidden)}")
    return lines


def changed(entry: DocumentEntry, values: Mapping[str, Any]) -> DocumentEntry:
    """The entry with other values."""
    return structs.replace(entry, **values)


def shown_code(code: Code | None) -> str:
    """A code as it is written for `--set`."""
    return "(none)" if code is None else f"{code.code}^{code.display or ''}^{code.scheme}"


def _shown(value: Any, hidden: bool) -> str:
    if value is None or value == ():
        return "(none)"
    if isinstance(value, Code):
        return shown_code(value)
    if isinstance(value, tuple):
        return ", ".join(map(shown_code, value))
    return f"(text of {len(value)} characters)" if hidden else str(value)
