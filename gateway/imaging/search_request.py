"""What a QIDO-RS search asks for (DICOM PS3.18 8.3.4, 10.6.1): keys, attributes to include, paging.

A key that cannot be matched is an error: a filter that is left out would give what was not asked for.
An attribute to include that is not known here is left out, as the standard has it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.dicom.attribute_matching import BadKey, Matcher, values_of
from gateway.dicom.search_attributes import ATTRIBUTES, Attribute, Level, Path, UnknownAttribute
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.imaging.dicom_patients import PatientKey

_INCLUDE: Final = "includefield"
_ALL: Final = "all"
_NAMED: Final = re.compile(r"[0-9A-Za-z]{1,64}(?:\.[0-9A-Za-z]{1,64}){0,8}")
_UNSUPPORTED: Final = {
    "fuzzymatching": "Only literal matching has been performed.",
    "emptyvaluematching": "Empty Value Matching has not been performed.",
}
_ISSUER: Final = "IssuerOfPatientIDQualifiersSequence"
_OF_PATIENT: Final = {
    ("PatientID",): "id",
    ("IssuerOfPatientID",): "issuer",
    (_ISSUER, "UniversalEntityID"): "universal_id",
}
_MOST_KEYS: Final = 100


@dataclass
class ImageSearch:
    """A search that was understood.

    `matchers` are those of study, series and instance. `included` are tags to give besides those that are
    always given; `everything` asks for all. `relational` says that the path does not name what is above the
    level. `unsupported` are sentences about parameters that were left out.
    """

    level: Level
    relational: bool
    patient: PatientKey | None = None
    study_uids: tuple[str, ...] = ()
    matchers: Mapping[Level, Matcher] = field(default_factory=lambda: {level: Matcher() for level in Level})
    included: set[str] = field(default_factory=set)
    everything: bool = False
    limit: int | None = None
    offset: int = 0
    unsupported: tuple[str, ...] = ()

    def gives(self, attribute: Attribute) -> bool:
        """True for an attribute that is part of the answer."""
        above = attribute.level is not self.level
        if attribute.keyword in _ANYWHERE or attribute.name in self.included:
            return True
        return (attribute.always or self.everything) and (not above or self.relational)


_ANYWHERE: Final = frozenset(
    {"SpecificCharacterSet", "TimezoneOffsetFromUTC", "StudyInstanceUID", "SeriesInstanceUID", "RetrieveURL"}
)


def parse_image_search(
    parameters: Iterable[tuple[str, str]], level: Level, path: Mapping[str, str]
) -> ImageSearch:
    """Understand a search. `path` has the UIDs of the path by keyword.

    Raises OutcomeError 400 with every problem.
    """
    keys: dict[str, list[str]] = {keyword: [uid] for keyword, uid in path.items()}
    search = ImageSearch(level, relational="StudyInstanceUID" not in path)
    problems: list[Issue] = []
    for name, value in parameters:
        try:
            _read(search, keys, name, value)
        except OutcomeError as error:
            problems += error.issues
    patient: dict[str, str] = {}
    seen: set[Path] = set()
    for name, values in list(keys.items())[:_MOST_KEYS]:
        try:
            _add_key(search, name, values, patient, seen)
        except OutcomeError as error:
            problems += error.issues
    if len(keys) > _MOST_KEYS:
        problems += fail(400, "too-costly", f"A search has at most {_MOST_KEYS} keys.").issues
    if patient and not patient.get("id"):
        problems += fail(
            400, "required", "The issuer of a patient's identifier says nothing without PatientID."
        ).issues
    if problems:
        raise OutcomeError(400, tuple(problems))
    search.patient = PatientKey(**patient) if patient else None
    return search


def _read(search: ImageSearch, keys: dict[str, list[str]], name: str, value: str) -> None:
    match name:
        case "accept":
            return
        case "includefield":
            for text in value.split(","):
                _include(search, text.strip())
        case "limit" | "offset":
            if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
                raise _refused(name, "give a number of results")
            setattr(search, name, int(value))
        case "fuzzymatching" | "emptyvaluematching" | "multiplevaluematching":
            if value not in {"true", "false"}:
                raise _refused(name, "give true or false")
            if value == "true" and name in _UNSUPPORTED:
                search.unsupported += (f"The {name} parameter is not supported. {_UNSUPPORTED[name]}",)
        case _:
            keys.setdefault(name, []).append(value)


def _include(search: ImageSearch, text: str) -> None:
    if text == _ALL:
        search.everything = True
    elif not _NAMED.fullmatch(text):
        raise _refused(_INCLUDE, "give keywords or tags, separated by commas, or all")
    else:
        try:
            attribute = ATTRIBUTES.path(text)[0]
        except UnknownAttribute:
            return
        if attribute.level <= search.level:
            search.included.add(attribute.name)


def _add_key(
    search: ImageSearch, name: str, values: Sequence[str], patient: dict[str, str], seen: set[Path]
) -> None:
    shown = name if _NAMED.fullmatch(name) else "a parameter"
    try:
        path = ATTRIBUTES.path(name)
    except UnknownAttribute:
        raise _refused(
            shown,
            "it is not one of the attributes that can be searched here: "
            + ", ".join(a.keyword for a in ATTRIBUTES.all if a.matched and a.level <= search.level),
            code="not-supported",
        ) from None
    attribute = path[0]
    if not attribute.matched:
        raise _refused(shown, "it can be included but not matched", code="not-supported")
    if attribute.level > search.level:
        hint = "; ModalitiesInStudy can be" if attribute.keyword == "Modality" else ""
        raise _refused(shown, f"an attribute of what lies below cannot be searched at this level{hint}")
    if path in seen or (len(values) > 1 and path[-1].vr != "UI"):
        raise _refused(shown, "a key may be given once")
    seen.add(path)
    search.included.add(attribute.name)
    part = _OF_PATIENT.get(tuple(a.keyword for a in path))
    if part is not None:
        if values[0].strip():
            patient[part] = values[0].strip()
        return
    try:
        search.matchers[attribute.level].add(path, values)
    except BadKey as error:
        raise _refused(shown, str(error)) from None
    if attribute.keyword == "StudyInstanceUID":
        search.study_uids = tuple(uid.strip() for value in values for uid in values_of(attribute, value))


def _refused(name: str, rule: str, code: str = "value") -> OutcomeError:
    return fail(400, code, f"{name}: {rule}.", expression=name)
