"""Checks of the Composition of an imaging report: mandatory elements, categories, attesters and sections
(HL7 Europe Imaging Report 1.0.0-ballot, CompositionEuImaging).
"""

from collections.abc import Iterator
from typing import Final

from gateway.fhir.report_check_values import check_categories, has, require
from gateway.fhir.report_graph import ReportGraph
from gateway.fhir.report_terms import (
    MANDATORY_SECTIONS,
    SECTION_ENTRIES,
    ReleaseTerms,
    mode_of,
    section_of,
)
from gateway.fhir.tolerant import Element
from gateway.model import imaging_codes as imaging

_MANDATORY: Final = (
    ("status", "composition-status"),
    ("type", "composition-type"),
    ("date", "composition-date"),
    ("author", "composition-author"),
    ("title", "composition-title"),
    ("identifier", "composition-identifier"),
    ("subject", "composition-subject"),
)
_ATTESTING: Final = ("legal", "professional")


def subject_of(resource: Element) -> Element | None:
    """The subject of a resource, of which the Composition of R5 has a list."""
    if isinstance(resource.value.get("subject"), list):
        return next(resource.many("subject"), None)
    return resource.one("subject")


def check_composition(graph: ReportGraph, composition: Element, terms: ReleaseTerms) -> None:
    """Report everything in which the Composition deviates from the guide."""
    require(composition, _MANDATORY)
    check_categories(composition, terms)
    kind = composition.one("type")
    if kind is not None and not any(
        coding.value.get("system") == imaging.LOINC_SYSTEM for coding in kind.many("coding")
    ):
        composition.report("composition-type-loinc", "type")
    subject = subject_of(composition)
    if subject is not None:
        target = graph.target(subject, composition)
        if target is None or target.value.get("resourceType") != "Patient":
            composition.report("composition-subject-patient", "subject")
    for attester in composition.many("attester"):
        if mode_of(attester) in _ATTESTING:
            require(attester, (("time", "attester-time"),))
    _check_sections(graph, composition)


def _check_sections(graph: ReportGraph, composition: Element) -> None:
    seen: set[str] = set()
    for section in composition.many("section"):
        name = section_of(section)
        require(section, (("code", "section-code"),))
        if name in seen:
            section.report("section-repeated", "code")
        elif name is not None:
            seen.add(name)
        _check_content(section)
        _check_entries(graph, composition, section, name)
        for inner in _inner(section):
            _check_content(inner)
    for name in MANDATORY_SECTIONS:
        if name not in seen:
            composition.report(f"section-{name}", "section")


def _check_content(section: Element) -> None:
    filled = has(section, "entry") or has(section, "section")
    if not (filled or has(section, "emptyReason") or _has_note(section)):
        section.report("section-empty", "emptyReason")
    if not (filled or has(section, "text")):
        section.report("section-content")
    if has(section, "entry") and has(section, "emptyReason"):
        section.report("section-not-empty", "emptyReason")
    if has(section, "entry") and not has(section, "text"):
        section.report("section-text", "text")


def _has_note(section: Element) -> bool:
    for extension in section.extensions(imaging.EXT_SECTION_NOTE):
        note = extension.one("valueAnnotation")
        if note is not None and has(note, "text"):
            return True
    return False


def _inner(section: Element) -> Iterator[Element]:
    for inner in section.many("section"):
        yield inner
        yield from _inner(inner)


def _check_entries(graph: ReportGraph, composition: Element, section: Element, name: str | None) -> None:
    kinds = []
    for entry in section.many("entry"):
        target = graph.target(entry, composition)
        kinds.append(str(target.value.get("resourceType")) if target is not None else "")
        named = SECTION_ENTRIES.get(name or "")
        if target is not None and named is not None and kinds[-1] not in named:
            entry.report("section-entry-type")
    if name == "imagingstudy" and "ImagingStudy" not in kinds:
        section.report("section-study-entry", "entry")
