"""Checks of the DiagnosticReport of an imaging report, and of its agreement with the Composition
(HL7 Europe Imaging Report 1.0.0-ballot: DiagnosticReportEuImaging, DiagnosticReportEuImagingMinimalMetadata,
dr-comp-author-org; FHIR R5 dgr-1).
"""

from collections.abc import Iterable
from typing import Final

from gateway.fhir.report_check_composition import subject_of
from gateway.fhir.report_check_values import (
    check_accession,
    check_categories,
    check_orders,
    check_study_uid,
    has,
    require,
)
from gateway.fhir.report_graph import ReportGraph
from gateway.fhir.report_terms import ReleaseTerms, section_of
from gateway.fhir.tolerant import Element
from gateway.model.releases import FhirRelease

_MANDATORY: Final = (
    ("identifier", "report-identifier"),
    ("status", "report-status"),
    ("code", "report-code"),
    ("subject", "report-subject"),
)
_PDF: Final = "application/pdf"


def check_report_of_document(
    graph: ReportGraph, report: Element, composition: Element, terms: ReleaseTerms
) -> None:
    """Report everything in which the DiagnosticReport of a document deviates from the guide."""
    require(report, _MANDATORY)
    check_categories(report, terms)
    check_orders(report)
    reference = terms.composition_of(report)
    if reference is None:
        report.report("report-composition", "composition")
    else:
        target = graph.target(reference, report)
        if target is not None and target.value is not composition.value:
            reference.report("report-composition-target")
    if terms.release is FhirRelease.R5:
        require(report, (("result", "report-result"),))
        _check_results(graph, report, composition)


def _check_results(graph: ReportGraph, report: Element, composition: Element) -> None:
    results = [t for r in report.many("result") if (t := graph.target(r, report)) is not None]
    members = [t for one in results for r in one.many("hasMember") if (t := graph.target(r, one)) is not None]
    held = [element.value for element in (*results, *members)]
    for section in composition.many("section"):
        for entry in section.many("entry"):
            target = graph.target(entry, composition)
            is_observation = target is not None and target.value.get("resourceType") == "Observation"
            if target is not None and is_observation and not any(target.value is value for value in held):
                entry.report("report-result-of-sections")


def check_minimal_report(report: Element, terms: ReleaseTerms) -> None:
    """Report everything in which the DiagnosticReport with minimal metadata deviates from the guide."""
    require(report, _MANDATORY)
    check_categories(report, terms)
    if terms.composition_of(report) is not None:
        report.report("report-composition-minimal", "composition")
    for reference in report.many("basedOn"):
        identifier = _either(reference, "order")
        if identifier is not None:
            check_accession(identifier)
    for reference in report.many(terms.studies):
        identifier = _either(reference, "study")
        if identifier is not None:
            check_study_uid(identifier)
    forms = [f for f in report.many("presentedForm") if _media_type(f) == _PDF]
    if not forms:
        report.report("pdf-missing", "presentedForm")
    for form in forms:
        if not (has(form, "data") or has(form, "url")):
            form.report("pdf-empty")


def _either(reference: Element, what: str) -> Element | None:
    """The identifier of a Reference that has it instead of a literal one."""
    identifier, literal = reference.one("identifier"), has(reference, "reference")
    if identifier is not None and literal:
        reference.report(f"{what}-both")
    elif identifier is None and not literal:
        reference.report(f"{what}-neither")
    return identifier


def _media_type(form: Element) -> str:
    return (form.text("contentType") or "").partition(";")[0].strip().lower()


# --- agreement --------------------------------------------------------------------------------------------
def check_agreement(graph: ReportGraph, report: Element, composition: Element, terms: ReleaseTerms) -> None:
    """Report where Composition and DiagnosticReport say different things."""
    shared = _identities(report) & _identities(composition)
    if not shared and has(report, "identifier") and has(composition, "identifier"):
        report.report("identifiers-differ", "identifier")
    subjects = [_named(graph, subject_of(resource), resource) for resource in (report, composition)]
    if None not in subjects and subjects[0] != subjects[1]:
        report.report("subjects-differ", "subject")
    performers = _organizations(graph, report.many("performer"), report)
    if performers != _organizations(graph, composition.many("author"), composition):
        report.report("organizations-differ", "performer")
    if _codings(report.many("category")) != _codings(composition.many("category")):
        report.report("categories-differ", "category")
    kinds = [_codings([c]) for c in (report.one("code"), composition.one("type")) if c is not None]
    if len(kinds) == 2 and not kinds[0] & kinds[1]:
        report.report("types-differ", "code")
    of_report = {name for r in report.many(terms.studies) if (name := _named(graph, r, report))}
    of_sections = {
        name
        for section in composition.many("section")
        if section_of(section) == "imagingstudy"
        for entry in section.many("entry")
        if (name := _named(graph, entry, composition))
    }
    if of_report != of_sections:
        report.report("studies-differ", terms.studies)


def _identities(resource: Element) -> set[tuple[str | None, str | None]]:
    held = resource.value.get("identifier")
    single = resource.one("identifier") if isinstance(held, dict) else None
    identifiers = [single] if single is not None else resource.many("identifier")
    return {(identifier.text("system"), identifier.text("value")) for identifier in identifiers}


def _named(graph: ReportGraph, reference: Element | None, owner: Element) -> object:
    """What a Reference names, comparable: the entry, else its identifier or text."""
    if reference is None:
        return None
    target = graph.target(reference, owner)
    if target is not None:
        return target.path
    identifier = reference.one("identifier")
    if identifier is not None:
        return identifier.text("system"), identifier.text("value")
    return reference.text("reference")


def _organizations(graph: ReportGraph, references: Iterable[Element], owner: Element) -> list[str]:
    """The Organizations among what References name, in their order."""
    targets = (graph.target(reference, owner) for reference in references)
    return [
        target.path
        for target in targets
        if target is not None and target.value.get("resourceType") == "Organization"
    ]


def _codings(concepts: Iterable[Element]) -> set[tuple[str | None, str | None]]:
    return {(c.text("system"), c.text("code")) for concept in concepts for c in concept.many("coding")}
