"""Content tree of a manifest: TID 2010 with an Image Library (TID 1600 to 1602), as it describes a study.

Deviations of form are tolerated by name: wrapped roots, counts as text, attributes of an instance beside its
entry, attributes of a key object at the group of its series (IHE RAD MADO and its samples).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.dicom import tags
from gateway.dicom.concepts import Concept, concept_of
from gateway.dicom.elements import Dataset
from gateway.dicom.kos_evidence import reference
from gateway.dicom.sop_classes import KEY_OBJECT_SELECTION
from gateway.dicom.values import Values, items, leaf
from gateway.model.imaging_codes import DCM, SNOMED
from gateway.model.metadata import Code

_ROOT: Final = tags.name(tags.CONTENT)
_DEEPEST_WRAP: Final = 4
_STATED: Final = re.compile(r"\s*\(?\s*([0-9]{1,9})(?![0-9.])")
"""A count as TEXT: `50`, `(50, UCUM, "instances")`."""

_OF_INSTANCE: Final = {
    Concept.INSTANCE_NUMBER: "number",
    Concept.FRAMES: "frames",
    Concept.KEY_OBJECT_TITLE: "title",
    Concept.KEY_OBJECT_DESCRIPTION: "description",
}
_OF_KEY_OBJECT: Final = frozenset({"title", "description"})
_OF_SERIES: Final = {
    Concept.MODALITY: "modality",
    Concept.SERIES_NUMBER: "number",
    Concept.SERIES_DESCRIPTION: "description",
    Concept.SERIES_DATE: "date",
    Concept.SERIES_TIME: "time",
    Concept.SERIES_UID: "uid",
    Concept.LATERALITY: "laterality",
    Concept.INSTANCE_COUNT: "stated",
}


@dataclass(slots=True)
class Entry:
    """One instance as the library describes it."""

    sop_class: str = ""
    number: str | None = None
    frames: int | None = None
    title: Code | None = None
    description: str | None = None


@dataclass(slots=True)
class Group:
    """One series as the library describes it."""

    place: str
    uid: str | None = None
    modality: Code | None = None
    number: str | None = None
    description: str | None = None
    date: str | None = None
    time: str | None = None
    regions: list[Code] = field(default_factory=list)
    region_text: str | None = None
    laterality: Code | None = None
    stated: int | None = None
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Content:
    """What the content tree says of the study; `described` is False for a tree without a library."""

    described: bool = False
    title: Code | None = None
    procedure_codes: list[Code] = field(default_factory=list)
    modalities: list[Code] = field(default_factory=list)
    regions: list[Code] = field(default_factory=list)
    stated_series: int | None = None
    study_date: str | None = None
    study_time: str | None = None
    groups: list[Group] = field(default_factory=list)
    references: set[str] = field(default_factory=set)


class ContentReader:
    """Reads the content tree of one document."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._concepts: dict[int, Concept | None] = {}

    def read(self, document: Dataset) -> Content:
        """The whole tree."""
        content = Content(title=self._values.code(document, tags.CONCEPT_NAME, "document"))
        libraries = 0
        for item in self._roots(items(document, tags.CONTENT), content, 0):
            concept = self._concept(item)
            if concept is Concept.LIBRARY:
                libraries += 1
                content.described = True
                self._read_library(item, content)
            elif concept is Concept.GROUP:
                self._values.report("group-outside-library", _ROOT)
                content.described = True
                self._read_group(item, content)
            elif concept is Concept.PROCEDURE_CODE:
                self._append(item, content.procedure_codes, _ROOT)
            else:
                for sop in items(item, tags.REFERENCED_SOPS):
                    if uid := reference(sop, _ROOT, self._values)[0]:
                        content.references.add(uid)
        if libraries > 1:
            self._values.report("library-repeated", _ROOT)
        return content

    def _roots(self, content: Iterable[Dataset], found: Content, depth: int) -> Iterator[Dataset]:
        """Items under the root, also where the root itself is wrapped in containers."""
        for item in content:
            if tags.CONTENT in item and self._concept(item) not in (Concept.LIBRARY, Concept.GROUP):
                if tags.REFERENCED_SOPS in item or depth == _DEEPEST_WRAP:
                    yield item
                    continue
                self._values.report("content-wrapped", _ROOT)
                found.title = found.title or self._values.code(item, tags.CONCEPT_NAME, _ROOT)
                yield from self._roots(items(item, tags.CONTENT), found, depth + 1)
            else:
                yield item

    def _concept(self, item: Dataset) -> Concept | None:
        named = item.get(tags.CONCEPT_NAME)
        if not named or not isinstance(named, tuple):
            return None
        key = id(named)
        if key not in self._concepts:
            code = leaf(named[0], tags.CODE_VALUE)
            self._concepts[key] = concept_of(code, leaf(named[0], tags.CODING_SCHEME_DESIGNATOR))
        return self._concepts[key]

    def _read_library(self, library: Dataset, content: Content) -> None:
        values, place = self._values, "ImageLibrary"
        for item in items(library, tags.CONTENT):
            match self._concept(item):
                case Concept.MODALITY:
                    self._append(item, content.modalities, place, scheme=DCM)
                case Concept.REGION:
                    region, _ = self._region(item, place)
                    if region is not None and region not in content.regions:
                        content.regions.append(region)
                case Concept.SERIES_COUNT:
                    content.stated_series = self._number(item, f"{place}.series-count")
                case Concept.STUDY_DATE:
                    content.study_date = values.date(item, tags.DATE, place)
                case Concept.STUDY_TIME:
                    content.study_time = values.time(item, tags.TIME, place)
                case Concept.GROUP:
                    self._read_group(item, content)
                case _:
                    pass

    def _read_group(self, container: Dataset, content: Content) -> None:
        group = Group(f"ImageLibrary.Group[{len(content.groups) + 1}]")
        content.groups.append(group)
        beside: list[str | tuple[str, Any]] = []
        for item in items(container, tags.CONTENT):
            if tags.REFERENCED_SOPS in item:
                beside.extend(self._read_entries(item, group))
                continue
            concept = self._concept(item)
            if concept in _OF_INSTANCE:
                beside.append((_OF_INSTANCE[concept], self._of_instance(item, concept, group.place)))
            elif concept is Concept.REGION:
                self._read_series_region(item, group)
            elif concept in _OF_SERIES:
                self._set(
                    group, _OF_SERIES[concept], self._of_series(item, concept, group.place), group.place
                )
        self._take_siblings(group, beside)

    def _read_entries(self, item: Dataset, group: Group) -> list[str]:
        described: list[tuple[str, Any]] = []
        for child in items(item, tags.CONTENT):
            concept = self._concept(child)
            if concept in _OF_INSTANCE:
                described.append((_OF_INSTANCE[concept], self._of_instance(child, concept, group.place)))
        read = []
        for sop in items(item, tags.REFERENCED_SOPS):
            uid, sop_class = reference(sop, group.place, self._values)
            if uid is None:
                continue
            if uid in group.entries:
                self._values.report("entry-repeated", group.place)
                continue
            entry = group.entries[uid] = Entry(sop_class)
            for name, value in described:
                self._set(entry, name, value, group.place)
            read.append(uid)
        return read

    def _take_siblings(self, group: Group, beside: list[str | tuple[str, Any]]) -> None:
        """Attributes that stand beside the entries, before or after the one that they belong to."""
        attributes = [part for part in beside if not isinstance(part, str)]
        if not attributes:
            return
        key_objects = [e for e in group.entries.values() if e.sop_class == KEY_OBJECT_SELECTION]
        shared = {name for name in _OF_KEY_OBJECT if sum(a[0] == name for a in attributes) == 1}
        for name, value in attributes:
            if name in shared and key_objects:
                self._values.report("key-object-at-group", group.place)
                for entry in key_objects:
                    if getattr(entry, name) is None:
                        setattr(entry, name, value)
        rest = [part for part in beside if isinstance(part, str) or not (part[0] in shared and key_objects)]
        if all(isinstance(part, str) for part in rest):
            return
        self._values.report("instance-attribute-sibling", group.place)
        if isinstance(rest[0], str):
            rest.reverse()
        waiting: list[tuple[str, Any]] = []
        for part in rest:
            if isinstance(part, str):
                for name, value in waiting:
                    self._set(group.entries[part], name, value, group.place)
                waiting = []
            else:
                waiting.append(part)

    def _read_series_region(self, item: Dataset, group: Group) -> None:
        region, text = self._region(item, group.place)
        if region is not None and region not in group.regions:
            group.regions.append(region)
        if text is not None:
            self._set(group, "region_text", text, group.place)

    def _set(self, target: Entry | Group, name: str, value: Any, place: str) -> None:
        """The first value counts."""
        if value is None:
            return
        known = getattr(target, name)
        if known is None:
            setattr(target, name, value)
        elif known != value:
            self._values.report("value-repeated", place)

    def _of_series(self, item: Dataset, concept: Concept, place: str) -> Any:
        values = self._values
        if concept is Concept.MODALITY:
            return values.code(item, tags.CONCEPT_CODE, place, scheme=DCM)
        if concept is Concept.LATERALITY:
            return values.code(item, tags.CONCEPT_CODE, place)
        if concept is Concept.SERIES_DATE:
            return values.date(item, tags.DATE, place)
        if concept is Concept.SERIES_TIME:
            return values.time(item, tags.TIME, place)
        if concept is Concept.SERIES_UID:
            return values.uid(item, tags.UID, place)
        if concept is Concept.INSTANCE_COUNT:
            return self._number(item, place)
        return self._text(item, place)

    def _of_instance(self, item: Dataset, concept: Concept, place: str) -> Any:
        if concept is Concept.KEY_OBJECT_TITLE:
            return self._values.code(item, tags.CONCEPT_CODE, place)
        if concept is Concept.FRAMES:
            return self._number(item, place)
        return self._text(item, place)

    def _text(self, item: Dataset, place: str) -> str | None:
        if tags.MEASURED_VALUE in item:
            number = self._number(item, place)
            return None if number is None else str(number)
        return self._values.text(item, tags.TEXT_VALUE, place)

    def _number(self, item: Dataset, place: str) -> int | None:
        if measured := items(item, tags.MEASURED_VALUE):
            return self._values.number(measured[0], tags.NUMERIC_VALUE, place)
        text = self._values.text(item, tags.TEXT_VALUE, place)
        if text is None:
            return None
        match = _STATED.match(text)
        self._values.report("count-as-text" if match else "number-invalid", place)
        return int(match[1]) if match else None

    def _append(self, item: Dataset, found: list[Code], place: str, *, scheme: str = "") -> None:
        code = self._values.code(item, tags.CONCEPT_CODE, place, scheme=scheme)
        if code is not None and code not in found:
            found.append(code)

    def _region(self, item: Dataset, place: str) -> tuple[Code | None, str | None]:
        """Region as code or as text. A code of SNOMED CT under DCM, as in samples of MADO, is corrected."""
        code = self._values.code(item, tags.CONCEPT_CODE, place)
        if code is None:
            return None, self._values.text(item, tags.TEXT_VALUE, place)
        if code.scheme in (DCM, "") and code.code.isdigit() and len(code.code) > 6:
            self._values.report("region-scheme", place)
            code = Code(code.code, SNOMED, code.display)
        return code, None
