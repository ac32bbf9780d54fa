"""Resources that documents hold, as searches see them, and the values of their elements.

An element is named by the expression of a search parameter: the subset of FHIRPath that search parameters of
R4 use for plain elements, `|` between alternatives, choice types by their name without type (`effective`),
and `extension('url').value`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from gateway.fhir.datatypes import Json
from gateway.fhir.manifest_read_values import scheme_of
from gateway.fhir.search_dates import NEVER, Interval, read_date_in_zone
from gateway.fhir.search_values import SearchProblem
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Code, Cx
from gateway.model.oids import bare_oid

_STEP: Final = re.compile(r"extension\('(?P<url>[^']+)'\)|(?P<name>\w+)")
_UID_SYSTEMS: Final = frozenset({codes.URI_SYSTEM, codes.DICOM_UID_SYSTEM})
IMPLIED: Final = "(implied)"
"""Scheme of a value of type code: the element implies the system."""
_NOTHING: Final[Mapping[str, tuple[Json, ...]]] = {}


class HeldResource(Struct, frozen=True, kw_only=True):
    """A resource that a document holds, or that was assembled from one, as clients get it.

    `document_uuid` is the entryUUID of the document, `updated` a DTM. `is_current` is false for a report that
    a later version replaces. `linked` are the identifiers of what the resource refers to, by the reference.
    """

    id: str
    resource: Json
    document_uuid: str
    unique_id: str
    patient_id: Cx | None
    status: AvailabilityStatus = AvailabilityStatus.APPROVED
    updated: str | None = None
    is_current: bool = True
    linked: Mapping[str, tuple[Json, ...]] = _NOTHING

    @property
    def entry_uuid(self) -> str:
        """Makes the order of results total."""
        return self.id

    @property
    def resource_type(self) -> str:
        """FHIR resource type."""
        return str(self.resource["resourceType"])

    @property
    def reference(self) -> str:
        """`Type/id`."""
        return f"{self.resource_type}/{self.id}"


@lru_cache(maxsize=256)
def _steps(expression: str) -> tuple[tuple[str, ...], ...]:
    """Steps of each alternative below the resource; a step that is an extension begins with `=`."""
    paths = []
    for alternative in expression.split("|"):
        steps = [f"={m['url']}" if m["url"] else m["name"] for m in _STEP.finditer(alternative.strip())]
        paths.append(tuple(steps[1:]))
    return tuple(paths)


def values_at(resource: Json, expression: str) -> Iterator[Any]:
    """The values of an element, each on its own."""
    for steps in _steps(expression):
        found: list[Any] = [resource]
        for step in steps:
            found = [value for held in found for value in _children(held, step)]
        yield from found


def _children(held: Any, step: str) -> Iterator[Any]:
    if not isinstance(held, dict):
        return
    if step.startswith("="):
        extensions = held.get("extension")
        for extension in extensions if isinstance(extensions, list) else ():
            if isinstance(extension, dict) and extension.get("url") == step[1:]:
                yield extension
        return
    found = [held[step]] if step in held else []
    # a choice of types has its type behind its name
    found += [v for name, v in held.items() if len(name) > len(step) and is_choice(name, step)]
    for value in found:
        yield from value if isinstance(value, list) else (value,)


def reference_of(value: Any) -> str | None:
    """The literal reference of a Reference, or of an extension whose value is one."""
    if not isinstance(value, dict):
        return None
    inner = value.get("valueReference")
    literal = (inner if isinstance(inner, dict) else value).get("reference")
    return literal if isinstance(literal, str) else None


def is_choice(name: str, step: str) -> bool:
    """True where an element is one of the types of a choice, `effectivePeriod` of `effective`."""
    return step in _CHOICES and name.startswith(step) and name[len(step) :][:1].isupper()


_CHOICES: Final = frozenset(
    {"effective", "performed", "onset", "occurrence", "occurred", "value", "medication"}
)


# --- coded values -----------------------------------------------------------------------------------------
def codes_in(values: Iterable[Any], terminology: Terminology) -> Iterator[Code]:
    """Codes of Coding, CodeableConcept and code values; the scheme of the latter is `IMPLIED`."""
    for value in values:
        if isinstance(value, str):
            yield Code(value, IMPLIED)
        elif isinstance(value, dict):
            codings = value.get("coding") if "coding" in value or "text" in value else [value]
            text = value.get("text")
            if isinstance(text, str) and not codings:
                yield Code("", "", text)
            for coding in codings if isinstance(codings, list) else ():
                if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                    system = coding.get("system")
                    display = coding.get("display") or text
                    yield Code(
                        coding["code"],
                        scheme_of(system if isinstance(system, str) else None, terminology),
                        display if isinstance(display, str) else None,
                    )


# --- identifiers ------------------------------------------------------------------------------------------
def identifier_key(system: str | None, value: str, terminology: Terminology) -> tuple[str, str]:
    """System and value of an identifier in the one spelling that is compared; UIDs have no system."""
    bare = bare_oid(value)
    if system in _UID_SYSTEMS or (system is None and bare != value):
        return "", bare
    if not system:
        return "", value
    return terminology.authorities.oid_or_none(system) or bare_oid(system), value


def identifiers_in(values: Iterable[Any], terminology: Terminology) -> Iterator[tuple[str, str]]:
    """Keys of Identifier values."""
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("value"), str):
            system = value.get("system")
            yield identifier_key(system if isinstance(system, str) else None, value["value"], terminology)


def study_uid(resource: Json) -> str | None:
    """The bare Study Instance UID of an ImagingStudy, or of the identifier of a Reference to one."""
    listed = resource.get("identifier")
    for identifier in listed if isinstance(listed, list) else [listed]:
        if isinstance(identifier, dict) and identifier.get("system") == codes.DICOM_UID_SYSTEM:
            value = identifier.get("value")
            if isinstance(value, str) and value:
                return bare_oid(value)
    return None


# --- times ------------------------------------------------------------------------------------------------
def interval_at(values: Iterable[Any], zone: tzinfo) -> Interval | None:
    """When an element says that something was: the whole of dates, times and Periods; None for nothing."""
    found = [interval for value in values if (interval := _interval(value, zone)) is not None]
    if not found:
        return None
    return Interval(min(i.start for i in found), max(i.end for i in found))


def _interval(value: Any, zone: tzinfo) -> Interval | None:
    if isinstance(value, str):
        return _moment(value, zone)
    if not isinstance(value, dict) or not {"start", "end"} & value.keys():
        return None
    start, end = (_moment(value.get(name), zone) for name in ("start", "end"))
    return Interval(start.start if start else -1, end.end if end else NEVER)


def _moment(text: Any, zone: tzinfo) -> Interval | None:
    if not isinstance(text, str) or not text[:4].isdigit():
        return None
    try:
        return read_date_in_zone(text, "date", datetime.now(UTC), zone).exact
    except SearchProblem:
        return None
