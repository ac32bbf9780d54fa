"""Imaging report -> what the gateway needs of it, and where it deviates from the guide
(HL7 Europe Imaging Report 1.0.0-ballot: BundleReportEuImaging, BundleReportMinimalMetadataEuImaging).

A report comes in FHIR R4 or R5, in JSON or XML, under canonicals of whatever age, and gives the same values.
Only what is no report at all ends the reading; `gateway.fhir.report_check` says what the guide forbids.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.fhir.manifest_read_values import is_accession, read_concept, read_issued, scheme_of
from gateway.fhir.manifest_resources import resource_type
from gateway.fhir.report_check import check_report
from gateway.fhir.report_graph import ReportGraph
from gateway.fhir.report_rules import RULES
from gateway.fhir.report_terms import BASES, TERMS, mode_of, release_of, release_of_text, section_of
from gateway.fhir.report_values import ReportPeople, distinct, is_placer, read_dtm, study_uid_of
from gateway.fhir.strict_json import read_json
from gateway.fhir.terminology import Terminology
from gateway.fhir.tolerant import Collector, Element
from gateway.fhir.xml_reader import read_xml
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.dtm import dtm_end, dtm_start
from gateway.model.imaging import IssuedId
from gateway.model.metadata import Code
from gateway.model.releases import FhirRelease
from gateway.model.report import (
    LegalAuthenticator,
    ReadReport,
    ReportFormat,
    ReportRelation,
    ReportSummary,
)

_CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_REGIONS: Final = tuple(base + "AnatomicalRegionExtension" for base in BASES)
_RELATIONS: Final = {"amends": "appends"}


class NotAReportError(ValueError):
    """What was read is no imaging report. The text says why, without content."""


def is_report_bundle(resource: object) -> bool:
    """True for a Bundle that has to be read as imaging report.

    It claims a profile of the guide, or has a DiagnosticReport and says that it is of type LOINC 85430-7.
    """
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        return False
    entries = resource.get("entry")
    held = [e.get("resource") for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    kept = [
        one
        for one in held
        if isinstance(one, dict) and one.get("resourceType") in ("Composition", "DiagnosticReport")
    ]
    if any(map(_claims_guide, (resource, *kept))):
        return bool(kept)
    has_report = any(one["resourceType"] == "DiagnosticReport" for one in kept)
    return has_report and any(map(_says_imaging, kept))


def _claims_guide(resource: Json) -> bool:
    meta = resource.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    return isinstance(claimed, list) and any(
        isinstance(url, str) and url.startswith(BASES) and "Report" in url for url in claimed
    )


def _says_imaging(resource: Json) -> bool:
    """True where type, code or category is that of an imaging report."""
    concepts = [resource.get("type"), resource.get("code")]
    categories = resource.get("category")
    concepts += categories if isinstance(categories, list) else [categories]
    codings = chain.from_iterable(
        concept["coding"]
        for concept in concepts
        if isinstance(concept, dict) and isinstance(concept.get("coding"), list)
    )
    return any(isinstance(c, dict) and c.get("code") == imaging.LOINC_IMAGING_REPORT for c in codings)


def read_report(
    raw: bytes, terminology: Terminology, wire_format: FhirFormat = FhirFormat.JSON
) -> ReadReport:
    """Read a report in FHIR JSON or XML. Raises NotAReportError."""
    return read_report_bundle(read_bundle(raw, wire_format), terminology)


def read_bundle(raw: bytes, wire_format: FhirFormat) -> Json:
    """The JSON values of FHIR in JSON or XML. Raises NotAReportError."""
    try:
        if wire_format is FhirFormat.XML:
            return read_xml(raw, release_of_text(raw))
        return read_json(raw, "Bundle")
    except OutcomeError as error:
        raise NotAReportError(f"This is no FHIR: {error}") from None


def read_report_bundle(
    resource: object, terminology: Terminology, release: FhirRelease | None = None
) -> ReadReport:
    """Read the JSON values of a report. Without `release` the Bundle tells. Raises NotAReportError."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        kind = resource_type(resource) if isinstance(resource, dict) else "nothing"
        raise NotAReportError(f"An imaging report is a Bundle; this is {kind}.")
    found = Collector(RULES)
    graph = ReportGraph.of(resource, found)
    report = graph.first("DiagnosticReport")
    if report is None and graph.first("Composition") is None:
        raise NotAReportError("An imaging report has a DiagnosticReport; this Bundle has none.")
    terms = TERMS[release or release_of(resource)]
    check_report(graph, terms)
    return ReadReport(_Reader(graph, terminology, terms.release).read(), found.findings())


class _Reader:
    def __init__(self, graph: ReportGraph, terminology: Terminology, release: FhirRelease) -> None:
        self._graph = graph
        self._terminology = terminology
        self._terms = TERMS[release]
        self._people = ReportPeople(graph, terminology)
        composition, report = graph.first("Composition"), graph.first("DiagnosticReport")
        nothing = Element({}, "Bundle", graph.root.found)
        self._is_document = composition is not None
        self._composition = composition.resource if composition is not None else nothing
        self._report = report.resource if report is not None else nothing
        self._main = self._composition if self._is_document else self._report

    def read(self) -> ReportSummary:
        main = self._main
        studies = list(self._studies())
        uids, from_references = self._study_uids(studies), self._orders(studies)
        start, stop = self._service_times(studies)
        identifier = self._graph.root.one("identifier")
        return ReportSummary(
            format=ReportFormat.DOCUMENT if self._is_document else ReportFormat.MINIMAL,
            release=self._terms.release,
            document_id=read_issued(identifier, self._terminology),
            identifiers=self._identifiers(),
            version=self._version(),
            type=read_concept(main.one("type" if self._is_document else "code"), self._terminology),
            categories=tuple(dict.fromkeys(self._categories())),
            status=main.text("status"),
            date=self._date(),
            issued=read_dtm(self._report, "issued"),
            title=self._title(),
            language=self._language(),
            confidentiality=self._confidentiality(),
            patient=self._people.patient(self._subject(), main),
            study_uids=uids,
            accessions=distinct(i for i, placer in from_references if not placer),
            placers=distinct(i for i, placer in from_references if placer),
            modalities=_distinct_codes(self._modalities(studies)),
            regions=_distinct_codes(self._regions(studies)),
            body_sites=_distinct_codes(self._body_sites(studies)),
            authors=self._people.authors(self._author_references(), main),
            legal_authenticator=self._authenticator(),
            service_start=start,
            service_stop=stop,
            organizations=self._people.organizations(self._report.many("performer"), self._report),
            custodian=self._people.organization(self._composition.one("custodian"), self._composition),
            relations=tuple(self._relations()),
            signed="signature" in self._graph.root.value,
        )

    # --- the document -----------------------------------------------------------------------------------
    def _identifiers(self) -> tuple[IssuedId, ...]:
        own = self._composition.value.get("identifier")
        held = self._composition.many("identifier") if isinstance(own, list) else ()
        single = self._composition.one("identifier") if isinstance(own, dict) else None
        found = chain([single] if single is not None else (), held, self._report.many("identifier"))
        return distinct(read_issued(identifier, self._terminology) for identifier in found)

    def _version(self) -> str | None:
        extension = self._composition.extension(imaging.EXT_COMPOSITION_VERSION)
        if self._terms.release is FhirRelease.R5 and self._composition.text("version"):
            return self._composition.text("version")
        extension = extension or self._report.extension(imaging.EXT_ARTIFACT_VERSION)
        return extension.text("valueString") if extension is not None else None

    def _categories(self) -> Iterator[Code]:
        for category in self._main.many("category"):
            for coding in category.many("coding"):
                code, system = coding.text("code"), coding.text("system")
                if code is not None:
                    yield Code(code, scheme_of(system, self._terminology), coding.text("display"))

    def _date(self) -> str | None:
        if self._is_document:
            return read_dtm(self._composition, "date")
        forms = [read_dtm(form, "creation") for form in self._report.many("presentedForm")]
        others = (read_dtm(self._report, "issued"), read_dtm(self._report, "effectiveDateTime"))
        found = (*forms, *others, read_dtm(self._graph.root, "timestamp"))
        return next((date for date in found if date), None)

    def _title(self) -> str | None:
        if self._is_document:
            return self._composition.text("title")
        titles = [form.text("title") for form in self._report.many("presentedForm")]
        code = self._report.one("code")
        coded = read_concept(code, self._terminology)
        found = (*titles, code.text("text") if code is not None else None, coded.display if coded else None)
        return next((title for title in found if title), None)

    def _language(self) -> str | None:
        said = (self._main.text("language"), self._report.text("language"))
        forms = (form.text("language") for form in self._report.many("presentedForm"))
        root = self._graph.root.text("language")
        return next((language for language in (*said, root, *forms) if language), None)

    def _confidentiality(self) -> Code | None:
        value = self._composition.text("confidentiality")
        if value is not None:
            return Code(value, codes.CONFIDENTIALITY_OID, value)
        for holder in (self._composition, self._report, self._graph.root):
            meta = holder.one("meta")
            for label in meta.many("security") if meta is not None else ():
                code = label.text("code")
                if code is not None and label.value.get("system") == _CONFIDENTIALITY:
                    return Code(code, codes.CONFIDENTIALITY_OID, label.text("display") or code)
        return None

    def _subject(self) -> Element | None:
        held = self._main.value.get("subject")
        return next(self._main.many("subject"), None) if isinstance(held, list) else self._main.one("subject")

    def _relations(self) -> Iterator[ReportRelation]:
        for relation in self._composition.many("relatesTo"):
            kind = relation.text("code") or relation.text("type")
            target = relation.one("targetReference") or relation.one("resourceReference")
            identifier = relation.one("targetIdentifier")
            if identifier is None and target is not None:
                identifier = target.one("identifier")
            if kind is not None:
                yield ReportRelation(
                    kind=_RELATIONS.get(kind, kind),
                    identifier=read_issued(identifier, self._terminology),
                    reference=target.text("reference") if target is not None else None,
                )

    # --- people -----------------------------------------------------------------------------------------
    def _author_references(self) -> Iterator[Element]:
        if self._is_document:
            yield from self._composition.many("author")
        else:
            yield from self._report.many("resultsInterpreter")
            yield from self._report.many("performer")

    def _authenticator(self) -> LegalAuthenticator | None:
        for attester in self._composition.many("attester"):
            if mode_of(attester) == "legal":
                person = self._people.person(attester.one("party"), self._composition)
                return LegalAuthenticator(person, read_dtm(attester, "time"))
        return None

    # --- studies and orders -----------------------------------------------------------------------------
    def _study_references(self) -> Iterator[tuple[Element, Element]]:
        """References to the studies that the report is about, with their owner; none of comparison."""
        for reference in self._report.many(self._terms.studies):
            yield reference, self._report
        for section in self._composition.many("section"):
            if section_of(section) == "imagingstudy":
                for entry in section.many("entry"):
                    yield entry, self._composition

    def _studies(self) -> Iterator[Element]:
        """ImagingStudy resources that the report is about, each once; all of them where it names none."""
        seen: list[Json] = []
        for reference, owner in self._study_references():
            target = self._graph.target(reference, owner)
            if target is None or target.value.get("resourceType") != "ImagingStudy":
                continue
            if not any(target.value is held for held in seen):
                seen.append(target.value)
                yield target
        if not seen and not any(True for _ in self._study_references()):
            yield from (entry.resource for entry in self._graph.of_type("ImagingStudy"))

    def _study_uids(self, studies: Iterable[Element]) -> tuple[str, ...]:
        identifiers = [identifier for study in studies for identifier in study.many("identifier")]
        for reference, _ in self._study_references():
            named = reference.one("identifier")
            identifiers += [named] if named is not None else []
        return tuple(dict.fromkeys(uid for i in identifiers if (uid := study_uid_of(i))))

    def _orders(self, studies: Iterable[Element]) -> list[tuple[IssuedId | None, bool]]:
        """Order numbers of the report and its studies; true beside those of the placer."""
        found: list[tuple[IssuedId | None, bool]] = []
        for reference, owner in self._order_references(studies):
            named = reference.one("identifier")
            if named is not None:
                found.append((read_issued(named, self._terminology), is_placer(named)))
            target = self._graph.target(reference, owner)
            if target is None or target.value.get("resourceType") != "ServiceRequest":
                continue
            for identifier in target.many("identifier"):
                if is_accession(identifier) or is_placer(identifier):
                    found.append((read_issued(identifier, self._terminology), is_placer(identifier)))
        return found

    def _order_references(self, studies: Iterable[Element]) -> Iterator[tuple[Element, Element]]:
        for owner in (self._report, *studies):
            yield from ((reference, owner) for reference in owner.many("basedOn"))
        for extension in self._composition.extensions(imaging.EXT_EVENT_BASED_ON):
            reference = extension.one("valueReference")
            if reference is not None:
                yield reference, self._composition
        for section in self._composition.many("section"):
            if section_of(section) == "order":
                yield from ((entry, self._composition) for entry in section.many("entry"))

    def _modalities(self, studies: Iterable[Element]) -> Iterator[Code | None]:
        for study in studies:
            for modality in study.many("modality"):
                yield self._coded(modality)
            for series in study.many("series"):
                yield self._coded(series.one("modality"))

    def _regions(self, studies: Iterable[Element]) -> Iterator[Code | None]:
        for owner in (*studies, self._report):
            for extension in owner.extensions(*_REGIONS):
                yield read_concept(extension.one("valueCodeableConcept"), self._terminology)

    def _body_sites(self, studies: Iterable[Element]) -> Iterator[Code | None]:
        for study in studies:
            for series in study.many("series"):
                yield self._coded(series.one("bodySite"))

    def _coded(self, element: Element | None) -> Code | None:
        """Code of a Coding, a CodeableConcept or a CodeableReference, whichever the release has."""
        if element is None:
            return None
        inner = element.one("concept") if "concept" in element.value else element
        if inner is not None and "coding" in inner.value:
            return read_concept(inner, self._terminology)
        code = element.text("code")
        scheme = scheme_of(element.text("system"), self._terminology)
        return Code(code, scheme, element.text("display")) if code is not None else None

    def _service_times(self, studies: Iterable[Element]) -> tuple[str | None, str | None]:
        """When was done what the report is about: its events, else its studies, else its effective time."""
        periods = [event.one("period") for event in self._composition.many("event")]
        starts, stops = _ends(periods)
        if not starts:
            begun = [dtm for study in studies if (dtm := read_dtm(study, "started"))]
            starts, stops = begun, [] if len(set(begun)) < 2 else begun
        if not starts:
            moment = read_dtm(self._report, "effectiveDateTime")
            starts, stops = ([moment], []) if moment else _ends([self._report.one("effectivePeriod")])
        start = min(starts, key=dtm_start, default=None)
        stop = max(stops, key=dtm_end, default=None)
        if start and stop and dtm_start(start) >= dtm_end(stop):
            return start, None
        return start, stop


def _ends(periods: Iterable[Element | None]) -> tuple[list[str], list[str]]:
    held = [period for period in periods if period is not None]
    starts = [dtm for period in held if (dtm := read_dtm(period, "start"))]
    return starts, [dtm for period in held if (dtm := read_dtm(period, "end"))]


def _distinct_codes(found: Iterable[Code | None]) -> tuple[Code, ...]:
    held: dict[tuple[str, str], Code] = {}
    for code in found:
        if code is not None:
            held.setdefault((code.code, code.scheme), code)
    return tuple(held.values())
