"""Checks of an imaging report against the guide: its Bundle, references and entries
(HL7 Europe Imaging Report 1.0.0-ballot: BundleReportEuImaging, BundleReportMinimalMetadataEuImaging and the
rules for document Bundles; FHIR Bundle invariants).

Every deviation is a finding of `gateway.fhir.report_rules`; nothing ends the check.
"""

from collections.abc import Iterator
from typing import Final

from gateway.fhir.report_check_composition import check_composition
from gateway.fhir.report_check_content import check_content
from gateway.fhir.report_check_diagnostic import (
    check_agreement,
    check_minimal_report,
    check_report_of_document,
)
from gateway.fhir.report_check_values import require
from gateway.fhir.report_graph import Link, ReportGraph, contained_ids, local_links
from gateway.fhir.report_terms import TERMS, ReleaseTerms, claims
from gateway.fhir.tolerant import Element

_NOT_IN_REPORT: Final = ("link", "search", "request", "response")
_DOCUMENT: Final = "BundleReportEuImaging"
_MINIMAL: Final = "BundleReportMinimalMetadataEuImaging"


def check_report(graph: ReportGraph, terms: ReleaseTerms) -> None:
    """Report everything in which a report Bundle deviates from the guide of its release."""
    document = graph.first("Composition") is not None
    _check_bundle(graph.root, document=document)
    _check_entries(graph.root)
    _check_counts(graph, document=document)
    _check_profiles(graph, terms, document=document)
    _check_references(graph)
    composition, report = graph.first("Composition"), graph.first("DiagnosticReport")
    if composition is not None:
        check_composition(graph, composition.resource, terms)
        _check_closure(graph, composition.number)
        if report is not None:
            check_report_of_document(graph, report.resource, composition.resource, terms)
            check_agreement(graph, report.resource, composition.resource, terms)
    elif report is not None:
        check_minimal_report(report.resource, terms)
    check_content(graph, terms)


def _check_bundle(bundle: Element, *, document: bool) -> None:
    if bundle.value.get("type") != ("document" if document else "collection"):
        bundle.report("bundle-type", "type")
    if "total" in bundle.value:
        bundle.report("bundle-total", "total")
    if not document:
        if bundle.value.get("link"):
            bundle.report("bundle-link", "link")
        return
    identifier = bundle.one("identifier")
    if identifier is None or not (identifier.text("system") and identifier.text("value")):
        bundle.report("bundle-identifier", "identifier")
    require(bundle, (("timestamp", "bundle-timestamp"),))


def _check_entries(bundle: Element) -> None:
    seen: set[str] = set()
    for entry in bundle.many("entry"):
        for name in _NOT_IN_REPORT:
            if name in entry.value:
                entry.report("entry-not-in-report", name)
        resource = entry.one("resource")
        if resource is None:
            entry.report("entry-resource", "resource")
        url = entry.text("fullUrl")
        if url is None:
            entry.report("full-url-missing", "fullUrl")
            continue
        if url.lower() in seen:
            entry.report("full-url-repeated", "fullUrl")
        seen.add(url.lower())
        is_urn = url[:4].lower() == "urn:"
        if not is_urn and "://" not in url:
            entry.report("full-url-invalid", "fullUrl")
        elif not is_urn and resource is not None:
            kind, number = resource.value.get("resourceType"), resource.value.get("id")
            if not url.endswith(f"/{kind}/{number}"):
                entry.report("full-url-id", "fullUrl")


def _check_counts(graph: ReportGraph, *, document: bool) -> None:
    held = {
        kind: graph.of_type(kind) for kind in ("Composition", "DiagnosticReport", "Patient", "ImagingStudy")
    }
    if document and (not graph.entries or graph.entries[0].kind != "Composition"):
        graph.root.report("composition-first", "entry[0]")
    for kind, missing in (
        ("DiagnosticReport", "diagnostic-report-missing"),
        ("Patient", "patient-missing"),
        ("ImagingStudy", "imaging-study-missing"),
    ):
        if not held[kind] and (document or kind == "DiagnosticReport"):
            graph.root.report(missing, "entry")
    for kind, repeated in (
        ("Composition", "composition-repeated"),
        ("DiagnosticReport", "diagnostic-report-repeated"),
        ("Patient", "patient-repeated"),
        ("ImagingStudy", "imaging-study-repeated"),
    ):
        if kind != "ImagingStudy" or not document:
            for entry in held[kind][1:]:
                graph.root.report(repeated, f"entry[{entry.number}].resource")


def _check_profiles(graph: ReportGraph, terms: ReleaseTerms, *, document: bool) -> None:
    own, other = (_DOCUMENT, _MINIMAL) if document else (_MINIMAL, _DOCUMENT)
    if claims(graph.root.value, other):
        graph.root.report("profile-differs", "meta.profile")
    elif not claims(graph.root.value, own):
        graph.root.report("profile-missing", "meta.profile")
    former = tuple(t.former for t in TERMS.values() if t.former and t is terms)
    for resource in (graph.root, *(entry.resource for entry in graph.entries)):
        meta = resource.one("meta")
        claimed = meta.texts("profile") if meta is not None else ()
        if former and any(url.startswith(former) for url in claimed):
            resource.report("profile-legacy", "meta.profile")


def _check_references(graph: ReportGraph) -> None:
    for link in graph.links:
        rule = _rule_of(link)
        if rule is not None:
            graph.root.found.report(rule, link.path)
    for entry in graph.entries:
        held = contained_ids(entry.resource.value)
        for path, name in local_links(entry.resource):
            if name not in held:
                graph.root.found.report("reference-contained", path)


def _rule_of(link: Link) -> str | None:
    if link.target is not None:
        return "reference-by-id" if link.by_id else None
    kind = "attachment" if link.attachment else "reference"
    outside = link.literal[:4].lower() == "http"
    return f"{kind}-outside" if outside else f"{kind}-dangling"


def _check_closure(graph: ReportGraph, start: int) -> None:
    for number in _unrelated(graph, start):
        graph.root.report("entry-unrelated", f"entry[{number}]")


def _unrelated(graph: ReportGraph, start: int) -> Iterator[int]:
    connected = graph.connected(start)
    return (entry.number for entry in graph.entries if entry.number not in connected)
